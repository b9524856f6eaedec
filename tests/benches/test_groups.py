"""The benches run: every group, with figures too small to mean anything, so that none rots unseen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.wait import until

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "benches", "--quick", "--rounds", "1", "--seconds", "0.001"]

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


def group_lives(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("group", EXPECTED)
def test_a_group_runs_and_every_peer_has_a_figure(group: str, tmp_path: Path) -> None:
    before, path = shared_names(), tmp_path / "figures.json"
    run = subprocess.run(
        [*COMMAND, "--size", "65536", "--json", str(path), group],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
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
    with subprocess.Popen(
        [*COMMAND, "--rounds", "100000", "--json", str(tmp_path / "figures.json"), group],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if last in line:  # all ends are there, the first arrays travel
                break
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all of them
        said = run.stdout.read()
        assert run.wait(60) != 0, said
    until(lambda: not group_lives(run.pid), "the ends, and what tidies up after them, are gone")
    assert shared_names() <= before
    assert not list(tmp_path.glob("bench-*"))
