"""What each use of each handle does in a forked child, and what a child that joins anew can do."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import ipmb
import ipmb.aio
from tests.support.forking import in_child
from tests.support.roles import MAIN, ends

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def _outcome(call: Callable[[], object]) -> str:
    try:
        value = call()
    except BaseException as error:  # noqa: BLE001 - which one it is, is the question
        return type(error).__name__
    return f"returned {value!r}"


def _in_loop(call: Callable[[], Awaitable[object]]) -> Callable[[], object]:
    async def run() -> object:
        return await call()

    return lambda: asyncio.run(run())


def _nothing(_: object) -> None:
    """A handler that is never called."""


async def _nothing_async(_: object) -> None:
    """The same for the asynchronous face."""


def _uses(
    endpoint: ipmb.Endpoint, watch: ipmb.Watch, message: ipmb.Message, aio: ipmb.aio.Endpoint
) -> dict[str, Callable[[], object]]:
    """Every method that needs the bus, by name."""
    sender, receiver = endpoint
    return {
        "Endpoint.peers": endpoint.peers,
        "Endpoint.stats": endpoint.stats,
        "Endpoint.watch": endpoint.watch,
        "Sender.send": lambda: sender.send("earth", 1),
        "Sender.send with a ttl": lambda: sender.send("nobody", 1, ttl=5),
        "Sender.send to many": lambda: sender.send(ipmb.Selector.multicast("earth"), 1),
        "Sender.send_many": lambda: sender.send_many("earth", [1, 2]),
        "Sender.request": lambda: sender.request("earth", 1, timeout=5),
        "Message.reply": lambda: message.reply(1),
        "Receiver.recv": lambda: receiver.recv(5),
        "Receiver.recv_many": lambda: receiver.recv_many(5, 5),
        "Receiver.__next__": lambda: next(iter(receiver)),
        "Receiver.fileno": receiver.fileno,
        "serve": lambda: ipmb.serve(receiver, _nothing, workers=1),
        "serve in threads": lambda: ipmb.serve(receiver, _nothing),
        "Watch.poll": watch.poll,
        "Watch.get": lambda: watch.get(5),
        "Watch.__next__": lambda: next(watch),
        "Watch.fileno": watch.fileno,
        "aio.Endpoint.peers": aio.peers,
        "aio.Endpoint.stats": aio.stats,
        "aio.Endpoint.watch": aio.watch,
        "aio.Sender.send": _in_loop(lambda: aio.sender.send("earth", 1)),
        "aio.Sender.send_many": _in_loop(lambda: aio.sender.send_many("earth", [1])),
        "aio.Sender.request": _in_loop(lambda: aio.sender.request("earth", 1, timeout=5)),
        "aio.Receiver.recv": _in_loop(lambda: aio.receiver.recv(5)),
        "aio.Receiver.recv_many": _in_loop(lambda: aio.receiver.recv_many(5, 5)),
        "aio.serve": _in_loop(lambda: ipmb.aio.serve(aio.receiver, _nothing_async)),
    }


def used_after_fork(bus: str) -> Any:
    """What each use does in a child, after a request and an event have opened everything in the parent."""
    with ipmb.join(bus, "earth") as endpoint, endpoint.watch() as watch:
        aio = asyncio.run(ipmb.aio.join(bus, "moon"))
        watch.get(5)
        server = threading.Thread(target=ipmb.serve, args=(endpoint.receiver, _double), kwargs={"workers": 1})
        server.start()
        with ipmb.join(bus, "asker") as asker:
            assert asker.sender.request("earth", 21, timeout=5).payload == 42
        endpoint.receiver.close()
        server.join()
        again = ipmb.join(bus, "earth")
        assert again.sender.send("earth", "to myself") == 1
        message = again.receiver.recv(5)
        uses = _uses(again, watch, message, aio)
        return in_child(os.fork, lambda: {name: _outcome(use) for name, use in uses.items()})


def _double(message: ipmb.Message) -> Any:
    return message.payload * 2


def harmless_after_fork(bus: str) -> Any:
    """What may be asked of a dead handle all the same: who it was, how it looks, and to close; (here, there)."""
    with ipmb.join(bus, "earth") as endpoint, endpoint.watch() as watch:
        aio = asyncio.run(ipmb.aio.join(bus, "moon"))

        def look() -> list[str]:
            kept = [str(endpoint.id), repr(endpoint.label), endpoint.identifier]
            return kept + [repr(one) for one in (endpoint, *endpoint, aio, *aio)]

        def look_and_close() -> list[str]:
            seen = look()
            for one in (watch, endpoint.sender, endpoint.receiver, endpoint, aio.sender, aio.receiver, aio):
                one.close()
            return seen

        there = in_child(os.fork, look_and_close)
        endpoint.sender.send("earth", "still here")
        assert endpoint.receiver.recv(5).payload == "still here"
        return look(), there


def rejoined_after_fork(bus: str, to: str) -> Any:
    """A child joins anew and does all of it, while its parent's endpoint lives on."""
    with ipmb.join(bus, "parent"):

        def work() -> list[Any]:
            with ipmb.join(bus, "child", timeout=10.0) as endpoint, endpoint.watch() as watch:
                with ipmb.join(bus, "another"):
                    event = watch.get(5)
                reply = endpoint.sender.request(to, 21, timeout=5.0).payload
                endpoint.sender.send("child", "to myself")
                return [event.kind, reply, endpoint.receiver.recv(5).payload, asyncio.run(loop())]

        async def loop() -> Any:
            async with await ipmb.aio.join(bus, "child in a loop", timeout=10.0) as (sender, _):
                return (await sender.request(to, 4, timeout=5.0)).payload

        return in_child(os.fork, work)


def serve_doubles() -> None:
    """Doubles what it is asked, for ever."""
    ipmb.serve(ends[MAIN].receiver, _double, workers=1)
