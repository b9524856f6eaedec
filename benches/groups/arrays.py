"""Arrays of float32, 1 MiB and 64 MiB.

The sender has an array in memory of its own and the receiver gets one; the sender fills shared memory with it, or
the transport copies it, as each does best. Three figures:

``viewed``     the receiver looks at the first and the last element: what delivering costs
``read``       the receiver reads every byte once (an exact checksum): what an application sees that uses its data
``handed over``  nothing is filled but a number in the first element, for transports that send memory in place: this
               must take the same time for any size

The limit is one fill of mapped, warm memory, by one process, sent to nobody (for ``read``: filled and read
once by one process; two processes can do these at the same time). Memory is bounded: links that queue hold DEPTH
arrays at most, the bus what its own bound of bytes in flight allows.
"""

from __future__ import annotations

import operator
import time
from collections import deque
from itertools import count as numbers
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.groups import Column, Kind, Pace, Row, enough, ratio, size_name
from benches.pair import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benches.pair import Pair
    from benches.peers import Link

    Array = np.ndarray[tuple[int], np.dtype[np.float32]]

SIZES = (1 << 20, 64 << 20)

#: So many arrays are in flight at most.
DEPTH = 4

#: So few arrays make a measurement where each takes long.
LEAST = 3

#: So many different arrays of one size go round: windows into one that is longer, a page apart.
WINDOWS = 4
STEP = 1024

KINDS = {
    "viewed": Kind("filled, sent, viewed; arrays a second"),
    "read": Kind("filled, sent, read once; arrays a second"),
    "handed over": Kind("sent as it is, nothing filled; µs an array", more_is_better=False),
}


class Arrays:
    title = "arrays of float32"
    kinds = KINDS
    columns = (
        ratio("ipmb is", "ipmb", more_is_better=True, kinds=("viewed", "read")),
        ratio("in place is", "ipmb_in_place", more_is_better=True, kinds=("viewed", "read")),
        ratio("in place is", "ipmb_in_place", more_is_better=False, kinds=("handed over",)),
        Column(
            "of the limit",
            "limit",
            lambda line, limit: line / limit,
            "{:.0%}".format,
            ("viewed", "read"),
        ),
    )
    full = Pace(9, 0.25)
    quick = Pace(3, 0.05)

    def rows(self, sizes: Sequence[int], quick: bool) -> list[Row]:
        """In a quick run who copies through the kernel does not do so with the large ones, and these are not read."""
        return [
            Row(kind, size_name(size), size, few=quick and size > SIZES[0])
            for kind in KINDS
            for size in sizes or SIZES
            if not (quick and kind == "read" and size > SIZES[0])
        ]

    def takes_part(self, module: str, row: Row) -> bool:
        if row.few and module not in FEW:
            return False
        return row.kind != "handed over" or module in IN_PLACE

    def _rate(self, pair: Pair, row: Row, count: int, *, whole: bool = False) -> float:
        if pair.alone:
            found = pair.near(row, "fill", count)
            begin, end, good = found["begin"], found["end"], found["good"]
        else:
            near, far = pair.both(row, "send", "receive", count, whole=whole)
            begin, end, good = near["begin"], far["end"], far["good"]
        if not good:
            raise BenchError("an array was wrong, missing or out of order")
        return float(count / (end - begin) * 1e9)

    def rehearse(self, pair: Pair, row: Row, seconds: float) -> None:
        self._rate(pair, row, 2 * DEPTH, whole=True)
        pair.counts[row] = enough(lambda count: self._rate(pair, row, count), seconds, LEAST, LEAST)

    def measure(self, pair: Pair, row: Row) -> float:
        """Warm first: while the others had their turn, pools may have given back what nobody used."""
        self._rate(pair, row, DEPTH)
        rate = self._rate(pair, row, pair.counts[row])
        return rate if KINDS[row.kind].more_is_better else 1e6 / rate


group = Arrays()

#: The peers that can send memory in place.
IN_PLACE = ("ipmb_in_place", "iceoryx2", "shared_memory", "shared_memory_reused")

#: Of these a quick run shows the large arrays, too.
FEW = ("ipmb", "ipmb_in_place", "iceoryx2", "shared_memory_reused", "limit")


def windows(size: int) -> list[Array]:
    """Different arrays of one size that cost little more memory than one. Both ends make the same."""
    length = size // 4
    base = np.random.default_rng(size).random(length + WINDOWS * STEP, dtype=np.float32)
    return [base[index * STEP : index * STEP + length] for index in range(WINDOWS)]


def edges(array: Array) -> tuple[float, float, tuple[int, ...], np.dtype[Any]]:
    return float(array[0]), float(array[-1]), array.shape, array.dtype


def checksum(array: Array) -> int:
    """Exact, and as fast as memory can be read: the sum of all eight-byte words, modulo 2**64."""
    return int(np.add.reduce(array.view(np.uint64)))


class Worker:
    """One end."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._arrays: dict[int, list[Array]] = {}
        self._expected: dict[int, tuple[list[Any], list[int]]] = {}

    def prepare(self, row: Row, do: str) -> None:
        """The end that receives keeps only what it compares with."""
        size = row.size
        if size not in self._expected:
            made = windows(size)
            self._expected[size] = [edges(array) for array in made], [checksum(array) for array in made]
            if do != "receive":
                self._arrays[size] = made
        self.link.open(size)

    def send(self, row: Row, count: int) -> dict[str, Any]:
        if row.kind == "handed over":
            size, hand_over = row.size, self.link.hand_over
            assert hand_over is not None
            begin = time.monotonic_ns()
            for number in range(count):
                hand_over(size, number)
        else:
            source = islice(cycle(self._arrays[row.size]), count)
            begin = time.monotonic_ns()
            deque(map(self.link.send, source), maxlen=0)
        return {"begin": begin}

    def receive(self, row: Row, count: int, whole: bool) -> dict[str, Any]:
        came: Iterator[Array] = islice(self.link.incoming, count)
        expected, sums = self._expected[row.size]
        if row.kind == "handed over":
            good = all(map(operator.eq, map(operator.itemgetter(0), came), numbers()))
        elif whole or row.kind == "read":
            good = all(map(operator.eq, map(checksum, came), cycle(sums)))
        else:
            good = all(map(operator.eq, map(edges, came), cycle(expected)))
        return {"end": time.monotonic_ns(), "good": good}

    def fill(self, row: Row, count: int) -> dict[str, Any]:
        """The limit: the link's ``send`` fills, and what it filled is read here."""
        fill: Callable[[Array], Any] = self.link.send
        sums = self._expected[row.size][1]
        source = islice(cycle(self._arrays[row.size]), count)
        begin = time.monotonic_ns()
        if row.kind == "read":
            good = all(map(operator.eq, map(checksum, map(fill, source)), cycle(sums)))
        else:
            deque(map(fill, source), maxlen=0)
            good = True
        return {"begin": begin, "end": time.monotonic_ns(), "good": good}
