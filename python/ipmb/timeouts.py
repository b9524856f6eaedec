"""Timeouts that are waited for in Python: checked with the words of native code, turned into deadlines."""

from __future__ import annotations

import math
import time
from typing import Final, SupportsFloat, SupportsIndex

from ipmb.registrations import a_type

_BOUND: Final = "give 0 or more seconds, or None for ever"

#: What is longer than thirty years is for ever: clocks of event loops and locks have bounds of their own.
_FOR_EVER: Final = 1e9


def seconds(timeout: SupportsFloat | SupportsIndex | None) -> float | None:
    """The timeout as a float; None is for ever.

    Raises:
        TypeError: It is no number.
        ValueError: It is negative or NaN.
    """
    if timeout is None:
        return None
    if isinstance(timeout, (str, bytes, bytearray)):
        msg = f"timeout is {a_type(type(timeout))}: {_BOUND}"
        raise TypeError(msg)
    try:
        value = float(timeout)
    except TypeError:
        msg = f"timeout is {a_type(type(timeout))}: {_BOUND}"
        raise TypeError(msg) from None
    except OverflowError:
        msg = f"timeout is an int too large for a float: {_BOUND}"
        raise ValueError(msg) from None
    if math.isnan(value) or value < 0:
        msg = f"timeout is {'NaN' if math.isnan(value) else format(value, 'g')}: {_BOUND}"
        raise ValueError(msg)
    return None if value > _FOR_EVER else value


def deadline(timeout: SupportsFloat | SupportsIndex | None) -> float | None:
    """When the timeout is over, on the monotonic clock; None: never.

    Raises:
        TypeError, ValueError: As `seconds`.
    """
    value = seconds(timeout)
    return None if value is None else time.monotonic() + value


def left(until: float | None) -> float | None:
    """The seconds until then, 0 when it is over; None: for ever."""
    return None if until is None else max(0.0, until - time.monotonic())
