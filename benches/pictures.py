"""``python -m benches.pictures [figures.json] [picture.svg]``: rates and latencies by size, ours and theirs, as an SVG.

``make bench`` draws what it has measured; ``make picture`` makes README's copy, docs/performance.svg, from the same
file of figures. Day, machine and commit come from that file and stand in the picture, and the same figures make the
same bytes. The colours can be told apart by people who cannot tell red from green (Okabe and Ito).
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benches.groups import size_name
from benches.peers import LIMITS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "ipmb",
    "svg.fonttype": "path",  # looks the same wherever it is shown
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "savefig.facecolor": "white",
}

OURS = "#d55e00"
THEIRS = ("#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f6000", "#5f3f8f", "#556b2f")
GREY = "#777777"
MARKS = "osv^Dphx"

#: What is drawn: the kind of row, and the title of its panel.
PANELS = (
    ("rate", "bytes one way, messages a second (more is better)"),
    ("round trip", "bytes there and back, median in µs (less is better)"),
)


def caption(found: dict[str, Any]) -> str:
    """Day, machine, commit."""
    machine = found["machine"]
    day = time.strftime("%Y-%m-%d", time.gmtime(found["began"]))
    words = [day, machine["cpu"], f"{machine['cores']} cores", machine["kernel"], machine["python"]]
    if commit := machine.get("commit"):
        words.append(f"commit {commit}")
    return ", ".join(words)


def save(figure: Figure, path: Path) -> None:
    """As an SVG that says nothing of when it was drawn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
    # matplotlib leaves spaces at ends of lines, which no editor does.
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def panel(place: Axes, group: dict[str, Any], kind: str, title: str) -> None:
    """One line a peer through its medians, a shade from the lowest to the highest round; ours in front."""
    rows = sorted((row for row in group["rows"] if row["kind"] == kind), key=lambda row: row["size"])
    others = [module for module in group["peers"] if module != "ipmb" and module not in LIMITS]
    for module, about in group["peers"].items():
        points = [
            (row["size"], row["figures"][module])
            for row in rows
            if row["figures"].get(module) and module not in row["failures"]
        ]
        if not points:
            continue
        if module == "ipmb":
            look: dict[str, Any] = {
                "color": OURS,
                "linewidth": 2.6,
                "marker": "o",
                "markersize": 5,
                "zorder": 5,
            }
        elif module in LIMITS:
            look = {"color": GREY, "linewidth": 1.2, "linestyle": "--", "zorder": 2}
        else:
            turn = others.index(module)
            colour, mark = THEIRS[turn % len(THEIRS)], MARKS[turn % len(MARKS)]
            look = {"color": colour, "linewidth": 1.2, "marker": mark, "markersize": 3.5}
        sizes = [size for size, _ in points]
        place.plot(sizes, [statistics.median(values) for _, values in points], label=about["name"], **look)
        low, high = [min(values) for _, values in points], [max(values) for _, values in points]
        place.fill_between(sizes, low, high, color=look["color"], alpha=0.10, linewidth=0)
    place.set_title(title)
    place.set_xscale("log", base=2)
    place.set_yscale("log")
    ticks = [row["size"] for row in rows]
    place.set_xticks(ticks, [size_name(size) for size in ticks])
    place.minorticks_off()


def draw(found: dict[str, Any], path: Path) -> None:
    """The picture of one file of figures; nothing where bytes were not measured."""
    import matplotlib as mpl  # noqa: PLC0415 # half a second, which a run without a picture need not take
    from matplotlib.figure import Figure  # noqa: PLC0415

    group = found["groups"].get("bytes")
    if group is None:
        return
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.4, 4.6), layout="constrained")
        places = figure.subplots(1, len(PANELS))
        for place, (kind, title) in zip(places, PANELS, strict=True):
            panel(place, group, kind, title)
        lines, names = places[0].get_legend_handles_labels()
        figure.legend(lines, names, loc="outside right center", frameon=False)
        figure.supxlabel(caption(found), fontsize=8, color="#555555")
        save(figure, path)


@click.command(help=__doc__)
@click.argument("figures", type=click.Path(path_type=Path, exists=True), default=Path(".build/bench.json"))
@click.argument("picture", type=click.Path(path_type=Path), default=Path("docs/performance.svg"))
def main(figures: Path, picture: Path) -> None:
    found = json.loads(figures.read_text())
    if "bytes" not in found["groups"]:
        raise click.ClickException(f"figures is {figures}: it has no bytes, run `make bench`")
    draw(found, picture)
    click.echo(f"{picture}: {caption(found)}")


if __name__ == "__main__":
    main()
