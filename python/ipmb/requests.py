"""Requests in flight: who waits for which reply, and who looks for all of them.

Native code gives each request a number, and all outcomes in one place (`Asking.poll`). One waiting thread, the
*leader*, sleeps there and hands out what comes; the others sleep on a lock of their own until they have their outcome
or have to lead. So a reply wakes one thread, not thousands.

Ctrl-C may raise between any two steps here, in the thread that leads just as in any other, and nobody else may be
stranded by it. Hence: who leads is written down in one place and taken back in a `finally`; outcomes are taken from
native code in one step that no signal interrupts and are kept until they have been handed out; whatever is cleaned up
may be cleaned up twice.

And between any two steps the same thread may ask again: in a signal's handler, in a finalizer, in the class of a reply
that is being decoded. The one below cannot go on before it, so it leads in its place, and steps back when it is done.

The table is shared with `ipmb.aio`, whose tasks wait in another way.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from ipmb import _core, timeouts
from ipmb.errors import RecvTimeout, TooManyOpenFiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import SupportsFloat

    from ipmb._core import LabelOp, Message, Selector

    Outcome = Message[Any] | Exception


# Seconds until somebody looks whether descriptors are free again: nothing tells of it.
HUNGRY = 0.02


class Waiter:
    """Who waits for one reply.

    Attributes:
        outcome: What became of the request; None: not known yet.
        wake: Makes the one who waits look again. Calling it too often does no harm.
        thread: The thread that sleeps with it; None: a task, which does not.
        below: Who led in this thread before.
        sent: Whether the request has found somebody, and room there.
    """

    __slots__ = ("below", "outcome", "sent", "thread", "wake")

    def __init__(self, wake: Callable[[], object], thread: int | None = None) -> None:
        self.outcome: Outcome | None = None
        self.wake: Callable[[], object] = wake
        self.thread: int | None = thread
        self.below: Waiter | None = None
        self.sent: bool = False


class Table:
    """The requests of one endpoint that wait for their outcome."""

    def __init__(self, asking: _core.Asking) -> None:
        # A failure can be received from here on. It is looked up again where one comes: what asks while this import
        # is under way (a signal's handler) finds half a module.
        if "ipmb.failures" not in sys.modules:
            importlib.import_module("ipmb.failures")
        self.asking = asking
        self._lock = threading.RLock()
        self._waiting: dict[int, Waiter] = {}
        self._leader: Waiter | None = None
        # Those who sleep and can be woken to lead. Who still waits for room cannot.
        self._sleepers: dict[Waiter, None] = {}
        self._collected: deque[list[tuple[int, Outcome]]] = deque()
        # A reply waits whose descriptors, or whose channel, find no room in this process.
        self.hungry: bool = False

    def enter(self, number: int, waiter: Waiter) -> None:
        """From now on an outcome with this number is for this waiter."""
        self._waiting[number] = waiter

    def leads(self, waiter: Waiter) -> bool:
        """Whether the waiter has to look for all; it becomes leader when nobody is. If not, it is to sleep now."""
        with self._lock:
            leader = self._leader
            if leader is None or (leader is not waiter and leader.thread == waiter.thread is not None):
                waiter.below = leader
                self._leader = waiter
            if self._leader is waiter:
                self._sleepers.pop(waiter, None)
                return True
            self._sleepers[waiter] = None
            return False

    def collect(self) -> None:
        """Hands out all outcomes that are there; only the leader calls it, who is to pause when that leaves it hungry.

        Raises:
            Closed, Forked: There will be no more of them.
        """
        self._hand_out()
        # One step for the interpreter: no signal is handled between taking the outcomes and keeping them.
        try:
            self._collected.extend(iter(self.asking.poll, []))
            self.hungry = False
        except TooManyOpenFiles:
            self.hungry = True
        self._hand_out()

    def _hand_out(self) -> None:
        while self._collected:
            try:
                batch = self._collected[0]
                for number, outcome in batch:
                    self._give(number, outcome)
                self._collected.remove(batch)
            except (IndexError, ValueError):
                continue  # a call on top of this one has handed it out

    def _give(self, number: int, outcome: Outcome) -> None:
        with self._lock:
            waiter = self._waiting.get(number)
            if waiter is not None:
                waiter.outcome = outcome
                waiter.wake()
                self._sleepers.pop(waiter, None)
                self._waiting.pop(number, None)

    def leave(self, number: int, waiter: Waiter) -> None:
        """The waiter waits no longer, with an outcome or without. May be called again."""
        with self._lock:
            self._waiting.pop(number, None)
            self._sleepers.pop(waiter, None)
            if self._leader is waiter:
                self._leader = waiter.below
            if self._leader is None:
                successor = self._next()
                if successor is not None:
                    successor.wake()
        if waiter.outcome is None:
            self.asking.forget(number)

    def no_reply(self, timeout: object, selector: object, waiter: Waiter) -> RecvTimeout | TooManyOpenFiles:
        """The error of a request that took too long."""
        if waiter.sent and self.hungry:
            return TooManyOpenFiles(
                f"a reply came within {timeout} s, and needs more descriptors than this process may still open: close "
                "some files (or raise ulimit -n), and ask again if doing it twice does no harm"
            )
        return _no_reply(timeout, selector, sent=waiter.sent)

    def is_empty(self) -> bool:
        """Whether nobody waits."""
        return not self._waiting

    def abandon(self, error: Exception) -> None:
        """Ends all waits, of those who can perhaps not be woken any more, with an error."""
        with self._lock:
            waiting = dict(self._waiting)
            self._waiting.clear()
            self._sleepers.clear()
            self._leader = None
        for number, waiter in waiting.items():
            self.asking.forget(number)
            waiter.outcome = error
            with contextlib.suppress(RuntimeError):
                waiter.wake()

    def _next(self) -> Waiter | None:
        while True:
            try:
                return next(iter(self._sleepers), None)
            except RuntimeError:
                continue  # a call on top of this one came between the two steps


def answer(outcome: Outcome) -> Message[Any]:
    """The reply, or the error that came in its place, raised."""
    if isinstance(outcome, Exception):
        raise outcome
    kind = getattr(sys.modules.get("ipmb.failures"), "Failure", None)
    if kind is not None and type(outcome.payload) is kind:
        raise outcome.payload.error(outcome.sender)
    return outcome


def _no_reply(timeout: object, selector: object, *, sent: bool) -> RecvTimeout:
    """The error of a request that took too long."""
    if not sent:
        return RecvTimeout(
            f"the request to {_shown(selector)} was not sent within {timeout} s: nobody matches, or whoever does reads "
            "too slowly; give a longer timeout"
        )
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
            with contextlib.suppress(RuntimeError):  # awake already
                lock.release()

        waiter = Waiter(wake, threading.get_ident())
        asking = self._table.asking
        number = asking.begin()
        try:
            self._table.enter(number, waiter)
            waiter.sent = self._ask(partial(asking.ask, number, selector, payload, **attached), until)
            while waiter.sent and waiter.outcome is None:
                patience = timeouts.left(until)
                if self._table.leads(waiter):
                    polls = asking.polls
                    # From here on a call on top of this one may hand out our outcome, and `wait` notices that.
                    if waiter.outcome is None:
                        asking.wait(patience, polls)
                    self._table.collect()
                    if self._table.hungry and patience != 0.0:
                        lock.acquire(timeout=HUNGRY if patience is None else min(patience, HUNGRY))
                else:
                    lock.acquire(timeout=-1 if patience is None else patience)
                if patience == 0.0:
                    break
        finally:
            try:
                self._table.leave(number, waiter)
            except BaseException:
                self._table.leave(number, waiter)
                raise
        if waiter.outcome is None:
            raise self._table.no_reply(timeout, selector, waiter)
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
