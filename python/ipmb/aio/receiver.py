"""`Receiver` for event loops: looks without waiting, and waits on one descriptor when nothing is there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import anyio

from ipmb import _core, timeouts
from ipmb.aio.closing import CLOSED, Closing
from ipmb.aio.messages import Message
from ipmb.aio.readiness import Lines, Pace, PerLoop, Queue
from ipmb.errors import Closed, RecvTimeout

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import TypeVar as _TypeVar

    _T_co = _TypeVar("_T_co", covariant=True, default=Any)
else:
    _T_co = TypeVar("_T_co", covariant=True)

_R = TypeVar("_R")


class Receiver(Generic[_T_co]):
    """The receiving half of an endpoint, as `ipmb.Receiver` is. Many tasks of one event loop may share it.

    `async for` gives messages until it is closed. A message that cannot be decoded is a `DecodeError` of that one step,
    after which another `async for` goes on.

    Cancelling a call at any point takes a message and returns it, or takes none: none is lost, none comes twice.

    Example:
        >>> import asyncio, ipmb.aio
        >>> async def main():
        ...     async with await ipmb.aio.join("com.example.aio.receiver", "earth") as (sender, receiver):
        ...         await sender.send_many("earth", ["sun", "moon"])
        ...         async for message in receiver:
        ...             print(message.payload)
        ...             if message.payload == "moon":
        ...                 receiver.close()
        >>> asyncio.run(main())
        sun
        moon
    """

    __slots__ = ("_lines", "_native", "_pace", "_queues")

    def __init__(self, native: _core.Receiver[_T_co], lines: Lines) -> None:
        """Wraps what the native join made; programs call `join`."""
        self._native = native
        self._lines = lines
        self._pace = Pace()
        self._queues = PerLoop(Queue)

    async def recv(self, timeout: float | None = None) -> Message[_T_co]:  # its own error
        """Takes the next message, and waits for it.

        Args:
            timeout: Seconds to wait, 0 or more; None waits for ever, 0 only looks.

        Returns:
            The `Message`. It counts as read from now on: nobody else gets it.

        Raises:
            RecvTimeout: Nothing came in time.
            DecodeError: A message's bytes are not what its type says; it is gone, the next call goes on.
            TooManyOpenFiles: A message waits whose descriptors do not fit in this process.
            Closed: This receiver is closed, also when another task does that meanwhile.
            Forked: The endpoint belongs to the parent process.
            TypeError, ValueError: `timeout` is no number, or negative.

        Example:
            >>> import asyncio, ipmb.aio
            >>> async def main():
            ...     async with await ipmb.aio.join("com.example.aio.recv", "earth") as (sender, receiver):
            ...         await sender.send("earth", [1, 2.5, b"x"])
            ...         print((await receiver.recv(timeout=5)).payload)
            >>> asyncio.run(main())
            [1, 2.5, b'x']
        """
        seconds = None if timeout is None else timeouts.seconds(timeout)
        await self._pace.keep()
        try:
            native = self._native.recv(0)
        except RecvTimeout:
            if seconds == 0:
                raise
            native = await self._wait(partial(self._native.recv, 0), seconds)
        return Message._of(native, self._lines)

    async def recv_many(self, limit: int, timeout: float | None = None) -> list[Message[_T_co]]:
        """Takes up to `limit` messages, and waits only for the first.

        Args:
            limit: How many at most, 1 or more.
            timeout: Seconds to wait for the first, 0 or more; None waits for ever, 0 only looks.

        Returns:
            A list of 1 to `limit` messages.

        Raises:
            RecvTimeout, DecodeError, TooManyOpenFiles, Closed, Forked: As for `recv`. An error after the first message
                is raised by the next call.
            TypeError, ValueError: An argument is of the wrong type or out of its bounds.

        Example:
            >>> import asyncio, ipmb.aio
            >>> async def main():
            ...     async with await ipmb.aio.join("com.example.aio.recv_many", "earth") as (
            ...         sender,
            ...         receiver,
            ...     ):
            ...         await sender.send_many("earth", range(3))
            ...         print([message.payload for message in await receiver.recv_many(10, timeout=5)])
            >>> asyncio.run(main())
            [0, 1, 2]
        """
        seconds = None if timeout is None else timeouts.seconds(timeout)
        await self._pace.keep()
        try:
            natives = self._native.recv_many(limit, 0)
        except RecvTimeout:
            if seconds == 0:
                raise
            natives = await self._wait(partial(self._native.recv_many, limit, 0), seconds)
        return [Message._of(native, self._lines) for native in natives]

    async def _wait(self, take: Callable[[], _R], seconds: float | None) -> _R:
        """Waits for what was not there."""

        def look() -> _R | None:
            try:
                return take()
            except RecvTimeout:
                return None

        descriptor = self._native.fileno()
        if seconds is None:
            return await self._queues.get().take(descriptor, look)
        with anyio.move_on_after(seconds):
            return await self._queues.get().take(descriptor, look)
        return take()

    def fileno(self) -> int:
        """A descriptor that is readable whenever `recv(0)` would return a message; see `ipmb.Receiver.fileno`."""
        return self._native.fileno()

    @property
    def closed(self) -> bool:
        """Whether this half is closed."""
        return self._native.closed

    def close(self) -> Closing:
        """Closes this half, see `ipmb.Receiver.close`. It may be awaited, and need not be."""
        self._native.close()
        return CLOSED

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message[_T_co]:
        try:
            return await self.recv()
        except Closed:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        self._native.__enter__()  # refuses when it is closed
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._native).replace("<", "<aio.", 1)
