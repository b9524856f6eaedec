"""Calls that are cancelled at random moments, in every way an event loop knows.

A call that is cancelled must have done nothing, one that was not must have done its work: the test keeps the books, in
the same step in which a call returns.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import anyio
import sniffio

import ipmb
from tests.support import runner
from tests.support.roles import MAIN, ends

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Attempt = Callable[[], Awaitable[None]]

#: Seconds after which a call is cancelled, at most: about what a message takes, so that every step of it is hit.
LONGEST = 0.001


async def moment(chance: random.Random) -> None:
    """Nothing, some turns of the event loop, or some time."""
    match chance.randrange(3):
        case 0:
            for _ in range(chance.randrange(6)):
                await anyio.sleep(0)
        case 1:
            await anyio.sleep(chance.random() * LONGEST / 10)
        case _:
            await anyio.sleep(chance.random() * LONGEST)


async def by_a_timeout(attempt: Attempt, chance: random.Random) -> bool:
    with anyio.move_on_after(chance.random() * LONGEST) as scope:
        await attempt()
    return scope.cancelled_caught


async def by_another_task(attempt: Attempt, chance: random.Random) -> bool:
    scope = anyio.CancelScope()

    async def cancel() -> None:
        await moment(chance)
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(cancel)
        with scope:
            await attempt()
    return scope.cancelled_caught


async def by_task_cancel(attempt: Attempt, chance: random.Random) -> bool:
    task = asyncio.ensure_future(attempt())
    await moment(chance)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


async def by_wait_for(attempt: Attempt, chance: random.Random) -> bool:
    try:
        await asyncio.wait_for(attempt(), chance.random() * LONGEST)
    except TimeoutError:
        return True
    return False


async def by_asyncio_timeout(attempt: Attempt, chance: random.Random) -> bool:
    try:
        async with asyncio.timeout(chance.random() * LONGEST):
            await attempt()
    except TimeoutError:
        return True
    return False


async def cancel_often(attempt: Attempt, times: int, *, side_by_side: int = 6, seed: int = 1) -> int:
    """Makes calls, several side by side, until that many were cancelled; how many were not."""
    ways: list[Any] = [by_a_timeout, by_another_task]
    if sniffio.current_async_library() == "asyncio":
        ways += [by_task_cancel, by_wait_for, by_asyncio_timeout]
    cancelled = dict.fromkeys(ways, 0)
    finished = 0

    async def go_on(chance: random.Random) -> None:
        nonlocal finished
        while sum(cancelled.values()) < times:
            way = chance.choice(ways)
            if await way(attempt, chance):
                cancelled[way] += 1
            else:
                finished += 1

    async with anyio.create_task_group() as group:
        for number in range(side_by_side):
            group.start_soon(go_on, random.Random(f"{seed} {number}"))
    assert all(cancelled.values()), cancelled
    return finished


def flood(to: str, seed: int, *, name: str = MAIN) -> int:
    """Send 0, 1, 2 ... in bursts of random length until the next call comes; how many went."""
    chance = random.Random(seed)
    sender = ends[name].sender
    count = 0
    while not runner.called_again():
        for _ in range(chance.choice([1, 1, 2, 5, 50])):
            assert sender.send(to, count, timeout=30.0) == 1
            count += 1
        time.sleep(chance.random() * 8 * LONGEST)
    return count


def sip(seed: int, *, name: str = MAIN) -> list[int]:
    """Receive in gulps of random size, with rests, until the next call has come and all is read; the numbers."""
    chance = random.Random(seed)
    found: list[int] = []
    while True:
        try:
            many = ends[name].receiver.recv_many(chance.choice([1, 10, 3000]), 0.1)
        except ipmb.RecvTimeout:
            if runner.called_again():
                return found
            continue
        found += [message.payload for message in many]
        if chance.random() < 0.3:
            time.sleep(chance.random() * LONGEST)
