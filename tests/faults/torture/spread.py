"""How times of many turns are told: a percentile, the median with its spread."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def percentile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def p99(values: Sequence[float]) -> float:
    return percentile(values, 0.99)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def longest_and_median(seconds: Sequence[float]) -> str:
    return f"{milliseconds(max(seconds))} (median {milliseconds(statistics.median(seconds))})"


def half(values: Sequence[float]) -> str:
    """The range that half of them are in. Least and most say how long one has measured, not how it was."""
    quarters = statistics.quantiles(values, n=4) if len(values) > 1 else [*values] * 3
    return f"{quarters[0]:.2f} to {quarters[2]:.2f}"
