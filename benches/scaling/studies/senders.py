"""Several senders into one receiver: what they reach together, and whether each gets its share.

All send for the same span of time as fast as they can; the receiver checks every message against the next one it
must be of that sender, whole.
"""

from __future__ import annotations

import statistics
import time
from itertools import cycle
from typing import TYPE_CHECKING, Any

import ipmb
from benches.pair import BenchError
from benches.scaling.crew import Crew, all_do, bus
from benches.scaling.findings import Findings, Line, Pace, Panel, Table, spread

if TYPE_CHECKING:
    from collections.abc import Callable

TITLE = "senders into one receiver, 64 B"

SIZE = 64
#: So many different messages of a sender go round, and so many are sent between two looks at the clock.
KEPT = 1024
BATCH = 64
#: What a sender says when its time is over.
END = b"end"


def messages(sender: int) -> list[bytes]:
    """The messages of one sender; both ends make the same."""
    return [bytes([sender]) + number.to_bytes(4, "little") + bytes(SIZE - 5) for number in range(KEPT)]


class Worker:
    """A sender or the receiver."""

    def join(self, name: str, label: str) -> None:
        self._end = ipmb.join(name, label, timeout=20)

    def receive(self, senders: int) -> dict[str, Any]:
        """Until every sender has said that it is done."""
        expected = [cycle(messages(sender)) for sender in range(senders)]
        recv = self._end.receiver.recv
        ended = count = 0
        good = True
        begin = 0.0
        while ended < senders:
            payload = recv(30).payload
            begin = begin or time.monotonic()
            if payload == END:
                ended += 1
            else:
                count += 1
                good = good and payload == next(expected[payload[0]])
        return {"count": count, "seconds": time.monotonic() - begin, "good": good}

    def send(self, sender: int, at: float, seconds: float) -> int:
        """From ``at`` on for so many seconds; how many went."""
        send, source = self._end.sender.send, cycle(messages(sender))
        time.sleep(max(0.0, at - time.monotonic()))
        count, end = 0, at + seconds
        while time.monotonic() < end:
            for _ in range(BATCH):
                send("receiver", next(source))
            count += BATCH
        send("receiver", END)
        return count


def numbers(pace: Pace) -> list[int]:
    return [count for count in (1, 2, 4, 8, 16) if count <= pace.senders]


def steps(pace: Pace) -> int:
    return (pace.rounds + 1) * len(numbers(pace))


def run(pace: Pace, step: Callable[[str], None]) -> Findings:
    totals: dict[int, list[float]] = {count: [] for count in numbers(pace)}
    shares: dict[int, list[float]] = {count: [] for count in numbers(pace)}
    with Crew(__name__) as crew:
        receiver, *senders = crew.hire(1 + max(totals))
        name = bus()
        receiver.call("join", name=name, label="receiver")
        all_do(senders, "join", name=name, label="sender")
        for number in range(pace.rounds + 1):
            for count in numbers(pace):
                step(f"round {number}, {count} senders")
                receiver.tell("receive", senders=count)
                at = time.monotonic() + 0.05
                for sender, hand in enumerate(senders[:count]):
                    hand.tell("send", sender=sender, at=at, seconds=pace.seconds)
                sent = [hand.answer() for hand in senders[:count]]
                came = receiver.answer()
                if came["count"] != sum(sent) or not came["good"]:
                    raise BenchError(f"of {sum(sent)} messages {came['count']} came, right: {came['good']}")
                if number:  # the first round is the rehearsal
                    totals[count].append(came["count"] / came["seconds"])
                    shares[count].append(min(sent) / max(sent))
    return findings(totals, shares)


def findings(totals: dict[int, list[float]], shares: dict[int, list[float]]) -> Findings:
    """Totals stand beside that of one sender in the same round."""
    found = Findings(TITLE, figures={"messages a second": totals, "slowest / fastest": shares})
    table = Table(
        f"{TITLE}: median (spread)", ["senders", "messages a second, k", "of one to one", "slowest / fastest"]
    )
    together, fair = Line("all together / one alone", [], []), Line("slowest / fastest", [], [])
    for count, values in totals.items():
        ratios = [value / one for value, one in zip(values, totals[1], strict=True)]
        table.rows.append(
            [
                str(count),
                spread([value / 1e3 for value in values]),
                spread(ratios, "{:.2f}"),
                spread(shares[count], "{:.2f}"),
            ]
        )
        together.add(count, ratios)
        fair.add(count, shares[count])
        if count == 4:
            middle, share = statistics.median(ratios), statistics.median(shares[count])
            found.claim(
                "four senders into one receiver, together",
                "at least 0.50 of one to one",
                f"{middle:.2f}",
                reached=middle >= 0.5,
            )
            found.claim(
                "the slowest of four senders",
                "at least 0.25 of the fastest",
                f"{share:.2f}",
                reached=share >= 0.25,
            )
    found.tables.append(table)
    found.panels.append(Panel("many senders, one receiver", "senders", "ratio", [together, fair], "x"))
    return found
