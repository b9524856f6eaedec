"""``make instructions``: measures anew and writes the figures, for a change that is meant to cost what it costs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tests.instructions import callgrind
from tests.instructions.figures import TOLERANCE, Figures, tools

if TYPE_CHECKING:
    from tests.instructions.figures import Layer

#: Two measurements differ by less, or neither is good for a figure.
AGREEMENT = TOLERANCE / 4


def main() -> None:
    if absent := callgrind.missing():
        sys.exit(absent)
    callgrind.build()
    once, again = (rounded(callgrind.costs()) for _ in range(2))
    before = Figures.read().rows
    table = Table("row")
    for column in ("before", "now", "change"):
        table.add_column(column, justify="right")
    unsteady = []
    for layer, rows in once.items():
        for row, cost in rows.items():
            if abs(again[layer][row] - cost) > max(cost * AGREEMENT, 1):
                unsteady.append(f"{row}: {cost}, then {again[layer][row]} instructions")
            figure = before.get(layer, {}).get(row)
            table.add_row(row, f"{figure or ''}", f"{cost}", f"{cost / figure - 1:+.1%}" if figure else "new")
    Console().print(table)
    if unsteady:
        sys.exit("\n".join([*unsteady, "nothing is written, two measurements have to agree: try again"]))
    Figures(tools(), once).write()


def rounded(costs: dict[Layer, dict[str, float]]) -> dict[Layer, dict[str, int]]:
    """Without the rows that are no figures."""
    return {
        layer: {row: round(cost) for row, cost in rows.items() if not row.startswith(callgrind.CONTROL)}
        for layer, rows in costs.items()
    }


if __name__ == "__main__":
    main()
