"""The same program in every language, and how a test talks to one.

A peer is started as `peer BUS LABEL`, joins, and prints "ready". It then does what a line on its stdin says, prints one
line, and leaves at the end of its input. What is sent is the same everywhere:

    bytes       a BytesMessage of format 513 with the bytes 0 to 255
    typed       the dict {"name": "north", "place": [1.5, 2]}
    object      bytes, and the writing end of a pipe
    region      bytes, and a region of 4096 bytes that begins with 7
    large       a BytesMessage of format 1 with 3,000,000 bytes, each its place modulo 251

    send WHAT LABEL    sends it to one who has the label: "sent"
    leave LABEL        sends bytes that wait for one who has it: "sent"
    recv WHAT          receives a message and looks whether it is that; writes "x" into the pipe, 8 into the second byte
                       of the region: "ok", "ok redelivered", or what is wrong
    check object       whether "x" has come through the pipe that was sent last, and then its end: "ok"
    check region       whether the second byte of the region that was sent last is 8: "ok"
    ask LABEL          sends bytes as a request, and looks whether the reply is the same bytes under format 514: "ok"
    answer             receives such a request, and replies: "ok"
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import compiled

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ADDON = ROOT / "crates" / "node" / "ipmb-js.node"
#: Seconds that a line may take.
PATIENCE = 30


def _rust(folder: Path) -> list[str] | None:  # as the others
    program = compiled.PREFIX / "peer"
    return [str(program)] if program.exists() else None


def _python(folder: Path) -> list[str] | None:  # as the others
    return [sys.executable, str(HERE / "peer.py")]


def _c(folder: Path) -> list[str] | None:
    return [str(compiled.build(HERE / "peer.c", folder))] if compiled.PREFIX.exists() else None


def _cpp(folder: Path) -> list[str] | None:
    (folder / "cpp").mkdir()
    return [str(compiled.build(HERE / "peer.cpp", folder / "cpp"))] if compiled.PREFIX.exists() else None


def _node(folder: Path) -> list[str] | None:  # as the others
    node, program = shutil.which("node"), HERE / "peer.mjs"
    return [node, str(program)] if node and ADDON.exists() and program.exists() else None


#: How the peer of each language is started; None where it is not built.
LANGUAGES: dict[str, Callable[[Path], list[str] | None]] = {
    "Rust": _rust,
    "Python": _python,
    "C": _c,
    "C++": _cpp,
    "Node": _node,
}


class Peer:
    """One of these programs, running."""

    def __init__(self, command: list[str], bus: str, label: str) -> None:
        self._process = subprocess.Popen(
            [*command, bus, label], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self._label = label
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")

    def begin(self, command: str) -> None:
        """Has it do something, without waiting for that."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def end(self, wanted: str) -> None:
        """Waits for what it says."""
        said = self._line()
        assert said == wanted, f"{self._label}: {said or 'it has ended'}"

    def does(self, command: str, wanted: str) -> None:
        self.begin(command)
        self.end(wanted)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def finish(self) -> None:
        """It is to leave by itself, and well; a killed one has left."""
        if self._process.returncode is not None:
            return
        try:
            self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert self._process.returncode == 0
