"""What type checkers make of `ipmb.aio`: mypy and pyright read this file, and the values are what it says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, assert_type

import ipmb
import ipmb.aio


@ipmb.message_type("7c1f3f0a-9a43-4a6e-8f3c-0f7f1b1e2c01")
@dataclass
class Plum:
    weight: float


def test_payloads_say_what_is_received(bus: str) -> None:
    async def handler(message: ipmb.aio.Message[Plum | str]) -> object:
        return assert_type(message.payload, Plum | str)

    async def main() -> None:
        async with await ipmb.aio.join(bus, "basket", timeout=10, payloads=Plum | str) as endpoint:
            assert_type(endpoint, ipmb.aio.Endpoint[Plum | str])
            sender, receiver = endpoint
            assert_type(sender, ipmb.aio.Sender)
            assert_type(receiver, ipmb.aio.Receiver[Plum | str])
            assert_type(await sender.send("basket", Plum(1.5)), int)
            message = assert_type(await receiver.recv(timeout=5), ipmb.aio.Message[Plum | str])
            match assert_type(message.payload, Plum | str):
                case Plum(weight):
                    assert weight == 1.5
                case other:
                    assert_type(other, str)
                    raise AssertionError
            assert_type(await sender.send(message), int)
            assert_type(await receiver.recv_many(1, timeout=5), list[ipmb.aio.Message[Plum | str]])
            assert_type(await sender.send_many("basket", ["stone"], ttl=None), int)
            async for one in receiver:
                assert_type(one.payload, Plum | str)
                assert_type(await one.reply("back"), int)
                break
            await receiver.close()
            await ipmb.aio.serve(receiver, handler)

    asyncio.run(main())


def test_what_is_not_said(bus: str) -> None:
    async def main() -> None:
        async with await ipmb.aio.join(ipmb.Options(bus, "basket"), timeout=10) as endpoint:
            assert_type(endpoint, ipmb.aio.Endpoint[Any])
            plain: ipmb.aio.Endpoint = endpoint  # no parameter needed
            assert_type(plain, ipmb.aio.Endpoint[Any])
            assert_type(endpoint.stats(), ipmb.Stats)
            assert_type(endpoint.peers(), list[ipmb.EndpointInfo])
            assert_type(endpoint.watch(), ipmb.Watch)
        box = ipmb.MessageBox(Plum, int)
        async with await ipmb.aio.join(bus, timeout=10, payloads=box) as other:
            assert_type(other, ipmb.aio.Endpoint[Plum | int])
        async with await ipmb.aio.join(ipmb.Options(bus), timeout=10, payloads=Plum) as single:
            assert_type(single, ipmb.aio.Endpoint[Plum])

    asyncio.run(main())


def test_requests(bus: str) -> None:
    with ipmb.join(bus, "worker", timeout=10, payloads=int) as worker:

        def handler(message: ipmb.Message[int]) -> int:
            worker.receiver.close()
            return message.payload

        async def main() -> None:
            async with await ipmb.aio.join(bus, timeout=10) as (sender, _):
                asked = asyncio.create_task(
                    asyncio.to_thread(ipmb.serve, worker.receiver, handler, workers=1)
                )
                reply = await sender.request("worker", 1, timeout=5, ttl=5)
                assert_type(reply, ipmb.aio.Message[Any])
                await asked

        asyncio.run(main())
