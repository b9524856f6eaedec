"""Waiting for a queue within a timeout: for a flag of it, or for somebody who is just changing it.

All of it is done with `select.poll` and `time.sleep`, where Ctrl-C and other signals are Python's own business, and
where a daemon thread may be when the interpreter goes away.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from ipmb import timeouts

if TYPE_CHECKING:
    from ipmb._core import QueueStore

#: Seconds that a call which is not to wait gives somebody else to finish his change, before it does without. Only a
#: process that was stopped in the middle of one takes that long.
BUSY_SECONDS = 1.0

#: Sleeps while somebody else is at it: so many short ones, which are enough for any change but that of a process which
#: was stopped in the middle, and then longer and longer ones.
_SHORT_PAUSE = 0.00005
_SHORT_PAUSES = 50
_LONGEST_PAUSE = 0.005

#: What `poll` can be told at most, in seconds; who waits longer asks again.
_LONGEST_POLL = 1_000_000.0


class Patience:
    """What is left of the time that a `put` or `get` may take."""

    def __init__(self, block: object, timeout: float | None) -> None:
        """Starts the clock; the arguments are those of `put` and `get`."""
        self.block: bool = bool(block)
        seconds = _seconds(timeout) if self.block else 0.0
        self._deadline = None if seconds is None else time.monotonic() + seconds
        # A change of somebody else's is no reason to say that there is nothing, at once.
        self._busy_deadline = self._deadline
        if seconds == 0:
            self._busy_deadline = time.monotonic() + BUSY_SECONDS
        self._pauses = 0

    def pause(self) -> bool:
        """Sleeps for a moment, for the one who is at it to finish; False when the time is over."""
        left = min(_SHORT_PAUSE * max(1, self._pauses - _SHORT_PAUSES), _LONGEST_PAUSE)
        if self._busy_deadline is not None:
            left = min(left, self._busy_deadline - time.monotonic())
            if left <= 0:
                return False
        time.sleep(left)
        self._pauses += 1
        return True

    def wait(self, store: QueueStore, flag: int) -> bool:
        """Sleeps until a flag of the store is up, or the store has ended; False when the time is over."""
        if not self.block:
            return False
        poller = select.poll()
        poller.register(flag, select.POLLIN)
        poller.register(store.ending(), select.POLLIN)
        self._pauses = 0
        while True:
            left = _LONGEST_POLL
            if self._deadline is not None:
                left = min(left, self._deadline - time.monotonic())
                if left <= 0:
                    return False
            if poller.poll(left * 1000):
                return True


def _seconds(timeout: float | None) -> float | None:
    """A timeout as `multiprocessing.Queue` takes it: what is negative is 0."""
    if isinstance(timeout, (int, float)) and timeout < 0:
        return 0.0
    return timeouts.seconds(timeout)
