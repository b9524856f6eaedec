"""Memory regions between processes: shared, counted, frozen, handed on, and given back whoever is killed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support import memory, objects, regions, registries, roles
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn
    from tests.support.member import Member

SIZE = 1 << 18

#: Seconds within which a holder that was killed is gone.
SOON = 1.0 * float(os.environ.get("IPMB_TEST_PATIENCE", "1"))

#: What changing the file of a region comes to while its holders may write it, and from `freeze` on.
SHARED = dict.fromkeys(("shrink", "empty", "grow"), "PermissionError") | {"write": "done", "map": "done"}
FROZEN = dict.fromkeys(SHARED, "PermissionError")


def counts(member: Member, count: int, name: str = regions.MAIN) -> None:
    """The number of holders becomes that within a second, as this member sees it."""
    until(lambda: member.child.call(regions.ref_count, name=name) == count, f"{count} holders", bound=SOON)


# -- arriving


@pytest.mark.parametrize("size", [1, 4096, 5000, 8 << 20])
def test_it_is_the_same_memory_there(spawn: Spawn, bus: str, size: int) -> None:
    """No copy: what either side writes, the other sees, and the kernel says it is one file."""
    earth, moon = spawn.members(bus, "earth", "moon")
    inode = moon.child.call(regions.make, size, 7)
    assert moon.child.call(regions.send, "earth", "here") == 1
    payload, _, there = earth.child.call(regions.recv)
    assert (payload, there) == ("here", inode)
    for writer, reader in ((moon, earth), (earth, moon)):
        for number in (8, 9):
            assert writer.child.call(regions.write, number) == ""
            assert reader.child.call(_bytes) == regions.stamp(number, size)[:16]


def _bytes() -> bytes:
    return bytes(regions.held[regions.MAIN].map())[:16]


def test_it_is_sealed_there_too(spawn: Spawn, bus: str) -> None:
    earth, moon = spawn.members(bus, "earth", "moon")
    assert moon.child.call(regions.send_new, "earth", SIZE, 7) == 1
    assert earth.child.call(regions.recv)[1] == 7
    assert earth.child.call(regions.attempts) == SHARED
    assert earth.child.call(regions.number) == 7


def test_several_with_objects_and_a_large_payload(spawn: Spawn, bus: str) -> None:
    """Each arrives in its place."""
    earth, moon = spawn.members(bus, "earth", "moon")
    for payload in ("small", bytes(300_000)):
        for count in (1, 3, 100):
            asked = earth.child.begin(_recv_mixed)
            assert moon.child.call(_send_mixed, "earth", payload, count, bound=30) == 1
            assert asked.result() == (payload, list(range(count)), list(range(1000, 1000 + count)))


def _send_mixed(to: str, payload: object, count: int) -> int:
    made = [objects.numbered(1000 + number) for number in range(count)]
    try:
        sender = roles.ends[roles.MAIN].sender
        sent = [registries.new(4096, number) for number in range(count)]
        return sender.send(to, payload, objects=made, memory_regions=sent, timeout=10.0)
    finally:
        for one in made:
            os.close(one)


def _recv_mixed() -> tuple[object, list[int], list[int]]:
    with roles.ends[roles.MAIN].receiver.recv(10.0) as message:
        found = [regions.number_in(region) for region in message.memory_regions]
        return roles.plain(message.payload), found, [objects.number_of(one) for one in message.objects]


def test_everyone_of_a_multicast_has_it(spawn: Spawn, bus: str) -> None:
    earth, mars, moon = spawn.members(bus, "earth", "mars", "moon")
    inode = moon.child.call(regions.make, SIZE, 7)
    assert moon.child.call(regions.send, "earth | mars", mode="multicast") == 2
    counts(moon, 3)
    for member in (earth, mars):
        assert member.child.call(regions.recv)[1:] == (7, inode)
        assert member.child.call(regions.ref_count) == 3
    mars.child.call(regions.close)
    counts(earth, 2)


@pytest.mark.parametrize("payload", ["small", bytes(300_000)], ids=["small", "large"])
def test_it_waits_for_a_match_with_its_message(spawn: Spawn, bus: str, payload: str | bytes) -> None:
    moon = spawn.member(bus, "moon")
    moon.child.call(regions.make, SIZE, 7)
    assert moon.child.call(regions.send, "late", payload, ttl=60) == 0
    moon.child.call(regions.close)
    late = spawn.member(bus, "late")
    assert late.child.call(regions.recv)[:2] == (payload, 7)
    counts(late, 1)


def test_it_survives_redelivery(spawn: Spawn, bus: str) -> None:
    moon, first = spawn.members(bus, "moon", "worker")
    inode = moon.child.call(regions.make, SIZE, 7)
    first.stop()
    assert moon.child.call(regions.send, "worker", "unread") == 1
    counts(moon, 2)
    second = spawn.member(bus, "worker")
    first.kill()
    assert second.child.call(regions.recv) == ("unread", 7, inode)
    counts(moon, 2)
    second.kill()
    counts(moon, 1)


def test_it_survives_its_sender(spawn: Spawn, bus: str) -> None:
    """Killed before the message was read, and while the memory is viewed."""
    earth, moon = spawn.members(bus, "earth", "moon")
    earth.stop()
    assert moon.child.call(regions.send_new, "earth", SIZE, 7) == 1
    moon.kill()
    earth.resume()
    assert earth.child.call(regions.recv)[1] == 7
    earth.child.call(regions.view)
    counts(earth, 1)
    assert earth.child.call(regions.write, 8) == ""
    assert earth.child.call(regions.number_of_view) == 8


def test_it_can_be_handed_on(spawn: Spawn, bus: str) -> None:
    """The third has it, and can read it, when the first two are dead."""
    earth, moon, mars = spawn.members(bus, "earth", "moon", "mars")
    inode = moon.child.call(regions.make, SIZE, 7)
    assert moon.child.call(regions.send, "earth") == 1
    assert earth.child.call(regions.recv)[1:] == (7, inode)
    moon.kill()
    assert earth.child.call(regions.send, "mars", "handed on") == 1
    earth.child.call(regions.close)
    earth.kill()
    assert mars.child.call(regions.recv) == ("handed on", 7, inode)
    counts(mars, 1)


def test_a_whole_message_can_be_handed_on(spawn: Spawn, bus: str) -> None:
    """Without looking at what is in it, with one line."""
    earth, moon, mars = spawn.members(bus, "earth", "moon", "mars")
    assert moon.child.call(regions.send_new, "earth", SIZE, 7, "payload") == 1
    assert earth.child.call(_forward, "mars") == 1
    for member in (earth, moon):
        member.kill()
    assert mars.child.call(regions.recv)[:2] == ("payload", 7)


def _forward(to: str) -> int:
    sender, receiver = roles.ends[roles.MAIN]
    with receiver.recv(10.0) as message:
        return sender.send(to, message.payload, memory_regions=message.memory_regions, timeout=10.0)


# -- counting


def test_endpoints_are_counted(spawn: Spawn, bus: str) -> None:
    """In flight, held, cloned, viewed: one each. The same number everywhere."""
    earth, mars, moon = spawn.members(bus, "earth", "mars", "moon")
    moon.child.call(regions.make, SIZE, 7)
    counts(moon, 1)
    earth.stop()
    assert moon.child.call(regions.send, "earth") == 1
    assert moon.child.call(regions.ref_count) == 2, "in flight counts as its receiver"
    assert moon.child.call(regions.send, "earth") == 1
    assert moon.child.call(regions.ref_count) == 2, "twice in flight to one is one"
    earth.resume()
    earth.child.call(regions.recv)
    earth.child.call(regions.recv, name="again")
    earth.child.call(regions.clone, to="clone")
    earth.child.call(regions.view)
    assert earth.child.call(regions.send, "mars") == 1
    mars.child.call(regions.recv)
    for member in (earth, mars, moon):
        assert member.child.call(regions.ref_count) == 3
    for name in (regions.MAIN, "again", "clone"):
        earth.child.call(regions.close, name=name)
    assert moon.child.call(regions.ref_count) == 3, "the view is left"
    earth.child.call(regions.release)
    counts(moon, 2)
    moon.child.call(regions.close)
    counts(mars, 1)


@pytest.mark.parametrize("how", ["region", "view", "message", "unread"])
def test_a_holder_that_is_killed_is_gone_soon(spawn: Spawn, bus: str, how: str) -> None:
    moon = spawn.member(bus, "moon")
    earth = spawn.member(bus, "earth")
    moon.child.call(regions.make, SIZE, 7)
    if how == "unread":
        earth.stop()
    assert moon.child.call(regions.send, "earth") == 1
    if how == "message":
        earth.child.call(regions.recv_open)
    elif how != "unread":
        earth.child.call(regions.recv)
    if how == "view":
        earth.child.call(regions.view)
        earth.child.call(regions.close)
    counts(moon, 2)
    earth.kill()
    counts(moon, 1)
    assert moon.child.call(regions.number) == 7


def test_a_message_that_nobody_looks_at_holds_until_it_is_closed(spawn: Spawn, bus: str) -> None:
    earth, moon = spawn.members(bus, "earth", "moon")
    moon.child.call(regions.make, SIZE, 7)
    for kept in (False, True):
        assert moon.child.call(regions.send, "earth") == 1
        if kept:
            assert earth.child.call(regions.recv_open) == 1
            counts(moon, 2)
            earth.child.call(regions.close_messages)
        else:
            earth.child.call(regions.recv_closed)
        counts(moon, 1)


def test_no_file_is_left_after_1000_messages(spawn: Spawn, bus: str) -> None:
    earth, moon = spawn.members(bus, "earth", "moon")
    receiving = earth.child.begin(registries.recv_stamped, 1000)
    assert moon.child.call(registries.send_stamped, "earth", 4096, 1000, bound=30) == 1000
    assert receiving.result(30) == 1000
    until(lambda: moon.child.call(registries.all_freed), "all are free")
    moon.child.call(registries.end)
    for member in (earth, moon):
        until(lambda: memory.total(member.pid) == 0, f"none is left in {member.label}")  # noqa: B023


# -- freezing


def test_a_frozen_one_is_read_only_for_all(spawn: Spawn, bus: str) -> None:
    """At the receiver it is mapped read-only; nobody writes it, the maker included."""
    earth, moon = spawn.members(bus, "earth", "moon")
    moon.child.call(regions.make, SIZE, 7)
    assert moon.child.call(regions.freeze) == ""
    assert moon.child.call(regions.send, "earth") == 1
    assert earth.child.call(regions.recv)[1] == 7
    for member in (earth, moon):
        assert member.child.call(regions.is_read_only)
        assert member.child.call(regions.write, 8) == "TypeError"
        assert member.child.call(regions.attempts) == FROZEN
        assert "w" not in member.child.call(regions.permissions)
        assert member.child.call(regions.number) == 7


def test_one_that_others_hold_cannot_be_frozen(spawn: Spawn, bus: str) -> None:
    """Held there or on the way there; when the others have let go, it can."""
    earth, moon = spawn.members(bus, "earth", "moon")
    moon.child.call(regions.make, SIZE, 7)
    earth.stop()
    assert moon.child.call(regions.send, "earth") == 1
    assert "BufferError" in moon.child.call(regions.freeze)
    earth.resume()
    earth.child.call(regions.recv)
    for member in (moon, earth):
        error = member.child.call(regions.freeze)
        assert error.startswith("BufferError")
        assert "hold" in error
        assert member.child.call(regions.write, 8) == ""
    earth.child.call(regions.close)
    counts(moon, 1)
    assert moon.child.call(regions.freeze) == ""
    assert moon.child.call(regions.number) == 8


def test_one_with_a_writable_view_elsewhere_cannot_be_frozen(spawn: Spawn, bus: str) -> None:
    earth, moon = spawn.members(bus, "earth", "moon")
    moon.child.call(regions.make, SIZE, 7)
    assert moon.child.call(regions.send, "earth") == 1
    earth.child.call(regions.recv)
    earth.child.call(regions.view)
    earth.child.call(regions.close)
    assert moon.child.call(regions.freeze).startswith("BufferError")
    earth.child.call(regions.release)
    counts(moon, 1)
    assert moon.child.call(regions.freeze) == ""


def test_the_last_holder_may_freeze_whoever_made_it(spawn: Spawn, bus: str) -> None:
    earth, moon = spawn.members(bus, "earth", "moon")
    assert moon.child.call(regions.send_new, "earth", SIZE, 7) == 1
    moon.kill()
    assert earth.child.call(regions.recv)[1] == 7
    counts(earth, 1)
    assert earth.child.call(regions.freeze) == ""
    assert earth.child.call(regions.write, 8) == "TypeError"


# -- the pool


def test_free_waits_for_the_last_holder_elsewhere(spawn: Spawn, bus: str) -> None:
    """In flight, held, viewed; and the memory is not given out before."""
    earth, moon = spawn.members(bus, "earth", "moon")
    inode = moon.child.call(registries.alloc, SIZE, 7)
    earth.stop()
    assert moon.child.call(registries.send, "earth") == 1
    moon.child.call(registries.close)
    assert moon.child.call(registries.freed) == []
    earth.resume()
    assert earth.child.call(regions.recv)[1:] == (7, inode)
    assert moon.child.call(registries.freed) == []
    earth.child.call(regions.view)
    earth.child.call(regions.close)
    assert moon.child.call(registries.freed) == []
    assert moon.child.call(registries.alloc, SIZE, 8) != inode
    moon.child.call(registries.close)
    assert earth.child.call(regions.number_of_view) == 7
    earth.child.call(regions.release)
    until(lambda: 7 in moon.child.call(registries.freed), "freed", bound=SOON)
    assert sorted(moon.child.call(registries.freed)) == [7, 8], "each once"


@pytest.mark.parametrize("unread", [False, True], ids=["held", "unread"])
def test_free_is_called_when_the_last_holder_is_killed(spawn: Spawn, bus: str, unread: bool) -> None:
    moon = spawn.member(bus, "moon")
    earth = spawn.member(bus, "earth")
    inode = moon.child.call(registries.alloc, SIZE, 7)
    if unread:
        earth.stop()
    assert moon.child.call(registries.send, "earth") == 1
    moon.child.call(registries.close)
    if not unread:
        earth.child.call(regions.recv)
    assert moon.child.call(registries.freed) == []
    earth.kill()
    until(lambda: moon.child.call(registries.freed) == [7], "freed", bound=SOON)
    assert moon.child.call(registries.alloc, SIZE, 8) == inode, "and the memory is used again"


def test_free_waits_for_a_third(spawn: Spawn, bus: str) -> None:
    """Handed on: that the second has let go is not enough."""
    earth, mars, moon = spawn.members(bus, "earth", "mars", "moon")
    moon.child.call(registries.alloc, SIZE, 7)
    assert moon.child.call(registries.send, "earth") == 1
    moon.child.call(registries.close)
    assert earth.child.call(_forward, "mars") == 1
    earth.kill()
    assert mars.child.call(regions.recv)[1] == 7
    assert moon.child.call(registries.freed) == []
    mars.child.call(regions.close)
    until(lambda: moon.child.call(registries.freed) == [7], "freed", bound=SOON)


def test_a_stream_uses_little_memory(spawn: Spawn, bus: str) -> None:
    """1,000 messages of 64 KiB each through a pool: a few files, however many messages."""
    earth, moon = spawn.members(bus, "earth", "moon")
    receiving = earth.child.begin(registries.recv_stamped, 1000)
    assert moon.child.call(registries.send_stamped, "earth", 1 << 16, 1000, 8, bound=30) == 1000
    assert receiving.result() == 1000
    assert moon.child.call(registries.files_used) <= 9
    until(lambda: moon.child.call(registries.all_freed), "all are free", bound=SOON)
