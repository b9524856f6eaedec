"""Joining from event loops, and the endpoint that comes of it."""

from __future__ import annotations

import logging
import os
import pickle
import time
from typing import Any

import anyio
import pytest

import ipmb
import ipmb.aio

pytestmark = pytest.mark.anyio


async def test_an_endpoint_says_what_it_is(bus: str, anyio_backend: Any) -> None:
    async with await ipmb.aio.join(bus, ["earth", "blue"], timeout=10) as earth:
        assert earth.label == {"earth", "blue"}
        assert earth.identifier == bus
        assert earth.is_controller
        sender, receiver = earth
        assert (sender, receiver) == (earth.sender, earth.receiver)
        assert repr(earth) == f"<aio.Endpoint {earth.id:#x} label('blue', 'earth') on {bus!r}>"
        assert (repr(sender), repr(receiver)) == (
            f"<aio.Sender of {earth.id:#x}>",
            f"<aio.Receiver of {earth.id:#x}>",
        )
        assert earth.peers() == []
        assert isinstance(receiver.fileno(), int)
        with ipmb.join(bus, "moon", timeout=10) as moon:
            assert [peer.id for peer in earth.peers()] == [moon.id]
            assert earth.stats().sent == 0
        with pytest.raises(TypeError, match=r"an aio\.Endpoint belongs to its event loop"):
            pickle.dumps(earth)
    with pytest.raises(ipmb.Closed):
        await sender.send("earth", 1)
    with pytest.raises(ipmb.Closed):
        earth.peers()


async def test_options_tokens_and_types(bus: str, anyio_backend: Any) -> None:
    options = ipmb.Options(bus, "earth", token="secret")
    async with await ipmb.aio.join(options, timeout=10, payloads=str | int) as (sender, receiver):
        await sender.send("earth", b"skipped")
        await sender.send("earth", "taken")
        assert (await receiver.recv(timeout=10)).payload == "taken"
        with pytest.raises(ipmb.TokenMismatch):
            await ipmb.aio.join(bus, token="wrong", timeout=10)
        wrong: Any = ipmb.aio.join
        with pytest.raises(TypeError, match="belong into the Options"):
            await wrong(options, "label")
        with pytest.raises(ValueError, match="identifier is empty"):
            await wrong("")
        with pytest.raises(ValueError, match="timeout is -1: give 0 or more seconds"):
            await wrong(bus, timeout=-1)


async def test_nobody_there(bus: str, anyio_backend: Any) -> None:
    for timeout in (0, 0.05):
        begin = time.monotonic()
        with pytest.raises(ipmb.JoinTimeout):
            await ipmb.aio.join(bus, controller_affinity=False, timeout=timeout)
        assert timeout <= time.monotonic() - begin < 5


async def test_a_join_that_is_cancelled_leaves_nothing_behind(bus: str, anyio_backend: Any) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    # What a process opens once stays open.
    (await ipmb.aio.join(bus, timeout=10)).close()
    with anyio.move_on_after(0.05):
        await ipmb.aio.join(bus, controller_affinity=False)
    before = descriptors()
    for _ in range(10):
        with anyio.move_on_after(0.01):
            await ipmb.aio.join(bus, controller_affinity=False)
    async with await ipmb.aio.join(bus, timeout=10) as first:
        for number in range(50):
            with anyio.move_on_after(number / 20_000):
                (await ipmb.aio.join(bus, "late")).close()
        with anyio.fail_after(10):
            while first.peers():
                await anyio.sleep(0.01)
    del first
    with anyio.fail_after(10):
        while descriptors() > before:
            await anyio.sleep(0.01)


async def test_others_run_while_somebody_joins(bus: str, anyio_backend: Any) -> None:
    async with anyio.create_task_group() as group:

        async def late() -> None:
            async with await ipmb.aio.join(bus, "late", controller_affinity=False, timeout=10) as endpoint:
                await endpoint.sender.send("early", "hello")

        group.start_soon(late)
        await anyio.wait_all_tasks_blocked()
        async with await ipmb.aio.join(bus, "early", timeout=10) as endpoint:
            assert (await endpoint.receiver.recv(timeout=10)).payload == "hello"


async def test_halves_are_closed_each_on_its_own(bus: str, anyio_backend: Any) -> None:
    endpoint = await ipmb.aio.join(bus, "earth", timeout=10)
    async with endpoint.receiver:
        pass
    with pytest.raises(ipmb.Closed):
        await endpoint.receiver.recv()
    assert await endpoint.sender.send("mars", 1) == 0
    async with endpoint.sender:
        pass
    with pytest.raises(ipmb.Closed):
        await endpoint.sender.send("earth", 1)
    endpoint.close()
    await endpoint.close()


async def test_joining_is_logged(bus: str, caplog: pytest.LogCaptureFixture, anyio_backend: Any) -> None:
    with caplog.at_level(logging.DEBUG, "ipmb"):
        async with await ipmb.aio.join(bus, "earth", timeout=10):
            pass
    assert any("joined" in record.getMessage() for record in caplog.records)
