"""The benches run: every group, with figures too small to mean anything, so that none rots unseen."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import program

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = ["-m", "benches", "--quick", "--rounds", "1", "--seconds", "0.001"]

#: What each group must show: the peers without which a comparison is none. Others may be missing on a machine.
EXPECTED = {
    "bytes": {"ipmb", "pipe", "pyzmq", "queue", "ring", "seqpacket"},
    "typed": {"ipmb", "ipmb_bytes", "pipe", "pyzmq", "codec"},
    "arrays": {
        "ipmb",
        "ipmb_in_place",
        "pyzmq",
        "pyzmq_no_copy",
        "shared_memory",
        "shared_memory_reused",
        "limit",
    },
    "objects": {"ipmb", "reduction", "sendfds"},
}


def shared_names() -> set[str]:
    """What stands in /dev/shm under the names that the benches' peers use."""
    starts, ends = ("psm_", "bench_", "sem.mp-"), (".zenoh",)
    return {name for name in os.listdir("/dev/shm") if name.startswith(starts) or name.endswith(ends)}


@pytest.mark.parametrize("group", EXPECTED)
def test_a_group_runs_and_every_peer_has_a_figure(group: str, tmp_path: Path) -> None:
    before, path = shared_names(), tmp_path / "figures.json"
    run = program.python(*COMMAND, "--size", "65536", "--json", path, group, seconds=50)
    assert run.returncode == 0, run.stdout + run.stderr
    assert not run.stderr
    found: dict[str, Any] = json.loads(path.read_text())["groups"][group]
    assert EXPECTED[group] <= found["peers"].keys(), run.stdout
    for row in found["rows"]:
        assert not row["failures"], run.stdout
        assert all(value > 0 for values in row["figures"].values() for value in values)
    seen = {module for row in found["rows"] for module in row["figures"]}
    assert seen == found["peers"].keys()
    assert shared_names() <= before


@pytest.mark.parametrize(("group", "last"), [("arrays", "one fill"), ("bytes", "thin ring")])
def test_an_interrupted_run_leaves_nothing_behind(group: str, last: str, tmp_path: Path) -> None:
    before = shared_names()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [
        sys.executable,
        *COMMAND,
        "--rounds",
        "100000",
        "--json",
        str(tmp_path / "figures.json"),
        group,
    ]
    with program.interrupted(command, environment) as (_, lines):
        for line in lines:
            if last in line:  # all ends are there, the first arrays travel
                break
    assert shared_names() <= before
    assert not list(tmp_path.glob("bench-*"))
