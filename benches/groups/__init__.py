"""What is measured, one module each.

A group is a module with an object called ``group`` (in the parent: which rows there are, how one figure comes
about) and a class called ``Worker`` (in the processes at the ends: the loops that run while the clock runs).
A worker's loops run in C where a message takes less than a microsecond (``map`` into ``deque`` or ``all``),
and the check of every message is part of the loop: a figure whose messages were not counted, in order and
intact is no figure.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benches.pair import Pair

#: In the order in which they run.
NAMES = ("bytes", "typed", "arrays", "objects")


@dataclass(frozen=True)
class Kind:
    """One sort of figure."""

    title: str
    more_is_better: bool = True
    unit: str = ""


@dataclass(frozen=True)
class Row:
    """One thing that is measured with every peer."""

    kind: str
    name: str
    size: int = 0
    #: Only for those that a quick run is to show.
    few: bool = False


@dataclass(frozen=True)
class Column:
    """A figure beside another: computed round by round, for a round's figures were taken side by side."""

    title: str
    #: The peer's module that every line is put beside.
    reference: str
    #: From a line's figure and the reference's.
    combine: Callable[[float, float], float]
    show: Callable[[float], str]
    #: Only for these kinds.
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pace:
    """How many rounds, and how long one measurement takes in seconds."""

    rounds: int
    seconds: float


class Group(Protocol):
    """One subject."""

    title: str
    kinds: dict[str, Kind]
    columns: tuple[Column, ...]
    full: Pace
    quick: Pace

    def rows(self, sizes: Sequence[int], quick: bool, /) -> list[Row]:
        """All rows, or those that a quick run is worth; ``sizes`` in bytes replaces the usual ones."""

    def takes_part(self, module: str, row: Row, /) -> bool:
        """Whether a peer has anything to show in a row."""

    def rehearse(self, pair: Pair, row: Row, seconds: float, /) -> None:
        """Warm everything up, compare everything whole, find out how many messages take ``seconds``."""

    def measure(self, pair: Pair, row: Row, /) -> float:
        """One figure."""


class Worker(Protocol):
    """One end's part of a group; further methods are the commands it obeys, by name."""

    def __init__(self, link: Any) -> None: ...

    def prepare(self, row: Row, do: str, /) -> None:
        """Before the clock runs: make what the command will need."""


def load(name: str) -> Group:
    group: Group = importlib.import_module(f"benches.groups.{name}").group
    return group


def size_name(size: int) -> str:
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} B"


def times(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}x"
    return f"{value:.2f}x" if value < 1 else f"{value:.2g}x"


def ratio(title: str, reference: str, *, more_is_better: bool, kinds: tuple[str, ...] = ()) -> Column:
    """How many times better the reference is than the line."""
    if more_is_better:
        return Column(title, reference, lambda line, ours: ours / line, times, kinds)
    return Column(title, reference, lambda line, ours: line / ours, times, kinds)


def enough(rate: Callable[[int], float], seconds: float, first: int, least: int) -> int:
    """How many messages take ``seconds``, found by sending ``first`` and then up to ten times more."""
    count = first
    while count / (found := rate(count)) < seconds / 3 and count < 10_000_000:
        count = int(min(count * 10, found * seconds) + 1)
    return max(least, int(found * seconds))
