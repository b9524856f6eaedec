"""``python -m tests.faults.torture.page``: the table of docs/testing.md, from the figures that `make torture` has kept.

A row a trial: how many `make test` works off, how many are wanted on demand, and the largest run there has been
without a violation, with its figures, its commit and its day.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tools.marked import put, table

from tests.faults.torture import record, trials

if TYPE_CHECKING:
    from tests.faults.torture.trial import Trial

PAGE = record.ROOT / "docs" / "testing.md"
COLUMNS = ("test", "in `make test`", "on demand", "done", "figures", "when")


def duration(seconds: float) -> str:
    """How long something took, in the unit one would say it in."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"


def row(trial: Trial, run: dict[str, Any] | None) -> tuple[str, ...]:
    """What is wanted of a trial, and the largest run there has been."""
    wanted = (trial.title, f"{trial.ci:,} {trial.unit}", f"{trial.demand:,}")
    if run is None:
        return (*wanted, "**not yet**", "", "")
    done = f"{run['count']:,} in {duration(run['seconds'])}"
    reached = "reached" if run["count"] >= trial.demand else "**not reached**"
    figures = ", ".join(f"{name} {value}" for name, value in run["figures"].items())
    return (*wanted, f"{done}: {reached}", figures, f"{run['date'][:10]}, {run['commit']}")


@click.command(help=__doc__)
@click.argument("results", type=click.Path(path_type=Path, exists=True), default=record.RESULTS)
@click.option("--page", type=click.Path(path_type=Path), default=PAGE)
def main(results: Path, page: Path) -> None:
    kept = json.loads(results.read_text())
    rows = [row(trial, kept.get(name, {}).get("largest")) for name, trial in trials.found().items()]
    put(page, "torture", "\n".join(table(COLUMNS, rows, figures=False)))
    click.echo(f"table in {page}")


if __name__ == "__main__":
    main()
