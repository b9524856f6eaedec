"""``make torture``: every trial with its large count, or those in TRIALS.

    make torture TRIALS="storm soak" COUNT=1000 SEED=7 MINUTES=10 REPLAY=.build/torture/storm-7-1.json

COUNT takes the place of the large count, MINUTES bounds each trial in time, SEED makes the same choices again, and
REPLAY runs a failing case once more. Figures go to .build/torture.json, failing cases to .build/torture/.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.faults.torture import record, trials
from tests.faults.torture.trial import Case, Figures, Trial, Violation, new_seed

#: The table needs this many columns; where the output is a file, rich would assume 80.
WIDTH = 128


class Clock:
    """How long a trial has had; it may be asked to end."""

    def __init__(self, minutes: float | None) -> None:
        self.begun = time.monotonic()
        self.bound = None if minutes is None else 60.0 * minutes

    def spent(self) -> float:
        return time.monotonic() - self.begun

    def goes_on(self) -> bool:
        return self.bound is None or self.spent() < self.bound


def run(
    trial: Trial,
    count: int,
    seed: int,
    *,
    minutes: float | None,
    console: Console,
    case: Case | None = None,
) -> record.Run:
    """One trial under a progress bar; what came of it."""
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    clock = Clock(minutes)
    reached = 0
    figures: Figures = {}
    violation = replay = ""
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{trial.name}, {trial.unit}", total=count)

        def tell(done: int) -> bool:
            nonlocal reached
            reached = done
            progress.update(task, completed=done)
            return clock.goes_on()

        try:
            figures = trial.run(count, seed, tell, case)
        except Violation as found:
            violation = found.text
            replay = str(record.write_case(trial, count, seed, found))
    return record.Run(
        trial.title, trial.unit, reached, seed, round(clock.spent(), 1), figures, violation, replay
    )


def table(runs: dict[str, record.Run]) -> Table:
    """What was run, and what came of it."""
    made = Table("trial", "what", "count", "time", "figures", title="torture")
    for name, one in runs.items():
        text = ", ".join(f"{key} {value}" for key, value in one.figures.items())
        if one.violation:
            text = f"[red]violated[/red]: again with REPLAY={one.replay}"
        made.add_row(name, one.title, f"{one.count:,} {one.unit}", f"{one.seconds:,.0f} s", text)
    return made


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@click.command(help=__doc__)
@click.argument("chosen", nargs=-1, envvar="TRIALS")
@click.option("--count", type=click.IntRange(min=1), envvar="COUNT", help="instead of the trial's own")
@click.option("--seed", type=int, envvar="SEED", help="to make the same choices again")
@click.option("--minutes", type=click.FloatRange(min=0.01), envvar="MINUTES", help="at most, each trial")
@click.option(
    "--replay", type=click.Path(path_type=Path, exists=True), envvar="REPLAY", help="a failing case"
)
@click.option("--list", "listed", is_flag=True, help="say which there are, and end")
def main(
    *,
    chosen: tuple[str, ...],
    count: int | None,
    seed: int | None,
    minutes: float | None,
    replay: Path | None,
    listed: bool,
) -> None:
    signal.signal(signal.SIGTERM, interrupted)  # ends as tidily as Ctrl-C does
    console = Console()
    console.width = max(console.width, WIDTH)
    there = trials.found()
    if listed:
        for trial in there.values():
            console.print(
                f"{trial.name}: {trial.title}; {trial.ci:,} {trial.unit}, {trial.demand:,} on demand"
            )
        return
    case: Case | None = None
    if replay is not None:
        again = record.read_case(replay)
        chosen, count, seed, case = (again["trial"],), count or again["count"], again["seed"], again["case"]
    unknown = [name for name in chosen if name not in there]
    if unknown:
        raise click.UsageError(f"no such trial: {', '.join(unknown)}; there are {', '.join(there)}")
    seed = new_seed() if seed is None else seed
    console.print(f"seed {seed}", highlight=False)
    runs: dict[str, record.Run] = {}
    try:
        for name in chosen or there:
            runs[name] = run(
                there[name], count or there[name].demand, seed, minutes=minutes, console=console, case=case
            )
            if case is None:
                record.keep(name, runs[name])
            if runs[name].violation:
                console.print(runs[name].violation, highlight=False, markup=False)
    finally:
        console.print(table(runs))
    sys.exit(any(one.violation for one in runs.values()))


if __name__ == "__main__":
    main()
