"""The figures: collected round by round, shown as tables, kept as a file."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich import box
from rich.markup import escape
from rich.table import Table

from benches import machine

if TYPE_CHECKING:
    from pathlib import Path

    from benches.groups import Column, Group, Kind, Row
    from benches.peers import Peer
    from benches.targets import Target


def figure(kind: Kind, value: float, digits: int = 3) -> str:
    """Three digits are all that such a figure has, and two are enough for a spread."""
    if not kind.more_is_better:
        return f"{value:.1f}" if value < 100 else f"{value:.0f}"
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit * 0.9995:
            return f"{plain(value / unit, digits)}{name}"
    return plain(value, digits)


def plain(value: float, digits: int) -> str:
    """So many digits, and never an exponent."""
    return f"{value:.{digits}g}" if value < 10**digits else f"{value:.0f}"


@dataclass
class Results:
    """One row: the figures of every peer, by round."""

    figures: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def beside(self, column: Column, module: str) -> list[float]:
        """A column's figure for one peer, round by round."""
        if module == column.reference or {module, column.reference} & self.failures.keys():
            return []
        lines, references = self.figures.get(module, []), self.figures.get(column.reference, [])
        return [column.combine(a, b) for a, b in zip(lines, references, strict=False)]


class Report:
    """All rows of one group."""

    def __init__(self, name: str, group: Group, peers: dict[str, Peer], rows: list[Row]) -> None:
        self.name = name
        self.group = group
        self.peers = peers
        self.rows = {row: Results() for row in rows}
        self.began = time.time()

    def _columns(self, kind: str) -> list[Column]:
        return [
            column
            for column in self.group.columns
            if column.reference in self.peers and (not column.kinds or kind in column.kinds)
        ]

    def tables(self) -> list[Table]:
        """One kind a table: a section a row, a line a peer, and what stands beside it."""
        shown = {row.kind: None for row in self.rows}
        return [self._table(kind) for kind in shown]

    def _table(self, kind: str) -> Table:
        columns = self._columns(kind)
        rounds = max(
            (len(values) for results in self.rows.values() for values in results.figures.values()), default=0
        )
        table = Table(
            title=f"{self.group.title}: {self.group.kinds[kind].title}\nmedian of {rounds} rounds (spread)",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        for width in (9, 21):
            table.add_column("", no_wrap=True, min_width=width)
        for title in ("median", "spread", *(text for column in columns for text in (column.title, ""))):
            table.add_column(title, justify="right", no_wrap=True, min_width=6)
        reasons = {}
        for row, results in self.rows.items():
            if row.kind != kind:
                continue
            reasons.update({self.peers[module].name: text for module, text in results.failures.items()})
            modules = [module for module in self.peers if self.group.takes_part(module, row)]
            for number, module in enumerate(modules):
                table.add_row(
                    row.name if number == 0 else "",
                    self.peers[module].name,
                    *self._cells(row, results, module, columns),
                    end_section=module == modules[-1],
                )
        if reasons:
            table.caption = "\n".join(
                f"[red]{escape(f'{name}: {text}')}[/red]" for name, text in reasons.items()
            )
        return table

    def _cells(self, row: Row, results: Results, module: str, columns: list[Column]) -> list[str]:
        if module in results.failures:
            return ["[red]failed[/red]"]
        values = results.figures.get(module)
        if not values:
            return ["-"]
        kind = self.group.kinds[row.kind]
        cells = [
            f"[bold]{figure(kind, statistics.median(values))}[/bold]",
            f"[dim]{figure(kind, min(values), 2)}..{figure(kind, max(values), 2)}[/dim]",
        ]
        for column in columns:
            found = results.beside(column, module)
            if not found:
                cells += ["", ""]
                continue
            low, high = column.show(min(found)), column.show(max(found))
            cells += [column.show(statistics.median(found)), f"[dim]{low.rstrip('x%')}..{high}[/dim]"]
        return cells

    def as_dict(self) -> dict[str, Any]:
        return {
            "began": self.began,
            "peers": {
                module: {"name": peer.name, "version": peer.version()} for module, peer in self.peers.items()
            },
            "rows": [
                {
                    "kind": row.kind,
                    "name": row.name,
                    "unit": self.group.kinds[row.kind].title,
                    "size": row.size,
                    "figures": results.figures,
                    "failures": results.failures,
                    "beside": {
                        f"{column.title} ({column.reference})": {
                            module: statistics.median(found)
                            for module in self.peers
                            if (found := results.beside(column, module))
                        }
                        for column in self._columns(row.kind)
                    },
                }
                for row, results in self.rows.items()
            ],
        }


@dataclass
class Run:
    """All groups of a run, and what stands around them."""

    began: float = field(default_factory=time.time)
    reports: dict[str, Report] = field(default_factory=dict)
    #: What the machine gave before each group, and after the last.
    probes: list[dict[str, float]] = field(default_factory=list)
    #: How long importing took, by round.
    start: list[float] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "machine": machine.describe(),
            "began": self.began,
            "ended": time.time(),
            "load": machine.load(),
            "probes": self.probes,
            "import": self.start,
            "targets": [target.as_dict() for target in self.targets],
            "groups": {name: report.as_dict() for name, report in self.reports.items()},
        }


def write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")
