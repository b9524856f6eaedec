"""`ipmb.aio.serve` where tasks are cancelled, and a watch where there is always something to tell."""

from __future__ import annotations

import asyncio

import anyio
import pytest

import ipmb
import ipmb.aio


def test_a_cancellation_in_the_handlers_own_affairs_costs_its_message_only(bus: str) -> None:
    """asyncio only: there a task that somebody else cancelled raises its cancellation in who awaits it."""

    async def handler(message: ipmb.aio.Message[str]) -> str:
        if message.payload == "stumble":
            job = asyncio.create_task(asyncio.sleep(60))
            await asyncio.sleep(0)
            job.cancel()
            await job
        return message.payload.upper()

    async def main() -> None:
        async with (
            await ipmb.aio.join(bus, "clerk", payloads=str) as clerk,
            await ipmb.aio.join(bus) as asker,
        ):
            service = asyncio.create_task(ipmb.aio.serve(clerk.receiver, handler))
            with pytest.raises(ipmb.RemoteError, match="CancelledError"):
                await asker.sender.request("clerk", "stumble", timeout=10)
            assert (await asker.sender.request("clerk", "walk", timeout=10)).payload == "WALK"
            assert not service.done()
            clerk.receiver.close()
            await asyncio.wait_for(service, 10)

    asyncio.run(main())


@pytest.mark.anyio
async def test_a_service_that_is_cancelled_ends(bus: str) -> None:
    started = anyio.Event()

    async def handler(message: ipmb.aio.Message[str]) -> str:
        started.set()
        await anyio.sleep_forever()
        return message.payload

    async def ask(asker: ipmb.aio.Endpoint[object]) -> None:
        with pytest.raises(ipmb.RemoteError, match="Cancelled"):
            await asker.sender.request("clerk", "wait", timeout=10)

    async with await ipmb.aio.join(bus, "clerk", payloads=str) as clerk, await ipmb.aio.join(bus) as asker:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as askers:
                askers.start_soon(ask, asker)
                async with anyio.create_task_group() as services:
                    services.start_soon(ipmb.aio.serve, clerk.receiver, handler)
                    await started.wait()
                    services.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_watch_with_much_to_tell_lets_others_run(bus: str) -> None:
    async with await ipmb.aio.join(bus, "observer") as observer:
        watch = observer.watch()
        for _ in range(300):
            ipmb.join(bus, "passer").close()
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await anyio.sleep(0)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(count)
                told = 0
                async for _ in watch:
                    told += 1
                    if told == 600:
                        break
                group.cancel_scope.cancel()
        assert turns > 2
        # Also a cancellation is noticed while there is something to tell.
        for _ in range(300):
            ipmb.join(bus, "passer").close()
        told = 0
        with anyio.CancelScope() as scope:
            scope.cancel()
            async for _ in watch:
                told += 1
        assert told == 0
