"""Ctrl-C interrupts whatever waits, soon, and nothing is lost by it; other signals disturb nothing."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

from tests.support import proc, roles, streams

if TYPE_CHECKING:
    from tests.conftest import Spawn
    from tests.support.child import Pending
    from tests.support.member import Member

#: The bus promises 50 ms; the rest is what a loaded machine may take to let both processes run.
SOON = 0.05 + 0.1


def interrupt(member: Member, pending: Pending[Any]) -> float:
    """Send Ctrl-C to a call that waits; after how many seconds it had raised."""
    proc.wait_asleep(member.pid)
    begin = time.monotonic()
    member.child.signal(signal.SIGINT)
    ended = pending.result()
    assert isinstance(ended, float), "the call ended without KeyboardInterrupt"
    return ended - begin


def test_a_recv(spawn: Spawn, bus: str) -> None:
    earth, moon = spawn.members(bus, "earth", "moon")
    for number in range(5):
        for timeout in (None, 60.0):
            took = interrupt(earth, earth.child.begin(streams.when_interrupted, "recv", timeout))
            assert took < SOON
        assert moon.send("earth", number) == 1
        assert earth.recv().payload == number, "nothing is lost by the interruption"


def test_a_send_that_waits_for_room(spawn: Spawn, bus: str) -> None:
    earth, moon = spawn.members(bus, "earth", "moon")
    sent, error = moon.child.call(roles.send_until_error, "earth", 1000, overflow="error")
    assert error == "Full"
    for timeout in (None, 60.0):
        took = interrupt(moon, moon.child.begin(streams.when_interrupted, "send", timeout, "earth", 1000))
        assert took < SOON
    assert earth.recv_numbers(sent) == list(range(sent))
    earth.nothing_comes()
    assert moon.send("earth", b"after") == 1
    assert earth.recv().payload == b"after"


def test_a_join(spawn: Spawn, bus: str) -> None:
    controller, other = spawn.members(bus, "controller", "other")
    controller.stop()
    took = interrupt(other, other.child.begin(streams.when_interrupted, "join", None, bus))
    assert took < SOON
    controller.resume()
    assert spawn.member(bus, "late").peer_ids() == {controller.id, other.id}


def test_a_handled_signal_does_not_end_a_wait(spawn: Spawn, bus: str) -> None:
    """A handler runs while `recv` waits, and `recv` waits on (PEP 475)."""
    earth, moon = spawn.members(bus, "earth", "moon")
    earth.child.call(streams.count_signals, int(signal.SIGUSR1))
    waiting = earth.begin_recv(20.0)
    for number in range(1, 4):
        proc.wait_asleep(earth.pid)
        earth.child.signal(signal.SIGUSR1)
        assert earth.child.wait_event("signal") == number
    assert not waiting.ready()
    assert moon.send("earth", b"x") == 1
    assert waiting.result()[0] == b"x"


def test_timeouts_are_kept(spawn: Spawn, bus: str) -> None:
    """A wait ends at its timeout, not before and not long after; 0 polls."""
    earth = spawn.member(bus, "earth")
    for timeout in (0, 0.001, 0.05, 0.4):
        took = earth.child.call(streams.time_recv, timeout)
        assert timeout <= took < timeout + 0.2


def test_the_interpreter_is_free_while_something_waits(spawn: Spawn, bus: str) -> None:
    """Another thread of the same process runs at full speed while `recv` or `send` waits."""
    _, moon = spawn.members(bus, "earth", "moon")
    alone = moon.child.call(streams.count_alone, 0.5)
    assert moon.child.call(streams.recv_while_counting, 0.5) > alone / 5
    moon.child.call(roles.send_until_error, "earth", 1000, overflow="error")
    assert moon.child.call(streams.send_while_counting, "earth", 1000, 0.5) > alone / 5


def test_a_close_wakes_a_waiting_recv(spawn: Spawn, bus: str) -> None:
    """Closing in one thread ends the `recv` of another with `Closed`, and iteration ends."""
    spawn.member(bus, "earth")
    for what in ("receiver", "endpoint"):
        moon = spawn.member(bus, "moon")
        assert moon.child.call(streams.close_under_recv, what) == "Closed"
    moon = spawn.member(bus, "moon")
    assert moon.child.call(streams.close_under_iteration) == "ended"
