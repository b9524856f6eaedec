"""Every place where the bus hands memory over, and every way in which that memory can be bad: a matrix.

A liar hands over another file than the real one (tests/support/hostile_memory.py says how, and what is wrong with
each). It has to be refused, or, in the cells that are named in ``TAKEN``, to do no harm. *Refused* is seen from
outside: the connection that it came by is closed, or the join raises. In all cells the victim goes on, hears its friend
at once, and holds nothing of the liar's when that is gone.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.conftest import Spawn
from tests.faults.torture.trial import SHARE
from tests.support import hostile_memory, proc, roles
from tests.support.hostile_files import KINDS
from tests.support.hostile_memory import PLACES
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.child import Child
    from tests.support.member import Member

File = tuple[int, int]

RINGLIKE = ("ring", "grown-ring", "consumer-page", "parking", "directory", "controllers-parking")
LUGGAGE = ("payload", "named-payload", "region")

#: What is taken, and why that does no harm. All other cells are refused.
TAKEN = {
    **dict.fromkeys([(place, "honest") for place in PLACES], "it is as good as the real one"),
    **dict.fromkeys(
        [(place, "hollow") for place in RINGLIKE],
        "holes read as zeros, and what reading them costs is bounded by the size",
    ),
    **dict.fromkeys(
        [(place, kind) for place in LUGGAGE for kind in ("remapped", "not-final")],
        "its bytes may change at any time anyhow, and its size cannot",
    ),
    **dict.fromkeys(
        [("named-payload", "punched"), ("region", "punched"), ("payload", "punched")],
        "the same; once it is punched it is refused",
    ),
    ("lock", "write-only"): "it is opened anew, for reading",
}

#: What counts as if there were no room for it: it is not used, and the channel goes on as it was.
DECLINED = {("grown-ring", "write-only"), ("grown-ring", "path-only")}

#: The real one is empty, so these are honest, or there is no such thing.
SENSELESS = {("lock", "empty"), ("lock", "hollow"), ("lock", "too-small")}

#: Once more as a plain user, for whom the same checks are made: a few of them.
FEW = ("honest", "shrinks", "unsealed", "write-only", "ordinary-file", "pipe")

CELLS = [
    (place, kind)
    for place in PLACES
    for kind in (KINDS if SHARE == 1 else FEW)
    if (place, kind) not in SENSELESS
]

#: How long it is held by one who has taken it, in seconds; one who has yet to judge it takes less.
WHILE = 0.3


class Stage(NamedTuple):
    """Who plays in all cells: the victim is controller of the bus, the friend talks to it."""

    bus: str
    victim: Member
    friend: Member
    liar: Child

    def verdict(self, file: File, meanwhile: Callable[[], object] = lambda: None) -> str:
        """What the victim makes of it: ``refused``, ``taken`` when it has it for a while, ``declined`` when neither."""
        begin = since = time.monotonic()
        attacked = False
        while True:
            meanwhile()
            if self.liar_is_cut_off():
                return "taken" if attacked else "refused"
            now = time.monotonic()
            if not hostile_memory.holds(self.victim.pid, file):
                since = now
            elif now - since > WHILE / 2 and not attacked:
                attacked = True
                self.attack()
            if now - since > WHILE:
                return "taken"
            if now - begin > 2 * WHILE and since == now:
                return "declined"

    def liar_is_cut_off(self) -> bool:
        self.liar.take_in(0.0)
        return any(name == "cut off" for name, _ in self.liar.events)

    def attack(self) -> None:
        """The liar turns what it has sent bad."""
        self.liar.signal(signal.SIGUSR1)

    def handed(self) -> File:
        """The file that has left, as the kernel knows it."""
        file: File = self.liar.wait_event("handed")
        return file


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    spawn = Spawn()
    bus = f"test.hostile.{time.monotonic_ns()}"
    victim, friend = spawn.members(bus, "earth", "moon")
    liar = spawn.child("liar")
    assert friend.send("earth", b"hello") == 1
    assert victim.recv().payload == b"hello"
    yield Stage(bus, victim, friend, liar)
    spawn.finish()


@pytest.mark.parametrize(("place", "kind"), CELLS, ids=[f"{place}-{kind}" for place, kind in CELLS])
def test_a_memory_file(stage: Stage, place: str, kind: str) -> None:
    pid = stage.victim.pid
    before = len(proc.descriptors(pid))
    bus = f"{stage.bus}.{place}.{kind}" if PLAYS[place] is joins_the_liar else stage.bus
    stage.liar.events.clear()
    lying = stage.liar.begin(hostile_memory.lie, bus, place, kind, "earth")
    try:
        outcome = PLAYS[place](stage, bus)
    finally:
        ended = stage.liar.post(hostile_memory.identity, 0)
        handed = lying.result()
        ended.result()
    assert handed > 0
    assert stage.friend.send("earth", b"goodbye") == 1
    stage.victim.child.call(hostile_memory.take_until, b"goodbye")
    stage.victim.child.call(hostile_memory.let_go)
    stage.victim.child.call(hostile_memory.take_the_rest)
    if bus != stage.bus:
        assert stage.victim.child.call(hostile_memory.try_to_join, bus) == "", "with the liar the bus is gone"
        stage.victim.child.call(roles.leave, bus)
    assert outcome == expected(place, kind)
    until(lambda: len(proc.descriptors(pid)) <= before, "the victim holds nothing of it")


def expected(place: str, kind: str) -> str:
    if (place, kind) == ("named-payload", "honest"):
        return "kept"
    if (place, kind) in DECLINED:
        return "declined"
    return "taken" if (place, kind) in TAKEN else "refused"


def receives(stage: Stage, bus: str) -> str:
    """The victim receives all the time what the liar sends it."""
    taking = stage.victim.child.begin(hostile_memory.take_until, b"others")
    try:
        outcome = stage.verdict(stage.handed())
    finally:
        assert stage.friend.send("earth", b"others") == 1
        taken = taking.result()
    assert outcome != "declined" or taken > 0, "the channel went on"
    return outcome


def receives_and_may_keep(stage: Stage, bus: str) -> str:
    """The same; then it lets go of all that came, and what it has still is what it would be named later."""
    taking = stage.victim.child.begin(hostile_memory.take_until, b"others")
    try:
        file = stage.handed()
        outcome = stage.verdict(file)
    finally:
        assert stage.friend.send("earth", b"others") == 1
        taking.result()
    stage.victim.child.call(hostile_memory.let_go)
    return "kept" if stage.verdict(file) == "taken" else outcome


def sends(stage: Stage, bus: str) -> str:
    """The victim sends to the liar, which hands it its page for that."""

    def send() -> None:
        stage.victim.child.call(hostile_memory.send_some, "liar", 3)

    stage.liar.wait_event("ready")
    send()
    return stage.verdict(stage.handed(), send)


def is_joined(stage: Stage, bus: str) -> str:
    """The liar joins the victim's bus, and leaves messages that wait."""
    return stage.verdict(stage.handed())


def joins_the_liar(stage: Stage, bus: str) -> str:
    """The victim joins the liar's bus."""
    stage.liar.wait_event("ready")
    error = stage.victim.child.call(hostile_memory.try_to_join, bus)
    stage.handed()
    if error:
        assert error == "JoinError"
        return "refused"
    stage.attack()
    stage.victim.child.call(hostile_memory.look_around_and_leave, bus)
    return "taken"


PLAYS: dict[str, Callable[[Stage, str], str]] = {
    "ring": receives,
    "grown-ring": receives,
    "consumer-page": sends,
    "parking": is_joined,
    "directory": joins_the_liar,
    "lock": joins_the_liar,
    "controllers-parking": joins_the_liar,
    "payload": receives,
    "named-payload": receives_and_may_keep,
    "region": receives,
}
