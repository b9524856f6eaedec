"""Sending in event loops: who waits for room, in which order, and what a cancelled call has sent."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import sniffio

import ipmb
import ipmb.aio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture
def moon(bus: str) -> Iterator[ipmb.Endpoint]:
    """Somebody who reads only when the test does."""
    with ipmb.join(bus, "moon", timeout=10) as endpoint:
        yield endpoint


@pytest.fixture
async def earth(bus: str, moon: ipmb.Endpoint, anyio_backend: Any) -> AsyncIterator[ipmb.aio.Endpoint]:
    async with await ipmb.aio.join(bus, "earth", timeout=10) as endpoint:
        yield endpoint


async def fill(earth: ipmb.aio.Endpoint, to: str = "moon") -> int:
    """Sends until there is no room, not even for short ones; how many went."""
    count = 0
    for filler in (b"x" * 100, b""):
        with contextlib.suppress(ipmb.Full):
            while True:
                await earth.sender.send(to, [count, filler], overflow="error")
                count += 1
    return count


def numbers(moon: ipmb.Endpoint, count: int) -> list[int]:
    return [moon.receiver.recv(timeout=10).payload[0] for _ in range(count)]


def take(moon: ipmb.Endpoint) -> list[int]:
    """What is there now."""
    try:
        return [message.payload[0] for message in moon.receiver.recv_many(1000, 0)]
    except ipmb.RecvTimeout:
        return []


async def test_what_can_be_sent(earth: ipmb.aio.Endpoint, moon: ipmb.Endpoint) -> None:
    sender = earth.sender
    assert await sender.send("moon", 1) == 1
    assert await sender.send(ipmb.LabelOp("moon"), 2) == 1
    assert await sender.send(ipmb.Selector.multicast(ipmb.LabelOp.TRUE), 3) == 2
    assert await sender.send(ipmb.Message("moon", 4)) == 1
    assert await sender.send(ipmb.aio.Message("moon", 5)) == 1
    assert await sender.send(await earth.receiver.recv(timeout=10)) == 2, "a received message is sent on"
    assert await sender.send("mars", 6) == 0
    assert await sender.send("mars", 7, ttl=None) == 0
    assert earth.stats().waiting == 1
    assert [moon.receiver.recv(timeout=10).payload for _ in range(6)] == [1, 2, 3, 4, 5, 3]


async def test_wrong_arguments_are_told_as_without_an_event_loop(earth: ipmb.aio.Endpoint) -> None:
    wrong: Any = earth.sender
    with pytest.raises(TypeError, match="selector is a list"):
        await wrong.send([1], 1)
    with pytest.raises(TypeError, match="payload is missing"):
        await wrong.send("moon")
    with pytest.raises(TypeError, match="ttl is given beside a Message"):
        await wrong.send(ipmb.Message("moon", 1), ttl=1)
    with pytest.raises(TypeError, match="payload is a set"):
        await wrong.send("moon", {1})
    with pytest.raises(ValueError, match="overflow is 'never'"):
        await wrong.send("moon", 1, overflow="never")
    with pytest.raises(ValueError, match="timeout is -1: give 0 or more seconds"):
        await wrong.send("moon", 1, timeout=-1)
    with pytest.raises(TypeError, match="payload is a set"):
        await wrong.send_many("moon", [1, {1}])


async def test_no_room(earth: ipmb.aio.Endpoint, moon: ipmb.Endpoint) -> None:
    count = await fill(earth)
    begin = time.monotonic()
    with pytest.raises(ipmb.SendTimeout, match="no room") as caught:
        await earth.sender.send("moon", [-1], timeout=0.05)
    assert 0.05 <= time.monotonic() - begin < 5
    assert caught.value.delivered == 0
    with pytest.raises(ipmb.SendTimeout):
        await earth.sender.send("moon", [-1], timeout=0)
    assert await earth.sender.send("moon", [-1], overflow="drop") == 0
    assert numbers(moon, count) == list(range(count))
    assert await earth.sender.send("moon", [count], timeout=0) == 1
    assert numbers(moon, 1) == [count]


async def test_who_waits_for_room_stands_in_line(earth: ipmb.aio.Endpoint, moon: ipmb.Endpoint) -> None:
    count = await fill(earth)

    async def put(number: int) -> None:
        assert await earth.sender.send("moon", [number]) == 1

    async def behind() -> None:
        with pytest.raises(ipmb.SendTimeout):
            await earth.sender.send("moon", [-1], timeout=0.05)

    async with anyio.create_task_group() as group:
        for number in range(count, count + 200):
            group.start_soon(put, number)
        await anyio.wait_all_tasks_blocked()
        await behind()
        # Another target has room, and another line.
        assert await earth.sender.send("earth", "me") == 1
        found: list[int] = []
        while len(found) < count + 200:
            found += take(moon)
            await anyio.sleep(0.001)
    if sniffio.current_async_library() == "trio":
        found.sort()  # it starts tasks in any order
    assert found == list(range(count + 200))


async def test_what_is_cancelled_is_not_sent(earth: ipmb.aio.Endpoint, moon: ipmb.Endpoint) -> None:
    count = await fill(earth)

    async def put(number: int, scope: anyio.CancelScope) -> None:
        with scope:
            await earth.sender.send("moon", [number])

    scopes = [anyio.CancelScope() for _ in range(20)]
    async with anyio.create_task_group() as group:
        for number, scope in enumerate(scopes):
            group.start_soon(put, count + number, scope)
        await anyio.wait_all_tasks_blocked()
        for scope in scopes[::2]:
            scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert numbers(moon, count) == list(range(count))
    assert sorted(numbers(moon, 10)) == [count + number for number in range(1, 20, 2)]
    with pytest.raises(ipmb.RecvTimeout):
        moon.receiver.recv(0.05)


async def test_closing_ends_the_waits(earth: ipmb.aio.Endpoint) -> None:
    await fill(earth)

    async def put() -> None:
        with pytest.raises(ipmb.Closed):
            await earth.sender.send("moon", [-1], timeout=10)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(put)
        await anyio.wait_all_tasks_blocked()
        await earth.sender.close()


async def test_a_dead_receiver_ends_the_wait(bus: str, earth: ipmb.aio.Endpoint, moon: ipmb.Endpoint) -> None:
    await fill(earth)

    async def put() -> None:
        assert await earth.sender.send("moon", [-1], timeout=10) == 0

    async with anyio.create_task_group() as group:
        group.start_soon(put)
        await anyio.wait_all_tasks_blocked()
        moon.close()


async def test_send_many(earth: ipmb.aio.Endpoint, moon: ipmb.Endpoint) -> None:
    assert await earth.sender.send_many("moon", []) == 0
    assert await earth.sender.send_many("moon", ([number] for number in range(10))) == 10
    assert numbers(moon, 10) == list(range(10))
    many = 20_000

    async def put() -> None:
        assert await earth.sender.send_many("moon", ([number] for number in range(many))) == many

    found: list[int] = []
    async with anyio.create_task_group() as group:
        group.start_soon(put)
        while len(found) < many:
            found += take(moon)
            await anyio.sleep(0.001)
    assert found == list(range(many))
    with pytest.raises(ipmb.SendTimeout) as caught:
        await earth.sender.send_many("moon", ([number, b"x" * 100] for number in range(many)), timeout=0.05)
    assert 0 < caught.value.delivered < many
    assert numbers(moon, caught.value.delivered) == list(range(caught.value.delivered))


async def test_replies_that_are_plain_messages(earth: ipmb.aio.Endpoint, moon: ipmb.Endpoint) -> None:
    moon.sender.send("earth", "ping")
    message = await earth.receiver.recv(timeout=10)
    assert await message.reply("pong") == 1
    assert moon.receiver.recv(timeout=10).payload == "pong"
    with pytest.raises(TypeError):
        await ipmb.aio.Message("moon", 1).reply(2)
    moon.close()
    assert await message.reply("pong") == 0


async def test_attachments(earth: ipmb.aio.Endpoint, moon: ipmb.Endpoint) -> None:
    with open("/dev/null") as file:
        await earth.sender.send("moon", 1, objects=[file], memory_regions=[ipmb.MemoryRegion(16)])
    with moon.receiver.recv(timeout=10) as message:
        assert (len(message.objects), len(message.memory_regions)) == (1, 1)
        await earth.sender.send(message)
    with moon.receiver.recv(timeout=10) as message:
        assert (len(message.objects), len(message.memory_regions)) == (1, 1)
        moon.sender.send("earth", 1, objects=[message.objects[0]])
    received = await earth.receiver.recv(timeout=10)
    kept = received.objects[0]
    with received:
        assert not kept.closed
