"""A program whose daemon threads use everything at full speed when its main thread comes to its end."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import TYPE_CHECKING

import ipmb
import ipmb.aio

if TYPE_CHECKING:
    from collections.abc import Callable


def main(bus: str, seconds: float) -> None:
    """Starts the threads, and returns while they work."""
    earth, moon = ipmb.join(bus, "earth"), ipmb.join(bus, "moon")
    queue: ipmb.Queue[list[int]] = ipmb.Queue(4)

    def serve() -> None:
        ipmb.serve(earth.receiver, lambda message: message.payload)

    def talk_to_oneself() -> None:
        with ipmb.join(bus, "self") as (sender, receiver):
            while True:
                sender.send("self", [1] * 100)
                receiver.recv()

    def in_a_loop() -> None:
        async def ask() -> None:
            async with await ipmb.aio.join(bus, "loop") as (sender, _):
                while True:
                    await sender.request("earth", 1)

        asyncio.run(ask())

    def join() -> None:
        with ipmb.join(bus, "guest"):
            pass

    def watch() -> None:
        for _ in earth.watch():
            pass

    def for_ever(work: Callable[[], object]) -> Callable[[], None]:
        def repeat() -> None:
            while True:
                work()

        return repeat

    repeated = (
        lambda: moon.sender.request("earth", [1, 2, {"a": 3}]),
        lambda: moon.sender.request("earth", b"x"),
        lambda: moon.sender.send("earth", {"x": [1] * 50}),
        lambda: queue.put([1] * 100),
        queue.get,
        join,
    )
    for work in (serve, talk_to_oneself, in_a_loop, watch, *map(for_ever, repeated)):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(seconds)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
