"""Typed payloads: a msgspec.Struct and a dataclass of four fields.

Three figures of each. One way, as for bytes: two processes work at once, so a transport whose codec stands at
both ends may well beat the codec alone in one process. Then what a message costs each side: bursts that fit
into any ring or pipe are sent while the receiver stands still, then received while the sender stands still.
Beside these stands what is over the codec's own share, encoding or decoding.

While the clock runs one field, a sequence number, is compared; the rehearsal and every burst (outside of its
time) compare whole objects.
"""

from __future__ import annotations

import operator
import statistics
import time
from collections import deque
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import msgspec

from benches.groups import Column, Kind, Pace, Row, enough, ratio
from benches.pair import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benches.pair import Pair
    from benches.peers import Link


class Struct(msgspec.Struct):
    """What msgspec is made for."""

    number: int
    time: float
    sensor: str
    value: float


@dataclass
class Dataclass:
    """The same from the standard library."""

    number: int
    time: float
    sensor: str
    value: float


#: By the row's name. The UUIDs are the wire types where a transport has such.
TYPES: dict[str, tuple[type[Any], str]] = {
    "Struct": (Struct, "5f1dbe06-3a7e-4a5c-9d4f-9a3a0f2f7c51"),
    "dataclass": (Dataclass, "c0a2f5b4-6f0e-4a43-8a83-0d7b1f6c2e90"),
}

#: So many objects go round.
KEPT = 1024

#: One burst, and what goes before it unmeasured, since a process that has just woken runs slowly. Both together
#: are in any encoding less than the 64 KiB of a pipe, and fewer messages than a queue of pyzmq holds.
BURST = 256
WARM = 64

number = operator.attrgetter("number")


def objects(name: str) -> list[Any]:
    """The objects of one type; both ends make the same."""
    made = TYPES[name][0]
    return [made(index, 1e9 + index / 7, f"sensor-{index % 10}", index * 0.37) for index in range(KEPT)]


KINDS = {
    "one way": Kind("one way, messages a second"),
    "send": Kind("the sender's side, ns a message", more_is_better=False),
    "receive": Kind("the receiver's side, ns a message", more_is_better=False),
}


class Typed:
    title = "typed payloads, 4 fields"
    kinds = KINDS
    columns = (
        ratio("ipmb is", "ipmb", more_is_better=True, kinds=("one way",)),
        ratio("ipmb is", "ipmb", more_is_better=False, kinds=("send", "receive")),
        Column(
            "over codec",
            "codec",
            lambda line, codec: line - codec,
            "{:+.0f}".format,
            ("send", "receive"),
        ),
    )
    full = Pace(9, 0.2)
    quick = Pace(3, 0.04)

    def rows(self, _sizes: Sequence[int], _quick: bool) -> list[Row]:
        return [Row(kind, name) for kind in KINDS for name in TYPES]

    def takes_part(self, _module: str, _row: Row) -> bool:
        return True

    def _rate(self, pair: Pair, row: Row, count: int, *, whole: bool = False) -> float:
        if pair.alone:
            encoded = pair.near(row, "send", count)
            decoded = pair.near(row, "receive", count, whole=whole)
            took = encoded["end"] - encoded["begin"] + decoded["end"] - decoded["begin"]
        else:
            encoded, decoded = pair.both(row, "send", "receive", count, whole=whole)
            took = decoded["end"] - encoded["begin"]
        if not decoded["good"]:
            raise BenchError("a message was wrong, missing or out of order")
        return float(count / took * 1e9)

    def _bursts(self, pair: Pair, row: Row, bursts: int) -> float:
        """The median over bursts of what one side spends on a message, in nanoseconds."""
        found = []
        for _ in range(bursts):
            sent = pair.near(row, "send_burst", BURST)
            came = pair.far(row, "receive_burst", BURST)
            if not came["good"]:
                raise BenchError("a message of a burst was wrong, missing or out of order")
            answer = sent if row.kind == "send" else came
            found.append((answer["end"] - answer["begin"]) / BURST)
        return float(statistics.median(found))

    def rehearse(self, pair: Pair, row: Row, seconds: float) -> None:
        if row.kind == "one way":
            self._rate(pair, row, 2000, whole=True)
            pair.counts[row] = enough(lambda count: self._rate(pair, row, count), seconds, 2000, 1000)
        else:
            # Most of a burst's time goes to its two commands, about 0.3 ms each.
            pair.counts[row] = max(9, int(seconds / 1e-3))
            self._bursts(pair, row, 9)

    def measure(self, pair: Pair, row: Row) -> float:
        if row.kind == "one way":
            return self._rate(pair, row, pair.counts[row])
        return self._bursts(pair, row, pair.counts[row])


group = Typed()


class Worker:
    """One end; the link is made for all types, and each message is an object of the row's."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._objects = {name: objects(name) for name in TYPES}

    def prepare(self, row: Row, _do: str) -> None:
        self.link.open(list(TYPES).index(row.name))

    def _encoded(self, row: Row, count: int) -> Iterator[Any]:
        source = islice(cycle(self._objects[row.name]), count)
        return source if self.link.encode is None else map(self.link.encode, source)

    def send(self, row: Row, count: int) -> dict[str, Any]:
        source = self._encoded(row, count)
        begin = time.monotonic_ns()
        deque(map(self.link.send, source), maxlen=0)
        return {"begin": begin, "end": time.monotonic_ns()}

    def receive(self, row: Row, count: int, whole: bool) -> dict[str, Any]:
        expected = self._objects[row.name]
        came = islice(self.link.incoming, count)
        begin = time.monotonic_ns()
        if whole:
            good = all(map(operator.eq, came, cycle(expected)))
        else:
            good = all(map(operator.eq, map(number, came), cycle(map(number, expected))))
        return {"begin": begin, "end": time.monotonic_ns(), "good": good}

    def send_burst(self, row: Row, count: int) -> dict[str, Any]:
        sent = map(self.link.send, self._encoded(row, WARM + count))
        deque(islice(sent, WARM), maxlen=0)
        begin = time.monotonic_ns()
        deque(sent, maxlen=0)
        return {"begin": begin, "end": time.monotonic_ns()}

    def receive_burst(self, row: Row, count: int) -> dict[str, Any]:
        """Receive what is there already; compare it whole, but not while the clock runs."""
        came = list(islice(self.link.incoming, WARM))
        begin = time.monotonic_ns()
        came += islice(self.link.incoming, count)
        end = time.monotonic_ns()
        return {"begin": begin, "end": end, "good": came == self._objects[row.name][: WARM + count]}
