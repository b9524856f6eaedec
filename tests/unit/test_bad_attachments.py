"""Attachments that cannot be sent: an error at the call that names the culprit, and nothing sent, not even in part."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

import ipmb
from tests.support import memory, objects
from tests.support.limits import bound
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Wrong:
    """Something whose ``fileno()`` gives what it should not."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def fileno(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def me(bus: str) -> Iterator[ipmb.Endpoint]:
    with ipmb.join(bus, "me", timeout=10.0) as endpoint:
        yield endpoint


@pytest.fixture
def good() -> Iterator[int]:
    """A descriptor with which nothing is wrong."""
    number = objects.numbered(1)
    yield number
    os.close(number)


def closed_number() -> int:
    number = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 500)  # so high that nothing takes it meanwhile
    os.close(number)
    return number


def closed_object() -> ipmb.Object:
    thing = ipmb.Object(0)
    thing.close()
    return thing


def detached_object() -> ipmb.Object:
    thing = ipmb.Object(0)
    os.close(thing.detach())
    return thing


def closed_file() -> Any:
    with tempfile.TemporaryFile() as file:
        return file


def closed_socket() -> socket.socket:
    with socket.socket() as one:
        return one


def closed_region() -> ipmb.MemoryRegion:
    with ipmb.MemoryRegion(100) as region:
        return region


#: What is no descriptor: (how to make it, the error, what its text says beside the place).
BAD_OBJECTS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "number not open": (closed_number, ValueError, "open"),
    "number far away": (lambda: 2**31 - 1, ValueError, "2147483647"),
    "number too long": (lambda: 2**31, ValueError, "2147483648"),
    "number absurd": (lambda: 2**100, ValueError, str(2**100)),
    "negative": (lambda: -1, ValueError, "-1"),
    "very negative": (lambda: -(2**70), ValueError, str(-(2**70))),
    "closed object": (closed_object, ValueError, "closed"),
    "detached object": (detached_object, ValueError, "closed"),
    "closed file": (closed_file, ValueError, "closed"),
    "closed socket": (closed_socket, ValueError, "closed"),
    "bool": (lambda: True, TypeError, "bool"),
    "text": (lambda: "3", TypeError, "str"),
    "bytes": (lambda: b"3", TypeError, "bytes"),
    "float": (lambda: 1.0, TypeError, "float"),
    "none": (lambda: None, TypeError, "None"),
    "region": (lambda: ipmb.MemoryRegion(10), TypeError, "MemoryRegion"),
    "fileno of text": (lambda: Wrong("3"), TypeError, "fileno"),
    "fileno of none": (lambda: Wrong(None), TypeError, "fileno"),
    "fileno not open": (lambda: Wrong(2**31 - 1), ValueError, "2147483647"),
    "fileno fails": (lambda: Wrong(ValueError("it leaks")), ValueError, "it leaks"),
}

#: What is no region.
BAD_REGIONS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "closed": (closed_region, ValueError, "closed"),
    "object": (lambda: ipmb.Object(0), TypeError, "Object"),
    "number": (lambda: 3, TypeError, "int"),
    "buffer": (lambda: bytearray(10), TypeError, "bytearray"),
    "view": (lambda: ipmb.MemoryRegion(10).map(), TypeError, "memoryview"),
    "none": (lambda: None, TypeError, "None"),
    "a class": (lambda: ipmb.MemoryRegion, TypeError, "memory_regions"),
}


def refused(me: ipmb.Endpoint, call: Callable[[], object], kind: type[Exception], *texts: str) -> None:
    """The call raises that with all of the texts, has sent nothing, and keeps nothing open."""
    sent, before = me.stats().sent, objects.count()
    with pytest.raises(kind) as error:
        call()
    for text in texts:
        assert text in str(error.value)
    del error
    assert me.stats().sent == sent
    with pytest.raises(ipmb.RecvTimeout):
        me.receiver.recv(0.02)
    until(lambda: objects.count() <= before, "no descriptor is kept")


@pytest.mark.parametrize("what", sorted(BAD_OBJECTS))
def test_what_is_no_descriptor(me: ipmb.Endpoint, good: int, what: str) -> None:
    """Alone or the third of several, in `send` or in a `Message`; and no `Object` can be made of it."""
    make, kind, text = BAD_OBJECTS[what]
    send: Any = me.sender.send
    message: Any = ipmb.Message
    thing = make()
    send("me", "ready", objects=[good])
    me.receiver.recv(5.0).close()
    refused(me, lambda: send("me", b"x", objects=[thing]), kind, "objects[0]", text)
    refused(me, lambda: send("me", b"x", objects=[good, good, thing, good]), kind, "objects[2]", text)
    refused(me, lambda: send("me", bytes(300_000), objects=[good, thing]), kind, "objects[1]", text)
    refused(me, lambda: message("me", b"x", objects=[good, thing]), kind, "objects[1]", text)
    refused(me, lambda: ipmb.Object(thing), kind, text.replace("objects", "fd_or_file"))


@pytest.mark.parametrize("what", sorted(BAD_REGIONS))
def test_what_is_no_region(me: ipmb.Endpoint, good: int, what: str) -> None:
    make, kind, text = BAD_REGIONS[what]
    send: Any = me.sender.send
    message: Any = ipmb.Message
    thing = make()
    with ipmb.MemoryRegion(100) as region:
        send("me", "ready", memory_regions=[region], objects=[good])
        me.receiver.recv(5.0).close()
        refused(me, lambda: send("me", b"x", memory_regions=[thing]), kind, "memory_regions[0]", text)
        both = {"objects": [good], "memory_regions": [region, region, thing]}
        refused(me, lambda: send("me", b"x", **both), kind, "memory_regions[2]", text)
        refused(me, lambda: message("me", b"x", **both), kind, "memory_regions[2]", text)
        until(lambda: region.ref_count == 1, "nothing of it is under way")


def test_a_wrong_payload_sends_no_attachments(me: ipmb.Endpoint, good: int) -> None:
    send: Any = me.sender.send
    with ipmb.MemoryRegion(100) as region:
        send("me", "ready", memory_regions=[region], objects=[good])
        me.receiver.recv(5.0).close()
        refused(
            me, lambda: send("me", object(), objects=[good], memory_regions=[region]), TypeError, "payload"
        )
        refused(me, lambda: send("me", 2**64, objects=[good], memory_regions=[region]), ValueError, "payload")
        until(lambda: region.ref_count == 1, "nothing of it is under way")


@pytest.mark.parametrize("argument", ["objects", "memory_regions"])
def test_what_is_no_list(me: ipmb.Endpoint, argument: str) -> None:
    send: Any = me.sender.send
    with tempfile.TemporaryFile() as file, ipmb.Object(file) as thing, ipmb.MemoryRegion(10) as region:
        for bad in (3, file, thing, region, object(), 1.0):
            refused(me, lambda bad=bad: send("me", b"x", **{argument: bad}), TypeError, argument)  # type: ignore[misc]
        for bad in ("text", b"bytes", {"a": 1}):
            refused(me, lambda bad=bad: send("me", b"x", **{argument: bad}), Exception, argument)  # type: ignore[misc]


def test_too_many_objects(me: ipmb.Endpoint, good: int) -> None:
    """One past the bound, and endlessly many."""
    limit = bound("OBJECTS_PER_MESSAGE")

    def endless() -> Iterator[int]:
        while True:
            yield good

    send: Any = me.sender.send
    for given in ([good] * (limit + 1), endless()):
        refused(me, lambda given=given: send("me", b"x", objects=given), ValueError, "objects", str(limit))  # type: ignore[misc]
    message: Any = ipmb.Message
    refused(me, lambda: message("me", b"x", objects=[good] * (limit + 1)), ValueError, "objects", str(limit))


def test_too_many_regions(me: ipmb.Endpoint) -> None:
    """The bound is in the text; the same region counts each time it is given."""
    send: Any = me.sender.send
    with ipmb.MemoryRegion(10) as region:
        with pytest.raises(ValueError, match="memory_regions") as error:
            send("me", b"x", memory_regions=[region] * 5000)
        limit = int(re.findall(r"at most (\d[\d,]*)", str(error.value))[0].replace(",", ""))
        assert 64 <= limit < 5000
        refused(
            me, lambda: send("me", b"x", memory_regions=[region] * (limit + 1)), ValueError, "memory_regions"
        )
        until(lambda: region.ref_count == 1, "nothing of it is under way")
        assert send("me", b"x", memory_regions=[region] * limit, timeout=5.0) == 1
        with me.receiver.recv(5.0) as message:
            assert len(message.memory_regions) == limit
            assert {memory.inode(one) for one in message.memory_regions} == {memory.inode(region)}


def test_an_item_that_closes_another(me: ipmb.Endpoint, good: int) -> None:
    """Whatever a program does while its objects are looked at, nothing is half sent."""
    thing = ipmb.Object(good)

    class Closes:
        def fileno(self) -> int:
            thing.close()
            return good

    given: list[Any] = [Closes(), thing]
    refused(me, lambda: me.sender.send("me", b"x", objects=given), ValueError, "objects[1]", "closed")


def test_a_closed_message_has_no_attachments(me: ipmb.Endpoint, good: int) -> None:
    """Neither to look at nor to send on; its payload stays."""
    with ipmb.MemoryRegion(10) as region:
        me.sender.send("me", "mine", objects=[good], memory_regions=[region])
    message = me.receiver.recv(5.0)
    message.close()
    assert message.payload == "mine"
    for look in (lambda: message.objects, lambda: message.memory_regions):
        with pytest.raises(ValueError, match="closed"):
            look()


def test_a_receiver_without_objects_is_not_disturbed(me: ipmb.Endpoint, good: int) -> None:
    """After all kinds of refusals, what is right goes through."""
    send: Any = me.sender.send
    for make, kind, _ in BAD_OBJECTS.values():
        with pytest.raises(kind):
            send("me", b"x", objects=[make()])
    assert send("me", "right", objects=[good]) == 1
    with me.receiver.recv(5.0) as message:
        assert message.payload == "right"
        assert [objects.number_of(one) for one in message.objects] == [1]
