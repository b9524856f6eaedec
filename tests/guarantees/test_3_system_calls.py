"""Guarantee 3: a message costs no system call when its receiver is awake, and one when it sleeps.

Counted by the kernel, through ptrace, in the thread that sends or receives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import counted, proc
from tests.support.syscalls import Tracer

if TYPE_CHECKING:
    from tests.conftest import Spawn


def test_no_call_to_send_to_a_receiver_that_is_awake(spawn: Spawn, bus: str) -> None:
    """Guarantee 3: 100 sends to a receiver that is looking, without a single system call."""
    earth, moon = spawn.members(bus, "earth", "moon")
    looking = earth.child.begin(counted.look_until_called)
    burst = ("earth", 5, 100, 16, 5)
    moon.child.call(counted.marked_sends, *burst)  # opens the channel and warms the allocator
    found = Tracer(moon.pid).count(lambda: moon.child.post(counted.marked_sends, *burst), pairs=5)
    earth.child.post(counted.nothing)
    assert looking.result() == 2 * 5 * 105
    assert sorted(len(one) for one in found)[2] == 0, [str(one) for one in found]
    assert sum(len(one) for one in found) <= 2, [str(one) for one in found]


def test_no_call_to_receive_what_is_there(spawn: Spawn, bus: str) -> None:
    """Guarantee 3: a receiver that is awake takes a hundred messages from memory alone.

    All it does besides is to look now and then, once in 32 messages or less, whether others have rung
    meanwhile.
    """
    earth, moon = spawn.members(bus, "earth", "moon")
    moon.send_numbers("earth", 0, 1)
    earth.recv()
    for _ in range(2):
        assert moon.send_numbers("earth", 0, 101) == [1] * 101
        found = Tracer(earth.pid).count(lambda: earth.child.post(counted.marked_receive, 100))
        assert len(found[0]) <= 1 + 100 // 32, str(found[0])
        earth.child.call(counted.nothing)


def test_one_call_to_send_to_a_receiver_that_sleeps(spawn: Spawn, bus: str) -> None:
    """Guarantee 3: each of ten messages finds its receiver asleep and rings its doorbell once."""
    earth, moon = spawn.members(bus, "earth", "moon")
    for _ in range(3):
        waiting = earth.begin_recv()
        moon.send("earth", 0)
        waiting.result()
    costs = []
    for _ in range(10):
        waiting = earth.begin_recv()
        proc.wait_asleep(earth.pid)
        costs += Tracer(moon.pid).count(lambda: moon.child.post(counted.marked_sends, "earth", 1, 1))
        waiting.result()
        moon.child.call(counted.nothing)
    assert [len(one) for one in costs] == [1] * 10, [str(one) for one in costs]


def test_no_call_between_waking_up_and_the_message(spawn: Spawn, bus: str) -> None:
    """Guarantee 3: the last call of one who waits is its sleep; the doorbell is read off the socket later."""
    earth, moon = spawn.members(bus, "earth", "moon")
    for _ in range(3):
        waiting = earth.begin_recv()
        moon.send("earth", 0)
        waiting.result()
    for _ in range(5):
        sending = moon.child.begin(counted.send_when_asleep, "earth", earth.pid)
        found = Tracer(earth.pid).count(lambda: earth.child.post(counted.marked_wait))
        sending.result()
        earth.child.call(counted.nothing)
        assert found[0].numbers[-1] == counted.SLEEP, str(found[0])


def test_one_call_wakes_for_many(spawn: Spawn, bus: str) -> None:
    """Guarantee 3: the doorbell is rung once a sleep: 100 messages to one that sleeps on cost one system
    call.
    """
    earth, moon = spawn.members(bus, "earth", "moon")
    for _ in range(2):  # the second time, the channel is complete in both directions
        moon.child.call(counted.marked_sends, "earth", 1, 10)
        earth.recv_all(0.05)
    waiting = earth.begin_recv()
    proc.wait_asleep(earth.pid)
    earth.stop()  # it cannot wake up and fall asleep again in between
    found = Tracer(moon.pid).count(lambda: moon.child.post(counted.marked_sends, "earth", 1, 100))
    earth.resume()
    waiting.result()
    assert len(found[0]) == 1, str(found[0])
    moon.child.call(counted.nothing)


def test_large_payloads_cost_a_handful(spawn: Spawn, bus: str) -> None:
    """Guarantee 3 is about messages in the ring; a payload with memory of its own needs calls to make it."""
    earth, moon = spawn.members(bus, "earth", "moon")
    looking = earth.child.begin(counted.look_until_called)
    moon.child.call(counted.marked_sends, "earth", 3, 1, 1 << 20)
    found = Tracer(moon.pid).count(
        lambda: moon.child.post(counted.marked_sends, "earth", 3, 1, 1 << 20), pairs=3
    )
    earth.child.post(counted.nothing)
    assert looking.result() == 6
    assert max(len(one) for one in found) <= 40, [str(one) for one in found]
