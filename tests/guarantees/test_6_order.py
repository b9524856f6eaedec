"""Guarantee 6: per sender-receiver pair, order is kept, redelivered messages excepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import roles, streams

if TYPE_CHECKING:
    from tests.conftest import Spawn


def test_of_a_long_stream(spawn: Spawn, bus: str) -> None:
    """Guarantee 6: 60,000 messages through a ring that fills and empties all the time."""
    earth, moon = spawn.members(bus, "earth", "moon")
    arriving = earth.child.begin(streams.recv_in_order, 60_000)
    assert moon.child.call(streams.send_in_order, "earth", 60_000, bound=60) == 60_000
    assert arriving.result(60) == 60_000


def test_of_small_and_large_payloads(spawn: Spawn, bus: str) -> None:
    """Guarantee 6: a payload with memory of its own does not overtake one in the ring, nor the other way."""
    earth, moon = spawn.members(bus, "earth", "moon")
    sizes = [8, 200_000, 16, 17_000, 16_000, 900, 16_385, 1_500_000, 8] * 6
    arriving = earth.child.begin(roles.recv_numbers, len(sizes))
    for number, size in enumerate(sizes):
        assert moon.send_numbers("earth", number, 1, size=size) == [1]
    assert [number for number, _ in arriving.result(30)] == list(range(len(sizes)))


def test_of_several_senders_each(spawn: Spawn, bus: str) -> None:
    """Guarantee 6: four senders at once; each one's messages come in its order, and none starves."""
    earth = spawn.member(bus, "earth")
    senders = spawn.members(bus, *["sender"] * 4)
    count = 5000
    arriving = earth.child.begin(streams.recv_by_sender, 4 * count)
    sending = [member.child.begin(streams.send_in_order, "earth", count) for member in senders]
    for pending in sending:
        assert pending.result(60) == count
    orders, first_seen, _ = arriving.result(60)
    assert orders == {member.id: count for member in senders}
    assert len(first_seen) == 4


def test_of_unicast_and_multicast_together(spawn: Spawn, bus: str) -> None:
    """Guarantee 6: whatever way a message was addressed."""
    earth, _, moon = spawn.members(bus, "earth", "mars", "moon")
    for first in range(0, 200, 20):
        assert moon.send_numbers("earth", first, 10) == [1] * 10
        assert moon.send_numbers("earth | mars", first + 10, 10, mode="multicast") == [2] * 10
    assert earth.recv_numbers(200) == list(range(200))


def test_of_what_waited_and_what_came_after(spawn: Spawn, bus: str) -> None:
    """Guarantee 6: a message that waited for its receiver is not overtaken by a later one of the same
    sender.
    """
    moon = spawn.member(bus, "moon")
    child = spawn.child("late")
    late = "late"
    for round_number in range(5):
        label = f"{late}-{round_number}"
        assert moon.send_numbers(label, 0, 200, ttl=60) == [0] * 200
        child.call(roles.join, bus, (label,), name=label)
        sent = moon.send_numbers(label, 200, 200, ttl=60)
        got = [number for number, _ in child.call(roles.recv_numbers, 400, name=label)]
        assert got == list(range(400))
        assert set(sent) <= {0, 1}


def test_with_drops_in_between(spawn: Spawn, bus: str) -> None:
    """Guarantee 6: what is not dropped keeps its order, and every return value tells the truth."""
    earth, moon = spawn.members(bus, "earth", "moon")
    reading = earth.child.begin(roles.recv_numbers, 1 << 20, 1.0)
    reached = moon.send_numbers("earth", 0, 20_000, size=400, overflow="drop")
    got = [number for number, _ in reading.result(60)]
    assert got == [number for number, count in enumerate(reached) if count]
    assert moon.stats()["dropped"] == reached.count(0)


def test_of_redelivered_messages_only_the_mark_excuses_disorder(spawn: Spawn, bus: str) -> None:
    """Guarantee 6: messages without the mark are in order even while redelivered ones come in between."""
    moon, first = spawn.members(bus, "moon", "worker")
    first.stop()
    assert moon.send_numbers("worker", 0, 100) == [1] * 100
    second = spawn.member(bus, "worker")
    arriving = second.child.begin(roles.recv_numbers, 1100, 2.0)
    sending = moon.child.begin(roles.send_numbers, "worker", 1000, 1000)
    first.kill()
    assert sending.result(30) == [1] * 1000
    got = arriving.result(30)
    fresh = [number for number, marked in got if not marked]
    assert fresh == sorted(fresh)
    assert sorted(number for number, _ in got) == [*range(100), *range(1000, 2000)]
