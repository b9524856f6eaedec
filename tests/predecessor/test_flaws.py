"""Every flaw that was seen in the predecessor of this design, and in other queues, shown to be absent here.

The predecessor sent every message through its controller, over sockets. Its flaws first, each a test named
after what was seen; then what users of other libraries suffer from. One of those is tested with the feature
it belongs to: asyncio sockets that lose messages on cancellation, for which there is only the blocking
counterpart here.
"""

from __future__ import annotations

import os
import signal
import time
import zlib
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support import forking, memory, objects, proc, regions, registries, roles, stranger, streams
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Spawn


# -- the predecessor


def test_messages_between_two_clients_arrive(spawn: Spawn, bus: str) -> None:
    """Seen: messages between two endpoints that are not the controller never arrive."""
    _, earth, moon = spawn.members(bus, "controller", "earth", "moon")
    assert moon.send("earth", b"hello") == 1
    assert earth.recv().payload == b"hello"
    assert earth.send("moon", b"hello yourself") == 1
    assert moon.recv().payload == b"hello yourself"


@pytest.mark.parametrize("size", [(128 << 10) - 1, 128 << 10, (128 << 10) + 1, 200_000, 8 << 20])
def test_payloads_over_128_kib_arrive(spawn: Spawn, bus: str, size: int) -> None:
    """Seen: a payload over 128 KiB loops for ever."""
    earth, moon = spawn.members(bus, "earth", "moon")
    assert moon.child.call(roles.send_pattern, "earth", size, size) == 1
    assert earth.child.call(roles.recv_sum) == (size, zlib.crc32(roles.pattern(size, size)))


def test_a_stalled_receiver_blocks_nobody_else(spawn: Spawn, bus: str) -> None:
    """Seen: one stalled receiver blocks everyone, the controller included."""
    _, earth, moon, stalled = spawn.members(bus, "controller", "earth", "moon", "stalled")
    stalled.stop()
    sent, error = moon.child.call(roles.send_until_error, "stalled", 1000, overflow="error")
    assert error == "Full"
    assert sent > 10
    assert moon.send_numbers("earth", 0, 100) == [1] * 100
    assert earth.recv_numbers(100) == list(range(100))
    assert spawn.member(bus, "late").send("earth", b"late") == 1
    assert earth.recv().payload == b"late"


def test_unicast_does_not_always_pick_the_first(spawn: Spawn, bus: str) -> None:
    """Seen: unicast always picks the first match. Here the matches share the work evenly."""
    workers = spawn.members(bus, *["worker"] * 4)
    moon = spawn.member(bus, "moon")
    for first in range(0, 400, 100):
        assert moon.send_numbers("worker", first, 100) == [1] * 100
    shares = [len(worker.recv_all(0.2)) for worker in workers]
    assert sum(shares) == 400
    assert min(shares) >= 50, shares


def test_a_ttl_ends_without_traffic(spawn: Spawn, bus: str) -> None:
    """Seen: a ttl expires only when there is traffic. Here by the clock, on a bus where nothing happens."""
    moon = spawn.member(bus, "moon")
    assert moon.send_numbers("late", 0, 10, ttl=0.5) == [0] * 10
    assert moon.send("late", b"stays", ttl=60) == 0
    assert moon.stats()["waiting"] == 11
    until(lambda: moon.stats()["expired"] == 10, "the ttl has ended", every=0.1)
    assert moon.stats()["waiting"] == 1
    late = spawn.member(bus, "late")
    assert late.recv().payload == b"stays"
    late.nothing_comes()


def test_a_ttl_holds_while_the_sender_is_silent(spawn: Spawn, bus: str) -> None:
    """The other way round: a match that comes in time gets the message, the sender need do nothing."""
    moon = spawn.member(bus, "moon")
    assert moon.send("late", b"waits", ttl=30) == 0
    proc.wait_asleep(moon.pid)
    assert spawn.member(bus, "late").recv().payload == b"waits"
    assert moon.stats()["waiting"] == 0


def test_queues_do_not_grow_without_bound(spawn: Spawn, bus: str) -> None:
    """Seen: queues grow without bound. Here a full ring or parking area is an error."""
    stopped, moon = spawn.members(bus, "stopped", "moon")
    stopped.stop()
    before = proc.resident_kib(moon.pid)
    sent, error = moon.child.call(roles.send_until_error, "stopped", 1000, overflow="error")
    assert error == "Full"
    assert sent * 1000 < 2 << 20
    waiting, error = moon.child.call(streams.park_until_error, "nobody", 1000)
    assert error == "Full"
    assert waiting * 1000 < 16 << 20
    assert moon.stats()["waiting"] == waiting
    assert proc.resident_kib(moon.pid) < before + (16 << 10)
    moon.child.post(roles.send, "stopped", bytes(1000), timeout=0.2).fails("SendTimeout")


@pytest.fixture
def orphans() -> Iterator[list[int]]:
    """Pids of grandchildren, killed after the test."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("way", ["fork", "exec"])
def test_a_child_of_a_dead_controller_does_not_split_the_bus(
    spawn: Spawn, bus: str, orphans: list[int], way: str
) -> None:
    """Seen: the controller dies, a child it once started keeps its socket open, and there are two buses."""
    controller, earth = spawn.members(bus, "controller", "earth")
    orphans.append(controller.child.call(forking.fork_and_stay if way == "fork" else forking.exec_and_stay))
    controller.kill()
    assert proc.state(orphans[0]) in "RSD", "the child lives on"
    late = spawn.member(bus, "late")
    later = spawn.member(bus, "later")
    assert late.peer_ids() == {earth.id, later.id}
    assert late.send("earth", b"x") == 1
    assert earth.recv().payload == b"x"
    assert earth.is_controller()


def test_the_token_protects_sending(spawn: Spawn, bus: str) -> None:
    """Seen: the token is checked at join, but whoever knows a socket can send without it."""
    controller, earth = spawn.members(bus, "controller", "earth", token="secret")
    spawn.child("liar").post(roles.join, bus, ("liar",), token="guess").fails("TokenMismatch")
    receiving = earth.child.begin(streams.collect)
    for name in (proc.own_name(earth.pid), proc.rendezvous_name(controller.pid)):
        for data in stranger.opening_lies(controller.id, earth.id):
            with stranger.connect(name) as one:
                stranger.say(one, data)
                stranger.answers_until_closed(one)
    controller.nothing_comes()
    assert controller.send("earth", b"a friend's") == 1
    ended = earth.child.post(roles.version)
    assert receiving.result() == [b"a friend's"]
    ended.result()


def test_malformed_messages_crash_nobody(spawn: Spawn, bus: str) -> None:
    """Seen: five different malformed messages crash the process that gets them."""
    controller, earth = spawn.members(bus, "controller", "earth")
    names = [proc.rendezvous_name(controller.pid), proc.own_name(controller.pid), proc.own_name(earth.pid)]
    for name in names:
        for data in stranger.garbage(300, seed=3):
            with stranger.connect(name) as one:
                stranger.say(one, data)
    assert controller.child.alive
    assert earth.child.alive
    assert controller.send("earth", b"alive") == 1
    assert earth.recv().payload == b"alive"
    assert spawn.member(bus, "late").peer_ids() == {controller.id, earth.id}


def test_more_than_4_descriptors_arrive(spawn: Spawn, bus: str) -> None:
    """Seen: a message with more than 4 descriptors is lost, and the send reports success."""
    earth, moon = spawn.members(bus, "earth", "moon")
    for count in (4, 5, 6, 32):
        assert moon.child.call(objects.send_numbered, "earth", count) == 1
        assert earth.child.call(objects.recv_numbered) == ("numbered", list(range(count)), False)


def test_a_killed_holder_leaks_no_region(spawn: Spawn, bus: str) -> None:
    """Seen: the count of a region's holders lies in the region, so one that is killed holds it for ever."""
    moon = spawn.member(bus, "moon")
    before = memory.total(moon.pid)
    for number in range(5):
        earth = spawn.member(bus, "earth")
        moon.child.call(registries.alloc, 1 << 20, number)
        assert moon.child.call(registries.send, "earth") == 1
        moon.child.call(registries.close)
        assert earth.child.call(regions.recv)[1] == number
        earth.kill()
        until(lambda: moon.child.call(registries.all_freed), "what it held is free again")
    moon.child.call(registries.end)
    until(lambda: memory.total(moon.pid) <= before, "and its memory is gone")


def test_a_region_is_not_freed_while_it_is_held(spawn: Spawn, bus: str) -> None:
    """Seen: the count reaches zero while somebody still holds the region, and its memory is given out again."""
    earth, mars, moon = spawn.members(bus, "earth", "mars", "moon")
    moon.child.call(registries.alloc, 1 << 20, 1)
    for to in ("earth", "mars"):
        assert moon.child.call(registries.send, to) == 1
    moon.child.call(registries.close)
    for holder, last in ((earth, False), (mars, True)):
        assert holder.child.call(regions.recv)[1] == 1
        holder.child.call(regions.clone, to="clone")
        holder.child.call(regions.close)
        for number in range(10):
            moon.child.call(registries.alloc, 1 << 20, 100 + number + 10 * last)
            moon.child.call(registries.close)
        assert holder.child.call(regions.number, name="clone") == 1
        assert 1 not in moon.child.call(registries.freed)
        holder.child.call(regions.close, name="clone")
    until(lambda: 1 in moon.child.call(registries.freed), "free when the last has let go")


def test_data_is_aligned(spawn: Spawn, bus: str) -> None:
    """Seen: data begins at offset 12 of a region, where a float64 array may not lie."""
    earth, moon = spawn.members(bus, "earth", "moon")
    for size in (1, 12, 13, 100, 1 << 20):
        assert moon.child.call(regions.send_new, "earth", size, 7) == 1
        earth.child.call(regions.recv)
        assert earth.child.call(regions.misaligned) == 0


# -- others


def test_a_killed_process_leaves_no_shared_memory(spawn: Spawn, bus: str) -> None:
    """Seen elsewhere: shared memory left behind after SIGKILL, in /dev/shm and in the kernel's books."""

    def shared() -> set[str]:
        return set(os.listdir("/dev/shm"))

    before = shared()
    members = spawn.members(bus, "earth", "moon")
    names = [name for member in members for name in proc.listening_names(member.pid)]
    assert members[1].child.call(roles.send_pattern, "earth", 1, 4 << 20) == 1
    assert not {name for name in shared() - before if "ipmb" in name}, "nothing has a name in a file system"
    for member in members:
        member.kill()
    assert not {one.name for one in proc.unix_sockets()} & set(names), "the abstract names are free again"
    again = spawn.member(bus, "again")
    assert again.was_controller


def test_nobody_tracks_and_unlinks_living_memory(spawn: Spawn, bus: str) -> None:
    """Seen elsewhere: a resource tracker unlinks memory in use when one process ends."""
    earth, moon, other = spawn.members(bus, "earth", "moon", "other")
    for member in (earth, moon, other):
        with open(f"/proc/{member.pid}/task/{member.pid}/children") as children:
            assert children.read().split() == [], "no helper process"
    assert moon.child.call(roles.send_pattern, "earth", 5, 2 << 20) == 1
    assert other.child.call(roles.send_pattern, "earth", 6, 2 << 20) == 1
    moon.child.finish()
    spawn._children.remove(moon.child)
    other.kill()
    for seed in (5, 6):
        assert earth.child.call(roles.recv_sum) == (2 << 20, zlib.crc32(roles.pattern(seed, 2 << 20)))


def test_a_dying_worker_hangs_no_queue(spawn: Spawn, bus: str) -> None:
    """Seen elsewhere: a worker is killed inside `get`, and every other worker hangs for ever."""
    workers = spawn.members(bus, *["worker"] * 4)
    boss = spawn.member(bus, "boss")
    for worker in workers[:3]:
        worker.begin_recv(timeout=None)
        proc.wait_asleep(worker.pid)
        worker.kill()
    until(lambda: boss.peer_ids() == {workers[3].id}, "three workers gone")
    assert boss.send_numbers("worker", 0, 50) == [1] * 50
    assert workers[3].recv_numbers(50) == list(range(50))


def test_the_dead_keep_no_locks(spawn: Spawn, bus: str) -> None:
    """Seen elsewhere: a process is killed in `put` with the lock in its hand. Twenty killed while they
    send.
    """
    earth = spawn.member(bus, "earth")
    doomed = spawn.members(bus, *["doomed"] * 20)
    reading = earth.child.begin(streams.recv_slowly, 0)
    for member in doomed:
        member.child.begin(streams.send_until_called, "earth", 3000)
    for member in doomed:
        member.kill()
    friend = spawn.member(bus, "friend")
    begin = time.monotonic()
    assert friend.send("earth", b"x") == 1
    assert time.monotonic() - begin < 2.0
    proc.wait_asleep(friend.pid)
    ended = earth.child.post(roles.stats)
    assert reading.result() > 0
    assert ended.result()["received"] > 0


def test_an_interrupted_wait_loses_no_message(spawn: Spawn, bus: str) -> None:
    """Seen elsewhere: a cancelled receive swallows the message that came at that moment. Here Ctrl-C in a
    storm.
    """
    earth, moon = spawn.members(bus, "earth", "moon")
    count = 20_000
    reading = earth.child.begin(streams.recv_through_interrupts, count)
    earth.child.wait_event("ready")
    sending = moon.child.begin(streams.send_in_order, "earth", count)
    while not reading.ready():
        earth.child.signal(signal.SIGINT)
        time.sleep(0.003)
    assert sending.result() == count
    numbers, interrupts = reading.result()
    assert interrupts > 5, "nothing was tested"
    assert Counter(numbers) == Counter(range(count)), "each once"


def test_descriptors_do_not_leak_in_a_long_run(spawn: Spawn, bus: str) -> None:
    """Seen elsewhere: descriptors leak with every connection that comes and goes."""
    earth = spawn.member(bus, "earth")
    child = spawn.child("visitor")
    counts = []
    for round_number in range(6):
        for number in range(20):
            child.call(roles.join, bus, ("visitor",), name=str(number))
            assert child.call(roles.send, "earth", number, name=str(number)) == 1
            assert earth.recv().payload == number
            assert earth.send("visitor", round_number) == 1
            child.call(roles.leave, str(number))
        until(lambda: not earth.peers(), "all have left")
        counts.append((len(proc.descriptors(earth.pid)), len(proc.descriptors(child.pid))))
    until(lambda: len(proc.descriptors(earth.pid)) <= counts[0][0], "as few as after the first round")
    assert counts[-1][1] <= counts[0][1], counts


def test_the_interpreter_lock_is_free_while_waiting(spawn: Spawn, bus: str) -> None:
    """Seen elsewhere: a blocking receive holds the interpreter lock and stops every other thread."""
    moon = spawn.member(bus, "moon")
    alone = moon.child.call(streams.count_alone, 0.5)
    assert moon.child.call(streams.recv_while_counting, 0.5) > alone / 5
