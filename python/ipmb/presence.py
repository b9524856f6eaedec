"""Presence: who joins a bus and who leaves it, as an iterator for threads and for event loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Self

from ipmb.errors import Closed, RecvTimeout
from ipmb.timeouts import deadline, left

if TYPE_CHECKING:
    from types import TracebackType

    from ipmb import _core
    from ipmb._core import EndpointInfo, Label
    from ipmb.aio.readiness import Pace


class PeerEvent(NamedTuple):
    """Something that happened to an endpoint of the bus; what a `Watch` yields.

    Attributes:
        kind: "joined" or "left".
        peer: Who: id, label and process id, which the event has as attributes of its own, too.
        reason: None for who joined. For who left: "closed" (it closed its endpoint), "died" (its process ended, or
            forgot the endpoint), "expelled" (it broke the protocol), "vanished" (it was gone when another endpoint
            became controller), or "unknown" (it is too long ago for the directory to remember).

    Example:
        >>> import ipmb
        >>> ipmb.PeerEvent("left", ipmb.EndpointInfo(7, ipmb.label("moon"), 4242), "died")
        PeerEvent(kind='left', peer=EndpointInfo(id=7, label=label('moon'), pid=4242), reason='died')
    """

    kind: Literal["joined", "left"]
    peer: EndpointInfo
    reason: Literal["closed", "died", "expelled", "vanished", "unknown"] | None = None

    @property
    def id(self) -> int:
        """The id of the endpoint."""
        return self.peer.id

    @property
    def label(self) -> Label:
        """Its label."""
        return self.peer.label

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.peer.pid


class Watch:
    """Who joins and who leaves, from the moment it was made: an iterator, and an asynchronous one.

    Made by `Endpoint.watch`. There is neither gap nor repetition: `peers` is who was there at first, and each event
    after that is told once, in an order in which it can have happened. Who came and went while nobody looked is told
    too, as long as the directory remembers it, which is a minute at least. Iteration ends when the endpoint is closed,
    after what had happened until then. Several threads may share a watch: each event goes to one of them.

    It is a context manager that closes it, and keeps the endpoint on the bus until then.

    Example:
        >>> import ipmb
        >>> with (
        ...     ipmb.join("com.example.presence", "earth") as earth,
        ...     ipmb.join("com.example.presence", "moon"),
        ... ):
        ...     watch = earth.watch()
        ...     with ipmb.join("com.example.presence", "comet"):
        ...         [peer.label for peer in watch.peers]
        ...     [(event.kind, event.label) for event in (watch.get(5), watch.get(5))]
        [label('moon')]
        [('joined', label('comet')), ('left', label('comet'))]
    """

    __slots__ = ("_native", "_pace")

    def __init__(self, native: _core.Watch) -> None:
        """Wraps what the native endpoint made; programs call `Endpoint.watch`."""
        self._native = native
        self._pace: Pace | None = None

    @property
    def peers(self) -> list[EndpointInfo]:
        """Who was there when the watch was made, itself excepted, with every event told so far applied."""
        return self._native.peers

    def poll(self) -> PeerEvent | None:
        """The next event if there is one now, else None.

        Raises:
            Closed: The watch or its endpoint is closed, and everything was told.
            Forked: The endpoint belongs to the parent process.
        """
        # Asked first: what happened before the end has been told by then.
        ended = self._native.ended
        if self._native.closed:
            msg = "this watch is closed: make another one with Endpoint.watch"
            raise Closed(msg)
        event = self._native.poll()
        if event is not None:
            return PeerEvent(*event)
        if ended:
            msg = "the endpoint is closed: nothing will be told any more"
            raise Closed(msg)
        return None

    def get(self, timeout: float | None = None) -> PeerEvent:
        """The next event; waits for it. Ctrl-C interrupts it.

        Args:
            timeout: Seconds to wait, 0 or more; None waits for ever, 0 only looks.

        Raises:
            RecvTimeout: Nothing happened in time.
            Closed: The watch or its endpoint is closed, and everything was told.
            Forked: The endpoint belongs to the parent process.
            TypeError, ValueError: `timeout` is no number, or negative.
        """
        until = deadline(timeout)
        while (event := self.poll()) is None:
            rest = left(until)
            if rest == 0:
                msg = "nobody joined or left in time: give a longer timeout"
                raise RecvTimeout(msg)
            self._native.wait(rest)
        return event

    def fileno(self) -> int:
        """A descriptor for `select` and event loops: readable whenever `poll` would give an event, or has ended.

        It may be readable without; `poll` clears that.
        """
        return self._native.fileno()

    def close(self) -> None:
        """Ends the watch, not the endpoint. A `get` that waits elsewhere raises `Closed`. Closing twice is fine."""
        self._native.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PeerEvent:
        try:
            return self.get()
        except Closed:
            raise StopIteration from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PeerEvent:
        # Asynchronous programs have loaded anyio; others need not.
        from ipmb.aio.readiness import Pace, readable  # noqa: PLC0415

        if self._pace is None:
            self._pace = Pace()
        await self._pace.keep()
        try:
            while (event := self.poll()) is None:
                await readable(self)
        except Closed:
            raise StopAsyncIteration from None
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return "<Watch, closed>" if self._native.closed else f"<Watch, {len(self._native.peers)} present>"
