"""What endpoints and pairs hold: memory, descriptors, threads.

Memory is what the kernel counts for the process (PSS: pages that several share are divided among them), so rings are
counted once in all. An endpoint that only joined, a pair of which one has sent one message to the other, and a pair
whose ring has been once around are different things: pages of a ring become memory when they are first written. A
busy pair has sent so much that its ring has grown.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import proc

import ipmb
from benches.pair import BenchError
from benches.scaling.crew import Crew, bus
from benches.scaling.findings import Findings, Line, Pace, Panel, Table

if TYPE_CHECKING:
    from collections.abc import Callable

TITLE = "memory by endpoints and by pairs"

PAYLOAD = bytes(1000)
#: Messages of each pair: the first, more than a new ring holds, and a busy pair's.
STAGES = (("one message", 1), ("one lap", 80), ("a busy pair", 8000))


class Worker:
    """A process of several endpoints."""

    def __init__(self) -> None:
        self._ends: list[ipmb.Endpoint] = []

    def join(self, name: str, label: str, count: int) -> None:
        self._ends += [ipmb.join(name, [label, f"{label}-{number}"], timeout=20) for number in range(count)]

    def holds(self) -> dict[str, float]:
        me = os.getpid()
        targets = proc.descriptors(me).values()
        return {
            "PSS KiB": pss_kib(me),
            "descriptors": len(targets),
            "memory files": sum(target.startswith("/memfd:") for target in targets),
            "threads": len(proc.threads(me)),
        }

    def send(self, first: int, count: int, messages: int) -> None:
        """To each of the receivers from ``first`` on, so many messages."""
        sender = self._ends[0].sender
        for number in range(first, first + count):
            for _ in range(messages):
                if sender.send(f"receiver-{number}", PAYLOAD, timeout=20) != 1:
                    raise BenchError(f"nobody is receiver-{number}")

    def receive(self, first: int, count: int, messages: int) -> None:
        for end in self._ends[first : first + count]:
            for _ in range(messages):
                if end.receiver.recv(20).payload != PAYLOAD:
                    raise BenchError("another message than was sent")


def pss_kib(pid: int) -> int:
    """Proportional set size, as the kernel adds it up."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise BenchError("smaps_rollup has no Pss")


def endpoints(pace: Pace) -> list[int]:
    return [count for count in (1, 2, 10, 100) if count <= pace.members]


def pairs(pace: Pace) -> list[int]:
    return [count for count in (1, 8, 32, 64) if count <= pace.receivers]


def steps(pace: Pace) -> int:
    return len(endpoints(pace)) + len(STAGES) * len(pairs(pace))


Holdings = dict[str, float]


def more(after: Holdings, before: Holdings) -> Holdings:
    return {key: after[key] - before[key] for key in after}


def run(pace: Pace, step: Callable[[str], None]) -> Findings:
    single: list[tuple[int, Holdings]] = []
    paired: list[tuple[str, int, list[Holdings]]] = []
    with Crew(__name__) as crew:
        (host,) = crew.hire(1)
        single.append((0, host.call("holds")))
        name, present = bus(), 0
        for count in endpoints(pace):
            step(f"{count} endpoints")
            host.call("join", name=name, label="member", count=count - present)
            present = count
            single.append((count, host.call("holds")))
    for what, messages in STAGES:
        with Crew(__name__) as crew:
            sender, receivers = crew.hire(2)
            name = bus()
            sender.call("join", name=name, label="sender", count=1)
            receivers.call("join", name=name, label="receiver", count=max(pairs(pace)))
            before = [sender.call("holds"), receivers.call("holds")]
            done = 0
            for count in pairs(pace):
                step(f"{count} pairs, {what}")
                new = {"first": done, "count": count - done, "messages": messages}
                receivers.tell("receive", **new)
                sender.call("send", **new)
                receivers.answer()
                done = count
                after = [sender.call("holds"), receivers.call("holds")]
                paired.append((what, count, [more(*both) for both in zip(after, before, strict=True)]))
    return findings(single, paired)


def findings(single: list[tuple[int, Holdings]], paired: list[tuple[str, int, list[Holdings]]]) -> Findings:
    """What both processes of pairs hold more than before the first message."""
    found = Findings(TITLE, figures={"endpoints": single, "pairs": paired})
    keys = list(single[0][1])
    table = Table(
        f"{TITLE}: endpoints in one process",
        ["endpoints", *keys, "KiB for each more", "descriptors for each"],
    )
    curve = Line("endpoints of one process", [], [])
    for (fewer, less), (count, held) in zip([single[0], *single], single, strict=False):
        new = count - fewer
        each = [f"{(held[key] - less[key]) / new:.1f}" if new else "" for key in ("PSS KiB", "descriptors")]
        table.rows.append([str(count), *(f"{held[key]:.0f}" for key in keys), *each])
        if count:
            curve.x.append(count)
            curve.y.append(held["PSS KiB"] - single[0][1]["PSS KiB"])
    pair_table = Table(
        f"{TITLE}: one sender, receivers in one other process",
        ["pairs", "each after", "KiB a pair", "descriptors of the sender a pair", "of the receiver"],
    )
    lines: dict[str, Line] = {}
    for what, count, both in paired:
        total = sum(held["PSS KiB"] for held in both)
        opened = [f"{held['descriptors'] / count:.1f}" for held in both]
        pair_table.rows.append([str(count), what, f"{total / count:.1f}", *opened])
        line = lines.setdefault(what, Line(f"pairs, {what}", [], []))
        line.x.append(count)
        line.y.append(total)
    found.tables += [table, pair_table]
    found.panels.append(Panel("memory", "endpoints, pairs", "KiB (PSS)", [curve, *lines.values()], "xy"))
    return found
