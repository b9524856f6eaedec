"""Guarantee 8: a message counts as read once `recv` has returned it.

The tail is published before `recv` returns and never beyond what was returned. A process killed inside `recv`
may take that one message with it, never more.
"""

from __future__ import annotations

import itertools
import random
import struct
import time
from typing import TYPE_CHECKING

import pytest

from tests.support import proc, roles, streams
from tests.support.wait import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Spawn


def numbers_in(log: Path) -> list[int]:
    """What a logging receiver wrote: eight bytes a message, each written in one call."""
    if not log.exists():
        return []
    data = log.read_bytes()
    return [number for (number,) in struct.iter_unpack("<Q", data[: len(data) // 8 * 8])]


@pytest.mark.parametrize("size", [8, 1000, 40_000])
def test_killed_right_after_a_return(spawn: Spawn, bus: str, size: int) -> None:
    """Guarantee 8: what was returned is read, what was not is not: the next match gets exactly the rest."""
    moon = spawn.member(bus, "moon")
    count = 12
    for taken in range(1, count, 3):
        label = f"worker-{taken}"
        first = spawn.member(bus, label)
        assert moon.send_numbers(label, 0, count, size=size) == [1] * count
        second = spawn.member(bus, label)
        first.child.post(streams.recv_and_die, taken)
        assert first.child.wait_event("read") == list(range(taken))
        assert first.child.expect_death() == -9
        assert sorted(second.recv_numbers(count - taken)) == list(range(taken, count))
        second.nothing_comes(0.05)
        spawn.forget(second.child)


@pytest.mark.timeout(120, method="signal")
def test_killed_at_random_moments(spawn: Spawn, bus: str, tmp_path: Path) -> None:
    """Guarantee 8: over many deaths, at most one message a death is missing, and none was read twice."""
    chance = random.Random(8)
    kills = 25
    moon = spawn.member(bus, "moon")
    logs = [tmp_path / f"log-{number}" for number in range(kills + 1)]
    for log in logs:
        log.touch()
    reader = spawn.member(bus, "worker")
    reader.child.begin(streams.recv_and_log, str(logs[0]))
    sending = moon.child.begin(streams.send_in_bursts, "worker", 200, 0.003, 600)
    for log, after in itertools.pairwise(logs):
        replacement = spawn.member(bus, "worker")
        replacement.child.begin(streams.recv_and_log, str(after))
        enough = chance.randrange(1, 4000)
        until(lambda: log.stat().st_size >= enough, "some messages read")  # noqa: B023
        if chance.random() < 0.5:  # so that there is something unread when it dies
            reader.stop()
            time.sleep(0.005)
        reader.kill()
        reader = replacement
    moon.child.post(roles.version)
    count = sending.result()
    proc.wait_asleep(reader.pid)  # it has read everything and waits for more
    reader.kill()
    read = [number for log in logs for number in numbers_in(log)]
    assert len(read) == len(set(read)), "read twice"
    missing = set(range(count)) - set(read)
    assert len(missing) <= kills, f"{len(missing)} missing after {kills} kills"
    stats = moon.stats()
    assert (stats["dropped"], stats["expired"], stats["waiting"]) == (0, 0, 0)
    assert stats["redelivered"] > 0, "some receiver died with unread messages, else nothing was tested"


def test_a_timeout_takes_nothing(spawn: Spawn, bus: str) -> None:
    """Guarantee 8: a `recv` that times out has not read: with tiny timeouts all arrive, in order, once."""
    earth, moon = spawn.members(bus, "earth", "moon")
    reading = earth.child.begin(streams.recv_impatiently, 3000, 0.0003)
    for first in range(0, 3000, 100):
        moon.send_numbers("earth", first, 100)
        time.sleep(0.002)  # several timeouts long
    numbers, timeouts = reading.result(30)
    assert numbers == list(range(3000))
    assert timeouts > 0, "the receiver was never impatient, nothing was tested"
