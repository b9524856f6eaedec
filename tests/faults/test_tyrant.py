"""A controller that means harm: what the role gives to it, and what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import memory, roles, tyrant
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn


def test_it_leaves_out_whom_it_likes_and_the_others_go_on(spawn: Spawn, bus: str) -> None:
    """Who is left out of the directory is no match, and no door opens to it, until there is another controller."""
    liar = spawn.member(bus, "liar")
    heir, earth, moon, mars = spawn.members(bus, "heir", "earth", "moon", "mars")
    for one, to in (moon, mars), (mars, moon), (moon, earth):
        assert one.send(to.label[0], b"before") == 1
        assert to.recv().payload == b"before"
    assert liar.child.call(tyrant.leave_out, earth.id) == 1
    assert moon.send("earth", b"to nobody") == 0
    assert earth.id not in moon.peer_ids()
    for number in range(100):
        for one, to in (moon, mars), (mars, moon):
            assert one.send(to.label[0], number) == 1
            assert to.recv().payload == number
    earth.send("mars", b"from nobody")

    def kept_out() -> bool:
        mars.nothing_comes()
        return bool(mars.stats()["refused_by_reason"]["channel_proof"])

    until(kept_out, "mars has refused it")
    liar.kill()
    until(lambda: earth.id in heir.peer_ids(), "it is on the bus again")
    until(lambda: moon.send("earth", b"again") == 1, "it is seen again")
    assert earth.recv().payload == b"again"


def test_it_has_no_part_in_what_members_say_to_each_other(spawn: Spawn, bus: str) -> None:
    """By the kernel's word: no memory that a pair talks through is open or mapped at the controller. What waits is, and
    what the controller itself lets wait is at everybody.
    """
    controller, earth, moon = spawn.members(bus, "controller", "earth", "moon")
    for one, to in (moon, earth), (earth, moon):
        assert one.send(to.label[0], b"small") == 1
        assert to.recv().payload == b"small"
        assert one.child.call(roles.send_pattern, to.label[0], 1, 100_000) == 1
        assert to.child.call(roles.recv_is_pattern, 1, 100_000)
    assert moon.send("later", b"waits", ttl=600) == 0
    both = memory.files(earth.pid) & memory.files(moon.pid)
    there = memory.files(controller.pid)
    assert sorted(kind for kind, _ in both & there) == ["directory", "lock", "parking"]
    assert {kind for kind, _ in both - there} == {"payload", "ring", "tail"}
    assert [kind for kind, _ in memory.files(moon.pid) & there - both] == ["parking"], "its own"


def test_it_can_leave_a_bus_of_several_controllers(spawn: Spawn, bus: str) -> None:
    """Each member has the lock that the controller gave it, and cannot know whether it is that of the others."""
    liar = spawn.member(bus, "liar")
    members = []
    for label in "earth", "moon":
        liar.child.call(tyrant.hand_out_another_lock)
        members.append(spawn.member(bus, label))
    assert not any(member.is_controller() for member in members)
    liar.kill()
    until(lambda: all(member.is_controller() for member in members), "each has taken over")
    # It ends with them: who joins afterwards is on one bus.
    for member in members:
        member.kill()
    mars, venus = spawn.members(bus, "mars", "venus")
    assert venus.send("mars", b"here") == 1
    assert mars.recv().payload == b"here"
