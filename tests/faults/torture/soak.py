"""A soak: kills, stops, liars, shortages and forks all at once, for as long as one likes; then the books are judged.

Beside the books it is watched that survivors go on all the time, and that in the end they hold no more than they did
after the first quarter.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import anyio

from tests.faults.torture import invariant, soaker
from tests.faults.torture.talker import Board
from tests.faults.torture.weather import Weather
from tests.support import runner
from tests.support.nursery import bury, fork

#: Few enough to be used up in a moment; what a plain user has.
DESCRIPTORS = 1024

#: A survivor that runs writes something down at least so often.
LONGEST_PAUSE = 10.0

#: Anybody is stopped so long at most, in seconds: long enough to miss a whole term of a controller, or two.
STOPPED = 0.5

#: How many liars there are at a time.
LIARS = 2


class Soak(Weather):
    """All faults mixed."""

    kind = soaker.Soaked

    def __init__(self, bus: str, folder: Path, seed: int) -> None:
        super().__init__(bus, folder, seed)
        self.stopped: dict[int, float] = {}
        self.liars: list[tuple[int, float]] = []
        self.counts = dict.fromkeys(("stops", *(role.__name__ for role in soaker.LIES)), 0)
        self.alive: dict[int, tuple[int, float]] = {}
        self.longest = 0.0

    def run(self, seconds: float) -> None:
        begun = time.monotonic()
        told = 0
        while (now := time.monotonic() - begun) < seconds:
            self._resume(everybody=False)
            self.refill()
            self.chance.choices((self._kill, self._stop, self._lie), (5, 2, 2))[0]()
            self._watch()
            if not self.quarter and now > seconds / 4:
                self._resume(everybody=True)
                self.measure()
            if int(now) > told:
                told = int(now)
                runner.event("done", told)
                if runner.called_again():
                    break
            time.sleep(self.chance.random() * 0.03)
        self._resume(everybody=True)
        for pid, _ in self.liars:
            _end(pid)
        self.liars.clear()
        self.refill()
        self.measure_again()

    def _kill(self) -> None:
        """One that has done something, while another could follow it."""
        ready = [one for one in self.living if self.state(one) >= Board.BUSY]
        joined = [one for one in self.living if self.state(one) >= Board.JOINED]
        if ready and len(joined) > 1:
            one = self.chance.choice(ready)
            self.controllers += self.board.controls(one.slot)
            self.stopped.pop(one.pid, None)
            self.kill(one)

    def _stop(self) -> None:
        """Any of them, for a moment; it may be killed meanwhile."""
        one = self.chance.choice([*self.survivors, *self.living])
        if one.pid not in self.stopped and self.state(one) >= Board.BEGUN:
            os.kill(one.pid, signal.SIGSTOP)
            self.stopped[one.pid] = time.monotonic() + self.chance.random() ** 2 * STOPPED
            self.counts["stops"] += 1

    def _resume(self, *, everybody: bool) -> None:
        for pid, due in list(self.stopped.items()):
            if everybody or time.monotonic() > due:
                os.kill(pid, signal.SIGCONT)
                del self.stopped[pid]
                self.alive.pop(pid, None)

    def _lie(self) -> None:
        """A liar comes; those who have had their time go."""
        for pid, due in self.liars[:]:
            if time.monotonic() > due:
                _end(pid)
                self.liars.remove((pid, due))
        if len(self.liars) < LIARS:
            role = self.chance.choice(soaker.LIES)
            pids = [one.pid for one in [*self.survivors, *self.living]]
            pid = fork(soaker.lie, role, self.bus, self.chance.getrandbits(31), pids)
            self.liars.append((pid, time.monotonic() + 0.1 + self.chance.random()))
            self.counts[role.__name__] += 1

    def _watch(self) -> None:
        """Survivors go on."""
        now = time.monotonic()
        for one in self.survivors:
            assert not self.has_ended(one), f"{one} has ended"
            size = one.log.stat().st_size if one.log.exists() else 0
            known, since = self.alive.get(one.pid, (-1, now))
            if one.pid in self.stopped or size != known:
                self.alive[one.pid] = (size, now)
            else:
                self.longest = max(self.longest, now - since)
                assert now - since < LONGEST_PAUSE, f"{one} has stood still for {now - since:.1f} s"

    def judge(self, said: list[dict[str, int]]) -> dict[str, Any]:
        found = super().judge(said)
        wrong = found["wrong"]
        for one in said[: len(self.survivors)]:
            if one["expired"] != one["expiring"]:
                wrong.append(f"{invariant.LOST}: {one['expiring']} were to expire, {one['expired']} did")
                found["violations"] += 1
        for name in ("lies", "shortages", "expired"):
            found[name] = sum(one[name] for one in said)
        found["longest pause in ms"] = round(1000 * self.longest)
        return found | self.counts


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    bury(pid)


def soak(bus: str, folder: str, seconds: float, seed: int) -> dict[str, Any]:
    """A whole soak, in the process that calls it; ends early when it is called again."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    asyncio.run(anyio.sleep(0))
    gc.freeze()
    weather = Soak(bus, Path(folder), seed)
    weather.begin()
    begun = time.monotonic()
    weather.run(seconds)
    spent = time.monotonic() - begun
    return weather.judge(weather.calm()) | {"seconds": round(spent)}
