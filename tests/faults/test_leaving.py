"""Who leaves while messages of its wait, at the moment at which the controller ends, leaves them to the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import roles

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
