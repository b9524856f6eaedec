"""Both ends of one peer's link in processes of their own, and one measurement with them."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from benches.peers import Peer

ROOT = Path(__file__).parents[1]

#: No measurement takes longer; one that does is a failed one.
BOUND = 60.0


class BenchError(Exception):
    """A measurement that does not count, and why."""


class End:
    """One worker process."""

    def __init__(self, module: str, address: dict[str, Any], descriptors: list[int]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benches.worker", module, json.dumps(address)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=descriptors,
            cwd=ROOT,
        )
        self._rest = b""

    def tell(self, **command: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()

    def answer(self, bound: float = BOUND) -> dict[str, Any]:
        """The next line, within a bound."""
        assert self._process.stdout is not None
        number = self._process.stdout.fileno()
        deadline = time.monotonic() + bound
        while b"\n" not in self._rest:
            if not select.select([number], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise BenchError(f"nothing within {bound:g} s")
            chunk = os.read(number, 65536)
            if not chunk:
                raise BenchError(f"a worker ended with {self._process.wait()}")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Pair:
    """A peer's two ends, kept for the whole run: connecting is not what is measured."""

    def __init__(self, module: str, peer: Peer, folder: Path) -> None:
        folder.mkdir()
        setup = peer.prepare(str(folder))
        self.peer = peer
        self._counts: dict[tuple[str, int], int] = {}
        self._far = End(module, setup.far, setup.far_descriptors)
        self._near = End(module, setup.near, setup.near_descriptors)
        self._far.answer()
        self._near.answer()

    def _both(
        self, near: str, far: str, size: int, count: int, **more: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start the far end, then the near end, and take both answers."""
        self._far.tell(do=far, size=size, count=count, **more)
        self._far.answer()
        self._near.tell(do=near, size=size, count=count)
        self._near.answer()
        return self._near.answer(), self._far.answer()

    def _rate(self, size: int, count: int, *, whole: bool = False) -> float:
        near, far = self._both("send", "receive", size, count, whole=whole)
        if not far["good"]:
            raise BenchError("a message was wrong, missing or out of order")
        return float(count / (far["end"] - near["begin"]) * 1e9)

    def _round_trip(self, size: int, count: int) -> dict[str, Any]:
        near, _ = self._both("ping", "echo", size, count)
        if not near["good"]:
            raise BenchError("an answer was wrong")
        return near

    def rehearse(self, kind: str, size: int, seconds: float) -> None:
        """Warm everything up, compare everything whole, and find out how many messages take ``seconds``."""
        if kind == "rate":
            self._rate(size, max(20, min(2000, (8 << 20) // size)), whole=True)
            count = max(20, min(5000, (32 << 20) // size))
            while count / (rate := self._rate(size, count)) < seconds / 3 and count < 10_000_000:
                count = int(min(count * 10, rate * seconds) + 1)
            self._counts[kind, size] = max(20, int(rate * seconds))
        else:
            took = self._round_trip(size, 200)["all"]
            self._counts[kind, size] = max(50, int(200 * seconds * 1e9 / took))

    def measure(self, kind: str, size: int) -> float:
        """Messages a second, or the median round trip in microseconds."""
        count = self._counts[kind, size]
        if kind == "rate":
            return self._rate(size, count)
        return float(self._round_trip(size, count)["p50"]) / 1000

    def close(self) -> None:
        self._near.close()
        self._far.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
