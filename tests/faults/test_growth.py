"""Nothing grows: not over 2,000 joins and leaves, not over many channels, not over many messages."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.faults.torture.trial import in_ci
from tests.faults.torture.trials.joins import Joins
from tests.support import cycles, proc, roles, streams
from tests.support.sizes import MEMORY_KIB, Size, assert_no_growth
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn


@pytest.mark.timeout(300, method="signal")
def test_2000_joins_and_leaves() -> None:
    """Neither the one that joins and leaves nor the ones that stay hold more after 2,000 times.

    The directory remembers the departed for a minute, up to a bound; so many join before anything is measured.
    """
    in_ci(Joins())


def test_200_controllers_in_turn(spawn: Spawn, bus: str) -> None:
    """The same process makes and leaves a bus of its own again and again."""
    child = spawn.child("cycler")
    child.call(cycles.make_and_leave, bus, 50)
    before = Size.of(child.pid)
    child.call(cycles.make_and_leave, bus, 200, bound=60)
    assert_no_growth(before, child.pid)
    assert before.names == 0


def test_members_that_are_killed_leave_nothing(spawn: Spawn, bus: str) -> None:
    """Dead peers cost the living neither descriptors nor mappings, and the machine no names or files."""
    earth = spawn.member(bus, "earth")
    files = set(os.listdir("/dev/shm")) | set(os.listdir("/tmp"))

    def round_of_deaths() -> None:
        doomed = spawn.members(bus, *["doomed"] * 4)
        for member in doomed:
            assert member.send("earth", b"x" * 100_000) == 1
            assert earth.recv().pid == member.pid
            assert earth.send("doomed", b"unread") == 1
        for member in doomed:
            member.kill()
            spawn.forget(member.child)
        until(lambda: not earth.peer_ids(), "they are gone")

    round_of_deaths()
    before = Size.of(earth.pid)
    for _ in range(4):
        round_of_deaths()
    assert_no_growth(before, earth.pid)
    mine = {name for name in set(os.listdir("/dev/shm")) | set(os.listdir("/tmp")) if "ipmb" in name}
    assert mine <= files
    names = set(proc.listening_names(earth.pid))
    prefix = proc.own_name(earth.pid)[:37]
    assert {one.name for one in proc.unix_sockets() if one.name.startswith(prefix)} <= names


def test_messages_leave_nothing(spawn: Spawn, bus: str) -> None:
    """100,000 messages in the ring and 500 with memory of their own: as before."""
    earth, moon = spawn.members(bus, "earth", "moon")
    for warm in (True, False):
        reading = earth.child.begin(streams.recv_slowly, 0)
        count = 10_000 if warm else 100_000
        assert moon.child.call(streams.send_in_order, "earth", count, bound=60) == count
        for _ in range(20 if warm else 500):
            assert moon.child.call(roles.send_pattern, "earth", 1, 200_000) == 1
        proc.wait_asleep(moon.pid)
        ended = earth.child.post(roles.stats)
        assert reading.result() == count + (20 if warm else 500)
        ended.result()
        if warm:
            before = {pid: Size.of(pid) for pid in (earth.pid, moon.pid)}
    for pid, size in before.items():
        assert_no_growth(size, pid, kib=2 * MEMORY_KIB)


def test_selectors_leave_nothing(spawn: Spawn, bus: str) -> None:
    """A program that makes a new selector for every message does not grow either."""
    earth, moon = spawn.members(bus, "earth", "moon")
    moon.child.call(cycles.send_new_selectors, 0, 5000, bound=30)
    before = Size.of(moon.pid)
    moon.child.call(cycles.send_new_selectors, 5000, 20_000, bound=60)
    assert_no_growth(before, moon.pid)
    assert earth.recv().payload == 0
