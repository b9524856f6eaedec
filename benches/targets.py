"""What was aimed at, and what this run found: each target a line, reached or not, with how near it came.

A target is a ratio to something measured in the same run, round by round; what stands here is the median of the
rounds, and how far they spread. "of the target" is 1 where it is just reached and more where it is better, for
times as for rates. How the bus scales is measured by ``benches.scaling``, which takes longer: its claims are read
from the file that it left.
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

from benches.groups import size_name, times
from benches.peers import LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benches.report import Report

#: A message of 64 KiB is copied out at this many times the best of the others; a smaller one at more.
FACTORS = {16: 5.0, 64: 5.0, 1 << 10: 3.0, 16 << 10: 3.0, 64 << 10: 2.0}

#: Of what the thin ring does: enough, whatever others do; and what is too little, whatever they do.
SHARE, FLOOR = 0.7, 0.5

#: A round trip of the ring that takes longer, in µs, was not between two that were awake.
AWAKE = 5.0


@dataclass
class Target:
    """One line."""

    what: str
    target: str
    found: str
    #: Found over wanted, round by round; empty where it is a yes or a no.
    ratios: Sequence[float] = ()
    reached: bool | None = None

    def __post_init__(self) -> None:
        if self.ratios and self.reached is None:
            self.reached = statistics.median(self.ratios) >= 1

    def as_dict(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "what": self.what,
            "target": self.target,
            "found": self.found,
            "reached": self.reached,
        }
        if self.ratios:
            found["of the target"] = statistics.median(self.ratios)
            found["rounds"] = list(self.ratios)
        return found


class Rounds:
    """The figures of one row, by peer."""

    def __init__(self, report: Report | None, kind: str, name: str) -> None:
        self._figures: dict[str, list[float]] = {}
        if report is not None:
            for row, results in report.rows.items():
                if (row.kind, row.name) == (kind, name):
                    whole = results.figures.keys() - results.failures.keys()
                    self._figures = {module: results.figures[module] for module in whole}

    def __getitem__(self, module: str) -> list[float]:
        return self._figures.get(module, [])

    def others(self) -> dict[str, list[float]]:
        """Everybody but us and the limits."""
        return {
            module: values
            for module, values in self._figures.items()
            if not module.startswith("ipmb") and module not in LIMITS
        }

    def best(self) -> tuple[str, list[float]]:
        """Who has the best median of a rate, and the best figure of each round."""
        others = self.others()
        if not others:
            return "nobody", []
        name = max(others, key=lambda module: statistics.median(others[module]))
        return name, [max(found) for found in zip(*others.values(), strict=False)]


def over(wanted: Callable[..., float], *figures: Sequence[float]) -> list[float]:
    """Round by round; nothing where a figure is missing."""
    return [wanted(*found) for found in zip(*figures, strict=False)] if all(figures) else []


def copied(report: Report | None) -> list[Target]:
    """Bytes in, bytes out: beside the best of the others, and beside the ring."""
    targets = []
    for size, factor in FACTORS.items():
        row = Rounds(report, "rate", size_name(size))
        ours, ring, (name, best) = row["ipmb"], row["ring"], row.best()
        wanted = over(lambda a, b, f=factor: min(f * a, SHARE * b), best, ring) or [
            factor * one for one in best
        ]
        if size <= 64:
            wanted = over(lambda a, b: max(a, FLOOR * b), wanted, ring) or wanted
        text = f"the lesser of {factor:g}x the best other and {SHARE:.0%} of the ring"
        if size <= 64:
            text += f", never under {FLOOR:.0%} of the ring"
        found = []
        if beside := over(lambda a, b: a / b, ours, best):
            found.append(f"{times(statistics.median(beside))} {name}")
        if beside := over(lambda a, b: a / b, ours, ring):
            found.append(f"{statistics.median(beside):.0%} of the ring")
        ratios = over(lambda a, b: a / b, ours, wanted)
        targets.append(Target(f"bytes, {size_name(size)}", text, ", ".join(found), ratios))
    return targets


def compared(
    what: str,
    target: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    wanted: float,
    *,
    show: Callable[[float], str] = times,
    less: bool = False,
) -> Target:
    """Ours over theirs is to be at least ``wanted``; at most, where less is better."""
    beside = over(lambda a, b: a / b, ours, theirs)
    found = show(statistics.median(beside)) if beside else ""
    return Target(what, target, found, [wanted / one if less else one / wanted for one in beside])


def bytes_targets(report: Report | None) -> list[Target]:
    rates = {size: Rounds(report, "rate", size_name(size))["ipmb"] for size in (16, 64)}
    targets = copied(report)
    for size in (16, 64):
        many = Rounds(report, "many", size_name(size))["ipmb"]
        targets.append(
            compared(f"{size} B, 64 in one call", "twice one call a message", many, rates[size], 2)
        )
    for name, beside, size in (("str", "bytes of 64 B", 64), ("int", "bytes of 16 B", 16)):
        values = Rounds(report, "values", name)["ipmb"]
        targets.append(compared(name, f"80% of {beside}", values, rates[size], 0.8, show="{:.0%}".format))
    for size in (1 << 10, 16 << 10, 64 << 10):
        row = Rounds(report, "viewed", size_name(size))
        found = compared(f"viewed, {size_name(size)}", "as iceoryx2", row["ipmb"], row["iceoryx2"], 1)
        targets.append(found)
    targets.append(awake(Rounds(report, "round trip", "16 B")))
    parked = Rounds(report, "parked", "16 B")
    ours, theirs, text = parked["ipmb"], parked["seqpacket"], "at most 1.3x a socket"
    targets.append(compared("round trip, asleep", text, ours, theirs, 1.3, less=True))
    return targets


def awake(row: Rounds) -> Target:
    """Beside the ring in those rounds in which both its ends had a core: else it is the scheduler that is measured."""
    pairs = [(a, b) for a, b in zip(row["ipmb"], row["ring"], strict=False) if b <= AWAKE]
    ours, ring = [a for a, _ in pairs], [b for _, b in pairs]
    target = compared("round trip, awake", "at most 2x the ring", ours, ring, 2, less=True)
    if row["ring"] and not pairs:
        target.found = "the ring never had two cores"
    return target


def typed_targets(report: Report | None) -> list[Target]:
    """What a side costs over the codec alone."""
    targets = []
    for name in ("Struct", "dataclass"):
        for kind, verb in (("send", "sent"), ("receive", "received")):
            row = Rounds(report, kind, name)
            more = over(lambda a, b: a - b, row["ipmb"], row["codec"])
            ratios = over(lambda a, b: (b + 150) / a, row["ipmb"], row["codec"])
            found = f"{statistics.median(more):+.0f} ns" if more else ""
            targets.append(Target(f"{name}, 4 fields, {verb}", "the codec and 150 ns", found, ratios))
    return targets


def array_targets(report: Report | None) -> list[Target]:
    targets = []
    for size in ("1 MiB", "64 MiB"):
        row = Rounds(report, "viewed", size)
        for module, how in (("ipmb", "sent"), ("ipmb_in_place", "filled in place")):
            what, text = f"array of {size}, {how}", "85% of filling it once"
            targets.append(compared(what, text, row[module], row["limit"], 0.85, show="{:.0%}".format))
    small, large = (Rounds(report, "handed over", size)["ipmb_in_place"] for size in ("1 MiB", "64 MiB"))
    what, text = "64 MiB beside 1 MiB, in place", "the same time, to 25%"
    targets.append(compared(what, text, large, small, 1.25, less=True))
    return targets


def start_target(seconds: Sequence[float]) -> Target:
    """From what ``start.measure`` found."""
    found = f"{statistics.median(seconds) * 1000:.0f} ms"
    return Target("import ipmb", "under 100 ms", found, [0.1 / one for one in seconds])


def scaling_targets(path: Path) -> tuple[str, list[Target]]:
    """What ``benches.scaling`` claimed when it last ran, and when that was."""
    if not path.exists():
        return f"no {path}: how the bus scales is measured by `make bench-scaling`", []
    run = json.loads(path.read_text())
    day = time.strftime("%Y-%m-%d %H:%M", time.gmtime(run["began"]))
    claims = [claim for study in run["studies"].values() for claim in study["claims"]]
    keys = ("what", "target", "found", "reached")
    targets = [Target(**{key: claim[key] for key in keys}) for claim in claims]
    return f"below the line: `make bench-scaling` of {day} UTC", targets


def of_run(reports: dict[str, Report]) -> list[Target]:
    """All lines of what this run measured."""
    makers = {"bytes": bytes_targets, "typed": typed_targets, "arrays": array_targets}
    return [line for name, make in makers.items() if name in reports for line in make(reports[name])]


def table(measured: Sequence[Target], scaling: Sequence[Target], note: str) -> Table:
    shown = Table(title="targets", caption=note, box=None, padding=(0, 2, 0, 0))
    for title in ("", "target", "found"):
        shown.add_column(title)
    shown.add_column("of the target", justify="right")
    shown.add_column("")
    for line in (*measured, *scaling):
        ratio = ""
        if line.ratios:
            low, high = min(line.ratios), max(line.ratios)
            ratio = f"{statistics.median(line.ratios):.2f} [dim]{low:.2f}..{high:.2f}[/dim]"
        mark = {True: "[green]reached[/green]", False: "[red]missed[/red]", None: "not measured"}[
            line.reached
        ]
        shown.add_row(line.what, line.target, line.found, ratio, mark, end_section=line is measured[-1])
    return shown
