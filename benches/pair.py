"""Both ends of one peer's link in processes of their own.

However a run ends, nothing stays behind: the ends are told to stop, then killed, and what the peer had made
by name is removed. A pair whose measurement failed is made anew, since nobody knows what is still in the link.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benches.groups import Row
    from benches.peers import Peer, Setup

ROOT = Path(__file__).parents[1]

#: No measurement takes longer; one that does is a failed one.
BOUND = 30.0


class BenchError(Exception):
    """A measurement that does not count, and why."""


class End:
    """One worker process."""

    def __init__(self, group: str, module: str, address: dict[str, Any], descriptors: list[int]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benches.worker", group, module, json.dumps(address)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=descriptors,
            cwd=ROOT,
        )
        self._rest = b""

    def tell(self, command: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise BenchError(f"a worker ended with {self._process.wait()}") from None

    def answer(self, bound: float = BOUND) -> dict[str, Any]:
        """The next line, within a bound."""
        number = self.fileno()
        deadline = time.monotonic() + bound
        while not self.waiting:
            if not select.select([number], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise BenchError(f"nothing within {bound:g} s")
            chunk = os.read(number, 65536)
            if not chunk:
                raise BenchError(f"a worker ended with {self._process.wait()}")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        if "failed" in found:
            raise BenchError(found["failed"])
        return found

    @property
    def waiting(self) -> bool:
        """An answer has been read already."""
        return b"\n" in self._rest

    def fileno(self) -> int:
        """Readable when there is an answer that has not been read."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def leave(self) -> None:
        """Ask it to end; where it waits for a command it does so at once."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def close(self) -> None:
        """Wait for its end. SIGTERM becomes an exception in it, wherever it is, so that it lets go of what it has."""
        assert self._process.stdout is not None
        for bound, urge in ((0.5, self._process.terminate), (3.0, self._process.kill), (None, None)):
            try:
                self._process.wait(bound)
            except subprocess.TimeoutExpired:
                assert urge is not None
                urge()
            else:
                break
        self._process.stdout.close()


def first(ends: Sequence[End]) -> Sequence[End]:
    """Those of which an answer is there, as soon as one has one."""
    ready = [end for end in ends if end.waiting] or select.select(ends, [], [], BOUND)[0]
    if not ready:
        raise BenchError(f"nothing within {BOUND:g} s")
    return ready


class Pair:
    """A peer's two ends, kept for the whole group: connecting is not what is measured."""

    def __init__(self, group: str, module: str, peer: Peer, folder: Path) -> None:
        self.peer = peer
        self.module = module
        #: How many messages a measurement of a row has; the group keeps its findings here.
        self.counts: dict[Row, int] = {}
        self._group = group
        self._folder = folder
        self._opened = 0
        self._ends: list[End] = []
        self._setup: Setup | None = None
        self._open()

    def _open(self) -> None:
        self._opened += 1
        folder = self._folder / str(self._opened)
        folder.mkdir(parents=True)
        setup = self._setup = self.peer.prepare(str(folder))
        try:
            if setup.far is not None:
                self._ends.append(End(self._group, self.module, setup.far, setup.far_descriptors))
            self._ends.append(End(self._group, self.module, setup.near, setup.near_descriptors))
            for end in self._ends:
                end.answer()
        except BaseException:
            self.close()
            raise

    def again(self) -> None:
        """New ends, after a measurement that failed."""
        self.close()
        self._open()

    @property
    def alone(self) -> bool:
        """There is no far end: this peer is a limit that one process shows."""
        return self._setup is not None and self._setup.far is None

    def near(self, row: Row, do: str, count: int, **more: Any) -> dict[str, Any]:
        """One command to the near end, and its answer."""
        return self._obey(self._ends[-1], row, do, count, more)

    def far(self, row: Row, do: str, count: int, **more: Any) -> dict[str, Any]:
        """One command to the far end, and its answer; to the only end of a limit."""
        return self._obey(self._ends[0], row, do, count, more)

    def _begin(self, end: End, row: Row, do: str, count: int, more: dict[str, Any]) -> None:
        end.tell({"do": do, "row": dataclasses.asdict(row), "count": count, **more})
        end.answer()

    def _obey(self, end: End, row: Row, do: str, count: int, more: dict[str, Any]) -> dict[str, Any]:
        self._begin(end, row, do, count, more)
        return end.answer()

    def both(
        self, row: Row, near: str, far: str, count: int, **more: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start the far end, then the near end, and take both answers; ``more`` is for the far end.

        Who found something wrong has stopped, and the other end may wait for it for ever: it is not waited for.
        """
        ends = self._ends[-1], self._ends[0]
        self._begin(ends[1], row, far, count, more)
        self._begin(ends[0], row, near, count, {})
        answers: dict[End, dict[str, Any]] = {}
        while len(answers) < 2:
            for end in first([end for end in ends if end not in answers]):
                answers[end] = end.answer()
                if not answers[end].get("good", True):
                    raise BenchError("something that arrived was wrong, missing or out of order")
        return answers[ends[0]], answers[ends[1]]

    def close(self) -> None:
        for end in self._ends:
            end.leave()
        for end in self._ends:
            end.close()
        self._ends.clear()
        if self._setup is not None:
            self._setup.clean()
            self._setup = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
