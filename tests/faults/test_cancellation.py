"""Ten thousand calls are cancelled at random moments under load: nothing is lost, nothing comes twice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio
import pytest

import ipmb
import ipmb.aio
from tests.support import cancelling

if TYPE_CHECKING:
    from tests.conftest import Spawn

pytestmark = pytest.mark.anyio

CANCELLATIONS = 10_000


async def test_recv(spawn: Spawn, bus: str, anyio_backend: object) -> None:
    source = spawn.member(bus, "source")
    found: list[int] = []
    async with await ipmb.aio.join(bus, "sink", timeout=10) as (_, receiver):

        async def take() -> None:
            message = await receiver.recv()
            found.append(message.payload)

        async def take_many() -> None:
            messages = await receiver.recv_many(3)
            found.extend(message.payload for message in messages)

        flood = source.child.begin(cancelling.flood, "sink", 1)
        await cancelling.cancel_often(take, CANCELLATIONS * 4 // 5)
        await cancelling.cancel_often(take_many, CANCELLATIONS // 5, seed=2)
        source.child.post(time.monotonic)
        while not flood.ready():
            await take_all(receiver, found)
        sent = flood.result()
        await take_all(receiver, found)
    assert sorted(found) == list(range(sent))


async def take_all(receiver: ipmb.aio.Receiver, found: list[int]) -> None:
    try:
        while True:
            found.append((await receiver.recv(timeout=0.1)).payload)
    except ipmb.RecvTimeout:
        return


async def test_send(spawn: Spawn, bus: str, anyio_backend: object) -> None:
    sink = spawn.member(bus, "sink")
    sent: list[int] = []
    numbers = iter(range(10**9))
    async with await ipmb.aio.join(bus, "source", timeout=10) as (sender, _):

        async def put() -> None:
            number = next(numbers)
            assert await sender.send("sink", number) == 1
            sent.append(number)

        sipping = sink.child.begin(cancelling.sip, 1)
        # The ring is full nearly all the time: who sends waits for room that comes and goes.
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def pour() -> None:
                    while True:
                        await put()

                for _ in range(3):
                    group.start_soon(pour)
                await cancelling.cancel_often(put, CANCELLATIONS)
                scope.cancel()
        sink.child.post(time.monotonic)
        found = await anyio.to_thread.run_sync(sipping.result, 30.0)
    assert sorted(found) == sorted(sent)
    assert found.count(found[0]) == 1
