"""A place for what is compiled, and C programs under the control of a test."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support import compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compiles a program of tests/c/programs, each once with the same flags."""
    made: dict[tuple[str, ...], Path] = {}

    def build(name: str, *flags: str, static: bool = False) -> Path:
        key = (name, *flags, str(static))
        if key not in made:
            folder = tmp_path_factory.mktemp("c")
            made[key] = compiled.build(compiled.PROGRAMS / name, folder, *flags, static=static)
        return made[key]

    return build


class Peer:
    """A program on a bus that says on stdout when it has joined, and ends at the end of its stdin."""

    def __init__(self, program: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "ready", self.errors()

    def line(self) -> str:
        """The next line that it prints; the bound is the test's own."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def finish(self) -> None:
        """It is to end by itself, and well; a killed one has ended."""
        if self.process.returncode is None:
            try:
                _, errors = self.process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            assert self.process.returncode == 0, errors


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    """Starts peers and ends them with the test."""
    peers: list[Peer] = []

    def start(program: Path, *arguments: str) -> Peer:
        peers.append(Peer(program, *arguments))
        return peers[-1]

    yield start
    for each in peers:
        each.finish()
