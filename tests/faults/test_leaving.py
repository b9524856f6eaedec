"""Who leaves while messages of its wait leaves them to the controller, or, if that ends just then, to the next one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.support import leaving, roles

if TYPE_CHECKING:
    from tests.conftest import Spawn

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
