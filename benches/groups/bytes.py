"""Bytes of 16 B to 1 MiB: one way at full speed, and there and back.

Up to 16 KiB each message is compared whole as it arrives. Beyond that comparing would cost as much as some
transports do, so timed rounds compare the sequence number with both edges, and the rehearsal before them
compares everything.
"""

from __future__ import annotations

import operator
import random
import time
from collections import deque
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from benches.groups import Kind, Pace, Row, enough, ratio, size_name
from benches.pair import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benches.pair import Pair
    from benches.peers import Link

SIZES = (16, 64, 1 << 10, 16 << 10, 64 << 10, 1 << 20)

#: Up to here every message is compared whole while the clock runs.
WHOLE = 16 << 10

#: Different payloads are kept for each size up to this many bytes in all; then they come round again.
KEPT_BYTES = 4 << 20

EDGE = 64
edges = operator.itemgetter(slice(0, EDGE), slice(-EDGE, None))


KINDS = {
    "rate": Kind("one way, messages a second"),
    "round trip": Kind("round trip, median in µs", more_is_better=False),
}


class Bytes:
    title = "bytes"
    kinds = KINDS
    columns = (
        ratio("ipmb is", "ipmb", more_is_better=True, kinds=("rate",)),
        ratio("ipmb is", "ipmb", more_is_better=False, kinds=("round trip",)),
    )
    full = Pace(9, 0.8)
    quick = Pace(5, 0.15)

    def rows(self, sizes: Sequence[int]) -> list[Row]:
        return [Row(kind, size_name(size), size) for kind in KINDS for size in sizes or SIZES]

    def takes_part(self, _module: str, _row: Row) -> bool:
        return True

    def _rate(self, pair: Pair, row: Row, count: int, *, whole: bool = False) -> float:
        near, far = pair.both(row, "send", "receive", count, whole=whole)
        if not far["good"]:
            raise BenchError("a message was wrong, missing or out of order")
        return float(count / (far["end"] - near["begin"]) * 1e9)

    def _round_trip(self, pair: Pair, row: Row, count: int) -> dict[str, Any]:
        near, _ = pair.both(row, "ping", "echo", count)
        if not near["good"]:
            raise BenchError("an answer was wrong")
        return near

    def rehearse(self, pair: Pair, row: Row, seconds: float) -> None:
        if row.kind == "rate":
            self._rate(pair, row, max(20, min(2000, (8 << 20) // row.size)), whole=True)
            first = max(20, min(5000, (32 << 20) // row.size))
            pair.counts[row] = enough(lambda count: self._rate(pair, row, count), seconds, first, 20)
        else:
            took = self._round_trip(pair, row, 200)["all"]
            pair.counts[row] = max(50, int(200 * seconds * 1e9 / took))

    def measure(self, pair: Pair, row: Row) -> float:
        if row.kind == "rate":
            return self._rate(pair, row, pair.counts[row])
        return float(self._round_trip(pair, row, pair.counts[row])["p50"]) / 1000


group = Bytes()


def payloads(size: int) -> list[bytes]:
    """Payloads of one size: a sequence number, then content nobody would guess. Both ends make the same."""
    count = max(2, min(4096, KEPT_BYTES // size))
    chance = random.Random(size)
    return [number.to_bytes(8, "little") + chance.randbytes(size - 8) for number in range(count)]


class Worker:
    """One end of one peer's link."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._payloads: dict[int, list[bytes]] = {}

    def prepare(self, row: Row, _do: str) -> None:
        if row.size not in self._payloads:
            self._payloads[row.size] = payloads(row.size)

    def send(self, row: Row, count: int) -> dict[str, Any]:
        """Send ``count`` messages; when it began."""
        source = islice(cycle(self._payloads[row.size]), count)
        begin = time.monotonic_ns()
        deque(map(self.link.send, source), maxlen=0)
        return {"begin": begin}

    def receive(self, row: Row, count: int, whole: bool) -> dict[str, Any]:
        """Receive and compare ``count`` messages; when it ended."""
        expected = self._payloads[row.size]
        came: Iterator[Any] = islice(self.link.incoming, count)
        if whole:
            good = all(map(operator.eq, map(bytes, came), cycle(expected)))
        elif row.size <= WHOLE:
            good = all(map(operator.eq, came, cycle(expected)))
        else:
            good = all(map(operator.eq, map(edges, came), cycle(list(map(edges, expected)))))
        end = time.monotonic_ns()
        return {"end": end, "good": good}

    def ping(self, row: Row, count: int) -> dict[str, Any]:
        """Send and await the same back ``count`` times; each round trip in nanoseconds."""
        send, incoming, clock = self.link.send, self.link.incoming, time.monotonic_ns
        times = []
        good = True
        for payload in islice(cycle(self._payloads[row.size]), count):
            begin = clock()
            send(payload)
            answer = next(incoming)
            times.append(clock() - begin)
            good = good and answer == payload
        times.sort()
        return {
            "p50": times[len(times) // 2],
            "p99": times[len(times) * 99 // 100],
            "good": good,
            "all": sum(times),
        }

    def echo(self, row: Row, count: int) -> dict[str, Any]:  # noqa: ARG002 # every command has a row
        deque(map(self.link.send, islice(self.link.incoming, count)), maxlen=0)
        return {}
