"""A process of the same user that has no token, and looks at members through `/proc`.

The kernel lets a process open what another of its user has open (`PTRACE_MODE_READ`), so the token keeps it out of the
bus, not out of memory files. What it can do by that is shown here, and what keeps it out: members that are not
dumpable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import objects, proc, prying, regions, roles
from tests.support.member import Member
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn
    from tests.support.child import Child

TOKEN, SECRET = "of the members", b"for members only"

#: A payload that travels in a region.
LARGE = b"large " + SECRET + bytes(100_000)


def plain_members(spawn: Spawn, bus: str, *labels: str, hidden: bool = False) -> list[Member]:
    """Members that have no privileges, as the one who pries has none."""
    children = [spawn.plain_child(label) for label in labels]
    for child in children if hidden else ():
        child.call(prying.hide)
    return [
        Member.join(child, bus, label, token=TOKEN) for child, label in zip(children, labels, strict=True)
    ]


def pry(spawn: Spawn, bus: str) -> Child:
    """One that is refused by the bus; the test ends where the system keeps it from looking at others, too."""
    liar, other = spawn.plain_child("liar"), spawn.plain_child("other")
    liar.post(roles.join, bus, ("liar",)).fails("TokenMismatch")
    other.call(objects.numbered, 7)
    if not liar.call(prying.can_read, other.pid, "number-7", b"7"):
        pytest.skip("this system keeps processes of one user from each other")
    return liar


def talk(spawn: Spawn, bus: str, *, hidden: bool) -> tuple[Member, Member]:
    """A pair with a message that waits, a small and a large one that are unread, and a region that both hold."""
    earth, moon = plain_members(spawn, bus, "earth", "moon", hidden=hidden)
    assert moon.send("nobody", b"waits " + SECRET, ttl=600) == 0
    assert moon.child.call(regions.send_new, "earth", 4096, 7) == 1
    assert earth.child.call(regions.recv)[1] == 7
    assert moon.send("earth", b"small " + SECRET) == 1
    assert moon.send("earth", LARGE) == 1
    return earth, moon


def test_it_reads_what_waits_and_what_is_under_way_and_writes_into_regions(spawn: Spawn, bus: str) -> None:
    earth, moon = talk(spawn, bus, hidden=False)
    liar = pry(spawn, bus)
    assert liar.call(prying.can_read, moon.pid, "ipmb-parking", b"waits " + SECRET)
    assert liar.call(prying.can_read, moon.pid, "ipmb-payload", b"large " + SECRET)
    assert liar.call(prying.overwrite, earth.pid, "ipmb-region", regions.stamp(8, 4096)) > 0
    assert earth.child.call(regions.number) == 8, "whoever holds a region that is not frozen sees it change"
    moon.child.call(prying.make_queue, b"queued " + SECRET)
    assert liar.call(prying.can_read, moon.pid, "ipmb-queue", b"queued " + SECRET)
    assert liar.call(prying.overwrite, moon.pid, "ipmb-queue", b"\xff" * 64) > 0
    for member in (earth, moon):
        for kind in ("ipmb-parking", "ipmb-payload", "ipmb-directory"):
            assert liar.call(prying.overwrite, member.pid, kind, b"\xff" * 64) == 0, "sealed"
        for kind in ("ipmb-ring", "ipmb-tail"):
            assert not liar.call(prying.can_read, member.pid, kind, b""), "mapped, and nowhere open"
    assert earth.recv().payload == b"small " + SECRET
    assert earth.recv().payload == LARGE


def test_it_keeps_the_bus_without_a_controller(spawn: Spawn, bus: str) -> None:
    """Who waits for the lock may have it when the controller dies, before a member tries: here they stand still at that
    moment. It has nothing to rule with.
    """
    controller, earth, moon = plain_members(spawn, bus, "controller", "earth", "moon")
    liar = pry(spawn, bus)
    taking = liar.begin(prying.wait_for_lock, earth.pid)
    liar.wait_event("waiting")
    proc.wait_asleep(liar.pid)
    assert moon.send("earth", b"before") == 1
    for member in (earth, moon):
        member.stop()
    controller.kill()
    assert taking.result()
    for member in (earth, moon):
        member.resume()
    spawn.plain_child().post(roles.join, bus, (), token=TOKEN, timeout=0.7).fails("JoinTimeout")
    assert [moon.send("earth", number) for number in range(100)] == [1] * 100, "those who talk go on talking"
    assert earth.recv_all() == [b"before", *range(100)]
    liar.kill()
    (late,) = plain_members(spawn, bus, "late")
    until(lambda: len(late.peers()) == 2, "the bus has a controller again")


def test_members_that_are_not_dumpable_cannot_be_pried_into(spawn: Spawn, bus: str) -> None:
    earth, moon = talk(spawn, bus, hidden=True)
    liar = pry(spawn, bus)
    for member in (earth, moon):
        for kind in ("ipmb-parking", "ipmb-payload", "ipmb-region"):
            assert not liar.call(prying.can_read, member.pid, kind, b"")
            assert liar.call(prying.overwrite, member.pid, kind, b"\xff" * 64) == 0
        assert not liar.call(prying.wait_for_lock, member.pid)
    assert earth.child.call(regions.number) == 7
    assert earth.recv().payload == b"small " + SECRET
    assert earth.recv().payload == LARGE, "they lose nothing by it"
