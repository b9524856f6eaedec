"""``python -m tests.faults.torture.page``: the table of docs/testing.md, from the figures that `make torture` has kept.

A row a trial: how many `make test` works off, how many are wanted on demand, and the largest run there has been
without a violation, with its figures, its commit and its day. Below it a line a trial says what the figures mean.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tools.marked import put, table

from tests.faults.torture import record, trials
from tests.faults.torture.trial import amount, spelled

if TYPE_CHECKING:
    from tests.faults.torture.trial import Trial

PAGE = record.ROOT / "docs" / "testing.md"
COLUMNS = ("test", "in `make test`", "on demand", "largest run", "found", "figures", "when")


def duration(seconds: float) -> str:
    """How long something took, in the unit one would say it in."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"


def share(done: int, wanted: int) -> str:
    """How much of what is wanted has been reached."""
    percent = 100 * done / wanted
    if percent >= 100:
        return "reached"
    return (
        f"{percent:.0f} % of it"
        if percent >= 10
        else f"{percent:.1f} % of it"
        if percent >= 0.1
        else "a beginning"
    )


def found(kept: dict[str, Any]) -> str:
    """What the largest run has found, which is nothing; and what a later one has, if it has."""
    last, largest = kept["last"], kept.get("largest")
    clean = "no violation" if largest else ""
    if not last["violation"]:
        return clean
    first = last["violation"].partition("\n")[0]
    later = f"**a violation** (seed {last['seed']}, {last['commit']}): {first}"
    return f"{clean}; later {later}" if clean else later


def row(trial: Trial, kept: dict[str, Any] | None) -> tuple[str, ...]:
    """What is wanted of a trial, and what has been run of it."""
    wanted = (
        f"**{trial.name}**: {trial.title}",
        *(
            f"all {trial.unit}" if trial.whole else amount(count, trial.unit)
            for count in (trial.ci, trial.demand)
        ),
    )
    if kept is None:
        return (*wanted, "not run yet", "", "", "")
    run = kept.get("largest") or kept["last"]
    done = f"{amount(run['count'], trial.unit)} in {duration(run['seconds'])}"
    cells = (
        f"{done}: {'reached' if trial.whole else share(run['count'], trial.demand)}",
        found(kept),
        spelled(run["figures"], trial.unit),
        f"{run['date'][:10]}, {run['commit']}",
    )
    return (*wanted, *(cell.replace("|", "\\|") for cell in cells))


def text(kept: dict[str, Any]) -> str:
    """The table, and what its figures mean."""
    there = trials.found()
    rows = [row(trial, kept.get(name)) for name, trial in there.items()]
    notes = [f"* **{name}**: {trial.means}" for name, trial in there.items()]
    return "\n".join(
        [*table(COLUMNS, rows, figures=False), "What they do, and what the figures mean:", "", *notes, ""]
    )


@click.command(help=__doc__)
@click.argument("results", type=click.Path(path_type=Path, exists=True), default=record.RESULTS)
@click.option("--page", type=click.Path(path_type=Path), default=PAGE)
def main(results: Path, page: Path) -> None:
    kept = json.loads(results.read_text())
    put(page, "torture", text(kept))
    click.echo(f"table in {page}")


if __name__ == "__main__":
    main()
