"""Requests and `serve` in event loops."""

from __future__ import annotations

import asyncio
import time
import traceback
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import ipmb
import ipmb.aio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

Ends = tuple[ipmb.aio.Endpoint, ipmb.aio.Endpoint]


@pytest.fixture
async def ends(bus: str, anyio_backend: Any) -> AsyncIterator[Ends]:
    async with (
        await ipmb.aio.join(bus, "worker", timeout=10) as worker,
        await ipmb.aio.join(bus, "asker", timeout=10) as asker,
    ):
        yield worker, asker


async def ask(asker: ipmb.aio.Endpoint, payload: object, timeout: float | None = 20) -> Any:
    return (await asker.sender.request("worker", payload, timeout=timeout)).payload


async def double(message: ipmb.aio.Message) -> object:
    if message.payload == "fail":
        shelf: dict[str, int] = {}
        return shelf["fail"]
    return message.payload * 2


async def test_a_request_and_its_reply(ends: Ends) -> None:
    worker, asker = ends
    async with anyio.create_task_group() as group:

        async def reply() -> None:
            message = await worker.receiver.recv(timeout=10)
            assert message.is_request
            assert await message.reply(message.payload * 2) == 1

        group.start_soon(reply)
        message = await asker.sender.request("worker", 21, timeout=10)
        assert isinstance(message, ipmb.aio.Message)
        assert (message.payload, message.sender.id, message.is_request) == (42, worker.id, False)


async def test_serving_many_at_once(ends: Ends) -> None:
    worker, asker = ends
    replies: dict[int, object] = {}

    async def one(number: int) -> None:
        replies[number] = await ask(asker, number)

    async with anyio.create_task_group() as group:
        group.start_soon(ipmb.aio.serve, worker.receiver, double)
        async with anyio.create_task_group() as askers:
            for number in range(1000):
                askers.start_soon(one, number)
        worker.receiver.close()
    assert replies == {number: number * 2 for number in range(1000)}


async def test_errors_are_carried_back_and_end_nothing(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    worker, asker = ends
    results: dict[object, object] = {"set": {1}, "ok": 1}

    async def handler(message: ipmb.aio.Message) -> object:
        if message.payload == "fail":
            return await double(message)
        return results[message.payload]

    async with anyio.create_task_group() as group:
        group.start_soon(ipmb.aio.serve, worker.receiver, handler)
        with pytest.raises(ipmb.RemoteError, match="KeyError: 'fail'") as caught:
            await ask(asker, "fail")
        assert 'return shelf["fail"]' in "".join(traceback.format_exception(caught.value))
        with pytest.raises(
            ipmb.RemoteError, match="what the handler returned cannot be sent: payload is a set"
        ):
            await ask(asker, "set")
        assert await ask(asker, "ok") == 1
        worker.receiver.close()
    assert [record.levelname for record in caplog.records if record.name == "ipmb"] == ["ERROR"] * 2


async def test_nobody_matches(ends: Ends) -> None:
    _, asker = ends
    with pytest.raises(ipmb.NoRoute):
        await asker.sender.request("nobody", 1)
    begin = time.monotonic()
    async with anyio.create_task_group() as group:

        async def patient() -> None:
            with pytest.raises(ipmb.NoRoute):
                await asker.sender.request("nobody", 1, ttl=0.1)

        group.start_soon(patient)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ipmb.NoRoute):
            await asker.sender.request("nobody", 1)
        assert time.monotonic() - begin < 0.1, "who has no ttl does not wait behind one who has"
    with pytest.raises(ipmb.RecvTimeout, match="the request to 'nobody' was not sent"):
        await asker.sender.request("nobody", 1, ttl=None, timeout=0.02)


async def test_timeouts_and_late_replies(ends: Ends) -> None:
    worker, asker = ends
    with pytest.raises(ipmb.RecvTimeout, match="no reply from 'worker'"):
        await ask(asker, 1, timeout=0.05)
    with anyio.move_on_after(0.05) as scope:
        await ask(asker, 2)
    assert scope.cancelled_caught
    for _ in range(2):
        await (await worker.receiver.recv(timeout=10)).reply("late")
    async with anyio.create_task_group() as group:
        group.start_soon(ipmb.aio.serve, worker.receiver, double)
        assert await ask(asker, 3) == 6
        worker.receiver.close()
    assert asker.stats().dropped_by_reason["late_reply"] == 2


async def test_the_one_asked_is_gone(ends: Ends) -> None:
    worker, asker = ends
    lost = 0

    async def one() -> None:
        nonlocal lost
        with pytest.raises(ipmb.PeerLost):
            await ask(asker, 1, timeout=None)
        lost += 1

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        await worker.receiver.recv(timeout=10)
        worker.close()
    assert lost == 10


async def test_closing_ends_all_that_wait(ends: Ends) -> None:
    _, asker = ends

    async def one() -> None:
        with pytest.raises(ipmb.Closed):
            await ask(asker, 1, timeout=None)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        asker.sender.close()


async def test_whoever_leads_is_cancelled_and_the_others_are_served(ends: Ends) -> None:
    worker, asker = ends
    replies: list[object] = []
    scopes: list[anyio.CancelScope] = []

    async def one(number: int) -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            replies.append(await ask(asker, number, timeout=None))

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(one, number)
        await anyio.wait_all_tasks_blocked()
        messages = await worker.receiver.recv_many(10)
        for scope in scopes[:9]:
            scope.cancel()
            await anyio.sleep(0)
        await anyio.wait_all_tasks_blocked()
        for message in messages:
            await message.reply(message.payload)
    assert len(replies) == 1


async def test_no_more_is_taken_than_there_are_workers(ends: Ends) -> None:
    worker, asker = ends
    go_on = anyio.Event()
    running = 0

    async def handler(message: ipmb.aio.Message) -> object:
        nonlocal running
        running += 1
        await go_on.wait()
        return message.payload

    async def one(number: int) -> None:
        assert await ask(asker, number) == number

    async with anyio.create_task_group() as group:

        async def service() -> None:
            await ipmb.aio.serve(worker.receiver, handler, workers=3)

        group.start_soon(service)
        async with anyio.create_task_group() as askers:
            for number in range(10):
                askers.start_soon(one, number)
            await anyio.wait_all_tasks_blocked()
            assert (running, worker.stats().received) == (3, 3)
            go_on.set()
        worker.receiver.close()


async def test_closing_waits_for_the_handlers_that_run(ends: Ends) -> None:
    worker, asker = ends
    go_on, begun = anyio.Event(), anyio.Event()

    async def handler(message: ipmb.aio.Message) -> object:
        begun.set()
        await go_on.wait()
        return "done"

    async def one() -> None:
        assert await ask(asker, 1) == "done"

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        async with anyio.create_task_group() as services:
            services.start_soon(ipmb.aio.serve, worker.receiver, handler)
            await begun.wait()
            worker.receiver.close()
            await anyio.wait_all_tasks_blocked()
            go_on.set()


async def test_a_cancelled_service_tells_its_askers(ends: Ends) -> None:
    worker, asker = ends
    begun = anyio.Event()

    async def handler(message: ipmb.aio.Message) -> None:
        begun.set()
        await anyio.sleep_forever()

    async def one() -> None:
        with pytest.raises(ipmb.RemoteError, match="Cancelled"):
            await ask(asker, 1)

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        async with anyio.create_task_group() as services:
            services.start_soon(ipmb.aio.serve, worker.receiver, handler)
            await begun.wait()
            services.cancel_scope.cancel()
    await asker.sender.send("worker", "for nobody")
    assert (await worker.receiver.recv(timeout=10)).payload == "for nobody"


def test_a_service_that_is_cancelled_by_asyncio(bus: str) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def handler(message: ipmb.aio.Message) -> None:
            begun.set()
            await asyncio.sleep(1000)

        async with (
            await ipmb.aio.join(bus, "worker", timeout=10) as worker,
            await ipmb.aio.join(bus, "asker", timeout=10) as asker,
        ):
            service = asyncio.create_task(ipmb.aio.serve(worker.receiver, handler))
            asked = asyncio.create_task(ask(asker, 1))
            await begun.wait()
            service.cancel()
            with pytest.raises(asyncio.CancelledError):
                await service
            with pytest.raises(ipmb.RemoteError, match="CancelledError"):
                await asked

    asyncio.run(main())


async def test_a_handler_that_exits_ends_the_service(ends: Ends) -> None:
    worker, asker = ends
    go_on, begun = anyio.Event(), anyio.Event()

    async def handler(message: ipmb.aio.Message) -> object:
        if message.payload == "exit":
            raise SystemExit(3)
        begun.set()
        await go_on.wait()
        return "done"

    async def slow() -> None:
        assert await ask(asker, "slow") == "done"

    async def leave() -> None:
        await begun.wait()
        with pytest.raises(ipmb.RemoteError, match="SystemExit: 3"):
            await ask(asker, "exit")
        go_on.set()

    async with anyio.create_task_group() as group:
        group.start_soon(slow)
        group.start_soon(leave)
        with pytest.raises(SystemExit):
            await ipmb.aio.serve(worker.receiver, handler)


async def test_wrong_arguments(ends: Ends) -> None:
    worker, asker = ends
    wrong: Any = ipmb.aio.serve
    with pytest.raises(TypeError, match=r"give the receiver of what ipmb\.aio\.join returned"):
        await wrong(worker, double)
    with pytest.raises(
        TypeError, match=r"handler is a plain function: give an async one, or use ipmb\.serve"
    ):
        await wrong(worker.receiver, lambda message: message)
    with pytest.raises(ValueError, match="workers is 0: give 1 to 1000"):
        await wrong(worker.receiver, double, workers=0)
    ask_wrongly: Any = asker.sender.request
    with pytest.raises(ValueError, match="multicast"):
        await ask_wrongly(ipmb.Selector.multicast("worker"), 1)
    with pytest.raises(TypeError, match="payload is a set"):
        await ask_wrongly("worker", {1})
    with pytest.raises(ValueError, match="timeout is -1"):
        await ask_wrongly("worker", 1, timeout=-1)


def test_a_handler_that_waits_for_something_cancelled_costs_one_message(bus: str) -> None:
    """In asyncio a cancelled task raises the same error in whoever awaits it; nobody has cancelled the service."""

    async def handler(message: ipmb.aio.Message) -> object:
        if message.payload == "accident":
            job = asyncio.create_task(asyncio.sleep(10))
            job.cancel()
            await job
        if message.payload == "cancel me":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(10)
        if message.payload == "slow":
            await asyncio.sleep(0.2)
        return "done"

    async def main() -> None:
        async with (
            await ipmb.aio.join(bus, "worker", timeout=10) as worker,
            await ipmb.aio.join(bus, "asker", timeout=10) as asker,
        ):
            service = asyncio.create_task(ipmb.aio.serve(worker.receiver, handler))
            slow = asyncio.create_task(ask(asker, "slow"))
            assert await ask(asker, 1) == "done"
            for accident in ("accident", "cancel me"):
                with pytest.raises(ipmb.RemoteError, match="CancelledError"):
                    await ask(asker, accident)
                assert await ask(asker, 1) == "done"
            assert await slow == "done"
            assert not service.done()
            worker.receiver.close()
            await service

    asyncio.run(main())
