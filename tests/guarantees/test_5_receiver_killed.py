"""Guarantee 5: what a dead receiver had not read is not lost.

When a receiver dies while the sender lives, its unread unicast messages are still in the sender's own memory:
they go to another match (marked redelivered), or wait out their ttl, or are counted as dropped. Never
silently lost, never delivered twice to living endpoints. Requests are not redelivered: the asker gets
`PeerLost`.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest

from tests.support import proc, roles
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn

COUNT = 20


def test_unread_messages_go_to_another_match(spawn: Spawn, bus: str) -> None:
    """Guarantee 5: all of them, once, marked, without the sender doing anything more."""
    moon, first = spawn.members(bus, "moon", "worker")
    first.stop()
    assert moon.send_numbers("worker", 0, COUNT) == [1] * COUNT
    second = spawn.member(bus, "worker")
    first.kill()
    got = second.recv_marked(COUNT)
    assert sorted(got) == [(number, True) for number in range(COUNT)]
    second.nothing_comes()
    stats = moon.stats()
    assert (stats["redelivered"], stats["dropped"], stats["waiting"]) == (COUNT, 0, 0)


def test_what_was_read_is_not_delivered_again(spawn: Spawn, bus: str) -> None:
    """Guarantee 5: the receiver has read 7 of 20; the other match gets 13."""
    moon, first = spawn.members(bus, "moon", "worker")
    assert moon.send_numbers("worker", 0, COUNT) == [1] * COUNT
    assert first.recv_numbers(7) == list(range(7))
    first.stop()
    second = spawn.member(bus, "worker")
    first.kill()
    assert sorted(second.recv_marked(COUNT, timeout=0.5)) == [(number, True) for number in range(7, COUNT)]


def test_without_another_match_they_are_counted_as_dropped(spawn: Spawn, bus: str) -> None:
    """Guarantee 5: no ttl and nobody else: the sender can see how many were given up, and why."""
    moon, worker = spawn.members(bus, "moon", "worker")
    worker.stop()
    assert moon.send_numbers("worker", 0, COUNT) == [1] * COUNT
    worker.kill()
    until(lambda: moon.stats()["dropped"] == COUNT, "the drops are counted")
    stats = moon.stats()
    assert sum(stats["dropped_by_reason"].values()) == COUNT
    assert stats["dropped_by_reason"]["receiver_gone"] == COUNT
    assert (stats["redelivered"], stats["waiting"]) == (0, 0)


def test_with_a_ttl_they_wait_for_the_next_match(spawn: Spawn, bus: str) -> None:
    """Guarantee 5: with a ttl they wait, and the next who matches gets them all."""
    moon, first = spawn.members(bus, "moon", "worker")
    first.stop()
    assert moon.send_numbers("worker", 0, COUNT, ttl=60) == [1] * COUNT
    first.kill()
    until(lambda: moon.stats()["waiting"] == COUNT, "they wait")
    second = spawn.member(bus, "worker")
    assert sorted(second.recv_marked(COUNT)) == [(number, True) for number in range(COUNT)]
    second.nothing_comes()
    stats = moon.stats()
    assert (stats["dropped"], stats["waiting"], stats["expired"]) == (0, 0, 0)


def test_they_wait_no_longer_than_their_ttl(spawn: Spawn, bus: str) -> None:
    """Guarantee 5: the ttl ends for redelivered messages as for others."""
    moon, first = spawn.members(bus, "moon", "worker")
    first.stop()
    assert moon.send_numbers("worker", 0, COUNT, ttl=1) == [1] * COUNT
    first.kill()
    until(lambda: moon.stats()["expired"] == COUNT, "the ttl has ended")
    assert moon.stats()["waiting"] == 0
    spawn.member(bus, "worker").nothing_comes(0.2)


def test_the_second_receiver_dies_too(spawn: Spawn, bus: str) -> None:
    """Guarantee 5: redelivered messages are as safe as new ones."""
    moon, first = spawn.members(bus, "moon", "worker")
    first.stop()
    assert moon.send_numbers("worker", 0, COUNT) == [1] * COUNT
    second = spawn.member(bus, "worker")
    second.stop()
    first.kill()
    until(lambda: moon.stats()["redelivered"] == COUNT, "the second receiver has them")
    third = spawn.member(bus, "worker")
    second.kill()
    assert sorted(third.recv_marked(COUNT)) == [(number, True) for number in range(COUNT)]
    third.nothing_comes()
    stats = moon.stats()
    assert (stats["dropped"], stats["waiting"]) == (0, 0)


@pytest.mark.parametrize("size", [10_000, 400_000])
def test_big_payloads_survive_their_receiver(spawn: Spawn, bus: str, size: int) -> None:
    """Guarantee 5: with their content."""
    moon, first = spawn.members(bus, "moon", "worker")
    first.stop()
    for seed in range(3):
        assert moon.child.call(roles.send_pattern, "worker", seed, size) == 1
    second = spawn.member(bus, "worker")
    first.kill()
    got = [second.child.call(roles.recv_sum) for _ in range(3)]
    assert sorted(got) == sorted((size, zlib.crc32(roles.pattern(seed, size))) for seed in range(3))


def test_a_multicast_is_not_delivered_twice(spawn: Spawn, bus: str) -> None:
    """Guarantee 5: the living have their copy already; the dead one's goes to nobody."""
    moon, one, two = spawn.members(bus, "moon", "planet", "planet")
    two.stop()
    assert moon.send_numbers("planet", 0, COUNT, mode="multicast") == [2] * COUNT
    two.kill()
    assert one.recv_marked(COUNT) == [(number, False) for number in range(COUNT)]
    one.nothing_comes(0.3)


def test_a_sender_that_waits_for_room_routes_anew(spawn: Spawn, bus: str) -> None:
    """Guarantee 5: a send that was waiting when the receiver died goes to another match."""
    moon, first = spawn.members(bus, "moon", "worker")
    first.stop()
    sent, error = moon.child.call(roles.send_until_error, "worker", 1000, overflow="error")
    assert error == "Full"
    last = moon.child.begin(roles.send_numbers, "worker", sent, 1, size=1000, timeout=20.0)
    proc.wait_asleep(moon.pid)
    second = spawn.member(bus, "worker")
    arriving = second.child.begin(roles.recv_numbers, sent + 1)
    first.kill()
    assert last.result() == [1]
    assert sorted(number for number, _ in arriving.result()) == list(range(sent + 1))


def test_a_clean_leave_loses_nothing_either(spawn: Spawn, bus: str) -> None:
    """Guarantee 5: a receiver that closes with unread messages hands them on as a dead one does."""
    moon, first = spawn.members(bus, "moon", "worker")
    assert moon.send_numbers("worker", 0, COUNT) == [1] * COUNT
    second = spawn.member(bus, "worker")
    first.leave()
    assert sorted(second.recv_marked(COUNT)) == [(number, True) for number in range(COUNT)]
    second.nothing_comes()


def test_requests_are_not_redelivered(spawn: Spawn, bus: str) -> None:
    """Guarantee 5: the asker is told that the one asked has died; nobody else is asked."""
    moon, first = spawn.members(bus, "moon", "worker")
    first.stop()
    asking = moon.child.begin(roles.request, "worker", b"question", 20.0)
    proc.wait_asleep(moon.pid)
    second = spawn.member(bus, "worker")
    first.kill()
    asking.fails("PeerLost")
    second.nothing_comes(0.3)
