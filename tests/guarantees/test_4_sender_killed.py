"""Guarantee 4: what `send` has returned for outlives its sender.

The message is in memory that outlives the sender: killing the sender at any later instruction loses nothing
it has sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import proc, roles, streams
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn
    from tests.support.member import Member

ROUNDS = 12


def doomed(spawn: Spawn, bus: str, count: int = ROUNDS) -> list[Member]:
    return spawn.members(bus, *(f"doomed-{number}" for number in range(count)))


def send_and_die(member: Member, to: str, count: int, **options: object) -> list[int]:
    """Let a member send and kill itself right after; what its sends returned."""
    member.child.post(streams.send_and_die, to, 0, count, **options)
    results: list[int] = member.child.wait_event("sent")
    assert member.child.expect_death() == -9
    return results


def test_to_a_receiver_that_waits(spawn: Spawn, bus: str) -> None:
    """Guarantee 4: many senders, each killed right after its sends returned, none of whose messages is
    lost.
    """
    earth = spawn.member(bus, "earth")
    for number, member in enumerate(doomed(spawn, bus)):
        count = 1 + 40 * (number % 3)
        arriving = earth.child.begin(roles.recv_numbers, count)
        assert send_and_die(member, "earth", count) == [1] * count
        assert [found for found, _ in arriving.result()] == list(range(count))
    earth.nothing_comes()


def test_to_a_receiver_that_reads_later(spawn: Spawn, bus: str) -> None:
    """Guarantee 4: the sender is long gone when somebody looks."""
    earth = spawn.member(bus, "earth")
    members = doomed(spawn, bus)
    for member in members:
        assert send_and_die(member, "earth", 50) == [1] * 50
    proc.wait_asleep(earth.pid)
    got = [earth.recv() for _ in range(50 * ROUNDS)]
    earth.nothing_comes()
    for member in members:
        mine = [int.from_bytes(one.payload, "little") for one in got if one.id == member.id]
        assert mine == list(range(50))
        assert {(one.label, one.pid) for one in got if one.id == member.id} == {(member.label, member.pid)}


def test_to_a_receiver_that_is_stopped(spawn: Spawn, bus: str) -> None:
    """Guarantee 4: the receiver has not even taken the channel when its opener dies."""
    controller, earth = spawn.members(bus, "controller", "earth")
    members = doomed(spawn, bus)
    earth.stop()
    for member in members:
        assert send_and_die(member, "earth", 20) == [1] * 20
    until(lambda: not controller.peer_ids() & {member.id for member in members}, "the dead have left")
    earth.resume()
    got = [earth.recv() for _ in range(20 * ROUNDS)]
    assert {one.id for one in got} == {member.id for member in members}
    for member in members:
        mine = [int.from_bytes(one.payload, "little") for one in got if one.id == member.id]
        assert mine == list(range(20))


@pytest.mark.parametrize("size", [15_000, 100_000, 3_000_000])
def test_with_big_payloads(spawn: Spawn, bus: str, size: int) -> None:
    """Guarantee 4: also for payloads that travel in memory of their own."""
    earth = spawn.member(bus, "earth")
    for member in doomed(spawn, bus, 4):
        assert send_and_die(member, "earth", 3, size=size) == [1] * 3
        for number in range(3):
            payload = earth.recv().payload
            assert payload == number.to_bytes(8, "little").ljust(size, b".")


def test_to_many_at_once(spawn: Spawn, bus: str) -> None:
    """Guarantee 4: a multicast reaches everyone it returned for."""
    planets = spawn.members(bus, "planet", "planet", "planet")
    planets[1].stop()
    members = doomed(spawn, bus, 5)
    for member in members:
        assert send_and_die(member, "planet", 10, mode="multicast") == [3] * 10
    planets[1].resume()
    for planet in planets:
        got = [planet.recv() for _ in range(50)]
        for member in members:
            mine = [int.from_bytes(one.payload, "little") for one in got if one.id == member.id]
            assert mine == list(range(10))
        planet.nothing_comes()


@pytest.mark.parametrize("controller", [False, True], ids=["a member", "the controller"])
def test_what_waits_for_a_match(spawn: Spawn, bus: str, controller: bool) -> None:
    """Guarantee 4: a message with a ttl waits on when its sender is killed, even when that was the
    controller.
    """
    first, second = spawn.members(bus, "first", "second")
    sender, other = (first, second) if controller else (second, first)
    assert send_and_die(sender, "late", 20, ttl=60) == [0] * 20
    until(lambda: sender.id not in other.peer_ids(), "the dead has left")
    late = spawn.member(bus, "late")
    got = [late.recv() for _ in range(20)]
    assert [int.from_bytes(one.payload, "little") for one in got] == list(range(20))
    assert {(one.id, one.label, one.pid) for one in got} == {(sender.id, sender.label, sender.pid)}
    late.nothing_comes()


def test_killed_at_any_moment(spawn: Spawn, bus: str) -> None:
    """Guarantee 4: killed in mid-stream, everything it knows to have sent is there, and no more than one
    besides.
    """
    earth = spawn.member(bus, "earth")
    for number, member in enumerate(doomed(spawn, bus)):
        member.child.begin(streams.send_and_tell, "earth")
        arrived = earth.recv_numbers(50 + 37 * number)
        member.kill()
        told = member.child.last_event("sent", -1)
        arrived += earth.recv_numbers(1 << 20, timeout=0.2)
        assert arrived == list(range(len(arrived))), "a clean prefix"
        assert len(arrived) - 1 in {told, told + 1}
