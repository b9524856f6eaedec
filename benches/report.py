"""The figures: collected round by round, shown as a table, kept as a file."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from benches import machine

if TYPE_CHECKING:
    from pathlib import Path

    from benches.peers import Peer

#: What is measured, with the unit and whether more is better.
KINDS = {"rate": ("one way, messages a second", True), "round trip": ("round trip, median in µs", False)}


def size_name(size: int) -> str:
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def figure(kind: str, value: float) -> str:
    """Three digits are all that such a figure has."""
    if kind != "rate":
        return f"{value:.1f}" if value < 100 else f"{value:.0f}"
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


@dataclass
class Row:
    """One kind and size: the figures of every peer, by round."""

    kind: str
    size: int
    figures: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def cell(self, module: str) -> str:
        """Median and spread."""
        if module in self.failures:
            return f"[red]{self.failures[module]}[/red]"
        values = self.figures.get(module)
        if not values:
            return "-"
        low, high = figure(self.kind, min(values)), figure(self.kind, max(values))
        return f"[bold]{figure(self.kind, statistics.median(values))}[/bold]\n[dim]{low}..{high}[/dim]"

    def ratios(self, ours: str, other: str) -> list[float]:
        """How many times better we are, round by round: a round's figures were taken side by side."""
        mine, theirs = self.figures.get(ours, []), self.figures.get(other, [])
        if ours in self.failures or other in self.failures:
            return []
        more_is_better = KINDS[self.kind][1]
        return [a / b if more_is_better else b / a for a, b in zip(mine, theirs, strict=False)]

    def ratio_cell(self, ours: str, other: str) -> str:
        values = self.ratios(ours, other)
        if not values:
            return "-"
        median = statistics.median(values)
        colour = "green" if median >= 1 else "yellow"
        return f"[{colour}]{median:.3g}x[/{colour}]\n[dim]{min(values):.2g}..{max(values):.2g}[/dim]"


class Report:
    """All rows of a run."""

    def __init__(self, peers: dict[str, Peer], sizes: list[int]) -> None:
        self.peers = peers
        self.rows = {(kind, size): Row(kind, size) for kind in KINDS for size in sizes}
        self.began = time.time()

    def table(self, kind: str) -> Table:
        """One kind as a table: a row a size, a column a peer, and our ratio to each."""
        ours, *others = self.peers
        rounds = max(
            (len(values) for row in self.rows.values() for values in row.figures.values()), default=0
        )
        table = Table(
            title=f"{KINDS[kind][0]}\nmedian of {rounds} rounds, below it the spread; a ratio over 1 is ours",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        table.add_column("size", justify="right", no_wrap=True)
        for module in self.peers:
            table.add_column(self.peers[module].name, justify="right", no_wrap=True)
        for module in others:
            table.add_column(f"to {self.peers[module].name}", justify="right", no_wrap=True)
        for row in self.rows.values():
            if row.kind == kind:
                cells = [row.cell(module) for module in self.peers]
                cells += [row.ratio_cell(ours, module) for module in others]
                table.add_row(size_name(row.size), *cells)
        return table

    def as_dict(self) -> dict[str, Any]:
        ours, *others = self.peers
        return {
            "machine": machine.describe(),
            "began": self.began,
            "peers": {
                module: {"name": peer.name, "version": peer.version()} for module, peer in self.peers.items()
            },
            "rows": [
                {
                    "kind": row.kind,
                    "unit": KINDS[row.kind][0],
                    "size": row.size,
                    "figures": row.figures,
                    "failures": row.failures,
                    "ratios": {
                        other: statistics.median(found)
                        for other in others
                        if (found := row.ratios(ours, other))
                    },
                }
                for row in self.rows.values()
            ],
        }

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_dict(), indent=2) + "\n")
