"""A quarter of the receivers stands still for ten seconds: the others are as quick as before, memory stays bounded.

Two buses with the same members in the same processes: on one the quarter is stopped, on the other everybody runs. The
pairs that are well talk on both in turns of a few hundred milliseconds, so what the machine does besides is the same
for both.
"""

from __future__ import annotations

import statistics
import uuid

from tests.faults.torture.spread import half, p99
from tests.faults.torture.staged import staged
from tests.faults.torture.trial import Case, Figures, Tell, Trial, Violation
from tests.support import healthy, proc, roles, streams
from tests.support.limits import bound

RECEIVERS = 8
STOPPED = RECEIVERS // 4

#: Seconds for which the quarter stands, and of one turn on one bus.
SECONDS = 10.0
PIECE = 0.25

#: Of each message of the one that insists.
SIZE = 1000

#: How many times as slow healthy pairs may be, and what fails a run: in `make test`, and on demand.
TARGET = 1.2
BUSY = 2.0
NEAR = 1.5

#: What the interpreter of the one that insists takes for itself meanwhile, up to 1.3 MiB beside the rings.
OWN_KIB = 2048


class Quarter(Trial):
    name = "quarter"
    title = "a quarter of the receivers stopped for 10 s"
    unit = "stops of 10 s"
    ci = 1
    demand = 20
    means = (
        f"{STOPPED} of {RECEIVERS} receivers stand for {SECONDS:.0f} s. Pairs that are well talk in turns on this "
        "bus and on one where nobody is stopped: the 99th percentile of their round trips here, divided by that "
        "there, so 1.00 is no difference; the median of all turns, and the range that half of them are in. The target "
        f"of the median is {TARGET:g}; a run fails at {BUSY:g} in `make test`, and at {NEAR:g} in `make torture`. And "
        "how much the memory of a sender grows that sends to the stopped all the time: it fails beyond twice their "
        f"rings and {OWN_KIB >> 10} MiB."
    )

    def run(self, count: int, seed: int, tell: Tell, case: Case | None = None) -> Figures:
        del seed, case  # it does the same thing again and again
        ratios: list[float] = []
        grown = 0
        for done in range(count):
            if not tell(done):
                break
            found, kib = stop_once()
            ratios += found
            grown = max(grown, kib)
            tell(done + 1)
        slow, most = statistics.median(ratios), NEAR if self.on_demand else BUSY
        if slow >= most:
            raise Violation({}, f"healthy pairs are {slow:.2f} times as slow, {most:g} is too much")
        return {
            "healthy pairs: times as slow": f"{statistics.median(ratios):.2f}",
            "half of the turns": half(ratios),
            "memory of the sender": f"{grown:+,} KiB",
        }


def stop_once() -> tuple[list[float], int]:
    """One stop: the ratio of each pair of turns, and by how many KiB the one that sends to the stopped has grown."""
    with staged() as spawn:
        buses = [f"quarter.{number}.{uuid.uuid4().hex}" for number in range(2)]
        moon = spawn.child("moon")
        moon.call(healthy.join_both, buses, "moon")
        runs: list[list[str]] = [[], []]
        stopped = [spawn.member(buses[0], f"receiver-{number}") for number in range(STOPPED)]
        running = [spawn.member(buses[1], f"receiver-{number}") for number in range(STOPPED)]
        for number in range(STOPPED, RECEIVERS):
            for at, bus in enumerate(buses):
                one = spawn.member(bus, f"receiver-{number}")
                one.child.begin(streams.echo)
                runs[at].append(one.label[0])
        insistent = [spawn.member(bus, "insistent") for bus in buses]
        reading = [one.child.begin(streams.recv_slowly, 0.05) for one in running]
        moon.call(healthy.ping_in_turns, runs[0], ["0", "1"], 1.0, 0.05, bound=30.0)
        for one in stopped:
            one.stop()
        before = proc.resident_kib(insistent[0].pid)
        where = " | ".join(f"receiver-{number}" for number in range(STOPPED))
        pushing = [one.child.begin(streams.send_until_called, where, SIZE) for one in insistent]
        turns = moon.call(healthy.ping_in_turns, runs[0], ["0", "1"], SECONDS, PIECE, bound=60.0)
        kib = proc.resident_kib(insistent[0].pid) - before
        ended = [one.child.post(roles.version) for one in (*insistent, *running)]
        accepted = [pending.result(20.0) for pending in pushing]
        for pending in ended:
            pending.result(20.0)
        for slow in reading:
            slow.result(20.0)
        rings = STOPPED * bound("RING_BYTES")
        assert kib <= 2 * rings // 1024 + OWN_KIB, f"{kib} KiB more for {rings} bytes of rings"
        assert accepted[0] * SIZE <= rings, "no more was taken than the rings hold"
        for one in stopped:
            one.resume()
        assert sum(len(one.recv_all(0.3)) for one in stopped) == accepted[0], (
            "all of it comes when they go on"
        )
        return [p99(a) / p99(b) for a, b in zip(turns[::2], turns[1::2], strict=True)], kib


TRIALS = [Quarter()]
