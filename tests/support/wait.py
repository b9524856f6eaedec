"""Bounded waiting.

A sleep of a guessed length is either too short on a loaded machine or wasted on a quick one. Tests wait
for a condition instead, and a bound turns "never" into a failure that says what was awaited.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: How long anything that must happen may take: generous, since only a failing test waits that long.
BOUND = 10.0 * float(os.environ.get("IPMB_TEST_PATIENCE", "1"))


class NeverError(AssertionError):
    """What was awaited did not happen within the bound."""


def until(probe: Callable[[], T], what: str, *, bound: float = BOUND, every: float = 0.002) -> T:
    """Call ``probe`` until it returns something true, and return that; :class:`NeverError` after ``bound``
    seconds.
    """
    deadline = time.monotonic() + bound
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise NeverError(f"not within {bound:g} s: {what}; last seen: {value!r}")
        time.sleep(every)


def stays(probe: Callable[[], T], what: str, *, for_seconds: float, every: float = 0.005) -> None:
    """Check that ``probe`` stays true for a while: the only honest way to show that something does not
    happen.
    """
    deadline = time.monotonic() + for_seconds
    while time.monotonic() < deadline:
        assert probe(), f"did not last {for_seconds:g} s: {what}"
        time.sleep(every)
