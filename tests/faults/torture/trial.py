"""What a trial is: one row of the table, with a count for `make test` and one for `make torture`.

A trial works off so many units (kills, points, seeds, seconds), and either returns figures or raises
:class:`Violation` with what runs the same case again.
"""

from __future__ import annotations

import os
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from tests.faults.torture import asked

Figures = dict[str, object]
Case = Mapping[str, object]

#: Is told how many units are done, as often as a trial can tell; says whether to go on. Who ends is told once more how
#: many were done, never how many were wanted. Who does not listen runs to its end, or is cut off.
Tell = Callable[[int], bool]

#: A part of each trial's count in `make test`: the plain user's second run takes a tenth.
SHARE = float(os.environ.get("IPMB_TORTURE_SHARE", "1"))


class Violation(AssertionError):
    """Something that must hold did not; ``case`` (as JSON) is what replays it, beside the seed."""

    def __init__(self, case: Case, text: str) -> None:
        super().__init__(text)
        self.case = case
        self.text = text


class Trial(ABC):
    """One row of the table."""

    #: How it is called for: ``make torture TRIALS=name``.
    name: str
    #: The row's words.
    title: str
    #: What is counted.
    unit: str
    #: How many in `make test`, and how many behind `make torture`.
    ci: int
    demand: int
    #: A run does all that there is, and the counts only bound it.
    whole: bool = False
    #: What its figures mean, and which bound they have: a sentence or two of the page that shows them.
    means: str = ""
    #: Whether it runs on demand, where it may judge nearer to its target than on a machine that does much besides.
    on_demand: bool = False
    #: What it does at the moment, shown beside its bar.
    doing: str = ""

    @abstractmethod
    def run(self, count: int, seed: int, tell: Tell, case: Case | None = None) -> Figures:
        """Work off ``count`` units, or fewer if ``tell`` says that time is over; figures of what was done.

        With ``case`` only that one runs, which an earlier :class:`Violation` named.
        """


def in_rounds(count: int, seed: int, most: int) -> list[Case]:
    """A large count in pieces of ``most`` units at the most, each of which can run again by itself."""
    return [{"count": min(most, count - done), "seed": seed + done // most} for done in range(0, count, most)]


def amount(count: int, unit: str) -> str:
    """So many units, as one says it: "1 stop of 10 s", "2,000 kills"."""
    if count == 1:
        first, space, rest = unit.partition(" ")
        unit = first.removesuffix("s") + space + rest
    return f"{count:,} {unit}"


def spelled(figures: Mapping[str, object], unit: str) -> str:
    """Figures in a line, without those that a run says anyway: its units, its time, whether all was well."""
    said = {unit, "seconds", "violations"}
    texts = {
        name: f"{value:,}" if isinstance(value, int) else str(value)
        for name, value in figures.items()
        if name not in said
    }
    return ", ".join(f"{name} {text}" for name, text in texts.items())


def new_seed() -> int:
    """A seed nobody has chosen, or the one in ``SEED``; short enough to be typed."""
    return asked.seed() or random.SystemRandom().randint(*asked.SEEDS)


def ci_count(trial: Trial) -> int:
    """How many units ``make test`` runs, as this user."""
    return max(1, round(trial.ci * SHARE))


def in_ci(trial: Trial) -> Figures:
    """Run a trial with the count of `make test`: the body of a test.

    The seed is printed, which pytest shows when it fails; a failing case is written as `make torture` does.
    """
    from tests.faults.torture import record

    seed, count = new_seed(), ci_count(trial)
    print(f"{trial.name}: seed {seed}")
    try:
        figures = trial.run(count, seed, lambda _: True)
    except Violation as violation:
        path = record.write_case(trial, count, seed, violation)
        raise AssertionError(f"{violation.text}\nagain: make torture REPLAY={path}") from violation
    print(f"{trial.name}: {figures}")
    return figures
