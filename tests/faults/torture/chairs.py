"""Two more endpoints of a member that play controller in turns and let go of it while they live.

A kill ends a process with all that it holds. This is the other way for a reign to end: the endpoint closes, its process
lives on with another that may follow at once, and it joins again, perhaps to follow that one. They send and receive
nothing, so what befalls the books of others is all there is to see.
"""

from __future__ import annotations

import contextlib
import random
import threading
from typing import Any

import ipmb
from tests.faults.torture.books import Log, Record, Step

#: Seconds that a reign lasts at most, and that pass between two looks.
REIGN, LOOK = 0.3, 0.01

LABEL = "chair"


class Chairs:
    """Two endpoints in a thread of their own; whichever is controller closes after a moment, and joins again."""

    def __init__(self, bus: str, seed: int, log: Log) -> None:
        self._bus = bus
        self._log = log
        self._chance = random.Random(seed)
        self._over = threading.Event()
        self._ends: list[Any] = [None, None]
        #: Whether one of them is controller now.
        self.preside = False
        self._thread = threading.Thread(target=self._run, name="chairs")
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(LOOK):
            for place, end in enumerate(self._ends):
                if end is None:
                    self._ends[place] = self._join()
                elif end.is_controller:
                    self._reign(place, end)
        for end in self._ends:
            if end is not None:
                end.close()

    def _join(self) -> Any:
        # One whose process has no descriptor left, or that finds no controller for the moment, comes again.
        with contextlib.suppress(ipmb.IpmbError, OSError):
            return ipmb.join(self._bus, LABEL, timeout=1.0)
        return None

    def _reign(self, place: int, end: Any) -> None:
        self.preside = True
        self._over.wait(self._chance.random() ** 2 * REIGN)
        end.close()
        self.preside = False
        self._ends[place] = None
        self._log.note(Record(Step.REIGNED))
        self._over.wait(self._chance.random() ** 2 * REIGN / 3)
