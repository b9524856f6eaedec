"""Guarantee 7: once `join` has returned, every later `send` by anyone on the bus sees the new endpoint.

(The epoch is committed before the joiner is told. A sender that has not yet noticed a takeover is excepted
until it has registered again.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import roles
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn

ROUNDS = 100


def test_the_next_unicast_finds_it(spawn: Spawn, bus: str) -> None:
    """Guarantee 7: joined in one process, found by the very next send of another, a hundred times."""
    moon = spawn.member(bus, "moon")
    joiner = spawn.child("joiner")
    for number in range(ROUNDS):
        label = f"new-{number}"
        assert moon.send(label, b"too early") == 0
        joiner.call(roles.join, bus, (label,), name=label)
        assert moon.send(label, b"hello") == 1
        assert joiner.call(roles.recv, name=label)[0] == b"hello"
        if number % 20 == 19:  # a plain user has descriptors for some dozens of endpoints in one process
            for gone in range(number - 19, number + 1):
                joiner.call(roles.leave, f"new-{gone}")


def test_every_sender_finds_it(spawn: Spawn, bus: str) -> None:
    """Guarantee 7: not only the controller's process, and not only by a name never asked for before."""
    members = spawn.members(bus, "one", "two", "three")
    joiner = spawn.child("joiner")
    for number in range(1, 26):
        joiner.call(roles.join, bus, ("planet",), name=str(number))
        for member in members:
            assert member.send("planet", number, mode="multicast") == number


def test_a_stopped_controller_hides_nobody_who_has_joined(spawn: Spawn, bus: str) -> None:
    """Guarantee 7: what was told is committed; senders need nobody's help to see it."""
    controller, moon = spawn.members(bus, "controller", "moon")
    joiner = spawn.child("joiner")
    for number in range(10):
        label = f"new-{number}"
        joiner.call(roles.join, bus, (label,), name=label)
        controller.stop()
        assert moon.send(label, b"hello") == 1
        assert joiner.call(roles.recv, name=label)[0] == b"hello"
        controller.resume()


def test_after_a_takeover(spawn: Spawn, bus: str) -> None:
    """Guarantee 7: a sender that has registered with the new controller sees whoever joins from then on."""
    first, second, moon = spawn.members(bus, "first", "second", "moon")
    first.kill()
    late = spawn.member(bus, "late")
    moon.child.call(roles.wait_until_listed, late.id)
    joiner = spawn.child("joiner")
    for number in range(20):
        label = f"new-{number}"
        joiner.call(roles.join, bus, (label,), name=label)
        for sender in (second, moon, late):
            assert sender.send(label, number) == 1
        assert [joiner.call(roles.recv, name=label)[0] for _ in range(3)] == [number] * 3


def test_a_closed_receiver_is_no_match(spawn: Spawn, bus: str) -> None:
    """The other way round: who cannot receive any more is not counted on."""
    moon, earth = spawn.members(bus, "moon", "earth")
    assert moon.send("earth", b"x") == 1
    earth.child.call(roles.close_half, "receiver")
    until(lambda: moon.send("earth", b"x") == 0, "everybody knows")
    assert earth.send("moon", b"still sending") == 1
    assert moon.recv().payload == b"still sending"
