"""A quarter of the receivers stands still: the others are as quick as before, memory stays bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import proc, roles, streams

if TYPE_CHECKING:
    from tests.conftest import Spawn

SECONDS = 3.0

#: What one full ring, its bookkeeping and the allocator may take in a sender.
RING_KIB = 1024


def p99(times: list[float]) -> float:
    return sorted(times)[len(times) * 99 // 100]


@pytest.mark.timeout(120, method="signal")
def test_healthy_pairs_do_not_notice(spawn: Spawn, bus: str) -> None:
    """Two of eight receivers are stopped with senders that insist; a healthy pair's 99th percentile holds."""
    receivers = spawn.members(bus, *(f"receiver-{number}" for number in range(8)))
    moon, insistent = spawn.members(bus, "moon", "insistent")
    for receiver in receivers[2:]:
        receiver.child.begin(streams.echo)
    before = [
        p99(moon.child.call(streams.ping, f"receiver-{number}", 0, seconds=0.4)) for number in range(2, 8)
    ]
    for receiver in receivers[:2]:
        receiver.stop()
    kib = proc.resident_kib(insistent.pid)
    pushing = insistent.child.begin(streams.send_until_called, "receiver-0 | receiver-1", 1000)
    after = [
        p99(moon.child.call(streams.ping, f"receiver-{number}", 0, seconds=0.4)) for number in range(2, 8)
    ]
    done = insistent.child.post(roles.stats)
    accepted = pushing.result()
    done.result()
    assert sorted(after)[3] < 1.5 * sorted(before)[3] + 0.001, (before, after)
    assert proc.resident_kib(insistent.pid) < kib + 2 * RING_KIB, "memory is bounded by the rings"
    assert accepted < 2 * (64 << 10) // 1000 + 2, "two rings full and no more"
    for receiver in receivers[:2]:
        receiver.resume()
    assert sum(len(receiver.recv_all(0.3)) for receiver in receivers[:2]) == accepted


def test_a_group_goes_on_with_those_that_run(spawn: Spawn, bus: str) -> None:
    """Unicast to a group prefers those with room: eight workers, two stand, the stream flows through six."""
    workers = spawn.members(bus, *["worker"] * 8)
    moon = spawn.member(bus, "moon")
    for worker in workers[:2]:
        worker.stop()
    reading = [worker.child.begin(streams.recv_slowly, 0) for worker in workers[2:]]
    count = 20_000
    assert moon.child.call(streams.send_in_order, "worker", count, bound=60) == count
    proc.wait_asleep(moon.pid)
    ended = [worker.child.post(roles.stats) for worker in workers[2:]]
    read = [pending.result() for pending in reading]
    for pending in ended:
        pending.result()
    for worker in workers[:2]:
        worker.resume()
    late = [len(worker.recv_all(0.3)) for worker in workers[:2]]
    assert sum(read) + sum(late) == count
    assert min(read) > count // 20, "all that run have their share"
