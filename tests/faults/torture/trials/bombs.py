"""Messages with as many descriptors as a packet takes, and sockets that carry themselves, at those who never asked."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from tests.faults.torture.staged import staged
from tests.faults.torture.trial import Case, Figures, Tell, Trial
from tests.support import objects, proc, roles, streams
from tests.support.member import Member
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn
    from tests.support.child import Child

#: As many as the kernel puts in one packet.
FULL = 253

#: Messages of a kind in a row. What is on its way in a cycle counts against its user until the kernel collects it, and
#: a plain user may have 1,024 descriptors on their way in all.
STEP = 40

#: Descriptors that the small victim may have, and how many of them fit beside those it has.
SMALL, FITS = 64, 16


class Bombs(Trial):
    """In turns: full packets, socket cycles, and both at a victim that may have 64 descriptors."""

    name = "bombs"
    title = "descriptor bombs: 253 a message, socket cycles, victim with 64 descriptors allowed"
    unit = "messages"
    ci = 10_000
    demand = 1_000_000
    means = (
        "In turns: packets with as many descriptors as the kernel takes, sockets that carry themselves, and both "
        "at a victim that is short of descriptors. After each volley a friend's message arrives, and in the end "
        "nobody holds a descriptor more than before. The figures: descriptors thrown in all, and how many more "
        f"than before a victim had open at most (as many as one packet brings, {FULL})."
    )

    def run(self, count: int, seed: int, tell: Tell, case: Case | None = None) -> Figures:
        del seed, case  # it does the same thing again and again
        with staged() as spawn:
            return Scene(spawn).play(count, tell)


class Scene:
    """A liar, a victim without a limit of its own, a small one, and a friend of both."""

    def __init__(self, spawn: Spawn) -> None:
        bus = f"bombs.{uuid.uuid4().hex}"
        self.friend, self.victim, self.liar = spawn.members(bus, "friend", "victim", "liar")
        self.small = Member.join(spawn.limited_child(SMALL), bus, "small", affinity=False)
        self.most = 0
        self.descriptors = 0

    def play(self, count: int, tell: Tell) -> Figures:
        # Whoever has to wait for room opens what it waits on once.
        done = self.volley(min(STEP, max(1, count // 4)))
        before = [len(proc.descriptors(one.pid)) for one in (self.victim, self.small, self.liar)]
        while done < count and tell(done):
            done += self.volley(min(STEP, max(1, (count - done) // 4)))
        tell(done)
        for one, most in zip((self.victim, self.small, self.liar), before, strict=True):
            until(lambda: len(proc.descriptors(one.pid)) <= most, f"{one.label} has none left")  # noqa: B023
        return {
            "descriptors": f"{self.descriptors:,}",
            "most at a victim at a time": self.most - before[0],
            "left over": 0,
        }

    def volley(self, each: int) -> int:
        """Of each kind so many messages, then a friend's, which comes at once; how many messages there were."""
        for number in range(4):
            self.throw(number, each)
            for target in (self.victim, self.small):
                assert self.friend.send(target.label[0], number) == 1
                assert target.child.call(objects.recv_through_shortage, 5.0) == number
        return 4 * each

    def throw(self, kind: int, each: int) -> None:
        victim: Child = self.victim.child
        match kind:
            case 0:  # full packets
                taking = victim.begin(objects.recv_bombs, each)
                sent = self.liar.child.begin(objects.send_bombs, "victim", each, FULL)
                while not taking.ready():
                    self.most = max(self.most, len(proc.descriptors(victim.pid)))
            case 1:  # sockets in which they themselves are on their way
                taking = victim.begin(objects.recv_bombs, each)
                sent = self.liar.child.begin(objects.send_cycles, "victim", each)
            case 2:  # as many as a small victim just takes
                taking = self.small.child.begin(objects.recv_bombs, each)
                sent = self.liar.child.begin(objects.send_bombs, "small", each, FITS)
            case _:  # more than it ever can, by a stranger
                waiting = self.small.child.begin(streams.collect)
                name = proc.own_name(self.small.pid)
                self.descriptors += self.liar.child.call(objects.throw_stray, name, each, FULL, bound=60.0)
                ended = self.small.child.post(roles.version)
                assert waiting.result(20.0) == []
                ended.result()
                return
        self.descriptors += sent.result(60.0)
        assert taking.result(60.0) == each


TRIALS = [Bombs()]
