"""When a trial has to end: its minutes are over, or somebody has pressed Ctrl-C.

The first Ctrl-C asks: the trial hears it from ``tell``, as it hears that time is over, closes its books and is judged,
so that what was done counts. The second one, or a while without an end, cuts it off; what was done is then not judged.
The processes of a trial are in groups of their own, so a terminal's Ctrl-C does not reach them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import FrameType

#: Seconds that a trial may take to end when it is asked to: most take one or two, long books take a while to be read.
GRACE = 60.0

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Ending:
    """While it is entered, it is told of Ctrl-C and of SIGTERM."""

    def __init__(self, minutes: float | None) -> None:
        self._bound = None if minutes is None else 60.0 * minutes
        self._begun = time.monotonic()
        self._before: dict[int, Any] = {}
        self._timer = threading.Timer(GRACE, os.kill, (os.getpid(), signal.SIGINT))
        self._timer.daemon = True
        #: Somebody wants an end; and cannot wait for it.
        self.asked = False
        self.cut = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            self.cut = True
            raise KeyboardInterrupt
        self.asked = True
        self._timer.start()

    def begin(self) -> None:
        """The next trial begins, with all its minutes."""
        self._begun = time.monotonic()

    def spent(self) -> float:
        """Seconds since the trial began."""
        return time.monotonic() - self._begun

    def goes_on(self) -> bool:
        """Whether the trial may go on."""
        return not self.asked and (self._bound is None or self.spent() < self._bound)
