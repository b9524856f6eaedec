"""One sender to 1 to 64 receivers: a pool of which each message goes to one (unicast), and all of them (multicast).

Receivers read as fast as they can. Every message carries its number at both ends: in a pool the numbers of all
receivers together must be all that were sent, each once; in a multicast each receiver must get each number in
order. The first round compares whole messages.

Beside the multicast of 1 MiB to eight stands what the kernel takes for it without a bus: the same copy into memory that
is warm, and a descriptor of that memory over a socket to each of the eight. That is the sender's side, so the
sender's time is compared: from one message to the next while all go on reading.
"""

from __future__ import annotations

import mmap
import os
import socket
import statistics
import struct
import time
from typing import TYPE_CHECKING, Any

import ipmb
from benches.pair import BenchError
from benches.scaling.crew import Crew, Hand, all_do, bus
from benches.scaling.findings import Findings, Line, Pace, Panel, Table, spread

if TYPE_CHECKING:
    from collections.abc import Callable

TITLE = "one sender to many receivers"

SIZES = {"64 B": 64, "1 MiB": 1 << 20}
MODES = ("unicast", "multicast")
#: The bus is compared with bare descriptors at so many receivers.
BARE = 8

NUMBER = struct.Struct("<Q")


def body(size: int) -> bytearray:
    """A message but for its number, which stands in the first and in the last eight bytes."""
    return bytearray(bytes(range(256)) * (-(-size // 256)))[:size]


class Worker:
    """The sender or a receiver. Receivers of a crew of 16 have the labels of all smaller crews that they belong to."""

    def join(self, name: str, labels: list[str]) -> None:
        self._end = ipmb.join(name, labels, timeout=20)

    def receive(self, size: int, whole: bool) -> dict[str, Any]:
        """Until an empty message says that it is over: how many came, their sum, and whether all was right."""
        expected = bytes(body(size))
        recv, unpack = self._end.receiver.recv, NUMBER.unpack_from
        count = total = 0
        last, ordered, good = -1, True, True
        while True:
            payload = recv(60).payload
            if not len(payload):
                break
            (number,) = unpack(payload)
            good = good and len(payload) == size and unpack(payload, size - 8) == (number,) and number > last
            good = good and (not whole or payload[8:-8] == expected[8:-8])
            ordered = ordered and number == last + 1
            last = number
            count += 1
            total += number
        return {"end": time.monotonic(), "count": count, "sum": total, "ordered": ordered, "good": good}

    def send(self, mode: str, label: str, size: int, seconds: float) -> dict[str, Any]:
        """As fast as they go; how many went, how many arrivals that makes, and the median time of one in seconds."""
        selector = getattr(ipmb.Selector, mode)(label)
        send, payload, pack, clock = self._end.sender.send, body(size), NUMBER.pack_into, time.monotonic
        number = arrivals = 0
        times = []
        begin = now = clock()
        while now < begin + seconds:
            pack(payload, 0, number)
            pack(payload, size - 8, number)
            arrivals += send(selector, payload)
            number += 1
            before, now = now, clock()
            times.append(now - before)
        send(ipmb.Selector.multicast(label), b"")
        return {"begin": begin, "count": number, "arrivals": arrivals, "each": statistics.median(times)}

    def listen(self, name: str) -> None:
        """The bare way of descriptors: where receivers connect."""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind("\0" + name)
        self._listener.listen(64)
        self._memory = os.memfd_create("bare")
        os.truncate(self._memory, SIZES["1 MiB"])
        self._view = mmap.mmap(self._memory, SIZES["1 MiB"])

    def connect(self, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.connect("\0" + name)

    def accept(self, count: int) -> None:
        self._sockets = [self._listener.accept()[0] for _ in range(count)]

    def send_bare(self, seconds: float) -> float:
        """One copy and a descriptor to each, again and again; the median time of one message in seconds."""
        payload, view, clock = body(SIZES["1 MiB"]), self._view, time.monotonic
        times = []
        begin = now = clock()
        while now < begin + seconds:
            view[:] = payload
            for one in self._sockets:
                socket.send_fds(one, [b"x"], [self._memory])
            before, now = now, clock()
            times.append(now - before)
        for one in self._sockets:
            one.send(b"end")
        return statistics.median(times)

    def receive_bare(self) -> int:
        count = 0
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._socket, 8, 4)
            for descriptor in descriptors:
                os.pread(descriptor, 8, 0)
                os.close(descriptor)
            if data == b"end":
                return count
            count += 1


def numbers(pace: Pace) -> list[int]:
    return [count for count in (1, 2, 4, 8, 16, 32, 64) if count <= pace.receivers]


def steps(pace: Pace) -> int:
    return 1 + (pace.rounds + 1) * (len(numbers(pace)) * len(MODES) * len(SIZES) + 1)


Row = tuple[str, str, int]


def run(pace: Pace, step: Callable[[str], None]) -> Findings:
    rows: list[Row] = [(mode, size, count) for mode in MODES for size in SIZES for count in numbers(pace)]
    figures: dict[Row, list[dict[str, float]]] = {row: [] for row in rows}
    bare: list[float] = []
    with Crew(__name__) as crew:
        step("processes")
        sender, *receivers = crew.hire(1 + max(numbers(pace)))
        name = bus()
        sender.call("join", name=name, labels=["sender"])
        for number, hand in enumerate(receivers):
            hand.call("join", name=name, labels=[str(count) for count in numbers(pace) if number < count])
        sender.call("listen", name=name + ".bare")
        all_do(receivers[:BARE], "connect", name=name + ".bare")
        sender.call("accept", count=BARE)
        for number in range(pace.rounds + 1):
            for row in rows:
                step(f"round {number}, {row[1]} {row[0]} to {row[2]}")
                found = measure(row, sender, receivers[: row[2]], pace.seconds, whole=not number)
                if number:
                    figures[row].append(found)
            step(f"round {number}, bare descriptors")
            for hand in receivers[:BARE]:
                hand.tell("receive_bare")
            found_bare = sender.call("send_bare", seconds=pace.seconds)
            for hand in receivers[:BARE]:
                hand.answer()
            if number:
                bare.append(found_bare)
    return findings(figures, bare, numbers(pace))


def measure(
    row: Row, sender: Hand, receivers: list[Hand], seconds: float, *, whole: bool
) -> dict[str, float]:
    """One round of one row: arrivals a second of all receivers, and the sender's time for one message."""
    mode, size, count = row
    for hand in receivers:
        hand.tell("receive", size=SIZES[size], whole=whole)
    sent = sender.call("send", mode=mode, label=str(count), size=SIZES[size], seconds=seconds)
    came = [hand.answer() for hand in receivers]
    arrived, total = sum(one["count"] for one in came), sum(one["sum"] for one in came)
    every = sent["count"] * (sent["count"] - 1) // 2
    good = all(one["good"] for one in came) and arrived == sent["arrivals"]
    if mode == "unicast":
        good = good and arrived == sent["count"] and total == every
    else:
        good = good and all(one["ordered"] and one["count"] == sent["count"] for one in came)
    if not good:
        raise BenchError(f"{size}, {mode} to {count}: of {sent} there came {came}")
    took = max(one["end"] for one in came) - sent["begin"]
    return {"arrivals": arrived / took, "messages": sent["count"] / took, "each": sent["each"]}


def findings(figures: dict[Row, list[dict[str, float]]], bare: list[float], counts: list[int]) -> Findings:
    found = Findings(TITLE)
    found.figures["bare descriptors, seconds"] = bare
    for mode in MODES:
        for size in SIZES:
            table = Table(
                f"{mode}, {size}: median (spread)",
                [
                    "receivers",
                    "messages a second",
                    "arrivals a second",
                    "arrivals, of one to one",
                    "sender, µs each",
                ],
            )
            line = Line(f"{mode}, {size}", [], [])
            alone = [one["arrivals"] for one in figures[mode, size, counts[0]]]
            for count in counts:
                rounds = figures[mode, size, count]
                ratios = [one["arrivals"] / single for one, single in zip(rounds, alone, strict=True)]
                line.add(count, ratios)
                table.rows.append(
                    [
                        str(count),
                        spread([one["messages"] for one in rounds]),
                        spread([one["arrivals"] for one in rounds]),
                        spread(ratios, "{:.2f}"),
                        spread([one["each"] * 1e6 for one in rounds], "{:.1f}"),
                    ]
                )
                found.figures[f"{mode}, {size}, {count}"] = rounds
            found.tables.append(table)
            panel = next((one for one in found.panels if size in one.title), None)
            if panel is None:
                panel = Panel(
                    f"one sender, many receivers, {size}", "receivers", "arrivals / one to one", [], "x"
                )
                found.panels.append(panel)
            panel.lines.append(line)
    ratios = [
        one["each"] / plain for one, plain in zip(figures["multicast", "1 MiB", BARE], bare, strict=True)
    ]
    middle = statistics.median(ratios)
    found.claim(
        f"multicast of 1 MiB to {BARE}, the sender's time",
        f"at most 1.2 of one copy and {BARE} descriptors",
        spread(ratios, "{:.2f}"),
        reached=middle <= 1.2,
    )
    return found
