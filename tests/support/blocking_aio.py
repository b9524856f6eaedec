"""The asynchronous twins of `tests/support/blocking.py`: coroutines that wait for ever, on each event loop."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import anyio

import ipmb
import ipmb.aio
from tests.support import runner
from tests.support.blocking import SIZE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WAITS: Final = ("recv", "recv_many", "iteration", "send", "send_many", "request", "watch", "serve", "join")
LOOPS: Final = ("asyncio", "uvloop", "trio")


async def _wait(what: str, bus: str) -> None:
    """Sets the call up and waits in it."""
    async with await ipmb.aio.join(bus, "earth", timeout=10.0) as earth:
        sender, receiver = await ipmb.aio.join(bus, "moon", timeout=10.0)
        if what in ("send", "send_many"):
            try:
                while True:
                    await sender.send("earth", bytes(SIZE), overflow="error")
            except ipmb.Full:
                pass

        async def iterate() -> None:
            async for _ in receiver:
                pass

        async def handle(_: object) -> None:
            """A handler that is never called."""

        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "recv": receiver.recv,
            "recv_many": lambda: receiver.recv_many(10),
            "iteration": iterate,
            "send": lambda: sender.send("earth", bytes(SIZE)),
            "send_many": lambda: sender.send_many("earth", [bytes(SIZE)] * 10),
            "request": lambda: sender.request("earth", 1),
            "watch": lambda: anext(earth.watch()),
            "serve": lambda: ipmb.aio.serve(receiver, handle),
            "join": lambda: ipmb.aio.join(bus + ".nobody", controller_affinity=False),
        }
        call = calls[what]()
        runner.event("waiting")
        await call


def until_interrupted(what: str, bus: str, loop: str) -> float | str:
    """Run a program whose one task waits, until Ctrl-C; the monotonic time at which it had ended."""
    options = {"use_uvloop": True} if loop == "uvloop" else {}
    backend = "trio" if loop == "trio" else "asyncio"
    try:
        anyio.run(_wait, what, bus, backend=backend, backend_options=options)
    except KeyboardInterrupt:
        return time.monotonic()
    return "returned"
