"""The process at one end of a link.

It obeys one JSON command a line and answers with one. The loops run in C (``map`` into ``deque`` or
``all``), and the check of every message is part of the loop: a figure whose messages were not counted, in
order and intact is no figure. Up to 16 KiB each message is compared whole as it arrives. Beyond that
comparing would cost as much as some transports do, so timed rounds compare the sequence number with both
edges, and the rehearsal before them compares everything.
"""

from __future__ import annotations

import json
import operator
import random
import sys
import time
from collections import deque
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from benches import peers

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Up to here every message is compared whole while the clock runs.
WHOLE = 16 << 10

#: Different payloads are kept for each size up to this many bytes in all; then they come round again.
KEPT_BYTES = 4 << 20

EDGE = 64
edges = operator.itemgetter(slice(0, EDGE), slice(-EDGE, None))


def payloads(size: int) -> list[bytes]:
    """Payloads of one size: a sequence number, then content nobody would guess. Both ends make the same."""
    count = max(2, min(4096, KEPT_BYTES // size))
    chance = random.Random(size)
    return [number.to_bytes(8, "little") + chance.randbytes(size - 8) for number in range(count)]


class Worker:
    """One end of one peer's link."""

    def __init__(self, link: peers.Link) -> None:
        self.link = link
        self._payloads: dict[int, list[bytes]] = {}

    def of(self, size: int) -> list[bytes]:
        if size not in self._payloads:
            self._payloads[size] = payloads(size)
        return self._payloads[size]

    def send(self, size: int, count: int) -> dict[str, Any]:
        """Send ``count`` messages; when it began."""
        source = islice(cycle(self.of(size)), count)
        begin = time.monotonic_ns()
        deque(map(self.link.send, source), maxlen=0)
        return {"begin": begin}

    def receive(self, size: int, count: int, whole: bool) -> dict[str, Any]:
        """Receive and compare ``count`` messages; when it ended."""
        expected = self.of(size)
        came: Iterator[Any] = islice(self.link.incoming, count)
        if whole:
            good = all(map(operator.eq, map(bytes, came), cycle(expected)))
        elif size <= WHOLE:
            good = all(map(operator.eq, came, cycle(expected)))
        else:
            good = all(map(operator.eq, map(edges, came), cycle(list(map(edges, expected)))))
        end = time.monotonic_ns()
        return {"end": end, "good": good}

    def ping(self, size: int, count: int) -> dict[str, Any]:
        """Send and await the same back ``count`` times; each round trip in nanoseconds."""
        send, incoming, clock = self.link.send, self.link.incoming, time.monotonic_ns
        times = []
        good = True
        for payload in islice(cycle(self.of(size)), count):
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

    def echo(self, count: int, **_: Any) -> dict[str, Any]:
        deque(map(self.link.send, islice(self.link.incoming, count)), maxlen=0)
        return {}


def main() -> None:
    name, address = sys.argv[1], json.loads(sys.argv[2])
    worker = Worker(peers.load(name).connect(address))
    answer: dict[str, Any] = {"ready": True}
    print(json.dumps(answer), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        do = getattr(worker, command.pop("do"))
        worker.of(command["size"])  # made before the clock runs
        print(json.dumps({"started": True}), flush=True)
        print(json.dumps(do(**command)), flush=True)
    worker.link.close()


if __name__ == "__main__":
    main()
