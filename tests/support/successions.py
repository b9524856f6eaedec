"""Roles around a controller that dies: candidates, those who watch who is there, and a pair that talks on."""

from __future__ import annotations

import signal
import time

import ipmb
from tests.support import roles, runner
from tests.support.wait import until

#: What a pair's longest pauses are told by: pieces of time so long, in seconds.
PIECE = 0.01

#: Between two looks at whether a controller has been succeeded, in seconds.
LOOK = 0.002


def stand(bus: str) -> None:
    """Be a candidate until killed."""
    with ipmb.join(bus, "candidate", timeout=20.0):
        runner.event("stands")
        signal.pause()


def join_many(bus: str, first: int, count: int) -> None:
    """Join with so many endpoints that never become controller."""
    for number in range(first, first + count):
        roles.join(bus, (f"end-{number}",), name=str(number), affinity=False)


def tell_of_successions(first: int, count: int) -> None:
    """Tell of each new controller when all endpoints here have its directory, and when that was."""
    ends = [roles.ends[str(number)] for number in range(first, first + count)]
    before = [end.stats().takeovers for end in ends]
    term = 0
    runner.event("watching")
    while not runner.called_again():
        term += 1
        # One after the other, the first that is late alone: to ask all of them again and again would take the time
        # that is measured. The last one seen has been seen as soon.
        late = list(zip(ends, before, strict=True))
        while late and not runner.called_again():
            while late and late[-1][0].stats().takeovers >= late[-1][1] + term:
                late.pop()
            time.sleep(LOOK)
        if not late:
            runner.event("succeeded", (term, time.monotonic()))


def wait_for_succession(first: int, count: int) -> None:
    """Wait until each endpoint here has had a second controller."""
    ends = [roles.ends[str(number)] for number in range(first, first + count)]
    until(lambda: all(end.stats().takeovers >= 1 for end in ends), "all have the next controller's directory")


def talk(to: str) -> dict[int, float]:
    """Round trips until the next call comes: the longest that began in each piece of time, in seconds."""
    sender, receiver = roles.ends[roles.MAIN]
    longest: dict[int, float] = {}
    number = 0
    runner.event("talking")
    while not runner.called_again():
        for _ in range(50):
            begin = time.monotonic()
            assert sender.send(to, number, timeout=5.0) == 1
            assert receiver.recv(5.0).payload == number
            took = time.monotonic() - begin
            piece = int(begin / PIECE)
            longest[piece] = max(longest.get(piece, 0.0), took)
            number += 1
    return longest
