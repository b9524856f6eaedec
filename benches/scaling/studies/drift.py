"""Cost of a message over time: whether an old bus is slower than a new one, or holds more.

Two processes stream without a pause for a while, then the same two over a socket, and so on for minutes. Both
figures of one turn come from the same moment of the machine, so it is their ratio that must not drift: processor
time of both sides for each message over the bus, divided by the same over the socket. Time on the clock stands beside
it. What the two processes hold (memory, descriptors, mappings, threads) is looked at in each turn, too.
"""

from __future__ import annotations

import os
import socket
import statistics
import time
from typing import TYPE_CHECKING, Any

from tests.support import proc

import ipmb
from benches.pair import BenchError
from benches.scaling.crew import Crew, Hand, bus
from benches.scaling.findings import Findings, Line, Pace, Panel, Table, spread

if TYPE_CHECKING:
    from collections.abc import Callable

TITLE = "cost of a message over time"

SIZE = 64
BATCH = 64
#: Seconds of one turn over the bus, and over the socket.
TURN = 0.35
BESIDE = 0.15
#: The end of a turn.
END = b"end"


class Worker:
    """One end of both."""

    def __init__(self) -> None:
        self._number = 0

    def join(self, name: str, label: str) -> None:
        self._end = ipmb.join(name, label, timeout=20)

    def listen(self, name: str) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind("\0" + name)
            listener.listen(1)
            self._socket = listener.accept()[0]

    def connect(self, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        while True:
            try:
                self._socket.connect("\0" + name)
            except ConnectionRefusedError:
                time.sleep(0.001)
            else:
                return

    def send(self, way: str, seconds: float) -> dict[str, float]:
        """Numbered messages for so long; how many, and processor time of this side for all."""
        if way == "bus":
            one = self._end.sender.send

            def send(payload: bytes) -> None:
                one("receiver", payload)
        else:
            plain = self._socket.send

            def send(payload: bytes) -> None:
                plain(payload)

        rest, number, count = bytes(SIZE - 8), self._number, 0
        end, cpu = time.monotonic() + seconds, time.process_time()
        while time.monotonic() < end:
            for _ in range(BATCH):
                send(number.to_bytes(8, "little") + rest)
                number += 1
            count += BATCH
        send(END)
        self._number = number
        return {"count": count, "cpu": time.process_time() - cpu}

    def receive(self, way: str) -> dict[str, float]:
        """Until the end of the turn, each checked to be the next; how many, both times of this side for all."""
        if way == "bus":
            one = self._end.receiver.recv

            def recv() -> bytes:
                payload: bytes = one(30).payload
                return payload
        else:
            plain = self._socket.recv

            def recv() -> bytes:
                return plain(256)

        number, rest = self._number, bytes(SIZE - 8)
        payload = recv()
        begin, cpu = time.monotonic(), time.process_time()
        while payload != END:
            if payload != number.to_bytes(8, "little") + rest:
                raise BenchError(f"{payload!r} instead of number {number}")
            number += 1
            payload = recv()
        count, self._number = number - self._number, number
        return {"count": count, "cpu": time.process_time() - cpu, "seconds": time.monotonic() - begin}

    def holds(self) -> dict[str, int]:
        """What the kernel keeps for this process."""
        me = os.getpid()
        return {
            "KiB": proc.resident_kib(me),
            "descriptors": len(proc.descriptors(me)),
            "mappings": len(proc.mappings(me)),
            "threads": len(proc.threads(me)),
        }


def turns(pace: Pace) -> int:
    return max(10, int(pace.drift / (TURN + BESIDE)))


def steps(pace: Pace) -> int:
    return turns(pace) + 1


def turn(way: str, sender: Hand, receiver: Hand, seconds: float) -> dict[str, float]:
    """Nanoseconds a message: of processor time on both sides, and on the clock."""
    receiver.tell("receive", way=way)
    sent = sender.call("send", way=way, seconds=seconds)
    came = receiver.answer()
    if sent["count"] != came["count"]:
        raise BenchError(f"of {sent['count']} messages {came['count']} came")
    return {
        "cpu": (sent["cpu"] + came["cpu"]) / sent["count"] * 1e9,
        "clock": came["seconds"] / came["count"] * 1e9,
    }


def run(pace: Pace, step: Callable[[str], None]) -> Findings:
    rows: list[dict[str, Any]] = []
    with Crew(__name__) as crew:
        sender, receiver = crew.hire(2)
        name = bus()
        receiver.call("join", name=name, label="receiver")
        sender.call("join", name=name, label="sender")
        receiver.tell("listen", name=name + ".beside")
        sender.call("connect", name=name + ".beside")
        receiver.answer()
        began = time.monotonic()
        for number in range(turns(pace) + 1):
            step(f"turn {number}")
            ours = turn("bus", sender, receiver, TURN)
            beside = turn("socket", sender, receiver, BESIDE)
            held = [hand.call("holds") for hand in (sender, receiver)]
            if number:  # the first turn is the rehearsal
                at = time.monotonic() - began
                rows.append({"at": at, "bus": ours, "socket": beside, "sender": held[0], "receiver": held[1]})
    return findings(rows)


def findings(rows: list[dict[str, Any]]) -> Findings:
    """Tenths of the run beside each other; drift is the last fifth over the first."""
    found = Findings(TITLE, figures={"turns": rows})
    seconds = rows[-1]["at"]
    table = Table(
        f"{TITLE}, {seconds:.0f} s: median (spread) of each tenth",
        [
            "until, s",
            "processor, ns",
            "of a socket's",
            "clock, ns",
            "of a socket's",
            "memory, KiB",
            "descriptors",
        ],
    )
    lines = {"cpu": Line("processor time", [], []), "clock": Line("time on the clock", [], [])}
    for tenth in range(10):
        part = rows[len(rows) * tenth // 10 : len(rows) * (tenth + 1) // 10]
        cells = [f"{part[-1]['at']:.0f}"]
        for key, line in lines.items():
            ratios = [row["bus"][key] / row["socket"][key] for row in part]
            cells += [spread([row["bus"][key] for row in part]), spread(ratios, "{:.2f}")]
            line.add(part[-1]["at"], ratios)
        held = [row["sender"]["KiB"] + row["receiver"]["KiB"] for row in part]
        open_files = [row["sender"]["descriptors"] + row["receiver"]["descriptors"] for row in part]
        table.rows.append([*cells, spread(held), spread(open_files)])
    fifth = max(1, len(rows) // 5)

    def drift(what: Callable[[dict[str, Any]], float]) -> float:
        first, last = (statistics.median(map(what, part)) for part in (rows[:fifth], rows[-fifth:]))
        return last / first

    cost = drift(lambda row: row["bus"]["cpu"] / row["socket"]["cpu"])
    found.claim(
        f"a message after {seconds:.0f} s, processor time beside a socket's",
        "within 10% of the first fifth",
        f"{cost:.3f}",
        reached=cost <= 1.1,
    )
    grown = {
        key: max(rows[-1][side][key] - rows[fifth - 1][side][key] for side in ("sender", "receiver"))
        for key in rows[0]["sender"]
    }
    found.claim(
        "what either process holds more than after the first fifth",
        "nothing; memory at most 1 MiB",
        ", ".join(f"{value:+d} {key}" for key, value in grown.items()),
        reached=grown.pop("KiB") <= 1024 and max(grown.values()) <= 0,
    )
    found.figures["drift"] = {
        "cost": cost,
        "clock": drift(lambda row: row["bus"]["clock"] / row["socket"]["clock"]),
    }
    found.tables.append(table)
    found.panels.append(Panel("cost of a message over time", "seconds", "bus / socket", list(lines.values())))
    return found
