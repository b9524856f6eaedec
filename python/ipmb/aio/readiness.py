"""Waiting in an event loop without losing anything when a task is cancelled.

Three rules keep that simple. A thing is taken (a message, room in a ring) by native code in one call that does not
wait, and nothing is awaited between that call and the `return` to the program. A descriptor has one task that waits for
it, since no event loop takes more; the others stand behind that task. And whoever stops waiting, with what it wanted,
with an error or cancelled, lets the next one look: a task may be cancelled just after it was woken.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

import anyio
from anyio import lowlevel

from ipmb import _core, timeouts

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from _typeshed import HasFileno

_T = TypeVar("_T")

#: Seconds that calls which never wait may run on before other tasks get their turn.
_SLICE: Final = 0.001

_watched: Final[lowlevel.RunVar[dict[int, anyio.Event]]] = lowlevel.RunVar("_ipmb_watched")


async def readable(what: HasFileno | int) -> None:
    """Waits until a descriptor is readable. Several tasks may wait for one; it may also return without."""
    descriptor = what if isinstance(what, int) else what.fileno()
    try:
        watched = _watched.get()
    except LookupError:
        watched = {}
        _watched.set(watched)
    other = watched.get(descriptor)
    if other is not None:
        await other.wait()
        return
    event = watched[descriptor] = anyio.Event()
    try:
        await anyio.wait_readable(descriptor)
    finally:
        del watched[descriptor]
        wake(event)


def running_loop() -> object:
    """The event loop that runs now: always the same object for one loop."""
    return lowlevel.current_token().native_token


def wake(event: anyio.Event) -> None:
    """Sets an event, unless its loop is closed: then nobody waits for it any more."""
    with contextlib.suppress(RuntimeError):
        event.set()


class PerLoop(Generic[_T]):
    """Something for each event loop that uses an endpoint.

    A loop may end with tasks that will never run again, and another one go on with the endpoint, or run beside it.
    """

    __slots__ = ("_by_loop", "_make")

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._by_loop: WeakKeyDictionary[object, _T] = WeakKeyDictionary()

    def get(self) -> _T:
        """That of the loop that runs now."""
        loop = running_loop()
        found = self._by_loop.get(loop)
        if found is None:
            found = self._by_loop[loop] = self._make()
        return found


class Pace:
    """Makes room for other tasks in loops whose calls never have to wait."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = 0.0

    async def keep(self) -> None:
        """To be awaited before something is taken: a checkpoint, cheap as long as it was not long since the last."""
        if time.monotonic() < self._until:
            await lowlevel.checkpoint_if_cancelled()
        else:
            await lowlevel.checkpoint()
            self._until = time.monotonic() + _SLICE


class Queue:
    """Tasks that want what shows on one descriptor: the first waits on it, the others behind it, in their order."""

    __slots__ = ("_led", "_waiting")

    def __init__(self) -> None:
        self._led = False
        self._waiting: dict[anyio.Event, None] = {}

    async def take(self, descriptor: int, look: Callable[[], _T | None]) -> _T:
        """What `look` gives, as soon as it gives something.

        Args:
            descriptor: Readable whenever `look` would give something.
            look: Takes one, without waiting; None: nothing there.
        """
        try:
            while True:
                if self._led:
                    await self._stand_behind()
                else:
                    self._led = True
                    try:
                        await readable(descriptor)
                    finally:
                        self._led = False
                taken = look()
                if taken is not None:
                    return taken
        finally:
            if not self._led:
                self._wake_next()

    async def _stand_behind(self) -> None:
        event = anyio.Event()
        self._waiting[event] = None
        try:
            await event.wait()
        finally:
            self._waiting.pop(event, None)

    def _wake_next(self) -> None:
        for event in self._waiting:
            del self._waiting[event]
            wake(event)
            return


class Lines:
    """Tasks that wait for room, in a line for each target (and event loop): the first tries, the others stand behind.

    So ten thousand tasks that send to one slow receiver cost one descriptor, and their messages go out in their order.
    """

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: dict[Hashable, dict[anyio.Event, None]] = {}

    async def through(
        self,
        target: Hashable,
        start: Callable[[], _core.Sending | int | None],
        until: float | None,
    ) -> int | None:
        """Sends, and waits for room where there is none. When it is cancelled, what was not sent is not sent.

        Args:
            target: Those with the same one line up.
            start: Sends, or gives what has to wait.
            until: When to give up, on the monotonic clock; None: never.

        Returns:
            What `start` gave, or what came of the waiting.

        Raises:
            SendTimeout: No room in time.
        """
        if self._lines:
            place = (running_loop(), target)
            try:
                line = self._lines.get(place)
            except TypeError:
                line = None  # what is no target may have no hash; `start` says so better
            if line is not None:
                return await self._stand_in(line, place, start, until)
        started = start()
        if not isinstance(started, _core.Sending):
            return started
        place = (running_loop(), target)
        line = self._lines[place] = {}
        try:
            return await push(started, until)
        finally:
            self._wake_next(place, line)

    async def _stand_in(
        self,
        line: dict[anyio.Event, None],
        place: Hashable,
        start: Callable[[], _core.Sending | int | None],
        until: float | None,
    ) -> int | None:
        event = anyio.Event()
        line[event] = None
        try:
            if until is None:
                await event.wait()
            else:
                with anyio.move_on_after(timeouts.left(until)):
                    await event.wait()
        except BaseException:
            if event in line:
                del line[event]
            else:
                self._wake_next(place, line)
            raise
        if event in line:
            # The time is over before it was our turn. One try is due, as for everybody.
            del line[event]
            return await self._try(start, until)
        try:
            return await self._try(start, until)
        finally:
            self._wake_next(place, line)

    async def _try(
        self,
        start: Callable[[], _core.Sending | int | None],
        until: float | None,
    ) -> int | None:
        started = start()
        return await push(started, until) if isinstance(started, _core.Sending) else started

    def _wake_next(self, place: Hashable, line: dict[anyio.Event, None]) -> None:
        for event in line:
            del line[event]
            wake(event)
            return
        del self._lines[place]


async def push(sending: _core.Sending, until: float | None) -> int | None:
    """Waits until a message has found room. Cancelled, it gives up what has not.

    Raises:
        SendTimeout: No room in time.
    """
    try:
        while True:
            patience = timeouts.left(until)
            if patience == 0.0:
                return sending.poll(last=True)
            delay = sending.delay
            if delay is not None and (patience is None or delay < patience):
                patience = delay
            if patience is None:
                await readable(sending)
            else:
                with anyio.move_on_after(patience):
                    await readable(sending)
            done = sending.poll()
            if done is not None:
                return done
    finally:
        sending.close()
