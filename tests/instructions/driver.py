"""What a message costs from Python, in instructions; the mirror of ``crates/bus/examples/instructions.rs``.

Both endpoints are in this process, whose one thread sends a run and then receives it, so nothing ever waits. The
figure of a call for many messages at once is per message too.
"""

from __future__ import annotations

import asyncio
import gc
import os
from itertools import repeat
from typing import TYPE_CHECKING, Any

import msgspec

import ipmb
import ipmb.aio
from ipmb.aio import readiness

if TYPE_CHECKING:
    from collections.abc import Callable

#: Payload bytes of one run, which have to fit into the smallest ring with what is around them.
RUN_BYTES = 24 << 10
#: As many runs count, and as many go before them.
RUNS = 12
#: A call of an event loop costs ten times as much.
AIO_RUNS, AIO_CALLS = 8, 48
#: Messages of one call for many.
MANY = 64
#: Bytes that go from one endpoint to the other before anything else: its ring has then become what it will be.
WARM_BYTES = 3 << 20


@ipmb.message_type("6f1dbb1c-3a1e-4c51-9b0e-0d4f6d2b7a11")
class Position(msgspec.Struct):
    x: float
    y: float
    name: str
    number: int


#: Payloads, and how many bytes each is taken for when runs are measured out. What is longer than 1,000 bytes costs
#: the C library's `malloc` more or less by how the heap looks, which a change anywhere else can change.
PAYLOADS: dict[str, tuple[Any, int]] = {
    "64 B": (bytes(64), 64),
    "960 B": (bytes(960), 960),
    "str of 64": ("x" * 64, 64),
    "int": (7, 64),
    "Struct of 4": (Position(1.5, 2.5, "here", 7), 64),
}


def main() -> None:
    gc.disable()
    with (
        ipmb.join(f"instructions.{os.getpid()}", "near") as (sender, _),
        ipmb.join(f"instructions.{os.getpid()}", "far") as (_, receiver),
    ):
        plain(sender, receiver)
    # How often other tasks get their turn depends on the clock; what counts here is a call between two turns.
    vars(readiness)["_SLICE"] = 3600.0
    with asyncio.Runner() as runner:
        aio(runner)


def rows(
    send: tuple[str, Callable[[int], object]],
    recv: tuple[str, Callable[[int], object]],
    calls: int = RUN_BYTES // 64,
    runs: int = RUNS,
) -> None:
    """Sends as often as it receives, in turns; a run without calls tells what surrounds the others."""
    for _ in range(runs):
        send[1](calls)
        recv[1](calls)
    for number in [0, *repeat(calls, runs)]:
        counted(*send, number)
        counted(*recv, number)


def counted(name: str, run: Callable[[int], object], calls: int) -> None:
    print(calls, name)
    os.getppid()
    run(calls)
    os.getppid()


def plain(sender: ipmb.Sender, receiver: ipmb.Receiver[Any]) -> None:
    """One thread that never waits."""
    send, recv = sender.send, receiver.recv
    send_many, recv_many = sender.send_many, receiver.recv_many
    payload: Any = [bytes(1024)] * (RUN_BYTES >> 10)
    for _ in range(WARM_BYTES // RUN_BYTES):
        send_many("far", payload)
        recv_many(len(payload))

    def sends(calls: int) -> None:
        for _ in repeat(None, calls):
            send("far", payload)

    def recvs(calls: int) -> None:
        for _ in repeat(None, calls):
            recv()

    def sends_many(calls: int) -> None:
        for _ in repeat(None, calls // MANY):
            send_many("far", payload)

    def recvs_many(calls: int) -> None:
        for _ in repeat(None, calls // MANY):
            recv_many(MANY)

    for name, (payload, size) in PAYLOADS.items():  # noqa: B007 - it is what the functions above send
        rows((f"send, {name}", sends), (f"recv, {name}", recvs), calls=RUN_BYTES // size)
    payload = [bytes(64)] * MANY
    rows((f"send_many of {MANY}, 64 B", sends_many), (f"recv_many of {MANY}, 64 B", recvs_many))


def aio(runner: asyncio.Runner) -> None:
    """The same under an event loop."""
    sender, _ = runner.run(ipmb.aio.join(f"instructions.aio.{os.getpid()}", "near"))
    _, receiver = runner.run(ipmb.aio.join(f"instructions.aio.{os.getpid()}", "far"))
    many, payload = [bytes(1024)] * (RUN_BYTES >> 10), bytes(64)

    async def warm() -> None:
        for _ in range(WARM_BYTES // RUN_BYTES):
            await sender.send_many("far", many)
            await receiver.recv_many(len(many))

    async def sends(calls: int) -> None:
        for _ in repeat(None, calls):
            await sender.send("far", payload)

    async def recvs(calls: int) -> None:
        for _ in repeat(None, calls):
            await receiver.recv()

    runner.run(warm())
    send = ("aio send, 64 B", lambda calls: runner.run(sends(calls)))
    recv = ("aio recv, 64 B", lambda calls: runner.run(recvs(calls)))
    rows(send, recv, calls=AIO_CALLS, runs=AIO_RUNS)
    sender.close()
    receiver.close()


if __name__ == "__main__":
    main()
