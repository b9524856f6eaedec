"""``python -m benches.scaling.picture [figures.json] [picture.svg]``: all panels of all studies as one SVG.

``make bench-scaling`` draws what it has measured; this makes the copy in the documentation from the same file of
figures, and the same figures make the same bytes.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benches.pictures import MARKS, OURS, STYLE, THEIRS, caption, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
#: Inches of one panel.
PANEL = (4.4, 3.1)


def draw(found: dict[str, Any], path: Path) -> None:
    """The picture of one file of figures; nothing where no study has a panel."""
    import matplotlib as mpl  # noqa: PLC0415 # half a second, which a run without a picture need not take
    from matplotlib.figure import Figure  # noqa: PLC0415

    panels = [one for study in found["studies"].values() for one in study["panels"]]
    if not panels:
        return
    with mpl.rc_context(STYLE):
        columns = min(COLUMNS, len(panels))
        rows = math.ceil(len(panels) / columns)
        figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows + 0.3), layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False).flat
        for place, one in zip(places, panels, strict=False):
            panel(place, one)
        for place in places[len(panels) :]:
            place.set_axis_off()
        figure.supxlabel(caption(found), fontsize=8, color="#555555")
        save(figure, path)


def panel(place: Axes, one: dict[str, Any]) -> None:
    """A line through the medians, and a shade from the lowest to the highest round."""
    for colour, mark, line in zip((OURS, *THEIRS), MARKS, one["lines"], strict=False):
        place.plot(
            line["x"], line["y"], color=colour, marker=mark, markersize=3, linewidth=1.4, label=line["name"]
        )
        if line["low"]:
            place.fill_between(line["x"], line["low"], line["high"], color=colour, alpha=0.12, linewidth=0)
    place.set_title(one["title"])
    place.set_xlabel(one["x"])
    place.set_ylabel(one["y"])
    if "x" in one["factors"]:
        place.set_xscale("log", base=2)
        ticks = sorted({value for line in one["lines"] for value in line["x"]})
        place.set_xticks(ticks, [f"{value:g}" for value in ticks])
    if "y" in one["factors"]:
        place.set_yscale("log")
    else:
        place.set_ylim(bottom=0)
    if len(one["lines"]) > 1:
        place.legend(frameon=False, fontsize=8)


@click.command(help=__doc__)
@click.argument("figures", type=click.Path(path_type=Path, exists=True), default=Path(".build/scaling.json"))
@click.argument("picture", type=click.Path(path_type=Path), default=Path("docs/scaling.svg"))
def main(figures: Path, picture: Path) -> None:
    found = json.loads(figures.read_text())
    draw(found, picture)
    click.echo(f"{picture}: {caption(found)}")


if __name__ == "__main__":
    main()
