"""Who follows a controller when a member has missed one: what is old in its hands is not used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import proc, roles, tyrant
from tests.support.member import Member, controller_among
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn


def test_one_process_that_reigned_twice(spawn: Spawn, bus: str) -> None:
    """Two endpoints of one process reign one after the other while a member is stopped. That process dies,
    and the member follows: it must not send on what the first of the two let wait, for the second one has,
    long ago. (The process was taken for the reign: two living receivers got the same messages.)
    """
    twice = spawn.member(bus, "first")
    twice.child.call(roles.join, bus, ("second",), name="second")
    sleeper = spawn.member(bus, "sleeper")
    sender = spawn.member(bus, "sender", affinity=False)
    assert sender.send_numbers("late", 0, 4, ttl=60) == [0] * 4
    sender.kill()
    until(lambda: twice.stats()["waiting"] == 4, "the first has taken them over")
    sleeper.stop()
    twice.leave()
    until(lambda: twice.child.call(roles.is_controller, "second"), "the second reigns")
    late = spawn.member(bus, "late", affinity=False)
    assert late.recv_numbers(4) == [0, 1, 2, 3]
    another = spawn.member(bus, "late", affinity=False)
    twice.kill()
    sleeper.resume()
    until(sleeper.is_controller, "the one that slept follows")
    until(
        lambda: {peer[1] for peer in another.peers()} == {("sleeper",), ("late",)},
        "it has gathered the others",
    )
    another.nothing_comes(1.0)
    late.nothing_comes()
    assert late.stats()["duplicates"] == 0
    assert sleeper.send("late", b"and on") == 1


def test_one_that_leaves_between_two_controllers_leaves_nothing_open(spawn: Spawn, bus: str) -> None:
    """It gives the next controller a moment, because a message of its waits; that one matches, and gets it by a new
    channel. (Opened in the middle of leaving, the channel was never closed, and kept the whole endpoint.)
    """
    controller = spawn.member(bus, "controller")
    leaver = spawn.member(bus, "leaver", affinity=False)
    founder = spawn.child("founder")
    founder.call(roles.version)
    assert leaver.send("late", b"waits", ttl=60) == 0

    def sockets() -> int:
        return sum(name.startswith("socket:") for name in proc.descriptors(leaver.pid).values())

    connected = sockets()
    controller.kill()
    until(lambda: sockets() < connected, "it has noticed")
    leaving = leaver.child.begin(roles.leave)
    late = Member.join(founder, bus, "late")
    assert late.recv().payload == b"waits"
    leaving.result(10.0)
    assert [name for name in proc.mappings(leaver.pid) if "memfd:ipmb" in name] == []


def test_a_term_far_ahead_dies_with_its_controller(spawn: Spawn, bus: str) -> None:
    """Those who have read it follow the next controller all the same, and see who joins. (Each said to the
    next one that it knew the last term there is, was refused for it, and never saw a newcomer again.)
    """
    liar = spawn.member(bus, "liar")
    heir, third = spawn.members(bus, "heir", "third")
    last = spawn.member(bus, "last", affinity=False)
    members = [heir, third, last]
    assert liar.child.call(tyrant.claim_the_last_term) < 100
    for one, to in (heir, "third"), (third, "last"), (last, "heir"):
        assert one.send(to, b"read") == 1
    liar.kill()
    controller_among([heir, third])
    newcomer = spawn.member(bus, "newcomer")
    until(lambda: newcomer.peer_ids() == {one.id for one in members}, "all have registered again")
    for one in members:
        assert one.send("newcomer", b"seen") == 1
        assert newcomer.send(one.label[0], b"seen") == 1
        assert one.stats()["refused_by_reason"]["rejoin"] == 0
