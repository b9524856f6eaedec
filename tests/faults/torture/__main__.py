"""``make torture``: every trial with its large count, or those in TRIALS.

    make torture TRIALS="storm soak" COUNT=1000 SEED=7 MINUTES=10 REPLAY=.build/torture/storm-7-1.json

COUNT takes the place of the large count, MINUTES bounds each trial in time, SEED makes the same choices again, and
REPLAY runs a failing case once more. Figures go to .build/torture.json, failing cases to .build/torture/. Ctrl-C ends
the run: what was done is judged and kept; once more, and it ends without.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as RemainingColumn
from rich.table import Table
from rich.text import Text

from tests.faults.torture import asked, record, trials
from tests.faults.torture.ending import Ending
from tests.faults.torture.trial import Case, Figures, Trial, Violation, amount, new_seed, spelled

if TYPE_CHECKING:
    from rich.progress import Task

#: The table needs this many columns; where the output is a file, rich would assume 80.
WIDTH = 128

#: What a shell says of a program that Ctrl-C ended.
INTERRUPTED = 130


class Doing(ProgressColumn):
    """What a trial does at the moment, in words."""

    def __init__(self, trial: Trial, ending: Ending) -> None:
        super().__init__()
        self._trial = trial
        self._ending = ending

    def render(self, task: Task) -> Text:
        del task
        return Text("ending; Ctrl-C once more ends it unjudged" if self._ending.asked else self._trial.doing)


def run(
    trial: Trial, count: int, seed: int, *, ending: Ending, console: Console, case: Case | None = None
) -> record.Run:
    """One trial under a progress bar; what came of it."""
    ending.begin()
    trial.doing = ""
    reached = 0
    figures: Figures = {}
    violation = replay = ""
    columns = [
        TextColumn(trial.name),
        BarColumn(),
        TextColumn("{task.completed:,}/{task.total:,}"),
        TextColumn(trial.unit),
        TimeElapsedColumn(),
        RemainingColumn(),
        Doing(trial, ending),
    ]
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(trial.name, total=count)

        def tell(done: int) -> bool:
            nonlocal reached
            reached = done
            progress.update(task, completed=done)
            return ending.goes_on()

        trial.on_demand = True
        try:
            figures = trial.run(count, seed, tell, case)
        except Violation as found:
            if not ending.cut:  # then it is only what the end has torn apart
                violation = found.text
                replay = str(record.write_case(trial, count, seed, found))
        except (Exception, KeyboardInterrupt):
            # One that has hardly begun may have no figures to make anything of.
            if not ending.asked:
                raise
            ending.cut = True
    seconds = round(ending.spent(), 1)
    judged = bool(violation) or (not ending.cut and bool(reached or case is not None))
    return record.Run(trial.title, trial.unit, reached, seed, seconds, figures, violation, replay, judged)


def verdict(one: record.Run) -> str:
    """What came of a run, in a few words."""
    if one.violation:
        return f"[red]violated[/red]: again with REPLAY={one.replay}"
    return "no violation" if one.judged else "not judged"


def how_far(one: record.Run, wanted: int) -> str:
    """How much of what was wanted is done."""
    return f"{one.count:,} of {amount(wanted, one.unit)}"


def table(runs: dict[str, record.Run], wanted: dict[str, int]) -> Table:
    """What was run, and what came of it."""
    made = Table("trial", "what", "done", "time", "found", "figures", title="torture")
    for name, one in runs.items():
        made.add_row(
            name,
            one.title,
            how_far(one, wanted[name]) if name in wanted else "the case",
            f"{one.seconds:,.0f} s",
            verdict(one),
            spelled(one.figures, one.unit),
        )
    return made


def read_replay(there: dict[str, Trial], chosen: tuple[str, ...]) -> dict[str, Any] | None:
    """The failing case that REPLAY names, if it does."""
    name = asked.text("REPLAY")
    if not name:
        return None
    if not Path(name).is_file():
        raise asked.RefusedError(f"REPLAY={name}: there is no such file")
    try:
        again = record.read_case(Path(name))
    except record.NoCaseError:
        raise asked.RefusedError(
            f"REPLAY={name} is no failing case's file: give one from .build/torture/"
        ) from None
    if again["trial"] not in there:
        raise asked.RefusedError(f"REPLAY={name} is of a trial that is no more: {again['trial']}")
    if set(chosen) - {again["trial"]}:
        raise asked.RefusedError(f"REPLAY={name} is of {again['trial']}: leave TRIALS={' '.join(chosen)} out")
    if asked.seed() not in (None, again["seed"]):
        raise asked.RefusedError(f"REPLAY={name} has a seed, {again['seed']}: leave SEED={asked.seed()} out")
    return again


@click.command(help=__doc__)
@click.argument("chosen", nargs=-1, envvar="TRIALS")
@click.option("--list", "listed", is_flag=True, help="say which there are, and end")
def main(*, chosen: tuple[str, ...], listed: bool) -> None:
    console = Console()
    console.width = max(console.width, WIDTH)
    there = trials.found()
    if listed:
        for trial in there.values():
            console.print(
                f"{trial.name}: {trial.title}; {amount(trial.ci, trial.unit)}, {trial.demand:,} on demand"
            )
        return
    unknown = [name for name in chosen if name not in there]
    if unknown:
        raise asked.RefusedError(
            f"TRIALS={' '.join(unknown)}: there is none of that name; there are {' '.join(there)}"
        )
    again = read_replay(there, chosen)
    count, minutes = asked.count(), asked.minutes()
    if again is None:
        sys.exit(
            run_all(there, {name: count or there[name].demand for name in chosen or there}, minutes, console)
        )
    sys.exit(run_again(there[again["trial"]], again, minutes, console))


def run_all(there: dict[str, Trial], wanted: dict[str, int], minutes: float | None, console: Console) -> int:
    """One trial after the other, until somebody wants an end; the exit code."""
    seed = new_seed()
    console.print(f"seed {seed}", highlight=False)
    runs: dict[str, record.Run] = {}
    with Ending(minutes) as ending:
        try:
            for name, count in wanted.items():
                runs[name] = run(there[name], count, seed, ending=ending, console=console)
                if runs[name].judged:
                    record.keep(name, runs[name])
                if runs[name].violation:
                    console.print(runs[name].violation, highlight=False, markup=False)
                if ending.asked:
                    break
        finally:
            if runs:
                console.print(table(runs, wanted))
    if ending.asked:
        name, last = list(runs.items())[-1]
        console.print(
            f"interrupted: {name} after {how_far(last, wanted[name])}: {verdict(last)}", highlight=False
        )
        return INTERRUPTED
    return any(one.violation for one in runs.values())


def run_again(trial: Trial, again: dict[str, Any], minutes: float | None, console: Console) -> int:
    """A failing case once more; the exit code."""
    console.print(f"seed {again['seed']}", highlight=False)
    text = again["text"].partition("\n")[0]
    console.print(f"replaying {trial.name}, of {again['commit']}: {text}", highlight=False, markup=False)
    count = asked.count() or again["count"]
    with Ending(minutes) as ending:
        one = run(trial, count, again["seed"], ending=ending, console=console, case=again["case"])
    if one.violation:
        console.print(one.violation, highlight=False, markup=False)
    console.print(table({trial.name: one}, {}))
    if ending.asked:
        console.print("interrupted")
        return INTERRUPTED
    console.print("it failed again" if one.violation else "it did not fail this time")
    return bool(one.violation)


if __name__ == "__main__":
    main()
