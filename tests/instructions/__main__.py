"""``make instructions``: measures anew and writes the figures, for a change that is meant to cost what it costs."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from tests.instructions import callgrind
from tests.instructions.figures import TOLERANCE, Figures, tools

#: Two measurements differ by less, or neither is good for a figure.
AGREEMENT = TOLERANCE / 4


def main() -> None:
    if absent := callgrind.missing():
        sys.exit(absent)
    callgrind.build()
    once, again = callgrind.costs(), callgrind.costs()
    before = Figures.read().rows
    table = Table("row", *("before", "now", "change"))
    for column in table.columns[1:]:
        column.justify = "right"
    unsteady = []
    for layer, rows in once.items():
        for row, cost in rows.items():
            if abs(again[layer][row] / cost - 1) > AGREEMENT:
                unsteady.append(f"{row}: {cost:.1f}, then {again[layer][row]:.1f} instructions")
            figure = before.get(layer, {}).get(row)
            table.add_row(
                row, f"{figure or ''}", f"{cost:.0f}", f"{cost / figure - 1:+.1%}" if figure else "new"
            )
    Console().print(table)
    if unsteady:
        sys.exit("\n".join([*unsteady, "nothing is written: two measurements have to agree"]))
    Figures(tools(), {layer: rounded(rows) for layer, rows in once.items()}).write()


def rounded(rows: dict[str, float]) -> dict[str, int]:
    return {row: round(cost) for row, cost in rows.items() if not row.startswith(callgrind.CONTROL)}


if __name__ == "__main__":
    main()
