"""An idle bus uses no processor: no thread of any member runs while nothing happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import proc, streams
from tests.support.wait import stays, until

if TYPE_CHECKING:
    from tests.conftest import Spawn

SECONDS = 3.0


def total(pids: list[int]) -> int:
    return sum(proc.switches(pid) for pid in pids)


def assert_idle(pids: list[int]) -> None:
    """No thread of these processes is switched to for three seconds, once they have come to rest."""
    for pid in pids:
        proc.wait_asleep(pid)
    before = total(pids)
    ticks = sum(proc.cpu_ticks(pid) for pid in pids)
    stays(lambda: True, "the bus is left alone", for_seconds=SECONDS, every=0.5)
    grown = total(pids) - before
    assert grown <= 1, f"{grown} context switches in {SECONDS} s of {len(pids)} idle processes"
    assert sum(proc.cpu_ticks(pid) for pid in pids) == ticks


def test_members_that_have_talked(spawn: Spawn, bus: str) -> None:
    """Five members with channels between them, three of them waiting in `recv`."""
    members = spawn.members(bus, "controller", "earth", "moon", "mars", "venus")
    for one in members:
        for other in members:
            if one is not other:
                assert one.send(other.label[0], b"x") == 1
    for member in members:
        assert len(member.recv_all(0.05)) == 4
    for member in members[2:]:
        member.begin_recv(timeout=600.0)
    assert_idle([member.pid for member in members])


def test_after_deaths_with_waiting_messages(spawn: Spawn, bus: str) -> None:
    """With a departed member on the controller's mind, a message that waits, and an unread one."""
    controller, earth, moon, dead = spawn.members(bus, "controller", "earth", "moon", "dead")
    assert dead.send("earth", b"unread") == 1
    assert dead.send("late", b"waits", ttl=600) == 0
    assert moon.send("later", b"waits", ttl=None) == 0
    dead.kill()
    until(lambda: dead.id not in controller.peer_ids(), "the dead has left")
    assert_idle([controller.pid, earth.pid, moon.pid])
    assert earth.recv().payload == b"unread"
    assert spawn.member(bus, "late").recv().payload == b"waits"


def test_after_a_takeover(spawn: Spawn, bus: str) -> None:
    """The new controller and its members come to rest, too."""
    controller, earth, moon = spawn.members(bus, "controller", "earth", "moon")
    controller.kill()
    until(lambda: earth.is_controller() != moon.is_controller(), "a new controller")
    late = spawn.member(bus, "late")
    until(lambda: late.peer_ids() == {earth.id, moon.id}, "all are back")
    assert_idle([earth.pid, moon.pid, late.pid])


def test_with_a_full_ring_and_a_sender_that_waits(spawn: Spawn, bus: str) -> None:
    """A sender that waits for room sleeps, it does not look again and again; so does a stopped one's peer."""
    controller, earth, moon = spawn.members(bus, "controller", "earth", "moon")
    moon.child.begin(streams.when_interrupted, "fill", 600.0, "earth", 1000)
    assert_idle([controller.pid, earth.pid, moon.pid])
    assert [len(earth.recv().payload) for _ in range(200)] == [1000] * 200, "and wakes up again"
