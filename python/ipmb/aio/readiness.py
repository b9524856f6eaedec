"""Waiting in an event loop without losing anything when a task is cancelled.

Three rules keep that simple. A thing is taken (a message, room in a ring) by native code in one call that does not
wait, and nothing is awaited between that call and the `return` to the program. A descriptor has one task that waits for
it, since no event loop takes more; the others stand behind that task. And whoever stops waiting, with what it wanted,
with an error or cancelled, lets the next one look: a task may be cancelled just after it was woken.
"""

from __future__ import annotations

import time
from threading import get_ident
from typing import TYPE_CHECKING, Final, TypeVar

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
        event.set()


def only_one_loop(thread: int) -> None:
    """Refuses to wait beside tasks of an event loop in another thread, which could not be woken from here.

    Raises:
        RuntimeError: It is another one.
    """
    if thread != get_ident():
        msg = "this endpoint is in use in another event loop: join once in each"
        raise RuntimeError(msg)


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

    __slots__ = ("_led", "_thread", "_waiting")

    def __init__(self) -> None:
        self._led = False
        self._thread = 0
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
                    only_one_loop(self._thread)
                    await self._stand_behind()
                else:
                    self._led, self._thread = True, get_ident()
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
            event.set()
            return


class Lines:
    """Tasks that wait for room, in a line for each target: the first tries, the others stand behind it.

    So ten thousand tasks that send to one slow receiver cost one descriptor, and their messages go out in their order.
    """

    __slots__ = ("_lines", "_thread")

    def __init__(self) -> None:
        self._lines: dict[Hashable, dict[anyio.Event, None]] = {}
        self._thread = 0

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
            try:
                line = self._lines.get(target)
            except TypeError:
                line = None  # what is no target may have no hash; `start` says so better
            if line is not None:
                return await self._stand_in(line, target, start, until)
        started = start()
        if not isinstance(started, _core.Sending):
            return started
        line = self._lines[target] = {}
        self._thread = get_ident()
        try:
            return await push(started, until)
        finally:
            self._wake_next(target, line)

    async def _stand_in(
        self,
        line: dict[anyio.Event, None],
        target: Hashable,
        start: Callable[[], _core.Sending | int | None],
        until: float | None,
    ) -> int | None:
        only_one_loop(self._thread)
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
                self._wake_next(target, line)
            raise
        if event in line:
            # The time is over before it was our turn. One try is due, as for everybody.
            del line[event]
            return await self._try(start, until)
        try:
            return await self._try(start, until)
        finally:
            self._wake_next(target, line)

    async def _try(
        self,
        start: Callable[[], _core.Sending | int | None],
        until: float | None,
    ) -> int | None:
        started = start()
        return await push(started, until) if isinstance(started, _core.Sending) else started

    def _wake_next(self, target: Hashable, line: dict[anyio.Event, None]) -> None:
        for event in line:
            del line[event]
            event.set()
            return
        del self._lines[target]


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
