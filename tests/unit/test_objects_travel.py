"""Descriptors as attachments: they arrive, whole and in order, are survived by nobody's death, and are not kept.

Real processes, and the kernel's word for what is open.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import tempfile
from typing import TYPE_CHECKING

import pytest

import ipmb
from tests.support import objects, proc, roles
from tests.support.limits import bound
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn

#: Numbered files that take two, three and more packets of 253 descriptors.
COUNTS = (1, 252, 253, 254, 506, 600)

#: Too long for a record, so that its memory is one more descriptor of the message.
LARGE = 300_000

#: Seconds within which a descriptor that was let go is closed everywhere.
SOON = 1.0 * float(os.environ.get("IPMB_TEST_PATIENCE", "1"))


# -- on the way


def test_every_kind_arrives(spawn: Spawn, bus: str) -> None:
    """And works there although its sender has closed its own."""
    earth, moon = spawn.members(bus, "earth", "moon")
    words = {"memfd": "a memory file", "eventfd": "an eventfd of 7"}
    for kind in objects.KINDS:
        assert moon.child.call(objects.send_kind, "earth", kind) == 1
        assert earth.child.call(objects.recv_kind) == (kind, words.get(kind, f"a {kind}"))
    assert objects.KINDS[-1] == "pidfd"
    assert moon.child.call(objects.wait_for_kept) == -signal.SIGTERM


def test_everything_that_can_be_given_at_once(bus: str) -> None:
    """Numbers, objects, files and sockets in one message, in a list or any other sequence, and to oneself."""
    with ipmb.join(bus, "me") as me, tempfile.TemporaryFile() as file, socket.socket() as one:
        thing = ipmb.Object(file)
        given = (file.fileno(), thing, file, one)
        assert me.sender.send("me", "all", objects=given) == 1
        assert me.sender.send(ipmb.Message("me", "as a message", objects=list(given))) == 1
        thing.close()
        for payload in ("all", "as a message"):
            message = me.receiver.recv(5.0)
            assert message.payload == payload
            assert isinstance(message.objects, tuple)
            inodes = [os.fstat(got.fileno()).st_ino for got in message.objects]
            assert inodes == [os.fstat(file.fileno()).st_ino] * 3 + [os.fstat(one.fileno()).st_ino]
        os.fstat(file.fileno())
        os.fstat(one.fileno())


def test_a_message_to_be_sent_holds_what_it_was_given(bus: str) -> None:
    """A number may be closed and used for something else between making a message and sending it."""
    with ipmb.join(bus, "me") as me:
        made = objects.numbered(7)
        message = ipmb.Message("me", None, objects=[made])
        os.close(made)
        other = objects.numbered(8)
        for _ in range(2):
            assert me.sender.send(message) == 1
            with me.receiver.recv(5.0) as got:
                assert [objects.number_of(one) for one in got.objects] == [7]
        os.close(other)


@pytest.mark.parametrize("payload", [b"small", bytes(LARGE)], ids=["small", "large"])
def test_all_arrive_whole_and_in_order(spawn: Spawn, bus: str, payload: bytes) -> None:
    earth, moon = spawn.members(bus, "earth", "moon")
    for count in COUNTS:
        if count > 253 and not _may_open(4 * count):
            pytest.skip(f"messages of {count} objects need a higher limit of open files")
        receiving = earth.child.begin(objects.recv_numbered)
        assert moon.child.call(objects.send_numbered, "earth", count, payload, bound=30) == 1
        assert moon.send("earth", b"after") == 1
        assert receiving.result() == (objects.short(payload), list(range(count)), False)
        assert earth.recv().payload == b"after"


def _may_open(count: int) -> bool:
    """Whether the machine lets one process have that many descriptors."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= count


def test_as_many_as_one_message_can_have(spawn: Spawn, bus: str) -> None:
    earth, moon = spawn.members(bus, "earth", "moon")
    most = bound("OBJECTS_PER_MESSAGE")
    assert most >= 600
    if not _may_open(4 * most):
        pytest.skip(f"a message of {most} objects needs a higher limit of open files")
    receiving = earth.child.begin(objects.recv_numbered)
    assert moon.child.call(objects.send_numbered, "earth", most, bound=30) == 1
    assert receiving.result()[1] == list(range(most))


def test_attachments_stay_with_their_messages(spawn: Spawn, bus: str) -> None:
    """Messages with none, one, three and many, small and large, in one stream."""
    earth, moon = spawn.members(bus, "earth", "moon")
    counts = [0, 1, 3, 0, 0, 300, 2, 1, 0, 40]
    receiving = [earth.child.post(objects.recv_numbered) for _ in counts]
    for number, count in enumerate(counts):
        payload = bytes(LARGE) if number % 3 == 1 else number
        assert moon.child.call(objects.send_numbered, "earth", count, payload, first=1000 * number) == 1
    for number, count in enumerate(counts):
        payload, numbers, _ = receiving[number].result()
        assert payload == (LARGE if number % 3 == 1 else number)
        assert numbers == list(range(1000 * number, 1000 * number + count))


def test_everyone_of_a_multicast_gets_its_own(spawn: Spawn, bus: str) -> None:
    """Descriptors of their own, of the same open files; the sender is among them."""
    everyone = spawn.members(bus, "earth", "mars", "moon")
    for size in ("small", bytes(LARGE)):
        sent = everyone[2].child.call(objects.send_numbered, "earth | mars | moon", 5, size, mode="multicast")
        assert sent == 3
        for member in everyone:
            assert member.child.call(objects.recv_numbered) == (objects.short(size), [0, 1, 2, 3, 4], False)


@pytest.mark.parametrize("size", ["small", bytes(LARGE)], ids=["small", "large"])
def test_they_wait_for_a_match_with_their_message(spawn: Spawn, bus: str, size: str | bytes) -> None:
    moon = spawn.member(bus, "moon")
    assert moon.child.call(objects.send_numbered, "late", 3, size, ttl=60) == 0
    late = spawn.member(bus, "late")
    assert late.child.call(objects.recv_numbered) == (objects.short(size), [0, 1, 2], False)


def test_they_survive_redelivery(spawn: Spawn, bus: str) -> None:
    """The one who was to have them is killed with the message unread: the next has them all."""
    moon, first = spawn.members(bus, "moon", "worker")
    first.stop()
    for number, count in enumerate((3, 253)):
        assert moon.child.call(objects.send_numbered, "worker", count, number, timeout=1.0, ttl=30) == 1
        second = spawn.member(bus, "worker")
        first.kill()
        assert second.child.call(objects.recv_numbered) == (number, list(range(count)), True)
        first = second
        first.stop()


def test_they_survive_their_sender(spawn: Spawn, bus: str) -> None:
    """A sender that is killed after `send` has returned takes nothing back, read or not."""
    earth, moon = spawn.members(bus, "earth", "moon")
    assert moon.child.call(objects.send_numbered, "earth", 200) == 1
    moon.kill()
    assert earth.child.call(objects.recv_numbered) == ("numbered", list(range(200)), False)


# -- ownership


def test_received_ones_are_not_inherited(spawn: Spawn, bus: str) -> None:
    earth, moon = spawn.members(bus, "earth", "moon")
    assert moon.child.call(objects.send_numbered, "earth", 3) == 1
    assert earth.child.call(objects.recv_and_keep) == 3
    assert earth.child.call(objects.inheritable_of_kept) == [False] * 3
    assert earth.child.call(objects.seen_by_a_program) == []


def test_those_nobody_took_are_closed_with_the_message(bus: str) -> None:
    with ipmb.join(bus, "me") as me:
        before = _settled(me)
        for _ in range(3):
            _send_numbered(me, 4)
            message = me.receiver.recv(5.0)
            message.close()
            message.close()
            until(lambda: objects.count() <= before, "closed with the message")
            assert message.payload == "numbered", "that stays readable"


def test_those_taken_stay_open(bus: str) -> None:
    """An `Object` taken from a message is whoever's took it: closed by it, or when nobody holds it."""
    with ipmb.join(bus, "me") as me:
        before = _settled(me)
        _send_numbered(me, 4)
        with me.receiver.recv(5.0) as message:
            taken = message.objects[2]
        assert objects.number_of(taken) == 2
        number = taken.detach()
        del message, taken
        gc.collect()
        until(lambda: objects.count() <= before + 1, "all but the one that was detached are closed")
        assert int(os.pread(number, 10, 0)) == 2
        os.close(number)


def test_all_are_closed_when_the_message_is_collected(bus: str) -> None:
    with ipmb.join(bus, "me") as me:
        before = _settled(me)
        _send_numbered(me, 4)
        message = me.receiver.recv(5.0)
        things = message.objects
        assert message.objects == things, "the same ones every time"
        del message, things
        gc.collect()
        until(lambda: objects.count() <= before, "closed with the message")


def test_the_senders_own_stay_open(bus: str) -> None:
    with ipmb.join(bus, "me") as me, tempfile.TemporaryFile() as file, ipmb.Object(file) as thing:
        me.sender.send("me", None, objects=[file, thing, file.fileno()])
        me.receiver.recv(5.0).close()
        assert not file.closed
        assert not thing.closed
        os.fstat(thing.fileno())


def test_what_nobody_gets_is_not_kept(bus: str) -> None:
    """No match, expired, dropped, and unread at the end."""
    with ipmb.join(bus, "me") as me:
        before = _settled(me)
        made = [objects.numbered(number) for number in range(4)]
        try:
            assert me.sender.send("nobody", None, objects=made) == 0
            assert me.sender.send("nobody", None, objects=made, ttl=0.05) == 0
            until(lambda: me.stats().expired == 1, "the ttl has ended")
            while me.sender.send("me", bytes(10_000), objects=made[:1], overflow="drop"):
                pass
            me.receiver.recv_many(1000, 5.0)
        finally:
            for one in made:
                os.close(one)
        gc.collect()
        until(lambda: objects.count() <= before, "as before")
        _send_numbered(me, 4)
    until(lambda: objects.count() <= before, "unread ones end with the endpoint")


def _settled(me: ipmb.Endpoint) -> int:
    """The descriptors of this process once the endpoint's own are all there."""
    _send_numbered(me, 1)
    me.receiver.recv(5.0).close()
    gc.collect()
    seen: list[int] = []

    def settled() -> bool:
        seen.append(objects.count())
        return len(seen) > 20 and len(set(seen[-20:])) == 1

    until(settled, "the same number of descriptors for a while")
    return seen[-1]


def _send_numbered(me: ipmb.Endpoint, count: int) -> None:
    made = [objects.numbered(number) for number in range(count)]
    assert me.sender.send("me", "numbered", objects=made, timeout=5.0) == 1
    for one in made:
        os.close(one)


@pytest.mark.parametrize("how", ["unseen", "collected", "closed", "taken", "detached"])
def test_none_is_left_after_1000_messages(spawn: Spawn, bus: str, how: str) -> None:
    earth, moon = spawn.members(bus, "earth", "moon")
    receiving = earth.child.begin(objects.recv_many_numbered, 1000, 3, how)
    assert moon.child.call(objects.send_many_numbered, "earth", 1000, 3, bound=30) == 3000
    assert receiving.result(30) == 1000
    for member in (earth, moon):
        until(lambda: objects.numbered_in(member.pid) == 0, f"none is left in {member.label}")  # noqa: B023


@pytest.mark.parametrize("how", ["message", "object", "file", "dropped"])
def test_a_pipes_end_is_closed_everywhere_soon(spawn: Spawn, bus: str, how: str) -> None:
    """The sender keeps a duplicate until the message is read; it must not keep the pipe open after that, and it does
    not take another send to let it go.
    """
    earth, moon = spawn.members(bus, "earth", "moon")
    for _ in range(3):
        assert moon.child.call(objects.give_writing_end, "earth") == 1
        earth.child.call(objects.write_and_close, b"some text", how)
        text, seconds = moon.child.call(objects.seconds_to_end, 5.0)
        assert text == b"some text"
        assert seconds < SOON


@pytest.mark.parametrize("unread", [False, True], ids=["read", "unread"])
def test_a_pipes_end_is_closed_soon_when_its_holder_is_killed(spawn: Spawn, bus: str, unread: bool) -> None:
    moon = spawn.member(bus, "moon")
    earth = spawn.member(bus, "earth")
    if unread:
        earth.stop()
    assert moon.child.call(objects.give_writing_end, "earth") == 1
    if not unread:
        assert earth.child.call(objects.recv_and_keep) == 1
    earth.kill()
    _, seconds = moon.child.call(objects.seconds_to_end, 5.0)
    assert seconds < SOON
    if unread:
        assert moon.stats()["dropped"] == 1, "never silently lost"


def test_a_pipes_end_is_closed_soon_when_its_message_expires(spawn: Spawn, bus: str) -> None:
    moon = spawn.member(bus, "moon")
    assert moon.child.call(objects.give_writing_end, "nobody", ttl=0.2) == 0
    _, seconds = moon.child.call(objects.seconds_to_end, 5.0)
    assert seconds < 0.2 + SOON


def test_a_receiver_without_room_gets_them_later(spawn: Spawn, bus: str) -> None:
    """`TooManyOpenFiles` leaves the message where it is: with room it arrives whole, and what is behind it too."""
    earth = spawn.limited_child(150)
    earth.call(roles.join, bus, ("earth",))
    moon = spawn.member(bus, "moon")
    assert moon.send("earth", b"first") == 1
    assert earth.call(roles.recv)[0] == b"first"
    assert moon.child.call(objects.send_numbered, "earth", 60) == 1
    assert moon.send("earth", b"behind") == 1
    errors, numbers, later = earth.call(objects.recv_despite_limit, 20)
    assert errors == ["TooManyOpenFiles"] * 3
    assert numbers == list(range(60))
    assert later == [b"behind"]


def test_a_socket_that_carries_itself(spawn: Spawn, bus: str) -> None:
    """Descriptors in flight inside each other: the kernel clears such cycles away, and nobody here trips over them."""
    earth, moon = spawn.members(bus, "earth", "moon")
    assert moon.child.call(objects.send_cycles, "earth", 100) == 100
    before = len(proc.descriptors(earth.pid))
    assert earth.child.call(objects.recv_and_close, 100) == 200
    until(lambda: len(proc.descriptors(earth.pid)) <= before + 1, "all closed")
