"""A quarter of the receivers stands still: the others are as quick as before, memory stays bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.torture import trial
from tests.faults.torture.trials.quarter import Quarter
from tests.support import proc, roles, streams

if TYPE_CHECKING:
    from tests.conftest import Spawn


@pytest.mark.timeout(180, method="signal")
def test_healthy_pairs_do_not_notice() -> None:
    """Two of eight receivers are stopped for ten seconds with a sender that insists; the others' p99 holds.

    Half of the turns are between 0.6 and 1.1 times the other half on a machine with seven times the load that it has
    cores for, so a median of 2 is no accident.
    """
    trial.in_ci(Quarter())


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
