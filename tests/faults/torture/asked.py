"""What the user asked for in the variables of `make`, checked before anything runs.

What is wrong is refused in one line, in the words that were typed.
"""

from __future__ import annotations

import math
import os

import click

#: What every generator of numbers takes, those of native programs included.
SEEDS = (1, (1 << 31) - 1)
COUNTS = (1, 1_000_000_000)
#: A shorter time than this is over before anything has begun.
MINUTES = 0.01


class RefusedError(click.ClickException):
    """Asked for something that there is not; the program ends with the code for wrong usage."""

    exit_code = 2


def text(name: str) -> str:
    """A variable as it was typed; empty when it was not."""
    return os.environ.get(name, "").strip()


def _whole(name: str, bounds: tuple[int, int]) -> int | None:
    given = text(name)
    if not given:
        return None
    least, most = bounds
    try:
        number = int(given)
    except ValueError:
        raise RefusedError(f"{name}={given} is no whole number: give {least} to {most:,}") from None
    if not least <= number <= most:
        raise RefusedError(f"{name}={given} is not possible: give {least} to {most:,}")
    return number


def count() -> int | None:
    """COUNT, in the place of each trial's own."""
    return _whole("COUNT", COUNTS)


def seed() -> int | None:
    """SEED, for the same choices again."""
    return _whole("SEED", SEEDS)


def minutes() -> float | None:
    """MINUTES, the most that each trial takes."""
    given = text("MINUTES")
    if not given:
        return None
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RefusedError(f"MINUTES={given} is no number: give minutes, {MINUTES} or more")
    if number < MINUTES:
        raise RefusedError(f"MINUTES={given} is too short: give minutes, {MINUTES} or more")
    return number
