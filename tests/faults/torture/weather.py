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

from tests.faults.torture import books, invariant, talker
from tests.faults.torture.talker import FALL, STAY, Board
from tests.support import runner
from tests.support.nursery import bury, fork
from tests.support.sizes import Size
from tests.support.wait import until

SURVIVORS = 3
VICTIMS = 4

#: Victims are numbered from here, each incarnation anew; survivors below.
FIRST_VICTIM = 1000

BOUND = 30.0

#: How long nothing must have come to anybody before a storm counts as calm.
QUIET = 0.5

#: A member is between taking a message and writing that down for microseconds of its milliseconds, so few of the dead
#: can have taken one along; on a machine that is busy with other things, one or two in a hundred have. Few messages lie
#: unread with one that is killed just when their sender is killed, too. But a victim is one of the group it sends to,
#: and one in eight has sent something to itself and not yet read it.
FEW, SHARE, OWN_SHARE = 10, 0.03, 0.4

#: What a survivor may hold more in the end: what allocators keep, channels to those who live at that moment, and the
#: departed, whom the directory remembers for a minute.
MORE_KIB, MORE_DESCRIPTORS, MORE_MAPPINGS = 16 * 1024, 60, 120

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
        self.deaths: dict[int, books.Death] = {}
        self.controllers = 0
        #: What each survivor held after the first quarter, and in the end.
        self.quarter: dict[int, Size] = {}
        self.grown: dict[int, tuple[Size, Size]] = {}

    # -- births

    def start(self, number: int, slot: int, group: int) -> Life:
        self.board.say(slot, Board.UNBORN)
        seed = self.chance.randrange(1 << 31)
        pid = fork(
            talker.talk, self.kind, self.bus, number, group, SURVIVORS, self.folder, seed, self.board, slot
        )
        return Life(number, slot, pid, self.folder / str(number))

    def begin(self) -> None:
        """The first victim is controller; survivors are so only for moments."""
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
        before = time.monotonic_ns()
        os.kill(one.pid, signal.SIGKILL)
        code = bury(one.pid)
        assert code == -signal.SIGKILL, f"{one} had ended with {code}"
        self.deaths[one.number] = books.Death(before, time.monotonic_ns())
        self.living.remove(one)

    # -- what survivors hold

    def measure(self) -> None:
        """What they hold after the first quarter."""
        self.quarter = {one.pid: Size.of(one.pid) for one in self.survivors}

    def measure_again(self) -> None:
        """What they hold in the end; what liars have just sent them may be in their hands for a moment yet."""
        end = time.monotonic() + invariant.MOMENT / books.SECOND
        while True:
            self.grown = {pid: (size, Size.of(pid)) for pid, size in self.quarter.items()}
            if time.monotonic() > end or not any(has_grown(*sizes) for sizes in self.grown.values()):
                return
            time.sleep(0.1)

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
        numbers = [*range(SURVIVORS), *range(FIRST_VICTIM, FIRST_VICTIM + self.born)]
        members = {
            number: books.Member.read(
                number,
                books.read_log(self.folder / str(number)),
                death=self.deaths.get(number),
                late=number >= FIRST_VICTIM,
            )
            for number in numbers
        }
        wrong, buried, with_both, to_itself = invariant.judge(members)
        kills = len(self.deaths)
        for many, where, share in (
            (buried, "in the hands of", SHARE),
            (with_both, "between two of", SHARE),
            (to_itself, "to themselves of", OWN_SHARE),
        ):
            if many > FEW + kills * share:
                text = f"{many} messages {where} {kills} dead: too many to be believed"
                wrong.append(invariant.Wrong(invariant.LOST, text))
        waiting = sum(one["waiting"] for one in said)
        if waiting:
            wrong.append(
                invariant.Wrong(invariant.LOST, f"{waiting} messages still wait, though somebody matches")
            )
        grown = [
            f"a survivor has grown from {before} to {after}"
            for before, after in self.grown.values()
            if has_grown(before, after)
        ]
        got = [record for member in members.values() for record in member.got]
        return {
            "wrong": [*(f"{one.kind}: {one.text}" for one in wrong[:SHOWN]), *grown],
            "violations": len(wrong) + len(grown),
            "kills": kills,
            "controllers": self.controllers,
            "messages": len(got),
            "redelivered": sum(bool(record.flags & books.REDELIVERED) for record in got),
            "requests": sum(bool(record.flags & books.REQUEST) for record in got),
            "taken along by the dead": buried,
            "unread when both had died": with_both,
            "unread of their own": to_itself,
            "reigns ended by closing": sum(member.reigns for member in members.values()),
            "grown rings": sum(one["grown rings"] for one in said),
        }


def has_grown(before: Size, after: Size) -> bool:
    """Whether a survivor holds more than members that come and go explain."""
    return (
        after.descriptors > before.descriptors + MORE_DESCRIPTORS
        or after.mappings > before.mappings + MORE_MAPPINGS
        or after.threads > before.threads
        or after.kib > before.kib + MORE_KIB
    )


def storm(bus: str, folder: str, kills: int, seed: int) -> dict[str, Any]:
    """A whole storm, in the process that calls it; ends early when it is called again."""
    asyncio.run(anyio.sleep(0))  # imports here, once, what every child would have to
    gc.freeze()  # what is there already is not looked at, and so not copied, in the children
    weather = Weather(bus, Path(folder), seed)
    weather.begin()
    for number in range(kills):
        weather.refill()
        weather.strike()
        if number == kills // 4:
            weather.measure()
        if number % 10 == 9:
            runner.event("done", number + 1)
            for one in weather.survivors:
                assert not weather.has_ended(one), f"{one} has ended"
            if runner.called_again():
                break
    weather.refill()
    weather.measure_again()
    return weather.judge(weather.calm())
