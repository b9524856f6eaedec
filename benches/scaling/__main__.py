"""``python -m benches.scaling [senders] [receivers] ...``: how the bus scales. Without a name every study runs.

With ``QUICK=1`` in the environment a run of everything takes about two minutes instead of sixteen, and the
search for drift sees twelve seconds instead of ten minutes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benches import machine
from benches.pair import BenchError
from benches.scaling import picture, studies
from benches.scaling.findings import FULL, QUICK, Findings, Pace

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The tables need this many columns; where the output is a file, rich would assume 80.
WIDTH = 128


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def carry_out(
    names: Iterable[str], pace: Pace, console: Console
) -> tuple[dict[str, Findings], dict[str, str]]:
    """The studies one after another: what they found, and why those failed that did."""
    found: dict[str, Findings] = {}
    failed: dict[str, str] = {}
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=console, transient=True) as progress:
        for name in names:
            study = studies.load(name)
            task = progress.add_task(name, total=study.steps(pace))

            def step(what: str, name: str = name, task: object = task) -> None:
                progress.update(task, advance=1, description=f"{name}: {what}")  # type: ignore[arg-type]

            try:
                found[name] = study.run(pace, step)
            except BenchError as error:
                failed[name] = str(error)
                console.print(f"[red]{name} failed: {error}[/red]", highlight=False)
            else:
                for table in found[name].tables:
                    console.print(table.shown())
            progress.remove_task(task)
    return found, failed


def verdicts(found: dict[str, Findings]) -> Table:
    """Every claim, and whether it held in this run."""
    table = Table(title="targets", box=None, padding=(0, 2, 0, 0))
    for column in ("", "target", "found", ""):
        table.add_column(column)
    for one in found.values():
        for claim in one.claims:
            mark = "[green]reached[/green]" if claim.reached else "[red]missed[/red]"
            table.add_row(claim.what, claim.target, claim.found, mark)
    return table


@click.command(help=__doc__)
@click.argument("chosen", nargs=-1, type=click.Choice(studies.NAMES))
@click.option(
    "--quick/--full", default=lambda: os.environ.get("QUICK", "") not in ("", "0"), help="fewer rounds"
)
@click.option("--rounds", type=click.IntRange(min=1), help="instead of the usual number")
@click.option("--seconds", type=click.FloatRange(min=0.001), help="of one measurement, instead of the usual")
@click.option("--drift", type=click.FloatRange(min=0.1), help="seconds in which drift is looked for")
@click.option("--idle", type=click.FloatRange(min=0.1), help="seconds for which an idle bus is looked at")
@click.option("--kills", type=click.IntRange(min=1), help="how often the controller is killed")
@click.option("--members", type=click.IntRange(min=10), help="most members")
@click.option("--receivers", type=click.IntRange(min=8), help="most receivers")
@click.option("--senders", type=click.IntRange(min=4), help="most senders")
@click.option("--json", "path", type=click.Path(path_type=Path), default=Path(".build/scaling.json"))
@click.option("--svg", type=click.Path(path_type=Path), default=Path(".build/scaling.svg"))
def main(*, chosen: tuple[str, ...], quick: bool, path: Path, svg: Path, **instead: float | None) -> None:
    signal.signal(signal.SIGTERM, interrupted)  # ends as tidily as Ctrl-C does
    usual = QUICK if quick else FULL
    pace = dataclasses.replace(usual, **{key: value for key, value in instead.items() if value is not None})  # type: ignore[arg-type]
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(f"[bold]{machine.line()}[/bold]")
    began = time.time()
    found, failed = carry_out(chosen or studies.NAMES, pace, console)
    console.print(verdicts(found))
    console.print(machine.load())
    everything = {
        "machine": machine.describe(),
        "began": began,
        "pace": dataclasses.asdict(pace),
        "studies": {name: one.as_dict() for name, one in found.items()},
        "failed": failed,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(everything, indent=2) + "\n")
    picture.draw(everything, svg)
    console.print(f"figures in {path}, picture in {svg}")
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
