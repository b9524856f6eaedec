"""File descriptors, one a message and sixteen a message, in descriptors a second.

Both ends do what a program does: the receiver closes what it got before the next message. Which descriptor came
shows in what it reads: each is a file of one byte, its number. The first of every message is read while
the clock runs, all of them in the rehearsal.
"""

from __future__ import annotations

import os
import time
from itertools import count as numbers
from itertools import islice
from typing import TYPE_CHECKING, Any

from benches.groups import Kind, Pace, Row, enough, ratio
from benches.pair import BenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benches.pair import Pair
    from benches.peers import Link

#: So many different descriptors go round.
FILES = 16

KINDS = {"one way": Kind("one way, descriptors a second")}


class Objects:
    title = "file descriptors"
    kinds = KINDS
    columns = (ratio("ipmb is", "ipmb", more_is_better=True),)
    full = Pace(9, 0.2)
    quick = Pace(3, 0.06)

    def rows(self, _sizes: Sequence[int], _quick: bool) -> list[Row]:
        return [Row("one way", f"{size} a message", size) for size in (1, 16)]

    def takes_part(self, _module: str, _row: Row) -> bool:
        return True

    def _rate(self, pair: Pair, row: Row, count: int, *, whole: bool = False) -> float:
        near, far = pair.both(row, "send", "receive", count, whole=whole)
        if not far["good"]:
            raise BenchError("a descriptor was wrong, missing or out of order")
        return float(count * row.size / (far["end"] - near["begin"]) * 1e9)

    def rehearse(self, pair: Pair, row: Row, seconds: float) -> None:
        self._rate(pair, row, 50, whole=True)

        def messages(count: int) -> float:
            return self._rate(pair, row, count) / row.size

        pair.counts[row] = enough(messages, seconds, 50, 50)

    def measure(self, pair: Pair, row: Row) -> float:
        return self._rate(pair, row, pair.counts[row])


group = Objects()


class Worker:
    """One end. The link's ``send`` takes a list of descriptors; what comes is lists of them, the receiver's own."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._lists: dict[int, list[list[int]]] = {}

    def prepare(self, row: Row, do: str) -> None:
        if do == "send" and not self._lists:
            files = [memory_file(index) for index in range(FILES)]
            for size in (1, FILES):
                # Message k begins with file k, so that the first descriptor shows whether it is in order.
                self._lists[size] = [(files[k:] + files[:k])[:size] for k in range(FILES)]
        self.link.open(row.size)

    def send(self, row: Row, count: int) -> dict[str, Any]:
        send, lists = self.link.send, self._lists[row.size]
        begin = time.monotonic_ns()
        for number in range(count):
            send(lists[number % FILES])
        return {"begin": begin}

    def receive(self, row: Row, count: int, whole: bool) -> dict[str, Any]:
        good = True
        for number, came in zip(numbers(), islice(self.link.incoming, count), strict=False):
            looked_at = came if whole else came[:1]
            good = good and len(came) == row.size
            good = good and all(
                os.pread(descriptor, 2, 0) == bytes([(number + index) % FILES])
                for index, descriptor in enumerate(looked_at)
            )
        return {"end": time.monotonic_ns(), "good": good}


def memory_file(content: int) -> int:
    descriptor = os.memfd_create("bench")
    os.write(descriptor, bytes([content]))
    return descriptor
