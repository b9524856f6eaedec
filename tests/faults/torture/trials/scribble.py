"""A hostile peer scribbles at full speed over all it may write, and is controller of the bus for a part of the time."""

from __future__ import annotations

import statistics
import uuid
from typing import TYPE_CHECKING, Any

from tests.conftest import Spawn
from tests.faults.torture.spread import half, milliseconds, p99
from tests.faults.torture.trial import Case, Figures, Tell, Trial, Violation
from tests.support import proc, roles, scribbler, streams
from tests.support.child import ChildDiedError, RemoteError
from tests.support.member import Member
from tests.support.wait import NeverError, until

if TYPE_CHECKING:
    from tests.support.child import Child

#: Seconds of scribbling in one round; in some of them, of the same work on memory of nobody else's, and of scribbling
#: controllers.
ROUND = 2.0
ALONE = 1.0
TYRANNY = 0.5

#: So many rounds have these two at first, and then one in so many: a few pairs of turns tell the ratio, and an hour is
#: for the liars.
BESIDE = 10

#: No call of anybody may hang longer, in seconds.
HANG = 1.0

#: Members that the liars send to, and processes that lie, one for each core of the smallest machine.
VICTIMS = 2
LIARS = 2


class Scribble(Trial):
    """Victims receive from liars and send to them; a friend sends to each victim; a pair only talks."""

    name = "scribble"
    title = "hostile peer that scribbles over all it may write, at full speed: only its own channels die"
    unit = "seconds"
    ci = 20
    demand = 3600
    means = (
        "Liars join, write nonsense over all the memory they may write, send nonsense, are cut off and come again: "
        "so many lives, words written, packets sent, and messages of theirs that were taken before. No call of "
        f"anybody else takes longer than {HANG:g} s, and no message of a friend is lost. Beside them a pair talks: "
        "the 99th percentile of its round trips, and how many times as slow that is as beside the same work on "
        "memory of nobody else's (the median of neighbouring turns, and the range that half of them are in), and its "
        "slowest round trip of all. Then the controllers themselves are the liars."
    )

    def run(self, count: int, seed: int, tell: Tell, case: Case | None = None) -> Figures:
        if case is not None:
            seed = int(str(case["seed"]))
        spawn = Spawn()
        try:
            return Scene(spawn, seed).play(count, tell)
        except (AssertionError, ChildDiedError, NeverError, RemoteError) as error:
            raise Violation({"seed": seed}, str(error)) from error
        finally:
            spawn.finish()


class Scene:
    """Everybody, on one bus."""

    def __init__(self, spawn: Spawn, seed: int) -> None:
        self.seed = seed
        self.bus = f"scribble.{uuid.uuid4().hex}"
        self.keeper = spawn.member(self.bus, "keeper")
        labels = [f"victim-{number}" for number in range(VICTIMS)]
        self.victims = [
            Member.join(child, self.bus, "victim", label, affinity=False)
            for label, child in zip(labels, [spawn.child(label) for label in labels], strict=True)
        ]
        self.friends = [spawn.member(self.bus, "friend", affinity=False) for _ in self.victims]
        self.moon, self.mars = spawn.members(self.bus, "moon", "mars", affinity=False)
        self.liars = [spawn.child("liar") for _ in range(LIARS)]
        self.tyrant = Tyranny(spawn)
        self.lives: dict[str, int] = {}
        self.words = 0
        self.rounds: list[tuple[float, float]] = []
        self.slowest: list[float] = []

    def play(self, seconds: int, tell: Tell) -> Figures:
        before = [self.held(one) for one in self.everybody()]
        self.mars.child.begin(streams.echo)
        enduring = [victim.child.begin(scribbler.endure) for victim in self.victims]
        befriending = [
            friend.child.begin(scribbler.befriend, f"victim-{number}")
            for number, friend in enumerate(self.friends)
        ]
        done = 0.0
        while done < seconds and tell(int(done)):
            self.seed += 1
            number = int(done / ROUND)
            beside = number < BESIDE or number % BESIDE == 0
            quiet = self.talk_while(ALONE, alone=True) if beside else []
            loud = self.talk_while(ROUND, alone=False)
            self.slowest.append(max(loud))
            if beside:
                self.rounds.append((p99(quiet), p99(loud)))
                self.tyrant.endure(self.seed)
            done += ROUND
        tell(min(int(done), seconds))
        sent = [
            self.told_to_end(one.child, pending)
            for one, pending in zip(self.friends, befriending, strict=True)
        ]
        books = [
            self.told_to_end(one.child, pending) for one, pending in zip(self.victims, enduring, strict=True)
        ]
        self.judge(sent, books, before)
        self.tyrant.end()
        return self.figures(books)

    def everybody(self) -> list[Member]:
        return [self.keeper, *self.victims, self.moon, self.mars]

    def held(self, one: Member) -> int:
        return len(proc.descriptors(one.pid))

    def talk_while(self, seconds: float, *, alone: bool) -> list[float]:
        """Round trips of the pair that only talks, while the liars work."""
        working = [
            liar.begin(scribbler.scribble, self.bus, self.seed * LIARS + number, seconds, alone=alone)
            for number, liar in enumerate(self.liars)
        ]
        times = self.moon.child.call(streams.ping, "mars", 0, seconds=seconds, bound=seconds + 20.0)
        for pending in working:
            found = pending.result(seconds + 20.0)
            if not alone:
                self.words += found["words"]
                for what, count in found.items():
                    self.lives[what] = self.lives.get(what, 0) + count
        assert max(times) < HANG, f"the pair that talks waited {max(times):.2f} s"
        return times

    def told_to_end(self, child: Child, pending: Any) -> Any:
        ended = child.post(roles.version)
        found = pending.result(20.0)
        ended.result()
        return found

    def judge(self, sent: list[int], books: list[dict[str, Any]], before: list[int]) -> None:
        assert self.lives["ended -9"] > 0, self.lives
        for victim, count, book in zip(self.victims, sent, books, strict=True):
            assert book["wrong"] == [], book
            rest = victim.child.call(scribbler.drain)
            assert book["friend"] + rest == count > 0, f"of {count} there came {book['friend']} and {rest}"
            assert max(book["longest"].values()) < HANG, book
            assert book["others"] > 0, "nothing of the liars came, so nothing was endured"
            assert victim.stats()["refused"] > 0, "nobody was ever cut off"
        for one in (self.mars, *self.victims):
            one.child.call(roles.is_controller)
        for one, most in zip(self.everybody(), before, strict=True):
            until(lambda: self.held(one) <= most + 2 * len(self.friends), f"{one.label} has what it had")  # noqa: B023

    def figures(self, books: list[dict[str, Any]]) -> Figures:
        longest = max(seconds for book in books for seconds in book["longest"].values())
        ratios = [loud / quiet for quiet, loud in self.rounds]
        loud = statistics.median(loud for _, loud in self.rounds)
        return {
            "lives of liars": self.lives["lives"],
            "words written": f"{self.words:,}",
            "packets of nonsense": self.lives["packets"],
            "liars' messages taken": sum(book["others"] for book in books),
            "longest call": f"{longest * 1000:.0f} ms",
            "round trips of a pair: 99 of 100 within": f"{loud * 1e6:.0f} us",
            "times as slow": f"{statistics.median(ratios):.2f} (half of the turns {half(ratios)})",
            "the slowest": milliseconds(max(self.slowest)),
            "lives of lying controllers": self.tyrant.lives,
            "longest call under them": f"{self.tyrant.longest * 1000:.0f} ms",
            "violations": 0,
        }


class Tyranny:
    """A bus of its own, whose controllers, one after the other, scribble over the directory and all else."""

    def __init__(self, spawn: Spawn) -> None:
        self.bus = f"tyranny.{uuid.uuid4().hex}"
        self.spawn = spawn
        self.tyrant = spawn.child("tyrant")
        first = spawn.member(self.bus, "first")
        self.subjects = spawn.members(self.bus, "alice", "bob", affinity=False)
        first.kill()
        self.lives = 0
        self.longest = 0.0

    def endure(self, seed: int) -> None:
        alice, bob = self.subjects
        talking = [
            alice.child.begin(scribbler.talk_under_a_tyrant, "bob"),
            bob.child.begin(scribbler.talk_under_a_tyrant, "alice"),
        ]
        found = self.tyrant.call(
            scribbler.scribble, self.bus, seed, TYRANNY, alone=False, label="tyrant", bound=20.0
        )
        self.lives += found["lives"]
        for one, pending in zip(self.subjects, talking, strict=True):
            ended = one.child.post(roles.version)
            told = pending.result(20.0)
            ended.result()
            self.longest = max(self.longest, told["longest"])
            assert told["longest"] < HANG, f"a call took {told['longest']:.2f} s under a tyrant: {told}"
            assert told.get("rounds", 0) > 0

    def end(self) -> None:
        """An honest controller founds the bus anew, and all is well."""
        alice, bob = self.subjects
        honest = self.spawn.member(self.bus, "honest")
        assert honest.is_controller()
        until(lambda: honest.peer_ids() >= {alice.id, bob.id}, "all have come back")
        for one in (alice, bob):
            one.child.call(scribbler.drain)
        until(lambda: alice.send("bob", "free") == 1, "they know each other")
        assert bob.recv().payload == "free"


TRIALS = [Scribble()]
