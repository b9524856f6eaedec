"""`Sender` for event loops: sends at once where there is room, waits on a descriptor where there is none."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Self, overload

from ipmb import _core, timeouts
from ipmb.aio.closing import CLOSED, Closing
from ipmb.aio.messages import Message
from ipmb.aio.readiness import Lines, Pace
from ipmb.aio.requests import Requests

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from _typeshed import HasFileno

    from ipmb._core import LabelOp, MemoryRegion, Object, Selector

#: What was not given, where None means something.
_MISSING: Final[Any] = ...


class Sender:
    """The sending half of an endpoint, as `ipmb.Sender` is. Many tasks of one event loop may share it.

    Cancelling a call at any point sends a message or does not: what is cancelled while it waits for room has not been
    sent, and goes to nobody later. A multicast that is cancelled may have reached some of its receivers.
    """

    __slots__ = ("_lines", "_native", "_pace", "_requests")

    def __init__(self, native: _core.Sender, lines: Lines) -> None:
        """Wraps what the native join made; programs call `join`."""
        self._native = native
        self._lines = lines
        self._pace = Pace()
        self._requests: Requests | None = None

    @overload
    async def send(
        self,
        selector: Message[Any] | _core.Message[Any],
        /,
        *,
        timeout: float | None = None,
        overflow: Literal["block", "error", "drop"] = "block",
    ) -> int: ...
    @overload
    async def send(
        self,
        selector: Selector | LabelOp | str,
        /,
        payload: object,
        *,
        objects: Iterable[Object | int | HasFileno] = (),
        memory_regions: Iterable[MemoryRegion] = (),
        ttl: float | None = ...,
        timeout: float | None = None,
        overflow: Literal["block", "error", "drop"] = "block",
    ) -> int: ...
    async def send(
        self,
        selector: Any,
        /,
        payload: object = _MISSING,
        *,
        objects: Iterable[Object | int | HasFileno] = (),
        memory_regions: Iterable[MemoryRegion] = (),
        ttl: float | None = _MISSING,
        timeout: float | None = None,  # a timeout of its own error, as without an event loop
        overflow: Literal["block", "error", "drop"] = "block",
    ) -> int:
        """Sends a message alone, or a payload to a selector.

        Args:
            selector: As for `ipmb.Sender.send`, and so are the others.
            payload: What is sent.
            objects: Descriptors to send along.
            memory_regions: `MemoryRegion`s to send along.
            ttl: Seconds that the message waits while nobody matches.
            timeout: Seconds to wait for room, 0 or more; None waits for ever.
            overflow: What to do when a receiver has no room: "block" waits, "error" raises `Full`, "drop" drops.

        Returns:
            In how many endpoints' rings the message is. 0: nobody matched; with a ttl it now waits.

        Raises:
            SendTimeout, Full, TooLarge, Closed, Forked: As for `ipmb.Sender.send`.
            TypeError, ValueError, OSError: As well.

        Example:
            >>> import asyncio, ipmb.aio
            >>> async def main():
            ...     async with await ipmb.aio.join("com.example.aio.send", "earth") as (sender, receiver):
            ...         print(await sender.send("earth", "to one"), await sender.send("mars", "to nobody"))
            >>> asyncio.run(main())
            1 0
        """
        until = timeouts.deadline(timeout)
        await self._pace.keep()
        if isinstance(selector, Message):
            selector = selector._native
        given = () if payload is _MISSING else (payload,)
        how = attached(objects, memory_regions, ttl)
        if overflow != "block":
            how["overflow"] = overflow
        target = selector.selector if isinstance(selector, _core.Message) else selector
        start = partial(_core.start_send, self._native, selector, *given, **how)
        return await self._lines.through((target, ttl), start, until) or 0

    async def send_many(
        self,
        selector: Selector | LabelOp | str,
        payloads: Iterable[object],
        /,
        *,
        ttl: float | None = _MISSING,
        timeout: float | None = None,
        overflow: Literal["block", "error", "drop"] = "block",
    ) -> int:
        """Sends several payloads to the same selector, in their order.

        Cancelled while it waits for room, it has sent those before, and none after.

        Args:
            selector: As for `ipmb.Sender.send_many`, and so are the others.
            payloads: What is sent.
            ttl: Seconds that messages wait while nobody matches.
            timeout: Seconds for all of it.
            overflow: As for `send`.

        Returns:
            The sum of what `send` would have returned for each.

        Raises:
            SendTimeout, Full, TooLarge, Closed, Forked: As for `ipmb.Sender.send_many`; `delivered` says how many
                copies are out.
            TypeError, ValueError, OSError: As well.

        Example:
            >>> import asyncio, ipmb.aio
            >>> async def main():
            ...     async with await ipmb.aio.join("com.example.aio.send_many", "earth") as (
            ...         sender,
            ...         receiver,
            ...     ):
            ...         print(await sender.send_many("earth", range(3)))
            ...         print([message.payload for message in await receiver.recv_many(10)])
            >>> asyncio.run(main())
            3
            [0, 1, 2]
        """
        until = timeouts.deadline(timeout)
        await self._pace.keep()
        how = attached((), (), ttl)
        if overflow != "block":
            how["overflow"] = overflow
        start = partial(_core.start_send_many, self._native, selector, payloads, **how)
        return await self._lines.through((selector, ttl), start, until) or 0

    async def request(
        self,
        selector: Selector | LabelOp | str,
        payload: object,
        *,
        objects: Iterable[Object | int | HasFileno] = (),
        memory_regions: Iterable[MemoryRegion] = (),
        ttl: float | None = _MISSING,
        timeout: float | None = None,
    ) -> Message[Any]:
        """Asks one endpoint, and waits for its reply.

        Any number of requests may be in flight. Cancelled, its reply is dropped when it comes, and counted as late;
        a request that is cancelled while it waits for room is not sent.

        Args:
            selector: As for `ipmb.Sender.request`, and so are the others.
            payload: What is asked.
            objects: Descriptors to send along.
            memory_regions: `MemoryRegion`s to send along.
            ttl: Seconds to wait for somebody who matches.
            timeout: Seconds until the reply has to be there, 0 or more; None waits for ever.

        Returns:
            The reply.

        Raises:
            NoRoute: Nobody matches.
            PeerLost: The one asked died before it replied.
            RemoteError: The handler of the one asked failed.
            RecvTimeout: No reply in time.
            Closed: This sender is closed.

        Example:
            >>> import anyio, ipmb.aio
            >>> async def shout(message):
            ...     return message.payload.upper()
            >>> async def main():
            ...     name = "com.example.aio.request"
            ...     async with (
            ...         await ipmb.aio.join(name, "shouter") as one,
            ...         await ipmb.aio.join(name) as other,
            ...     ):
            ...         async with anyio.create_task_group() as group:
            ...             group.start_soon(ipmb.aio.serve, one.receiver, shout)
            ...             print((await other.sender.request("shouter", "hello", timeout=5)).payload)
            ...             one.receiver.close()
            >>> anyio.run(main)
            HELLO
        """
        seconds = timeouts.seconds(timeout)
        await self._pace.keep()
        if self._requests is None:
            self._requests = Requests(self._native, self._lines)
        how = attached(objects, memory_regions, ttl)
        native = await self._requests.request(selector, payload, how, seconds)
        return Message._of(native, self._lines)

    @property
    def closed(self) -> bool:
        """Whether this half is closed."""
        return self._native.closed

    def close(self) -> Closing:
        """Closes this half, see `ipmb.Sender.close`. It may be awaited, and need not be."""
        self._native.close()
        return CLOSED

    async def __aenter__(self) -> Self:
        self._native.__enter__()  # refuses when it is closed
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._native).replace("<", "<aio.", 1)


def attached(objects: object, memory_regions: object, ttl: object) -> dict[str, Any]:
    """The arguments that were given, of those that native code tells from their absence."""
    how: dict[str, Any] = {}
    if objects != ():
        how["objects"] = objects
    if memory_regions != ():
        how["memory_regions"] = memory_regions
    if ttl is not _MISSING:
        how["ttl"] = ttl
    return how
