"""Receiving in event loops: who waits, who gets what, and how waits end."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import ipmb
import ipmb.aio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@ipmb.message_type("00000002-7e57-4000-8000-00000000a101")
@dataclasses.dataclass
class Height:
    number: int


@pytest.fixture
async def earth(bus: str, anyio_backend: Any) -> AsyncIterator[ipmb.aio.Endpoint]:
    async with await ipmb.aio.join(bus, "earth", timeout=10) as endpoint:
        yield endpoint


async def test_what_is_there_is_given_at_once(earth: ipmb.aio.Endpoint) -> None:
    sender, receiver = earth
    assert await sender.send("earth", "one") == 1
    message = await receiver.recv(0)
    assert message.payload == "one"
    assert message.sender.id == earth.id
    assert message.selector == ipmb.Selector.unicast("earth")
    assert not message.redelivered
    assert (message.objects, message.memory_regions) == ((), ())
    assert repr(message) == "<Message 'one' to Selector.unicast('earth') from label('earth')>"


async def test_what_comes_wakes_who_waits(earth: ipmb.aio.Endpoint) -> None:
    async def later() -> None:
        await anyio.wait_all_tasks_blocked()
        await earth.sender.send("earth", "late")

    async with anyio.create_task_group() as group:
        group.start_soon(later)
        assert (await earth.receiver.recv(timeout=10)).payload == "late"


async def test_timeouts(earth: ipmb.aio.Endpoint) -> None:
    for timeout in (0, 0.0, 0.02):
        begin = time.monotonic()
        with pytest.raises(ipmb.RecvTimeout, match="no message came in time"):
            await earth.receiver.recv(timeout)
        with pytest.raises(ipmb.RecvTimeout):
            await earth.receiver.recv_many(3, timeout)
        assert time.monotonic() - begin >= 2 * timeout
    for wrong, error in [(-1, ValueError), (float("nan"), ValueError), ("1", TypeError)]:
        with pytest.raises(
            error, match=r"timeout is (-1|NaN|a str): give 0 or more seconds, or None for ever"
        ):
            await earth.receiver.recv(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="limit is 0"):
        await earth.receiver.recv_many(0)


async def test_many_tasks_share_a_receiver(earth: ipmb.aio.Endpoint) -> None:
    found: list[int] = []

    async def take() -> None:
        found.append((await earth.receiver.recv()).payload)

    async with anyio.create_task_group() as group:
        for _ in range(300):
            group.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        await earth.sender.send_many("earth", range(300))
    assert found == list(range(300)), "who came first gets the first"


async def test_whoever_is_cancelled_lets_the_next_one_look(earth: ipmb.aio.Endpoint) -> None:
    """The one who waits on the descriptor goes, again and again; the last one still hears the message."""
    found: list[object] = []
    scopes: list[anyio.CancelScope] = []

    async def take() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            found.append((await earth.receiver.recv()).payload)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        for scope in scopes[:-1]:
            scope.cancel()
            if scope is scopes[5]:
                await anyio.wait_all_tasks_blocked()
        await anyio.wait_all_tasks_blocked()
        await earth.sender.send("earth", "still here")
    assert found == ["still here"]


async def test_a_message_is_taken_although_who_waited_first_is_cancelled(earth: ipmb.aio.Endpoint) -> None:
    for turns in (0, 0, 1, 2, 3):
        found: list[object] = []
        scopes = [anyio.CancelScope(), anyio.CancelScope()]

        async def take(scope: anyio.CancelScope, found: list[object] = found) -> None:
            with scope:
                found.append((await earth.receiver.recv(timeout=10)).payload)

        async with anyio.create_task_group() as group:
            for scope in scopes:
                group.start_soon(take, scope)
                await anyio.wait_all_tasks_blocked()
            await earth.sender.send("earth", "x")
            for _ in range(turns):
                await anyio.sleep(0)
            scopes[0].cancel()
            with anyio.fail_after(10):
                while not found:
                    await anyio.sleep(0.001)
            scopes[1].cancel()
        assert found == ["x"]


async def test_closing_ends_all_waits(earth: ipmb.aio.Endpoint) -> None:
    ended: list[str] = []

    async def take() -> None:
        with pytest.raises(ipmb.Closed):
            await earth.receiver.recv()
        ended.append("recv")

    async def iterate() -> None:
        async for _ in earth.receiver:
            raise AssertionError
        ended.append("for")

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(take)
            group.start_soon(iterate)
        await anyio.wait_all_tasks_blocked()
        await earth.receiver.close()
    assert sorted(ended) == ["for"] * 5 + ["recv"] * 5
    with pytest.raises(ipmb.Closed):
        await earth.receiver.recv(0)


async def test_another_thread_may_close(earth: ipmb.aio.Endpoint) -> None:
    closing = threading.Timer(0.05, earth.close)
    closing.start()
    with pytest.raises(ipmb.Closed):
        await earth.receiver.recv(timeout=10)
    closing.join()


async def test_a_loop_over_what_is_there_starves_nobody(earth: ipmb.aio.Endpoint) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await anyio.sleep(0)

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            await earth.sender.send("earth", 1)
            await earth.receiver.recv()
        group.cancel_scope.cancel()
    assert ticks > 20


async def test_a_cancelled_scope_takes_nothing(earth: ipmb.aio.Endpoint) -> None:
    await earth.sender.send("earth", 1)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await earth.receiver.recv()
        raise AssertionError
    with anyio.CancelScope() as scope:
        scope.cancel()
        await earth.sender.send("earth", 2)
        raise AssertionError
    assert (await earth.receiver.recv(0)).payload == 1
    with pytest.raises(ipmb.RecvTimeout):
        await earth.receiver.recv(0)


async def test_a_decode_error_costs_one_message(earth: ipmb.aio.Endpoint) -> None:
    wrong: Any = "deep"
    for payload in (1, Height(wrong), 2):
        await earth.sender.send("earth", payload)
    assert (await earth.receiver.recv(timeout=10)).payload == 1
    with pytest.raises(ipmb.DecodeError, match="it came from label"):
        await earth.receiver.recv(timeout=10)
    assert (await earth.receiver.recv(timeout=10)).payload == 2


def test_event_loops_in_two_threads_share_a_receiver(bus: str) -> None:
    found: list[object] = []
    endpoint = asyncio.run(ipmb.aio.join(bus, "earth", timeout=10))

    async def take(count: int) -> None:
        for _ in range(count):
            found.append((await endpoint.receiver.recv(timeout=20)).payload)  # noqa: PERF401

    threads = [threading.Thread(target=lambda: asyncio.run(take(500))) for _ in range(2)]
    for thread in threads:
        thread.start()
    with ipmb.join(bus, timeout=10) as moon:
        for number in range(1000):
            assert moon.sender.send("earth", number, timeout=10) == 1
        for thread in threads:
            thread.join(30)
    endpoint.close()
    assert sorted(map(int, map(str, found))) == list(range(1000))


def test_a_loop_that_was_closed_with_tasks_pending_is_not_waited_for(bus: str) -> None:
    """What old code and some test plugins do: nobody cancels the tasks, and another loop uses the endpoint."""
    loop = asyncio.new_event_loop()
    endpoint = loop.run_until_complete(ipmb.aio.join(bus, "earth", timeout=10))
    pending = [loop.create_task(endpoint.receiver.recv()) for _ in range(3)]
    pending += [loop.create_task(endpoint.sender.request("moon", 1)) for _ in range(3)]
    with ipmb.join(bus, "moon", timeout=10) as moon:
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()

        async def main() -> None:
            task = asyncio.create_task(endpoint.receiver.recv(timeout=10))
            asked = asyncio.create_task(endpoint.sender.request("moon", 2, timeout=10))
            await asyncio.sleep(0.05)
            moon.sender.send("earth", "hello")
            assert (await task).payload == "hello"
            while (message := moon.receiver.recv(timeout=10)).payload != 2:
                pass
            message.reply("here")
            assert (await asked).payload == "here"

        asyncio.run(main())
        endpoint.close()
    for task in pending:
        task.get_coro().close()
        task._log_destroy_pending = False  # type: ignore[attr-defined]
