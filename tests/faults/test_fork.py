"""Children after fork and exec are harmless: their handles are dead, hold nothing open, and spoil nothing."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support import forking, proc, roles, streams
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Spawn
    from tests.support.member import Member


def exchange(one: Member, other: Member) -> None:
    """Messages both ways."""
    for sender, receiver in ((one, other), (other, one)):
        assert sender.send(receiver.label[0], b"hello") == 1
        assert receiver.recv().payload == b"hello"


@pytest.mark.parametrize("raw", [False, True], ids=["os.fork", "fork(2)"])
def test_a_forked_child_holds_nothing(spawn: Spawn, bus: str, raw: bool) -> None:
    """Every use raises `Forked`; no descriptor and no mapping is left, also past Python's hooks."""
    earth, moon = spawn.members(bus, "earth", "moon")
    exchange(earth, moon)
    for member in (earth, moon):  # the controller and another
        found = member.child.call(forking.look_after_fork, raw=raw)
        assert found["descriptors"] == []
        assert found["mappings"] == []
        assert [found[use] for use in ("send", "recv", "peers")] == ["Forked"] * 3
    exchange(earth, moon)


def test_closing_in_the_child_closes_nothing_of_the_parent(spawn: Spawn, bus: str) -> None:
    earth, moon = spawn.members(bus, "earth", "moon")
    exchange(earth, moon)
    for member in (earth, moon):
        assert member.child.call(forking.close_after_fork) in ("Forked", "nothing")
    exchange(earth, moon)
    assert earth.peer_ids() == {moon.id}


def test_a_forked_child_may_join_for_itself(spawn: Spawn, bus: str) -> None:
    """As workers of `multiprocessing` do."""
    earth, moon = spawn.members(bus, "earth", "moon")
    exchange(earth, moon)
    for member in (earth, moon):
        for _ in range(3):
            assert member.child.call(forking.join_after_fork, bus, "earth") == 1
            got = earth.recv()
            assert got.payload == b"from the child"
            assert got.label == ("child",)
            assert got.pid not in (earth.pid, moon.pid)
    exchange(earth, moon)


def test_forks_in_the_middle_of_traffic(spawn: Spawn, bus: str) -> None:
    """A thread sends, also payloads with memory of their own, while another forks: no fork sees half a
    thing.
    """
    for payload in (100, 50_000):
        label = f"earth-{payload}"
        earth = spawn.member(bus, label)
        moon = spawn.member(bus, "moon")
        reading = earth.child.begin(streams.recv_slowly, 0)
        sent, odd = moon.child.call(forking.fork_while_busy, label, 40, payload, bound=40)
        assert odd == []
        proc.wait_asleep(moon.pid)
        ended = earth.child.post(roles.stats)
        assert reading.result() == sent
        ended.result()
        exchange(earth, moon)
        moon.leave()


@pytest.fixture
def staying() -> Iterator[list[int]]:
    """Pids of grandchildren, to be killed after the test."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_an_exec_inherits_nothing(spawn: Spawn, bus: str) -> None:
    """Every descriptor is close-on-exec from birth."""
    earth, moon = spawn.members(bus, "earth", "moon")
    exchange(earth, moon)
    for member in (earth, moon):
        assert member.child.call(forking.look_after_exec) == []


@pytest.mark.parametrize("stay", [forking.fork_and_stay, forking.exec_and_stay], ids=["fork", "exec"])
def test_a_child_that_outlives_its_parent_does_not_play_it(
    spawn: Spawn, bus: str, staying: list[int], stay: Callable[[], int]
) -> None:
    """A member with living children dies: it leaves the bus at once, and its messages are handed on."""
    controller, worker, moon = spawn.members(bus, "controller", "worker", "moon")
    assert moon.send("worker", b"x") == 1
    assert worker.recv().payload == b"x"
    staying.append(worker.child.call(stay))
    worker.stop()
    assert moon.send("worker", b"unread") == 1
    other = spawn.member(bus, "worker")
    worker.kill()
    assert other.recv().payload == b"unread"
    until(lambda: worker.id not in controller.peer_ids(), "the dead has left")
