"""What a study hands back: figures as they are, tables for people, claims that hold or do not, parts of a picture."""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from rich import box
from rich.table import Table as RichTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Pace:
    """How long a run is. A study takes from it what it has."""

    rounds: int
    #: Seconds of one measurement.
    seconds: float
    #: Seconds of the run that looks for drift.
    drift: float
    #: Seconds for which an idle bus is looked at.
    idle: float
    #: How often the controller is killed.
    kills: int
    #: Most of whatever a study has many of: members, receivers, senders, endpoints.
    members: int
    receivers: int
    senders: int


FULL = Pace(9, 0.5, 600.0, 10.0, 20, 1000, 64, 16)
QUICK = Pace(3, 0.15, 12.0, 3.0, 4, 1000, 64, 16)


@dataclass
class Table:
    """For people. Cells are text already."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def shown(self) -> RichTable:
        table = RichTable(title=self.title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left", no_wrap=True)
        for row in self.rows:
            table.add_row(*row)
        return table


@dataclass
class Claim:
    """What is to hold, what was found, and whether it held."""

    what: str
    target: str
    found: str
    reached: bool


@dataclass
class Line:
    """One curve: a median for each place, and from where to where the rounds went."""

    name: str
    x: list[float]
    y: list[float]
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def add(self, x: float, values: Sequence[float]) -> None:
        self.x.append(x)
        self.y.append(statistics.median(values))
        self.low.append(min(values))
        self.high.append(max(values))


@dataclass
class Panel:
    """One part of the picture."""

    title: str
    x: str
    y: str
    lines: list[Line]
    #: Axes whose steps are factors.
    factors: str = ""


@dataclass
class Findings:
    """Everything one study has found."""

    title: str
    tables: list[Table] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def claim(self, what: str, target: str, found: str, *, reached: bool) -> None:
        self.claims.append(Claim(what, target, found, reached))

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class Study(Protocol):
    """A module of ``studies``."""

    TITLE: str

    def steps(self, pace: Pace) -> int:
        """How often ``step`` will be called."""

    def run(self, pace: Pace, step: Callable[[str], None]) -> Findings:
        """Measure; ``step`` tells what is done next."""


def spread(values: Sequence[float], form: str = "{:.0f}") -> str:
    """The median, and from where to where it went."""
    middle, low, high = (
        form.format(value) for value in (statistics.median(values), min(values), max(values))
    )
    return f"{middle} ({low}..{high})"


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
