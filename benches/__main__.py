"""``python -m benches [bytes] [typed] [arrays] [objects]``: all peers of each group, in rounds that take turns.

With ``QUICK=1`` in the environment a run of everything takes about two minutes; the figures are the same,
with a wider spread. Without a name every group runs.
"""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benches import groups, machine, peers, pictures, probe, start, targets
from benches.pair import BenchError, Pair
from benches.report import Report, Run, write

#: The tables need this many columns; where the output is a file, rich would assume 80.
WIDTH = 128

#: How often the package is imported.
STARTS = 5


def available(group: str, chosen: tuple[str, ...], console: Console) -> dict[str, peers.Peer]:
    """The peers of a group that were asked for and are installed; ours, and the limit, in any case."""
    found = {}
    for module in peers.names(group):
        if chosen and not module.startswith(("ipmb", *peers.LIMITS)) and module not in chosen:
            continue
        try:
            found[module] = peers.load(group, module)
        except ImportError as error:
            console.print(f"  [yellow]{module} is left out: {error}[/yellow]")
    return found


def opened(
    group: str, found: dict[str, peers.Peer], folder: Path, stack: ExitStack, console: Console
) -> dict[str, Pair]:
    """Both ends of each peer; one that does not run on this machine is left out, with its reason."""
    pairs = {}
    for module, peer in found.items():
        try:
            pairs[module] = stack.enter_context(Pair(group, module, peer, folder / group / module))
        except BenchError as error:
            console.print(f"  [yellow]{peer.name} is left out: {error}[/yellow]")
        else:
            console.print(f"  {peer.name} {peer.version()}")
    return pairs


def run(
    group: groups.Group, report: Report, pairs: dict[str, Pair], pace: groups.Pace, console: Console
) -> None:
    """The rehearsal, then the rounds; a peer that fails at a row is out of that row only."""
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    work = [
        (row, results, module)
        for row, results in report.rows.items()
        for module in pairs
        if group.takes_part(module, row)
    ]
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=(pace.rounds + 1) * len(work))
        for number in range(pace.rounds + 1):
            for row, results, module in work:
                what = f"round {number}" if number else "rehearsal"
                progress.update(task, description=f"{what}, {row.kind}, {row.name}, {module}")
                if module not in results.failures:
                    pair = pairs[module]
                    try:
                        if number:
                            results.figures.setdefault(module, []).append(group.measure(pair, row))
                        else:
                            group.rehearse(pair, row, pace.seconds)
                    except BenchError as error:
                        results.failures[module] = str(error)
                        renew(pair, module, report)
                progress.advance(task)


def renew(pair: Pair, module: str, report: Report) -> None:
    """New ends after a failure; where that fails too, the peer is out of all rows."""
    try:
        pair.again()
    except BenchError as error:
        for results in report.rows.values():
            results.failures.setdefault(module, str(error))


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@click.command(help=__doc__)
@click.argument("chosen", nargs=-1, type=click.Choice(groups.NAMES))
@click.option(
    "--quick/--full", default=lambda: os.environ.get("QUICK", "") not in ("", "0"), help="fewer rounds"
)
@click.option("--peer", "chosen_peers", multiple=True, help="only this one beside the bus; may be repeated")
@click.option("--size", "sizes", multiple=True, type=int, help="bytes and arrays: only this size in bytes")
@click.option("--rounds", type=click.IntRange(min=1), help="instead of the usual number")
@click.option("--seconds", type=click.FloatRange(min=0.001), help="for one measurement, instead of the usual")
@click.option(
    "--json",
    "path",
    type=click.Path(path_type=Path),
    default=Path(".build/bench.json"),
    help="where the figures go",
)
def main(
    *,
    chosen: tuple[str, ...],
    quick: bool,
    chosen_peers: tuple[str, ...],
    sizes: tuple[int, ...],
    rounds: int | None,
    seconds: float | None,
    path: Path,
) -> None:
    signal.signal(signal.SIGTERM, interrupted)  # ends as tidily as Ctrl-C does
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(f"[bold]{machine.line()}[/bold]")
    done = Run()
    for name in chosen or groups.NAMES:
        done.probes.append(probe.look())
        group = groups.load(name)
        usual = group.quick if quick else group.full
        pace = groups.Pace(rounds or usual.rounds, seconds or usual.seconds)
        console.print(f"\n[bold]{group.title}[/bold]")
        console.print(f"  {probe.sentence(done.probes[-1])}", highlight=False)
        found = available(name, chosen_peers, console)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
            pairs = opened(name, found, Path(folder), stack, console)
            report = Report(
                name, group, {module: found[module] for module in pairs}, group.rows(sizes, quick)
            )
            run(group, report, pairs, pace, console)
        for table in report.tables():
            console.print(table)
        done.reports[name] = report
    done.probes.append(probe.look())
    console.print(f"\nthe machine in the end: {probe.sentence(done.probes[-1])}", highlight=False)
    console.print(machine.load(), highlight=False)
    done.start = start.measure(rounds or STARTS)
    done.targets = [*targets.of_run(done.reports), targets.start_target(done.start)]
    note, scaling = targets.scaling_targets(path.with_name("scaling.json"))
    console.print(targets.table(done.targets, scaling, note))
    found = done.as_dict()
    write(path, found)
    pictures.draw(found, path.with_suffix(".svg"))
    console.print(f"figures in {path}, picture in {path.with_suffix('.svg')}")


if __name__ == "__main__":
    main()
