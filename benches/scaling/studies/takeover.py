"""What a talking pair notices of a controller that is killed, and how long a newcomer waits for the next one.

Two processes exchange round trips without a pause. In turns nothing happens, or the controller's process gets
SIGKILL, and somebody joins at that moment. The worst round trip of a turn with a kill stands beside that of a turn
without. Besides the pair there are other members, several in a process, that all have to register again.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import ipmb
from benches.pair import BenchError
from benches.scaling.crew import Crew, Hand, bus
from benches.scaling.findings import Findings, Line, Pace, Panel, Table, quantile, spread

if TYPE_CHECKING:
    from collections.abc import Callable

TITLE = "a controller that is killed"

#: Other members, and processes that they are in.
OTHERS = 200
HOSTS = 4
#: Seconds of a turn; the kill is in the middle.
TURN = 0.5


class Worker:
    """Either of the pair, a host of others, or one that may be controller."""

    def __init__(self) -> None:
        self._ends: list[ipmb.Endpoint] = []

    def join(self, name: str, label: str, affinity: bool, count: int = 1) -> None:
        for _ in range(count):
            self._ends.append(ipmb.join(name, label, controller_affinity=affinity, timeout=20))

    def is_controller(self) -> bool:
        return self._ends[0].is_controller

    def peers(self) -> int:
        return len(self._ends[0].peers())

    def echo(self) -> None:
        sender, receiver = self._ends[0]
        while (payload := receiver.recv(30).payload) is not None:
            sender.send("ping", payload)

    def ping(self, seconds: float) -> list[float]:
        """Round trips in seconds, each checked."""
        sender, receiver = self._ends[0]
        clock, times, number = time.monotonic, [], 0
        now = clock()
        end = now + seconds
        while now < end:
            if sender.send("echo", number) != 1 or receiver.recv(30).payload != number:
                raise BenchError("a round trip went wrong")
            before, now = now, clock()
            times.append(now - before)
            number += 1
        return times

    def stop(self) -> None:
        self._ends[0].sender.send("echo", None)

    def newcomer(self, name: str) -> float:
        """Seconds of a join; it leaves at once."""
        begin = time.monotonic()
        with ipmb.join(name, "newcomer", controller_affinity=False, timeout=30):
            return time.monotonic() - begin


def others(pace: Pace) -> int:
    return min(OTHERS, pace.members)


def steps(pace: Pace) -> int:
    return 2 * pace.kills + 1


def settled(crew: list[Hand], ping: Hand, expected: int) -> Hand:
    """Who is controller, once everybody is back."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = [hand for hand in crew if hand.call("is_controller")]
        if len(found) == 1 and ping.call("peers") == expected:
            return found[0]
        time.sleep(0.005)
    raise BenchError("no controller within 20 s, or not everybody came back")


def run(pace: Pace, step: Callable[[str], None]) -> Findings:
    turns: dict[str, list[dict[str, Any]]] = {"nobody is killed": [], "the controller is killed": []}
    with Crew(__name__) as crew:
        step("joining")
        name = bus()
        candidates = crew.hire(pace.kills + 1)
        candidates[0].call("join", name=name, label="candidate", affinity=True)
        ping, echo, newcomer, *hosts = crew.hire(3 + HOSTS)
        for label, hand in (("ping", ping), ("echo", echo)):
            hand.call("join", name=name, label=label, affinity=False)
        for hand in candidates[1:]:
            hand.call("join", name=name, label="candidate", affinity=True)
        for hand in hosts:
            hand.call("join", name=name, label="other", affinity=False, count=others(pace) // HOSTS)
        rest = 1 + HOSTS * (others(pace) // HOSTS)
        echo.tell("echo")
        ping.call("ping", seconds=0.1)
        for number in range(pace.kills):
            for what, rows in turns.items():
                step(f"turn {number + 1}, {what}")
                controller = settled(candidates, ping, rest + len(candidates))
                ping.tell("ping", seconds=TURN)
                time.sleep(TURN / 2)
                if what == "the controller is killed":
                    candidates.remove(controller)
                    newcomer.tell("newcomer", name=name)
                    crew.lose(controller)
                else:
                    newcomer.tell("newcomer", name=name)
                times = ping.answer()
                rows.append({"worst": max(times), "p50": statistics.median(times), "join": newcomer.answer()})
        settled(candidates, ping, rest + len(candidates))
        ping.call("stop")
        echo.answer()
    return findings(turns, rest + 1)


def findings(turns: dict[str, list[dict[str, Any]]], members: int) -> Findings:
    found = Findings(TITLE, figures=turns)
    table = Table(
        f"{TITLE}, {members} others: ms, over {len(next(iter(turns.values())))} turns",
        ["", "round trip p50", "the worst of a turn", "a join meanwhile"],
    )
    lines = []
    for what, rows in turns.items():
        columns = [[row[key] * 1e3 for row in rows] for key in ("p50", "worst", "join")]
        table.rows.append([what, *(spread(values, "{:.2f}") for values in columns)])
        for name, values in (("worst round trip", columns[1]), ("join", columns[2])):
            lines.append(Line(f"{name}, {what}", list(range(1, len(rows) + 1)), sorted(values)))
    without, killed = turns.values()
    more = statistics.median(row["worst"] for row in killed) - statistics.median(
        row["worst"] for row in without
    )
    found.claim(
        "pause of a talking pair while the controller is killed",
        "at most 10 ms more than without",
        f"{more * 1e3:+.1f} ms",
        reached=more <= 0.010,
    )
    joins = [row["join"] for row in killed]
    found.claim(
        "a join begun as the controller is killed (the takeover)",
        "p99 under 100 ms",
        f"p50 {quantile(joins, 0.5) * 1e3:.1f}, worst of {len(joins)} {max(joins) * 1e3:.1f} ms",
        reached=quantile(joins, 0.99) < 0.1,
    )
    found.tables.append(table)
    found.panels.append(Panel("a controller is killed", "turns, the mildest first", "ms", lines, "y"))
    return found
