"""Bytes of 16 B to 1 MiB: one way at full speed, and there and back.

``rate``        one message a call
``many``        lists of MANY in one call, received as many as are there
``values``      the same as ``rate`` with a str and an int in place of bytes
``viewed``      the receiver looks at what came where it lies
``round trip``  there and back at once: both ends wait awake, where they can
``parked``      both ends have gone to sleep before anything comes

Up to 16 KiB each message is compared whole as it arrives. Beyond that, and for views, comparing would cost as
much as some transports do, so timed rounds compare the sequence number with both edges, and the rehearsal before
them compares everything.
"""

from __future__ import annotations

import operator
import random
import time
from collections import deque
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from benches.groups import Column, Kind, Pace, Row, enough, ratio, size_name, times
from benches.pair import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benches.pair import Pair
    from benches.peers import Link

SIZES = (16, 64, 1 << 10, 16 << 10, 64 << 10, 1 << 20)

#: In a quick run these go there and back.
QUICK_TRIPS = (16, 1 << 10, 64 << 10)

#: Messages in one call.
MANY = 64

#: Up to here every message is compared whole while the clock runs.
WHOLE = 16 << 10

#: Different payloads are kept for each size up to this many bytes in all; then they come round again.
KEPT_BYTES = 4 << 20

#: Nanoseconds after which the other end sleeps: longer than anybody spins.
HOLD = 200_000

#: Each is a number in the answer of a worker.
MOST_TRIPS = 20_000

EDGE = 64
edges = operator.itemgetter(slice(0, EDGE), slice(-EDGE, None))

KINDS = {
    "rate": Kind("one way, messages a second"),
    "many": Kind(f"one way, {MANY} in one call, messages a second"),
    "values": Kind("one way, other values than bytes, messages a second"),
    "viewed": Kind("one way, viewed where it lies, messages a second"),
    "round trip": Kind("round trip, median in µs", more_is_better=False),
    "parked": Kind("round trip between two that sleep, median in µs", more_is_better=False),
}

#: Who has a row of these kinds; in the others everybody takes part who is not named below.
ONLY = {
    "many": {"ipmb", "ring", "faster_fifo"},
    "values": {"ipmb"},
    "viewed": {"ipmb", "iceoryx2"},
}

#: These never sleep.
SPINNING = {"ring", "iceoryx2"}

#: The rows of "values", each beside bytes of this size.
VALUES = {"str": 64, "int": 16}


class Bytes:
    title = "bytes"
    kinds = KINDS
    columns = (
        ratio("ipmb is", "ipmb", more_is_better=True, kinds=("rate", "many", "viewed")),
        ratio("ipmb is", "ipmb", more_is_better=False, kinds=("round trip", "parked")),
        Column("of the ring", "ring", lambda line, ring: line / ring, "{:.0%}".format, ("rate", "many")),
        Column("of the ring", "ring", lambda line, ring: line / ring, times, ("round trip",)),
    )
    full = Pace(9, 0.25)
    quick = Pace(3, 0.06)

    def rows(self, sizes: Sequence[int], quick: bool) -> list[Row]:
        """What is compared with each other stands together: a machine's mood lasts for seconds."""
        rows = []
        for size in sizes or SIZES:
            rows.append(Row("rate", size_name(size), size))
            if size < WHOLE // 16:
                rows.append(Row("many", size_name(size), size))
            rows += [Row("values", name, size) for name, beside in VALUES.items() if beside == size]
            if size >= WHOLE // 16 and (size <= 64 << 10 or not quick):
                rows.append(Row("viewed", size_name(size), size))
            if not quick or sizes or size in QUICK_TRIPS:
                rows.append(Row("round trip", size_name(size), size))
            if size == (sizes or SIZES)[0]:
                rows.append(Row("parked", size_name(size), size))
        return rows

    def takes_part(self, module: str, row: Row) -> bool:
        if row.kind == "parked":
            return module not in SPINNING
        return row.kind not in ONLY or module in ONLY[row.kind]

    def _rate(self, pair: Pair, row: Row, count: int, *, whole: bool = False) -> float:
        near, far = pair.both(row, "send", "receive", count, whole=whole)
        if not far["good"]:
            raise BenchError("a message was wrong, missing or out of order")
        return float(count / (far["end"] - near["begin"]) * 1e9)

    def _round_trip(self, pair: Pair, row: Row, count: int) -> list[int]:
        """How long each took, in nanoseconds."""
        near, far = pair.both(row, "ping", "echo", count)
        if not near["good"]:
            raise BenchError("an answer was wrong")
        return sorted(map(operator.sub, near["took"], far["held"]))

    def rehearse(self, pair: Pair, row: Row, seconds: float) -> None:
        if not KINDS[row.kind].more_is_better:
            took = sum(self._round_trip(pair, row, 200)) + (200 * 2 * HOLD if row.kind == "parked" else 0)
            pair.counts[row] = min(MOST_TRIPS, max(50, int(200 * seconds * 1e9 / took)))
            return
        step = MANY if row.kind == "many" else 1
        self._rate(pair, row, step * max(20, min(2000, (8 << 20) // row.size) // step), whole=True)
        first = step * (max(20, min(5000, (32 << 20) // row.size)) // step)
        count = enough(lambda count: self._rate(pair, row, count // step * step), seconds, first, 20)
        pair.counts[row] = max(step, count // step * step)

    def measure(self, pair: Pair, row: Row) -> float:
        if KINDS[row.kind].more_is_better:
            return self._rate(pair, row, pair.counts[row])
        took = self._round_trip(pair, row, pair.counts[row])
        return took[len(took) // 2] / 1000


group = Bytes()


def payloads(size: int) -> list[bytes]:
    """Payloads of one size: a sequence number, then content nobody would guess. Both ends make the same."""
    count = max(2, min(4096, KEPT_BYTES // size))
    chance = random.Random(size)
    return [number.to_bytes(8, "little") + chance.randbytes(size - 8) for number in range(count)]


def values(row: Row) -> list[Any]:
    """What goes round in a row."""
    if row.kind != "values":
        return payloads(row.size)
    if row.name == "int":
        return list(range(4096))
    return [payload.hex()[: row.size] for payload in payloads(row.size)]


def held_until(then: int) -> None:
    """Busy, as a program is that works: a core that sleeps takes its time to wake for its own reasons."""
    while time.monotonic_ns() < then:
        pass


class Worker:
    """One end of one peer's link."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._values: dict[Row, list[Any]] = {}

    def prepare(self, row: Row, do: str) -> None:
        if row not in self._values:
            made = values(row)
            self._values[row] = (
                list(map(self.link.lend, made)) if (row.kind, do) == ("viewed", "send") else made
            )
        self.link.open(row.size)

    def _incoming(self, row: Row) -> Iterator[Any]:
        if row.kind == "many":
            assert self.link.incoming_many is not None
            return self.link.incoming_many(MANY)
        if row.kind == "viewed":
            assert self.link.viewed is not None
            return self.link.viewed
        return self.link.incoming

    def send(self, row: Row, count: int) -> dict[str, Any]:
        """Send ``count`` messages; when it began."""
        source: Iterator[Any] = islice(cycle(self._values[row]), count)
        send: Any = self.link.send
        if row.kind == "many":
            source, send = lists(source), self.link.send_many
        begin = time.monotonic_ns()
        deque(map(send, source), maxlen=0)
        return {"begin": begin}

    def receive(self, row: Row, count: int, whole: bool) -> dict[str, Any]:
        """Receive and compare ``count`` messages; when it ended."""
        expected = self._values[row]
        came = islice(self._incoming(row), count)
        if row.kind == "viewed" and whole:
            good = all(map(operator.eq, map(bytes, came), cycle(expected)))
        elif row.kind != "viewed" and (whole or row.size <= WHOLE):
            good = all(map(operator.eq, came, cycle(expected)))
        else:
            good = all(map(operator.eq, map(edges, came), cycle(list(map(edges, expected)))))
        end = time.monotonic_ns()
        return {"end": end, "good": good}

    def ping(self, row: Row, count: int) -> dict[str, Any]:
        """Send and await the same back ``count`` times; each round trip in nanoseconds."""
        send, incoming, clock = self.link.send, self.link.incoming, time.monotonic_ns
        parked = row.kind == "parked"
        took = []
        good = True
        for payload in islice(cycle(self._values[row]), count):
            if parked:
                held_until(clock() + HOLD)
            begin = clock()
            send(payload)
            answer = next(incoming)
            took.append(clock() - begin)
            good = good and answer == payload
        return {"took": took, "good": good}

    def echo(self, row: Row, count: int) -> dict[str, Any]:
        """Send back what comes; how long each was held."""
        source = islice(self.link.incoming, count)
        if row.kind != "parked":
            deque(map(self.link.send, source), maxlen=0)
            return {"held": [0] * count}
        send, clock = self.link.send, time.monotonic_ns
        held = []
        for payload in source:
            came = clock()
            held_until(came + HOLD)
            held.append(clock() - came)
            send(payload)
        return {"held": held}


def lists(source: Iterator[Any]) -> Iterator[list[Any]]:
    """As lists of MANY."""
    return iter(lambda: list(islice(source, MANY)), [])
