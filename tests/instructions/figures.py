"""The checked-in figures, what they were taken with, and what counts as a change."""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

PATH = Path(__file__).with_name("figures.json")
#: By how much a cost may grow, in parts of the figure and at least in instructions. The same build on the same machine
#: gives the same cost within a few parts in a thousand; the rest is for a compiler that places things elsewhere.
TOLERANCE = 0.02
LEAST = 4
#: The same where the compiler or the C library, which copies bytes, are not those of the figures.
TOLERANCE_ELSEWHERE = 0.15
#: What has become cheaper by more has a figure that guards little.
STALE = 0.1

#: Where the calls come from: Rust, or Python.
Layer: TypeAlias = Literal["native", "python"]


def tools() -> dict[Layer, str]:
    """What the costs of each layer depend on beside the code."""
    rustc = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout.split()[
        1
    ]
    return {
        "native": f"rustc {rustc}, {platform.machine()}, {' '.join(platform.libc_ver())}",
        "python": f"{platform.python_implementation()} {platform.python_version()}, {platform.python_compiler()}",
    }


@dataclass(frozen=True)
class Figures:
    """Instructions of one call, by layer and row."""

    tools: dict[Layer, str]
    rows: dict[Layer, dict[str, int]]

    @classmethod
    def read(cls) -> Figures:
        return cls(**json.loads(PATH.read_text()))

    def write(self) -> None:
        PATH.write_text(json.dumps(asdict(self), indent=2) + "\n")


def complaint(row: str, figure: int, cost: float, tolerance: float) -> str:
    """What is wrong with a cost, or an empty string."""
    found = f"{row}: {cost:.0f} instructions, {cost - figure:+.0f} ({cost / figure - 1:+.1%})"
    if cost > figure + max(figure * tolerance, LEAST):
        return (
            f"{found}: see what has become dearer; if that is meant, `make instructions` renews the figures"
        )
    if cost < figure - max(figure * max(tolerance, STALE), LEAST):
        return f"{found}: renew the figures by `make instructions`, they would not notice if that were lost again"
    return ""
