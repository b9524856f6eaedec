"""``python -m benches.page``: the tables of docs/performance.md, from what `make bench` and `make bench-scaling` left.

``make picture`` runs it beside the pictures. What stands between the two marks is made here and only here; the prose
around them is written by hand. Day, machine and commit come from the files of figures.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tools.marked import put, table

from benches import probe
from benches.pictures import caption

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: What is shown of the groups: the kind of row, and what its figures are.
SHOWN = (
    ("bytes", "rate", "Bytes one way, messages a second"),
    ("bytes", "many", "Bytes one way, 64 in one call, messages a second"),
    ("bytes", "values", "Other values one way, messages a second"),
    ("bytes", "viewed", "Bytes viewed where they lie, messages a second"),
    ("bytes", "round trip", "There and back, both awake, median in µs"),
    ("bytes", "parked", "There and back, both asleep, median in µs"),
    ("typed", "one way", "Typed payloads one way, messages a second"),
    ("typed", "send", "Typed payloads, the sender's side, ns a message"),
    ("typed", "receive", "Typed payloads, the receiver's side, ns a message"),
    ("arrays", "viewed", "Arrays filled, sent and viewed, a second"),
    ("arrays", "read", "Arrays filled, sent and read once, a second"),
    ("arrays", "handed over", "Arrays handed over as they are, nothing filled, µs each"),
    ("objects", "one way", "Descriptors one way, a second"),
)

#: How the tables are to be read.
READ = """A ratio is formed in each round; what stands here is the median of these ratios, which need not be the
ratio of the medians below. The best other is whoever was best in that round; the name is that of the best median. "Of
the target" is 1 where a target is just reached and more where it is better, for times as for rates.
"""


def figure(value: float) -> str:
    """Three digits are all that such a figure has."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if value >= unit * 0.9995:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def spread(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{figure(statistics.median(values))} ({figure(low)}..{figure(high)})"


def targets(lines: Iterable[dict[str, Any]]) -> list[str]:
    marks = {True: "reached", False: "**missed**", None: "not measured"}
    rows = []
    for line in lines:
        rounds = line.get("rounds")
        rows.append(
            (
                line["what"],
                line["target"],
                line["found"],
                spread(rounds) if rounds else "",
                marks[line["reached"]],
            )
        )
    return table(("", "target", "found", "of the target (spread)", ""), rows)


def group(found: dict[str, Any], name: str, kind: str) -> list[str]:
    """A line a peer, a column a row of the group."""
    peers, rows = found["peers"], [row for row in found["rows"] if row["kind"] == kind]
    lines = []
    for module, peer in peers.items():
        cells = [spread(values) if (values := row["figures"].get(module)) else "-" for row in rows]
        if any(cell != "-" for cell in cells):
            lines.append((peer["name"], *cells))
    return table((name, *(row["name"] for row in rows)), lines) if lines else []


def rounds(bench: dict[str, Any]) -> int:
    """How many figures a row has at the most."""
    rows = (row for found in bench["groups"].values() for row in found["rows"])
    return max((len(values) for row in rows for values in row["figures"].values()), default=0)


def measured(bench: dict[str, Any], scaling: dict[str, Any]) -> str:
    """All that stands between the marks."""
    lines = [f"Measured: {caption(bench)}; {rounds(bench)} rounds; {bench['load']}.", ""]
    looks = [f"* {probe.sentence(look)}" for look in bench["probes"]]
    lines += ["What the machine was like before each group, and in the end:", "", *looks, ""]
    lines += ["### Targets", "", READ]
    claims = [claim for study in scaling["studies"].values() for claim in study["claims"]]
    lines += targets([*bench["targets"], *claims])
    for name, kind, title in SHOWN:
        if name in bench["groups"] and (shown := group(bench["groups"][name], "", kind)):
            lines += [
                f"### {title}",
                "",
                "Median (lowest..highest round); -: not measured, or it cannot.",
                "",
                *shown,
            ]
    lines += [
        "### How it scales",
        "",
        f"Measured: {caption(scaling)}; {scaling['pace']['rounds']} rounds.",
        "",
    ]
    for study in scaling["studies"].values():
        for one in study["tables"]:
            lines += [f"**{one['title']}**", "", *table(one["columns"], one["rows"])]
    return "\n".join(lines)


@click.command(help=__doc__)
@click.argument("bench", type=click.Path(path_type=Path, exists=True), default=Path(".build/bench.json"))
@click.argument("scaling", type=click.Path(path_type=Path, exists=True), default=Path(".build/scaling.json"))
@click.option("--page", type=click.Path(path_type=Path), default=Path("docs/performance.md"))
def main(bench: Path, scaling: Path, page: Path) -> None:
    put(page, "measured", measured(json.loads(bench.read_text()), json.loads(scaling.read_text())))
    click.echo(f"tables in {page}")


if __name__ == "__main__":
    main()
