"""Who leaves while messages of its wait leaves them to the controller, or, if that ends just then, to the next one.

What is left to nobody is counted by the one who left, and told once.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.support import incidents, leaving, roles
from tests.support.member import Member
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn
    from tests.support.child import Child

#: Messages that wait at each of those who leave.
EACH = 5


@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "dies"])
def test_what_waits_is_handed_on_while_the_controller_changes(
    spawn: Spawn, bus: str, *, leaves: bool
) -> None:
    """A leave that the controller did not live to hear of is said to the next one. (It was sent into a connection that
    had ended, whole members' messages were gone, and nobody counted them: nine runs of twelve.)
    """
    for turn in range(3):
        name = f"{bus}.{turn}"
        controller = spawn.member(name, "controller")
        keeper = spawn.member(name, "keeper")
        leavers = [spawn.member(name, f"leaver-{number}", affinity=False) for number in range(6)]
        for number, leaver in enumerate(leavers):
            first = number * EACH
            assert leaver.send_numbers("late", first, EACH, ttl=60) == [0] * EACH
        ends = [leaver.child.begin(roles.leave) for leaver in leavers[:3]]
        if leaves:
            ends.append(controller.child.begin(roles.leave))
        else:
            controller.kill()
        ends += [leaver.child.begin(roles.leave) for leaver in leavers[3:]]
        for end in ends:
            end.result(10.0)
        late = spawn.member(name, "late", affinity=False)
        assert sorted(late.recv_numbers(len(leavers) * EACH)) == list(range(len(leavers) * EACH))
        assert keeper.stats()["dropped"] == 0


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_event_loop_is_not_held_up(spawn: Spawn, bus: str, backend: str) -> None:
    """The controller stands still and does not take over what waits. `close` of `ipmb.aio` returns nevertheless, and no
    other task waits for it. (It held the whole loop for a second.)
    """
    controller = spawn.member(bus, "controller")
    leaver = spawn.child("leaver")
    assert leaver.call(leaving.join_and_send, bus, "late", 7, backend) == 0
    controller.stop()
    assert leaver.call(leaving.close, backend) < 0.8
    controller.resume()
    late = spawn.member(bus, "late", affinity=False)
    assert late.recv().payload == 7


def test_the_end_of_the_process_waits_for_it(spawn: Spawn, bus: str) -> None:
    """Closed in a loop, the program ends only when the next controller has what waits. The first one is killed."""
    controller = spawn.member(bus, "controller")
    keeper = spawn.member(bus, "keeper")
    leaver = spawn.child("leaver")
    assert leaver.call(leaving.join_and_send, bus, "late", 7, "asyncio") == 0
    controller.stop()
    leaver.call(leaving.close, "asyncio")
    killing = threading.Timer(0.1, controller.kill)
    killing.start()
    spawn.forget(leaver)
    killing.join()
    late = spawn.member(bus, "late", affinity=False)
    assert late.recv().payload == 7
    assert keeper.stats()["dropped"] == 0


def test_a_collected_endpoint_holds_up_nobody(spawn: Spawn, bus: str) -> None:
    """An endpoint that nobody has closed goes with its last reference, in a collection: nothing waits there. (The whole
    process stood still for a second.)
    """
    controller = spawn.member(bus, "controller")
    leaver = spawn.member(bus, "leaver", affinity=False)
    assert leaver.send("late", 7, ttl=60) == 0
    controller.stop()
    assert leaver.child.call(leaving.let_go) < 0.8
    controller.resume()
    late = spawn.member(bus, "late", affinity=False)
    assert late.recv().payload == 7


def closed_and_counted(child: Child, dropped: int, name: str = roles.MAIN) -> None:
    """It has left: nothing waits there, so much was dropped, and if any, that was told once, with what to do."""
    stats = child.call(roles.stats, name)
    assert (stats["waiting"], stats["dropped"]) == (0, dropped)
    assert stats["dropped_by_reason"]["closed"] == dropped
    if dropped:
        told = until(lambda: child.call(incidents.told), "it is told")
        (line,) = [line for line in told if line[0] == "WARNING"]
        assert "close it later" in line[1]
        assert "dropped_by_reason['closed']" in line[1]


def listening(spawn: Spawn, bus: str, label: str, *, affinity: bool = True) -> Member:
    """A member that keeps what it is told, with two messages that wait for "late"."""
    child = spawn.child(label)
    child.call(incidents.listen)
    member = Member.join(child, bus, label, affinity=affinity)
    assert member.send_numbers("late", 0, 2, ttl=60) == [0, 0]
    return member


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "beside one that may not follow"])
def test_what_is_left_to_nobody_is_counted(spawn: Spawn, bus: str, *, alone: bool) -> None:
    """A controller leaves, and nobody can follow. (What waited was gone, no counter had risen, `waiting` stayed.)"""
    only = listening(spawn, bus, "only")
    if not alone:
        spawn.member(bus, "other", affinity=False)
    assert only.child.call(incidents.close) < 0.8
    closed_and_counted(only.child, 2)
    spawn.member(bus, "late").nothing_comes()


@pytest.mark.parametrize("office", [True, False], ids=["controller", "member"])
def test_what_is_handed_on_is_not_counted(spawn: Spawn, bus: str, *, office: bool) -> None:
    first = listening(spawn, bus, "first")
    second = listening(spawn, bus, "second")
    leaver, stays = (first, second) if office else (second, first)
    leaver.child.call(incidents.close)
    closed_and_counted(leaver.child, 0)
    late = spawn.member(bus, "late", affinity=False)
    assert sorted(late.recv_numbers(4)) == [0, 0, 1, 1]
    assert stays.stats()["dropped"] == 0


@pytest.mark.parametrize("office", [True, False], ids=["controller", "member"])
@pytest.mark.parametrize("goes_on", [True, False], ids=["goes on", "is killed"])
def test_what_one_who_stands_still_is_to_take_over(
    spawn: Spawn, bus: str, *, office: bool, goes_on: bool
) -> None:
    """The controller, or the only one who could follow it, is stopped: after a second what waits is counted as dropped.
    If it goes on later, it delivers it nevertheless. (Nobody had counted it when it was killed.)
    """
    if office:
        leaver = listening(spawn, bus, "leaver")
        other = spawn.member(bus, "other")
    else:
        other = spawn.member(bus, "other")
        leaver = listening(spawn, bus, "leaver", affinity=False)
    spawn.member(bus, "keeper", affinity=False)
    other.stop()
    assert 0.9 < leaver.child.call(incidents.close) < 3
    closed_and_counted(leaver.child, 2)
    if goes_on:
        other.resume()
        until(other.is_controller, "it goes on")
    else:
        other.kill()
    late = spawn.member(bus, "late")
    assert late.recv_numbers(2, timeout=5.0 if goes_on else 0.5) == ([0, 1] if goes_on else [])


def test_an_event_loop_is_told_too(spawn: Spawn, bus: str) -> None:
    """`close` has returned, and a second later it is decided."""
    controller = spawn.member(bus, "controller")
    leaver = spawn.child("leaver")
    leaver.call(incidents.listen)
    assert leaver.call(leaving.join_and_send, bus, "late", 7, "asyncio") == 0
    controller.stop()
    leaver.call(leaving.close, "asyncio")
    until(lambda: leaver.call(roles.stats, leaving.CLOSED)["waiting"] == 0, "it is decided")
    closed_and_counted(leaver, 1, leaving.CLOSED)
    controller.resume()


def test_two_of_one_process_leave_one_after_the_other(spawn: Spawn, bus: str) -> None:
    """What the first leaves waits at the second, which counts it when it leaves, too."""
    child = spawn.child("two")
    child.call(incidents.listen)
    for name in ("first", "second"):
        child.call(roles.join, bus, (name,), name=name)
    assert child.call(roles.send_numbers, "late", 0, 2, name="first", ttl=60) == [0, 0]
    assert child.call(incidents.close, "first") < 0.8
    assert child.call(incidents.close, "second") < 0.8
    closed_and_counted(child, 0, "first")
    closed_and_counted(child, 2, "second")


def test_all_of_a_process_leave_at_once(spawn: Spawn, bus: str) -> None:
    """Nobody is left who could follow, and the end of the process does not wait a second for one."""
    seconds, said = spawn.child("ends").call(leaving.end_at_once, bus)
    assert seconds < 0.8
    assert said.count("close it later") == 1
