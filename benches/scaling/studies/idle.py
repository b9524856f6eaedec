"""What a bus costs on which nothing happens: processor time and context switches, as the kernel counts them.

Everybody has talked to everybody in its process and to the controller, half wait in `recv`. Then they are left alone.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from tests.support import proc

import ipmb
from benches.pair import BenchError
from benches.scaling.crew import Crew, bus
from benches.scaling.findings import Findings, Pace, Table

if TYPE_CHECKING:
    from collections.abc import Callable

TITLE = "an idle bus"

PROCESSES = 10


class Worker:
    """A process of several endpoints."""

    def __init__(self) -> None:
        self._ends: list[ipmb.Endpoint] = []

    def join(self, name: str, count: int) -> None:
        self._ends += [ipmb.join(name, "member", timeout=20) for _ in range(count)]

    def talk(self) -> None:
        """A message to everybody, and what the others have sent."""
        if not self._ends[0].sender.send(ipmb.Selector.multicast("member"), b"hello", timeout=20):
            raise BenchError("nobody is there")

    def listen(self, each: int) -> None:
        """Takes what everybody was sent, then waits for more in threads, one for every other endpoint."""
        for end in self._ends:
            for _ in range(each):
                end.receiver.recv(20)
        for end in self._ends[::2]:
            threading.Thread(target=self._wait, args=(end,), daemon=True).start()

    @staticmethod
    def _wait(end: ipmb.Endpoint) -> None:
        end.receiver.recv(None)


def sizes(pace: Pace) -> list[int]:
    return [count for count in (2, 10, 100) if count <= pace.members]


def steps(pace: Pace) -> int:
    return len(sizes(pace))


def run(pace: Pace, step: Callable[[str], None]) -> Findings:
    found = Findings(TITLE)
    table = Table(
        f"{TITLE}, {pace.idle:g} s",
        ["members", "processes", "context switches", "processor time, ticks of 10 ms", "% of a core"],
    )
    for size in sizes(pace):
        step(f"{size} members")
        switches, ticks = look(size, pace.idle)
        processes = min(PROCESSES, size)
        share = ticks * 0.01 / pace.idle * 100
        table.rows.append([str(size), str(processes), str(switches), str(ticks), f"{share:.1f}"])
        found.figures[str(size)] = {"switches": switches, "ticks": ticks, "seconds": pace.idle}
        found.claim(
            f"{size} members idle for {pace.idle:g} s",
            "no periodic wake-ups, 0.0% of a core",
            f"{switches} context switches, {share:.1f}%",
            # One or two may be the tail of what went before; anything periodic would be in each process.
            reached=switches < processes and ticks == 0,
        )
    found.tables.append(table)
    return found


def look(size: int, seconds: float) -> tuple[int, int]:
    """Context switches and ticks of all processes together while they are left alone."""
    with Crew(__name__) as crew:
        hands = crew.hire(min(PROCESSES, size))
        name = bus()
        for hand in hands:
            hand.call("join", name=name, count=size // len(hands))
        for hand in hands:
            hand.call("talk")
        for hand in hands:
            hand.call("listen", each=len(hands))
        pids = [hand.pid for hand in hands]
        for pid in pids:
            proc.wait_asleep(pid)
        before = [(proc.switches(pid), proc.cpu_ticks(pid)) for pid in pids]
        time.sleep(seconds)
        after = [(proc.switches(pid), proc.cpu_ticks(pid)) for pid in pids]
    pairs = list(zip(after, before, strict=True))
    return sum(now[0] - then[0] for now, then in pairs), sum(now[1] - then[1] for now, then in pairs)
