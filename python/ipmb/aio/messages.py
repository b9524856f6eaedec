"""`Message` for event loops: the same, but its reply is awaited."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from ipmb import _core, timeouts
from ipmb.aio.readiness import Lines

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from _typeshed import HasFileno
    from typing_extensions import TypeVar as _TypeVar

    from ipmb._core import EndpointInfo, LabelOp, MemoryRegion, Object, Selector

    _T_co = _TypeVar("_T_co", covariant=True, default=Any)
else:
    _T_co = TypeVar("_T_co", covariant=True)


class Message(Generic[_T_co]):
    """What is sent and what `recv` returns, as `ipmb.Message` is.

    Senders of both kinds take messages of both kinds where they send: one that was received here can be sent on.

    Args:
        selector: A `Selector`; a `LabelOp` or a string alone mean unicast.
        payload: As for `Sender.send`.
        objects: As for `ipmb.Message`.
        memory_regions: As for `ipmb.Message`.

    Attributes:
        selector: The selector it was sent with.
        payload: The payload.
        sender: `EndpointInfo` of the one who sent it; only on a received one.
        redelivered: Whether another receiver got it first and died with it unread.
        is_request: Whether somebody waits for a reply to it.
        objects: What is attached, a tuple of `Object`; see `ipmb.Message` for when they are closed.
        memory_regions: The same for a tuple of `MemoryRegion`.

    Raises:
        TypeError, ValueError: An argument is of the wrong type or out of its bounds, or closed.
        OSError: This process has too many open files.

    Example:
        >>> import asyncio, ipmb.aio
        >>> async def main():
        ...     async with await ipmb.aio.join("com.example.aio.message", "earth") as (sender, receiver):
        ...         await sender.send(ipmb.aio.Message("earth", {"height": 3}))
        ...         message = await receiver.recv(timeout=5)
        ...         print(message.payload, message.sender.label)
        >>> asyncio.run(main())
        {'height': 3} label('earth')
    """

    __slots__ = ("_lines", "_native")

    _native: _core.Message[_T_co]
    _lines: Lines

    def __init__(
        self,
        selector: Selector | LabelOp | str,
        payload: _T_co,
        objects: Iterable[Object | int | HasFileno] = (),
        memory_regions: Iterable[MemoryRegion] = (),
    ) -> None:
        self._native = _core.Message(selector, payload, objects, memory_regions)
        self._lines = Lines()

    @classmethod
    def _of(cls, native: _core.Message[_T_co], lines: Lines) -> Self:
        self = object.__new__(cls)
        self._native = native
        self._lines = lines
        return self

    @property
    def selector(self) -> Selector:
        """The selector it was sent with."""
        return self._native.selector

    @property
    def payload(self) -> _T_co:
        """The payload."""
        return self._native.payload

    @property
    def objects(self) -> tuple[Object, ...]:
        """What is attached."""
        return self._native.objects

    @property
    def memory_regions(self) -> tuple[MemoryRegion, ...]:
        """What is attached."""
        return self._native.memory_regions

    @property
    def sender(self) -> EndpointInfo:
        """Who sent it, as the kernel and the directory know it."""
        return self._native.sender

    @property
    def redelivered(self) -> bool:
        """Whether another receiver got it first and died with it unread."""
        return self._native.redelivered

    @property
    def is_request(self) -> bool:
        """Whether somebody waits for a reply to it."""
        return self._native.is_request

    @property
    def _replied(self) -> bool:
        return self._native._replied

    async def reply(
        self,
        payload: object,
        *,
        objects: Iterable[Object | int | HasFileno] = (),
        memory_regions: Iterable[MemoryRegion] = (),
        timeout: float | None = None,  # a timeout of its own error, as without an event loop
    ) -> int:
        """Sends a payload back to the one who sent this message; to a request it is the reply.

        Cancelled while it waits for room, it has sent nothing.

        Args:
            payload: As for `Sender.send`.
            objects: As for `Sender.send`.
            memory_regions: As for `Sender.send`.
            timeout: Seconds to wait for room, 0 or more; None waits for ever.

        Returns:
            1, or 0 when the sender has left the bus.

        Raises:
            TypeError: The message was not received, or the payload cannot be sent.
            SendTimeout: No room in time.
            Closed: The endpoint that received the message has closed its sender.

        Example:
            >>> import asyncio, ipmb.aio
            >>> async def main():
            ...     async with await ipmb.aio.join("com.example.aio.reply", "earth") as (sender, receiver):
            ...         await sender.send("earth", "ping")
            ...         await (await receiver.recv(timeout=5)).reply("pong")
            ...         print((await receiver.recv(timeout=5)).payload)
            >>> asyncio.run(main())
            pong
        """
        until = timeouts.deadline(timeout)
        start = partial(
            _core.start_reply, self._native, payload, objects=objects, memory_regions=memory_regions
        )
        asker = getattr(
            self._native, "sender", None
        )  # one that was not received has none, which `start` refuses
        return await self._lines.through(("reply", asker and asker.id), start, until) or 0

    def close(self) -> None:
        """Releases what is attached. The payload stays readable. Closing twice is fine."""
        self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._native)
