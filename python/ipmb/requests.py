"""Requests in flight: who waits for which reply, and who looks for all of them.

Native code gives each request a number, and all outcomes in one place (`Asking.poll`). One waiting thread, the
*leader*, sleeps there and hands out what comes; the others sleep on a lock of their own until they have their outcome
or have to lead. So a reply wakes one thread, not thousands.

Ctrl-C may raise between any two steps here, in the thread that leads just as in any other, and nobody else may be
stranded by it. Hence: who leads is written down in one place and taken back in a `finally`; outcomes are taken from
native code in one step that no signal interrupts and are kept until they have been handed out; whatever is cleaned up
may be cleaned up twice.

The table is shared with `ipmb.aio`, whose tasks wait in another way.
"""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from ipmb import _core, timeouts
from ipmb.errors import RecvTimeout
from ipmb.failures import Failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import SupportsFloat

    from ipmb._core import LabelOp, Message, Selector

    Outcome = Message[Any] | Exception


class Waiter:
    """Who waits for one reply.

    Attributes:
        outcome: What became of the request; None: not known yet.
        wake: Makes the one who waits look again. Calling it too often does no harm.
    """

    __slots__ = ("outcome", "wake")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.outcome: Outcome | None = None
        self.wake = wake


class Table:
    """The requests of one endpoint that wait for their outcome."""

    def __init__(self, asking: _core.Asking) -> None:
        self.asking = asking
        self._lock = threading.Lock()
        self._waiting: dict[int, Waiter] = {}
        self._leader: Waiter | None = None
        # Those who sleep and can be woken to lead. Who still waits for room cannot.
        self._sleepers: dict[Waiter, None] = {}
        self._collected: deque[list[tuple[int, Outcome]]] = deque()

    def enter(self, number: int, waiter: Waiter) -> None:
        """From now on an outcome with this number is for this waiter."""
        self._waiting[number] = waiter

    def leads(self, waiter: Waiter) -> bool:
        """Whether the waiter has to look for all; it becomes leader when nobody is. If not, it is to sleep now."""
        with self._lock:
            if self._leader is None:
                self._leader = waiter
            if self._leader is waiter:
                self._sleepers.pop(waiter, None)
                return True
            self._sleepers[waiter] = None
            return False

    def collect(self) -> None:
        """Hands out all outcomes that are there; only the leader calls it.

        Raises:
            Closed, Forked: There will be no more of them.
        """
        self._hand_out()
        # One step for the interpreter: no signal is handled between taking the outcomes and keeping them.
        self._collected.extend(iter(self.asking.poll, []))
        self._hand_out()

    def _hand_out(self) -> None:
        while self._collected:
            for number, outcome in self._collected[0]:
                with self._lock:
                    waiter = self._waiting.get(number)
                    if waiter is not None:
                        waiter.outcome = outcome
                        waiter.wake()
                        self._sleepers.pop(waiter, None)
                        del self._waiting[number]
            self._collected.popleft()

    def leave(self, number: int, waiter: Waiter) -> None:
        """The waiter waits no longer, with an outcome or without. May be called again."""
        with self._lock:
            self._waiting.pop(number, None)
            self._sleepers.pop(waiter, None)
            if self._leader is waiter:
                self._leader = None
            if self._leader is None:
                for successor in self._sleepers:
                    successor.wake()
                    break
        if waiter.outcome is None:
            self.asking.forget(number)


def answer(outcome: Outcome) -> Message[Any]:
    """The reply, or the error that came in its place, raised."""
    if isinstance(outcome, Exception):
        raise outcome
    if type(outcome.payload) is Failure:
        raise outcome.payload.error(outcome.sender)
    return outcome


def no_reply(timeout: object, selector: object) -> RecvTimeout:
    """The error of a request that took too long."""
    return RecvTimeout(
        f"no reply from {_shown(selector)} within {timeout} s: whoever was asked is slow, stopped, or does not reply; "
        "give a longer timeout, or ask again if doing it twice does no harm"
    )


def _shown(selector: object) -> str:
    return repr(selector) if isinstance(selector, str) else repr(str(getattr(selector, "label_op", selector)))


class Requests:
    """`Sender.request` behind its native door: one for each endpoint that asks. Any number of threads may ask."""

    def __init__(self, asking: _core.Asking) -> None:
        self._table = Table(asking)

    def request(
        self,
        selector: Selector | LabelOp | str,
        payload: object,
        timeout: SupportsFloat | None = None,
        **attached: Any,
    ) -> Message[Any]:
        """Sends a request and waits for its reply; see `Sender.request`.

        Args:
            selector: As for `Sender.request`, and so are the others.
            payload: What is asked.
            timeout: Seconds until the reply has to be there, the wait for room included.
            **attached: `objects`, `memory_regions` and `ttl`, where they were given.

        Returns:
            The reply.
        """
        until = timeouts.deadline(timeout)
        lock = threading.Lock()
        lock.acquire()  # held until there is something to look at

        def wake() -> None:
            if lock.locked():
                lock.release()

        waiter = Waiter(wake)
        number = self._table.asking.begin()
        try:
            self._table.enter(number, waiter)
            start = partial(self._table.asking.ask, number, selector, payload, **attached)
            if not self._ask(start, until):
                raise no_reply(timeout, selector)
            while waiter.outcome is None:
                patience = timeouts.left(until)
                if self._table.leads(waiter):
                    self._table.asking.wait(patience)
                    self._table.collect()
                else:
                    lock.acquire(timeout=-1 if patience is None else patience)
                if patience == 0.0 and waiter.outcome is None:
                    raise no_reply(timeout, selector)
        finally:
            try:
                self._table.leave(number, waiter)
            except BaseException:
                self._table.leave(number, waiter)
                raise
        return answer(waiter.outcome)

    def _ask(self, start: Callable[[], _core.Sending | None], until: float | None) -> bool:
        """Sends the request, and waits for room where there is none. False: there was none in time."""
        sending = start()
        if sending is None:
            return True
        try:
            while sending.poll() is None:
                patience = timeouts.left(until)
                if patience == 0.0:
                    return False
                sleep(sending, patience)
        finally:
            sending.close()
        return True


def sleep(sending: _core.Sending, patience: float | None) -> None:
    """Sleeps until a message that waits for room may get further. Ctrl-C ends it."""
    import select  # noqa: PLC0415 # only where there is no room

    poll = select.poll()
    poll.register(sending.fileno(), select.POLLIN)
    times = [time for time in (patience, sending.delay) if time is not None]
    poll.poll(min(times) * 1000 if times else None)
