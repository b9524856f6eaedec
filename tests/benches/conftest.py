"""One run of the benches that several tests look at: with honest peers, and with some that are not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import program

ROOT = Path(__file__).parents[2]

#: A pipe whose sender does something wrong now and then, and only to messages of one size. Often enough for a
#: rehearsal of the one way to meet it; too seldom for a round trip, where a lost message would be waited for.
FAULTY = """
from benches.peers.bytes.pipe import BytesPipe


class Faulty(BytesPipe):
    name = "{fault}"

    def connect(self, address):
        link = super().connect(address)
        send, number, kept = link.send, 0, []

        def faulty(payload):
            nonlocal number
            number += len(payload) == {size}
            if len(payload) != {size} or number % {period}:
                send(payload)
                while kept:
                    send(kept.pop())
            elif "{fault}" == "doubles":
                send(payload)
                send(payload)
            elif "{fault}" == "reorders":
                kept.append(payload)
            elif "{fault}" == "changes":
                middle = len(payload) // 2
                send(payload[:middle] + bytes([payload[middle] ^ 1]) + payload[middle + 1:])

        link.send = faulty
        return link


peer = Faulty()
"""

#: Each fault, at which size, to every how many-th message. What is changed in the middle of a large message only the
#: rehearsal sees.
FAULTS = {"loses": (64, 1000), "reorders": (64, 1000), "doubles": (64, 1000), "changes": (65536, 100)}


@pytest.fixture(scope="session")
def faulty_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the benches, to which faulty peers were added as anybody adds a peer, a file each; its run is over."""
    home = tmp_path_factory.mktemp("benches")
    shutil.copytree(ROOT / "benches", home / "benches", ignore=shutil.ignore_patterns("__pycache__"))
    for fault, (size, period) in FAULTS.items():
        path = home / "benches" / "peers" / "bytes" / f"{fault}.py"
        path.write_text(FAULTY.format(fault=fault, size=size, period=period))
    words = ["-m", "benches", "bytes", "--quick", "--rounds", "1", "--seconds", "0.001"]
    words += ["--size", "64", "--size", "65536", "--peer", "pipe", "--json", "figures.json"]
    words += [word for fault in FAULTS for word in ("--peer", fault)]
    run = program.python(*words, seconds=100, cwd=home)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "wrong, missing or out of order" in run.stdout
    assert "targets" in run.stdout
    return home
