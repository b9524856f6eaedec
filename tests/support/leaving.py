"""Leaving a bus from an event loop while a message waits and the controller does not answer."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import warnings
from typing import cast

import anyio

import ipmb.aio
from tests.support import roles

#: The name of one that has left, which can still be asked what it has counted.
CLOSED = "closed"

#: What whoever leaves has joined, so that nothing of it goes by being collected.
_ends: list[ipmb.aio.Endpoint] = []


def join_and_send(bus: str, to: str, value: int, backend: str) -> int:
    """One that joins in an event loop and sends what has to wait; how many have it."""

    async def talk() -> int:
        end = await ipmb.aio.join(bus, "leaver", controller_affinity=False, timeout=10.0)
        _ends.append(end)
        return await end.sender.send(to, value, ttl=60)

    return anyio.run(talk, backend=backend)


def close(backend: str) -> float:
    """Closes it in an event loop; the longest that another task did not get its turn, in seconds."""

    async def leave() -> float:
        longest = 0.0

        async def look() -> None:
            nonlocal longest
            last = time.monotonic()
            while True:
                await anyio.sleep(0.001)
                longest, last = max(longest, time.monotonic() - last), time.monotonic()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look)
            await anyio.sleep(0.01)
            end = _ends.pop()
            roles.ends[CLOSED] = cast("ipmb.Endpoint", end)
            await end.close()
            await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        return longest

    return anyio.run(leave, backend=backend)


def let_go() -> float:
    """Lets an endpoint be collected that is not closed; how long that takes, in seconds."""
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del roles.ends[roles.MAIN]
        gc.collect()
    return time.monotonic() - start


def end_at_once(bus: str) -> tuple[float, str]:
    """A program ends with two endpoints on a bus of their own, where a message waits; how long, and what it says."""
    program = f"""
import logging, time
import ipmb

logging.basicConfig()
first = ipmb.join({bus!r}, "first")
second = ipmb.join({bus!r}, "second")
assert first.sender.send("late", 7, ttl=60) == 0
print(time.monotonic(), flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return time.monotonic() - float(done.stdout), done.stderr
