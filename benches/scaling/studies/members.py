"""A bus of 2 to 1,000 members: what a send costs among them, and what joining takes.

A send is measured in one process that has both ends, on two buses in turn: one of two members, one that grows.
Bursts that fit into a ring are timed alone, so that neither a wake-up nor another core is in the figure. Each join is
timed where it is made, a hundred endpoints in each process; between two joins the same process makes a round trip to
another over a fresh socket, which shows what the machine did to both in that moment.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import time
from typing import TYPE_CHECKING

import ipmb
from benches.pair import BenchError
from benches.scaling.crew import Crew, Hand, all_do, bus
from benches.scaling.findings import Findings, Line, Pace, Panel, Table, quantile, spread

if TYPE_CHECKING:
    from collections.abc import Callable

TITLE = "a bus of many members"

#: Endpoints of one process, and messages of one burst, less than a ring.
EACH = 100
BURST = 256
PAYLOAD = bytes(64)


class Worker:
    """A process of many members, the one that sends among them, or the one that echoes."""

    def __init__(self) -> None:
        self._ends: list[ipmb.Endpoint] = []

    def pair(self, small: str, growing: str) -> None:
        """Both ends on both buses, in this process, which plays controller on both."""
        self._pairs = [
            (ipmb.join(name, "here", timeout=20), ipmb.join(name, "there", timeout=20))
            for name in (small, growing)
        ]

    def sends(self, rounds: int) -> list[list[float]]:
        """Nanoseconds of a send on each bus, burst by burst in turn; the median of each round."""
        found: list[list[float]] = [[], []]
        for _ in range(rounds):
            bursts: list[list[float]] = [[], []]
            for _ in range(16):
                for times, (here, there) in zip(bursts, self._pairs, strict=True):
                    send, recv = here.sender.send, there.receiver.recv
                    begin = time.perf_counter_ns()
                    for _ in range(BURST):
                        send("there", PAYLOAD)
                    times.append((time.perf_counter_ns() - begin) / BURST)
                    for _ in range(BURST):
                        if recv(5).payload != PAYLOAD:
                            raise BenchError("another message than was sent")
            for times, all_times in zip(bursts, found, strict=True):
                all_times.append(statistics.median(times))
        return found

    def seen(self) -> int:
        return len(self._pairs[1][0].peers())

    def echo(self, name: str) -> None:
        """A byte back to each who connects, until one says that it is over."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind("\0" + name)
            listener.listen(16)
            while True:
                with listener.accept()[0] as one:
                    said = one.recv(8)
                    with contextlib.suppress(BrokenPipeError):
                        one.send(said)
                    if said == b"end":
                        return

    def join(self, name: str, count: int, echo: str) -> dict[str, list[float]]:
        """So many endpoints one after another: seconds of each join, and of each round trip in between."""
        joins, trips = [], []
        for _ in range(count):
            begin = time.monotonic()
            end = ipmb.join(name, "member", timeout=30)
            joins.append(time.monotonic() - begin)
            self._ends.append(end)
            trips.append(round_trip(echo))
        return {"joins": joins, "trips": trips}

    def leave(self) -> None:
        for end in self._ends:
            end.close()
        self._ends.clear()


def round_trip(name: str, word: bytes = b"?") -> float:
    """Connect, say something, hear it again: in seconds."""
    begin = time.monotonic()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
        one.connect("\0" + name)
        one.send(word)
        one.recv(8)
    return time.monotonic() - begin


def sizes(pace: Pace) -> list[int]:
    """How many members the bus has at each look: the pair, then in steps of a process."""
    return [count for count in (2, 10, 100, 300, 1000) if count <= pace.members]


def steps(pace: Pace) -> int:
    return 2 * len(sizes(pace)) + 1


def run(pace: Pace, step: Callable[[str], None]) -> Findings:
    joins: dict[int, dict[str, list[float]]] = {}
    sends: dict[int, list[list[float]]] = {}
    with Crew(__name__) as crew:
        pair, echo = crew.hire(2)
        name, other, address = bus(), bus(), bus() + ".echo"
        pair.call("pair", small=other, growing=name)
        echo.tell("echo", name=address)
        present = 2
        hosts = []
        for size in sizes(pace):
            step(f"joining, {size} members")
            here: dict[str, list[float]] = {"joins": [], "trips": []}
            while present < size:
                count = min(EACH, size - present)
                (host,) = crew.hire(1)
                hosts.append(host)
                for key, values in host.call("join", name=name, count=count, echo=address).items():
                    here[key] += values
                present += count
            if here["joins"]:
                joins[size] = here
            step(f"sending, {size} members")
            if (seen := pair.call("seen")) != size - 1:
                raise BenchError(f"{seen} peers on a bus of {size}")
            sends[size] = pair.call("sends", rounds=pace.rounds)
        step("leaving")
        left = leave(hosts, pair)
        round_trip(address, b"end")
        echo.answer()
    return findings(joins, sends, left)


def leave(hosts: list[Hand], pair: Hand) -> float:
    """All hosts at once; seconds until the directory says so."""
    begin = time.monotonic()
    all_do(hosts, "leave")
    while (seen := pair.call("seen")) != 1:
        if time.monotonic() > begin + 20:
            raise BenchError(f"{seen} peers are left of one")
        time.sleep(0.001)
    return time.monotonic() - begin


def findings(
    joins: dict[int, dict[str, list[float]]], sends: dict[int, list[list[float]]], left: float
) -> Findings:
    found = Findings(
        TITLE, figures={"joins and round trips, s": joins, "sends, ns": sends, "all left, s": left}
    )
    table = Table(
        f"{TITLE}: joins while it grew to so many, in ms",
        ["members", "join p50", "join p99", "join worst", "a socket's round trip p50", "p99", "worst"],
    )
    median, worst = Line("p50", [], []), Line("p99", [], [])
    for size, values in joins.items():
        cells = []
        for key in ("joins", "trips"):
            cells += [f"{quantile(values[key], share) * 1e3:.2f}" for share in (0.5, 0.99, 1.0)]
        table.rows.append([str(size), *cells])
        for line, share in ((median, 0.5), (worst, 0.99)):
            line.x.append(size)
            line.y.append(quantile(values["joins"], share) * 1e3)
    cost = Table(
        f"{TITLE}: a send of 64 B, ns: median (spread)", ["members", "among them", "among two", "ratio"]
    )
    curve = Line("a send among them / among two", [], [])
    for size, (two, many) in sends.items():
        ratios = [one / other for one, other in zip(many, two, strict=True)]
        cost.rows.append([str(size), spread(many), spread(two), spread(ratios, "{:.3f}")])
        curve.add(size, ratios)
    size, last = max(joins.items())
    p99 = quantile(last["joins"], 0.99) * 1e3
    trip = quantile(last["trips"], 0.99) * 1e3
    found.claim(
        f"{size} endpoints joined, join p99",
        "under 20 ms",
        f"{p99:.1f} ms (a socket's round trip in between: {trip:.1f} ms)",
        reached=p99 < 20,
    )
    ratio = statistics.median(curve_ratios := [a / b for b, a in zip(*sends[size], strict=True)])
    found.claim(
        f"a send with {size} members",
        "within 10% of that with 2",
        spread(curve_ratios, "{:.3f}"),
        reached=ratio <= 1.1,
    )
    found.tables += [table, cost]
    found.panels += [
        Panel("joining a bus of so many", "members", "ms", [median, worst], "xy"),
        Panel("a send among so many", "members", "ratio", [curve], "x"),
    ]
    return found
