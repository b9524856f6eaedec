"""C programs and Python on one bus, in both directions, and what becomes of it when one of them is killed."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
from typing import TYPE_CHECKING, Any

import pytest

import ipmb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.c.conftest import Peer

#: From linux/fcntl.h: Python has names for them from 3.13 on.
F_ADD_SEALS, F_SEAL_FUTURE_WRITE = 1033, 16

SIZES = (0, 1, 100, 16_000, 17_000, 65_534, 65_536, 3_000_000)


@pytest.fixture
def earth(bus: str) -> Iterator[ipmb.Endpoint]:
    with ipmb.join(bus, "earth", timeout=10) as endpoint:
        yield endpoint


@pytest.fixture
def echo(bus: str, built: Callable[..., Path], peer: Callable[..., Peer]) -> Callable[[str], Peer]:
    return lambda label: peer(built("echo.c"), bus, label)


@pytest.mark.parametrize("size", SIZES)
def test_bytes_of_every_length(earth: ipmb.Endpoint, echo: Callable[[str], Peer], size: int) -> None:
    echo("echo")
    data = bytes(itertools.islice(itertools.cycle(range(251)), size))
    assert earth.sender.send("echo", ipmb.BytesMessage(513, data)) == 1
    back = earth.receiver.recv(timeout=10)
    assert back.payload == ipmb.BytesMessage(513, data)
    assert list(back.sender.label) == ["echo"]


@pytest.mark.parametrize("payload", [b"bytes", "text \u00e9", memoryview(bytes(100_000))])
def test_what_is_bytes_for_c(earth: ipmb.Endpoint, echo: Callable[[str], Peer], payload: Any) -> None:
    """It has the format 0 there."""
    echo("echo")
    earth.sender.send("echo", payload)
    data = payload.encode() if isinstance(payload, str) else bytes(payload)
    assert earth.receiver.recv(timeout=10).payload == ipmb.BytesMessage(0, data)


def test_what_c_does_not_take_is_passed_over_and_its_asker_told(
    earth: ipmb.Endpoint, echo: Callable[[str], Peer]
) -> None:
    echo("echo")
    earth.sender.send("echo", {"typed": 1})
    earth.sender.send("echo", b"next")
    assert earth.receiver.recv(timeout=10).payload == ipmb.BytesMessage(0, b"next")
    with pytest.raises(ipmb.NoRoute, match="takes no payloads of this type"):
        earth.sender.request("echo", [1, 2], timeout=10)


def test_objects_and_regions(earth: ipmb.Endpoint, echo: Callable[[str], Peer]) -> None:
    echo("echo")
    read_end, write_end = os.pipe()
    region = ipmb.MemoryRegion(10_000)
    many = [write_end] * 300
    earth.sender.send("echo", b"look", objects=many, memory_regions=[region])
    os.close(write_end)
    with earth.receiver.recv(timeout=10) as message:
        assert len(message.objects) == 300
        os.write(message.objects[299].fileno(), b"x")
        assert bytes(message.memory_regions[0].map(0, 1)) == b"\x01"
        assert bytes(region.map(0, 1)) == b"\x01"  # the same memory
    assert os.read(read_end, 10) == b"x"
    assert os.read(read_end, 10) == b""
    os.close(read_end)


@pytest.mark.parametrize("how", ["frozen", "sealed by its sender"])
def test_memory_that_is_read_only_is_written_to_in_a_copy(
    earth: ipmb.Endpoint, echo: Callable[[str], Peer], how: str
) -> None:
    """The program writes to what it has mapped. (That killed it: any member could do so, with a seal.)"""
    echo("echo")
    before = _regions()
    region = ipmb.MemoryRegion(8192)
    region.map()[:3] = b"abc"
    if how == "frozen":
        region.freeze()
    else:
        kept = _regions() - before
        assert kept
        for fd in kept:
            fcntl.fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE)
    earth.sender.send("echo", b"look", memory_regions=[region])
    with earth.receiver.recv(timeout=10) as message:
        assert bytes(message.memory_regions[0].map(0, 3)) == b"abc"
    earth.sender.send("echo", b"alive")
    assert earth.receiver.recv(timeout=10).payload == ipmb.BytesMessage(0, b"alive")


def _regions() -> set[int]:
    """The descriptors of regions that this process has open."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one by which the list was read
            if "ipmb-region" in os.readlink(f"/proc/self/fd/{fd}"):
                found.add(int(fd))
    return found


def test_requests_both_ways(earth: ipmb.Endpoint, echo: Callable[[str], Peer]) -> None:
    asker = echo("echo")
    reply = earth.sender.request("echo", ipmb.BytesMessage(3, b"21"), timeout=10)
    assert reply.payload == ipmb.BytesMessage(3, b"21")
    asker.tell("ask earth how are you")
    request = earth.receiver.recv(timeout=10)
    assert (request.payload, request.is_request) == (ipmb.BytesMessage(7, b"how are you"), True)
    request.reply(ipmb.BytesMessage(9, b"fine"))
    assert asker.line() == "success 9 fine"
    asker.tell("ask nobody ?")
    assert asker.line().startswith("no route 0 no endpoint on the bus matches")


def test_the_error_of_a_handler_in_python_comes_to_c(bus: str, echo: Callable[[str], Peer]) -> None:
    asker = echo("echo")
    with ipmb.join(bus, "worker", timeout=10) as worker:
        asker.tell("ask worker fail")
        with pytest.raises(ZeroDivisionError):
            _fail_once(worker)
        line = asker.line()
    assert line.startswith("remote 0 ZeroDivisionError: "), line
    assert '"worker" of process' in line


def test_a_request_that_fails_in_c_is_a_remote_error(
    earth: ipmb.Endpoint, echo: Callable[[str], Peer]
) -> None:
    echo("echo")
    with pytest.raises(ipmb.RemoteError, match="ValueError: 13 is ünheard of") as told:
        earth.sender.request("echo", ipmb.BytesMessage(13, b"?"), timeout=10)
    assert told.value.type == "ValueError"


def _fail_once(worker: ipmb.Endpoint) -> None:
    from ipmb.failures import Failure

    request = worker.receiver.recv(timeout=10)
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        request.reply(Failure.of(error))
        raise


def test_a_message_of_c_waits_for_python(bus: str, echo: Callable[[str], Peer]) -> None:
    sender = echo("echo")
    sender.tell("send late 100000 kept")
    assert sender.line() == "sent"
    with ipmb.join(bus, "late", timeout=10) as late:
        assert late.receiver.recv(timeout=10).payload == ipmb.BytesMessage(7, b"kept")


def test_a_killed_c_receiver_loses_nothing(earth: ipmb.Endpoint, echo: Callable[[str], Peer]) -> None:
    first = echo("worker")
    first.tell("stop")
    assert first.line() == "stopped"
    for number in range(5):
        assert earth.sender.send("worker", ipmb.BytesMessage(number, b"")) == 1
    second = echo("worker")
    first.kill()
    got = [earth.receiver.recv(timeout=10).payload.format for _ in range(5)]
    assert got == [0, 1, 2, 3, 4]
    assert second.line() == "redelivered"


def test_a_killed_c_sender_loses_nothing(earth: ipmb.Endpoint, echo: Callable[[str], Peer]) -> None:
    sender = echo("worker")
    for number in range(5):
        sender.tell(f"send earth 0 message {number}")
        assert sender.line() == "sent"
    sender.kill()
    got = [earth.receiver.recv(timeout=10).payload.data for _ in range(5)]
    assert got == [b"message %d" % number for number in range(5)]


def test_who_asks_a_killed_c_program_hears_of_it(earth: ipmb.Endpoint, echo: Callable[[str], Peer]) -> None:
    worker = echo("worker")
    worker.tell("stop")
    assert worker.line() == "stopped"
    pending = ipmb.Selector.unicast("worker")
    import threading

    errors: list[BaseException] = []

    def ask() -> None:
        try:
            earth.sender.request(pending, b"?", timeout=20)
        except ipmb.PeerLost as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while earth.stats().sent == 0:
        thread.join(0.01)
    worker.kill()
    thread.join(20)
    assert len(errors) == 1
