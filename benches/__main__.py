"""``python -m benches``: all peers, all sizes, in rounds that take turns.

With ``QUICK=1`` in the environment a run takes under two minutes; the figures are the same, with a wider
spread.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benches import machine, peers
from benches.pair import BenchError, Pair
from benches.report import KINDS, Report, size_name

SIZES = [16, 64, 1 << 10, 16 << 10, 64 << 10, 1 << 20]

#: (rounds, seconds of one measurement)
FULL = (9, 0.8)
QUICK = (5, 0.25)


def available(chosen: tuple[str, ...], console: Console) -> dict[str, peers.Peer]:
    """The peers that were asked for and are installed; the first one is ours."""
    found = {}
    for module in peers.names():
        if chosen and module != "ipmb" and module not in chosen:
            continue
        try:
            found[module] = peers.load(module)
        except ImportError as error:
            console.print(f"  [yellow]{module} is not here: {error}[/yellow]")
        else:
            console.print(f"  {found[module].name} {found[module].version()}")
    return found


def run(report: Report, pairs: dict[str, Pair], rounds: int, seconds: float, console: Console) -> None:
    """The rehearsal, then the rounds; a peer that fails at a row is out of that row only."""
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=(rounds + 1) * len(report.rows) * len(pairs))
        for number in range(rounds + 1):
            for (kind, size), row in report.rows.items():
                for module, pair in pairs.items():
                    what = f"round {number}" if number else "rehearsal"
                    progress.update(task, description=f"{what}, {kind}, {size_name(size)}", advance=1)
                    if module in row.failures:
                        continue
                    try:
                        if number:
                            row.figures.setdefault(module, []).append(pair.measure(kind, size))
                        else:
                            pair.rehearse(kind, size, seconds)
                    except BenchError as error:
                        row.failures[module] = str(error)


@click.command(help=__doc__)
@click.option(
    "--quick/--full", default=lambda: os.environ.get("QUICK", "") not in ("", "0"), help="fewer rounds"
)
@click.option("--peer", "chosen", multiple=True, help="only this peer beside the bus; may be repeated")
@click.option("--size", "sizes", multiple=True, type=int, help="only this size in bytes; may be repeated")
@click.option(
    "--json",
    "path",
    type=click.Path(path_type=Path),
    default=Path(".build/bench.json"),
    help="where the figures go",
)
def main(quick: bool, chosen: tuple[str, ...], sizes: tuple[int, ...], path: Path) -> None:
    console = Console()
    console.print(f"[bold]{machine.line()}[/bold]")
    found = available(chosen, console)
    rounds, seconds = QUICK if quick else FULL
    report = Report(found, list(sizes) or SIZES)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        pairs = {
            module: stack.enter_context(Pair(module, peer, Path(folder) / module))
            for module, peer in found.items()
        }
        run(report, pairs, rounds, seconds, console)
    for kind in KINDS:
        console.print(report.table(kind))
    report.write(path)
    console.print(f"figures in {path}")


if __name__ == "__main__":
    main()
