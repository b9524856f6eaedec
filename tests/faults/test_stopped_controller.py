"""A controller that stood still and goes on learns what its members want, however much they said meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import proc, roles, standing

if TYPE_CHECKING:
    from tests.conftest import Spawn
    from tests.support.member import Member

#: The last word that the queue has room for is "no more" or "again", by the number of those before it: one case each.
EITHER = pytest.mark.parametrize("before", [0, 1], ids=["even", "odd"])

#: Much longer than it takes, and shorter than the watch waits: at its timeout that looks at the directory by itself.
PROMPT = 8.0


def with_a_full_queue(spawn: Spawn, bus: str, before: int) -> tuple[Member, Member]:
    """A controller that stands still, and a member whose queue to it is full; it wants nothing of it at the moment."""
    controller = spawn.member(bus, "controller")
    member = spawn.member(bus, "member", affinity=False)
    controller.stop()
    for _ in range(before):
        member.child.call(roles.close_half, "receiver")
    assert member.child.call(standing.change_its_mind, bound=60) == standing.TIMES
    return controller, member


@EITHER
def test_who_watches_hears_of_newcomers(spawn: Spawn, bus: str, before: int) -> None:
    """That it watches is the last thing it says, and finds no room. (It never heard of anybody any more.)"""
    controller, member = with_a_full_queue(spawn, bus, before)
    member.child.call(standing.begin_to_watch)
    hears = member.child.begin(standing.next_event)
    proc.wait_asleep(member.pid)
    controller.resume()
    late = spawn.member(bus, "late", affinity=False)
    assert hears.result(PROMPT) == ("joined", ("late",))
    hears = member.child.begin(standing.next_event)
    proc.wait_asleep(member.pid)
    late.leave()
    assert hears.result(PROMPT) == ("left", ("late",))


@EITHER
def test_what_waits_reaches_a_newcomer(spawn: Spawn, bus: str, before: int) -> None:
    """The same of one whose message waits for somebody. (It waited on beside its receiver.)"""
    controller, member = with_a_full_queue(spawn, bus, before)
    assert member.send("late", 7, ttl=60) == 0
    controller.resume()
    late = spawn.member(bus, "late", affinity=False)
    assert late.recv().payload == 7
