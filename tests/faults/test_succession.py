"""Who follows a controller when a member has missed one: what is old in its hands is not used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import roles
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
