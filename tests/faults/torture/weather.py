"""A storm: one process that everybody descends from kills one after another, and then judges what all have written.

It has joined nothing and has one thread, so that forking it is safe, and a child of it is at work within milliseconds.
So 500 deaths take seconds. After each storm all is calmed, everybody takes what is left, and the books are compared.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from tests.faults.torture import invariant, talker
from tests.faults.torture.talker import FALL, STAY, Board
from tests.support import runner
from tests.support.nursery import bury, fork
from tests.support.wait import until

SURVIVORS = 3
VICTIMS = 4

#: Victims are numbered from here, each incarnation anew; survivors below.
FIRST_VICTIM = 1000

BOUND = 30.0

#: How long nothing must have come to anybody before a storm counts as calm.
QUIET = 0.5

#: A member is between taking a message and writing that down for microseconds of its milliseconds, so few of the dead
#: can have taken one along; on a machine that is busy with other things, one or two in a hundred have.
FEW, SHARE = 10, 0.05

#: How many violations are worth reading.
SHOWN = 20


@dataclass
class Life:
    """One member: a process, its number, and its place on the board."""

    number: int
    slot: int
    pid: int
    log: Path


class Weather:
    """Kills one victim after another and starts the next in its place."""

    #: What its members are.
    kind: type[talker.Talker] = talker.Talker

    def __init__(self, bus: str, folder: Path, seed: int) -> None:
        self.bus = bus
        self.folder = folder
        self.chance = random.Random(seed)
        self.board = Board(SURVIVORS + VICTIMS)
        self.survivors: list[Life] = []
        self.living: list[Life] = []
        self.born = 0
        self.kills = 0
        self.controllers = 0

    # -- births

    def start(self, number: int, slot: int, group: int) -> Life:
        self.board.say(slot, Board.UNBORN)
        seed = self.chance.randrange(1 << 31)
        pid = fork(
            talker.talk, self.kind, self.bus, number, group, SURVIVORS, self.folder, seed, self.board, slot
        )
        return Life(number, slot, pid, self.folder / str(number))

    def begin(self) -> None:
        """The first victim is controller, for survivors never are."""
        self.refill(1)
        until(lambda: self.state(self.living[0]) >= Board.JOINED, "the first has joined", bound=BOUND)
        self.survivors = [self.start(number, number, STAY) for number in range(SURVIVORS)]
        for one in self.survivors:
            self.wait_state(one, Board.JOINED)

    def refill(self, count: int = VICTIMS) -> None:
        taken = {one.slot for one in self.living}
        for slot in range(SURVIVORS, SURVIVORS + count):
            if slot not in taken:
                self.living.append(self.start(FIRST_VICTIM + self.born, slot, FALL))
                self.born += 1

    # -- deaths

    def state(self, one: Life) -> int:
        return self.board.of(one.slot)

    def wait_state(self, one: Life, state: int) -> None:
        until(
            lambda: self.state(one) >= state or self.has_ended(one),
            f"{one} at {state}",
            bound=BOUND,
            every=0.0005,
        )
        assert not self.has_ended(one), (
            f"{one} has ended: {os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)}"
        )

    @staticmethod
    def has_ended(one: Life) -> bool:
        return os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def strike(self) -> None:
        """Kill one of the living at a random moment, the controller when it can be had.

        One that has joined is always left: with the last that may take over, a bus ends, and that is another test.
        """
        controllers = [one for one in self.living if self.board.controls(one.slot)]
        one = self.chance.choice(controllers if controllers and self.chance.random() < 0.3 else self.living)
        on_the_way_in = self.chance.random() < 0.1
        self.wait_state(one, Board.BEGUN if on_the_way_in else Board.BUSY)
        others = [other for other in self.living if other is not one]
        until(
            lambda: any(self.state(other) >= Board.JOINED for other in others),
            "a successor",
            bound=BOUND,
            every=0.0005,
        )
        time.sleep(self.chance.random() ** 2 * 0.01)
        self.controllers += self.board.controls(one.slot)
        self.kill(one)

    def kill(self, one: Life) -> None:
        """SIGKILL; it must have died of that, and of nothing earlier."""
        os.kill(one.pid, signal.SIGKILL)
        code = bury(one.pid)
        assert code == -signal.SIGKILL, f"{one} had ended with {code}"
        self.living.remove(one)
        self.kills += 1

    # -- the end

    def calm(self) -> list[dict[str, int]]:
        """Everybody stops sending and takes what is left; then all leave, and say what they have counted."""
        everybody = [*self.survivors, *self.living]
        self.board.phase = Board.LISTEN
        for one in everybody:
            self.wait_state(one, Board.LISTENS)
        sizes: list[int] = []
        since = time.monotonic()

        def quiet() -> bool:
            nonlocal sizes, since
            now = [one.log.stat().st_size for one in everybody]
            if now != sizes:
                sizes, since = now, time.monotonic()
            return time.monotonic() - since > QUIET

        until(quiet, "nothing comes any more", bound=BOUND)
        self.board.phase = Board.END
        for one in everybody:
            code = bury(one.pid)
            assert code == 0, f"{one} ended with {code}"
        return [json.loads((self.folder / f"{one.number}.json").read_text()) for one in everybody]

    def judge(self, said: list[dict[str, int]]) -> dict[str, Any]:
        """The violations, and what was counted."""
        left = {one.number for one in self.living}
        numbers = [*range(SURVIVORS), *range(FIRST_VICTIM, FIRST_VICTIM + self.born)]
        members = {
            number: invariant.Member.read(
                number,
                invariant.read_log(self.folder / str(number)),
                survived=number < FIRST_VICTIM or number in left,
                late=number >= FIRST_VICTIM,
            )
            for number in numbers
        }
        wrong, buried = invariant.judge(members)
        if buried > FEW + self.kills * SHARE:
            text = f"{buried} messages in the hands of {self.kills} dead: too many to be believed"
            wrong.append(invariant.Wrong(invariant.LOST, text))
        waiting = sum(one["waiting"] for one in said)
        if waiting:
            wrong.append(
                invariant.Wrong(invariant.LOST, f"{waiting} messages still wait, though somebody matches")
            )
        got = [record for member in members.values() for record in member.got]
        return {
            "wrong": [f"{one.kind}: {one.text}" for one in wrong[:SHOWN]],
            "violations": len(wrong),
            "kills": self.kills,
            "controllers": self.controllers,
            "messages": len(got),
            "redelivered": sum(bool(record.flags & invariant.REDELIVERED) for record in got),
            "requests": sum(bool(record.flags & invariant.REQUEST) for record in got),
            "taken along by the dead": buried,
            "grown rings": sum(one["grown rings"] for one in said),
        }


def storm(bus: str, folder: str, kills: int, seed: int) -> dict[str, Any]:
    """A whole storm, in the process that calls it; ends early when it is called again."""
    asyncio.run(anyio.sleep(0))  # imports here, once, what every child would have to
    gc.freeze()  # what is there already is not looked at, and so not copied, in the children
    weather = Weather(bus, Path(folder), seed)
    weather.begin()
    for number in range(kills):
        weather.refill()
        weather.strike()
        if number % 10 == 9:
            runner.event("done", number + 1)
            for one in weather.survivors:
                assert not weather.has_ended(one), f"{one} has ended"
            if runner.called_again():
                break
    weather.refill()
    return weather.judge(weather.calm())
