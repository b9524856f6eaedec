"""Hundreds of members are killed while everybody talks, the controller among them, and the survivors' books are
checked.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import storm
from tests.support.wait import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Spawn
    from tests.support.child import Child, Pending

#: How many die; the bound in time grows with it, so that it can be run for hours on demand.
KILLS = int(os.environ.get("IPMB_KILLS", "500"))
SURVIVORS = 3
VICTIMS = 4


@dataclass
class Victim:
    """One incarnation: a process, its number, and the log it leaves."""

    number: int
    child: Child
    log: Path
    pending: Pending[None] | None = None

    def size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def records(self) -> list[tuple[int, int, int]]:
        return storm.read_log(self.log.read_bytes()) if self.log.exists() else []

    def has(self, what: int) -> bool:
        return any(found == what for found, _, _ in self.records())


class Storm:
    """Kills one victim after another and starts the next in its place."""

    def __init__(self, spawn: Spawn, bus: str, folder: Path, seed: int) -> None:
        self.spawn = spawn
        self.bus = bus
        self.folder = folder
        self.chance = random.Random(seed)
        self.all: list[Victim] = []
        self.controllers_killed = 0

    def start(self) -> Victim:
        number = storm.FIRST_VICTIM + len(self.all)
        log = self.folder / str(number)
        child = self.spawn.child(f"victim-{number}", env={"IPMB_STORM_LOG": str(log)})
        victim = Victim(number, child, log)
        victim.pending = child.post(storm.fall, self.bus, number, SURVIVORS, str(log))
        self.all.append(victim)
        return victim

    def strike(self, living: list[Victim]) -> None:
        """Kill one of the living at a random moment, the controller when it can be had.

        One that has joined is always left: with the last that may take over, a bus ends, and that is
        another test.
        """
        controllers = [one for one in living if one.has(storm.CONTROLS)]
        victim = self.chance.choice(controllers if controllers and self.chance.random() < 0.5 else living)
        until(lambda: victim.size() >= storm.RECORD.size, "a victim has begun", bound=30.0, every=0.0005)
        if self.chance.random() < 0.8:  # the others die on the way in
            until(lambda: victim.size() > 2 * storm.RECORD.size, "a victim is busy", bound=30.0, every=0.0005)
        others = [one for one in living if one is not victim]
        until(lambda: any(one.has(storm.JOINED) for one in others), "a successor", bound=30.0, every=0.0005)
        time.sleep(self.chance.random() * 0.01)
        victim.child.kill()
        self.controllers_killed += victim in controllers
        living.remove(victim)
        self.spawn.forget(victim.child)


@pytest.mark.timeout(60 + KILLS // 2, method="signal")
def test_invariant_holds_in_a_storm_of_kills(spawn: Spawn, bus: str, tmp_path: Path) -> None:
    """Survivors lose nothing, and of the dead exactly a clean prefix has come."""
    weather = Storm(spawn, bus, tmp_path, seed=500)
    living = [weather.start()]  # the first is controller, for survivors never are
    until(lambda: living[0].size() >= 2 * storm.RECORD.size, "the first victim has joined")
    survivors = [spawn.child(f"survivor-{number}") for number in range(SURVIVORS)]
    talking = [
        child.post(storm.survive, bus, number, SURVIVORS, number, affinity=False)
        for number, child in enumerate(survivors)
    ]
    for child in survivors:
        child.wait_event("joined", 30.0)
    for _ in range(KILLS):
        while len(living) < VICTIMS:
            living.append(weather.start())
        weather.strike(living)
    report = calm(survivors, talking, living)
    judge(report, weather, [one.number for one in living])
    assert weather.controllers_killed >= KILLS // 20, "too few controllers died for this to mean anything"


def calm(survivors: list[Child], talking: list[Pending[None]], living: list[Victim]) -> list[dict[str, Any]]:
    """Let everybody stop sending, then read what is under way; the survivors' books."""
    asked = [child.post(storm.report_sent) for child in survivors]
    for pending in talking:
        pending.result(30)
    sent = [pending.result() for pending in asked]
    for victim in living:
        left = victim.child.post(storm.fall_silent, 1.0)
        assert victim.pending is not None
        victim.pending.result(30)
        assert left.result(30) == []
    settling = [child.post(storm.settle, 1.0) for child in survivors]
    report: list[dict[str, Any]] = [pending.result(60) for pending in settling]
    for me, books in enumerate(report):
        books["sent"] = sent[me]
    return report


def judge(report: list[dict[str, Any]], weather: Storm, left: list[int]) -> None:
    """Compare what was sent with what came, between all."""
    assert [books["wrong"] for books in report] == [[]] * SURVIVORS
    for me, books in enumerate(report):
        for other in range(SURVIVORS):
            if other != me:
                assert books["got"][other] == report[other]["sent"][me] > 0, "between survivors"
    read: set[tuple[int, int]] = set()
    for victim in weather.all:
        records = victim.records()
        for target in range(SURVIVORS):
            sent = sum(1 for what, who, _ in records if what == storm.SENT and who == target)
            got = report[target]["got"].get(victim.number, 0)
            allowed = {sent} if victim.number in left else {sent, sent + 1}  # one sent and not logged
            assert got in allowed, f"{got} of {sent} from {victim.number} came to {target}"
        for what, who, sequence in records:
            if what == storm.READ and who < SURVIVORS:
                assert (who, sequence) not in read, "read twice"
                read.add((who, sequence))
    accepted = {(me, number) for me, books in enumerate(report) for number in books["group"]}
    missing = accepted - read
    assert read <= accepted
    assert [(books["dropped"], books["waiting"]) for books in report] == [(0, 0)] * SURVIVORS
    assert len(missing) <= KILLS, f"{len(missing)} of {len(accepted)} lost in {KILLS} deaths"
    assert sum(books["redelivered"] for books in report) > 0
