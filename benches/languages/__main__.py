"""``python -m benches.languages``: messages a second between programs in several languages, one way, one a call.

The same two programs in each language are kept for all sizes; the pairs take turns, round by round, so that what the
machine does meanwhile happens to all. With ``QUICK=1`` in the environment it takes half a minute.

Each program obeys a line and answers with one: ``send LABEL COUNT SIZE`` with 0, ``recv COUNT`` with the seconds from
the first message to the last; -1 where something failed.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.table import Table
from tests.support import compiled

from benches import machine

HERE = Path(__file__).parent
ADDON = HERE.parents[1] / "crates" / "node" / "ipmb-js.node"
RESULTS = Path(".build/languages.json")
QUICK = os.environ.get("QUICK", "") not in ("", "0")
ROUNDS = 5
#: Seconds that one measurement is to take.
SECONDS = 0.2 if QUICK else 1.0
SIZES = (16, 1024, 16 * 1024, 1 << 20)
#: From where to where. The first is what the others stand beside.
PAIRS = (
    ("Python", "Python"),
    ("C", "C"),
    ("C++", "Python"),
    ("Python", "C++"),
    ("Node", "Python"),
    ("Python", "Node"),
)


def commands(folder: Path) -> dict[str, list[str]]:
    """How the program of each language is started; those that cannot be are left out."""
    found = {"Python": [sys.executable, str(HERE / "rate.py")]}
    if (compiled.PREFIX / "lib").exists():
        for language, source in (("C", "rate.c"), ("C++", "rate.cpp")):
            place = folder / source
            place.mkdir()
            found[language] = [str(compiled.build(HERE / source, place, "-O2"))]
    node = shutil.which("node")
    if node and ADDON.exists():
        found["Node"] = [node, str(HERE / "rate.mjs")]
    return found


class Program:
    """One end."""

    def __init__(self, command: list[str], bus: str, label: str) -> None:
        self.label = label
        self._process = subprocess.Popen(
            [*command, bus, label], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.answer("ready")

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def answer(self, wanted: str = "") -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line or line.startswith("-") or (wanted and line != wanted):
            raise RuntimeError(f"{self.label}: {line or 'it has ended'}")
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def rehearse(one: Program, other: Program, size: int) -> int:
    """How many messages take the time of one measurement. Few messages say nothing: their rings are still growing."""
    count = 200
    while True:
        rehearsed = rate(one, other, count, size)
        if count / rehearsed > SECONDS / 4:
            return max(100, int(rehearsed * SECONDS))
        count *= 4


def rate(one: Program, other: Program, count: int, size: int) -> float:
    """Messages a second."""
    other.tell(f"recv {count}")
    one.tell(f"send {other.label} {count} {size}")
    seconds = float(other.answer())
    one.answer()
    return (count - 1) / seconds


def main() -> None:
    console = Console()
    console.print(f"[bold]{machine.line()}[/bold]")
    figures: dict[str, dict[int, list[float]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rate-")))
        found = commands(folder)
        ends: dict[str, tuple[Program, Program]] = {}
        for one, other in PAIRS:
            if one not in found or other not in found:
                console.print(f"  [yellow]{one} to {other} is left out: not built[/yellow]")
                continue
            bus = f"bench.languages.{uuid.uuid4().hex}"
            receiver = stack.enter_context(Program(found[other], bus, "receiver"))
            sender = stack.enter_context(Program(found[one], bus, "sender"))
            ends[f"{one} to {other}"] = (sender, receiver)
        for size in SIZES:
            counts = {}
            for name, (sender, receiver) in ends.items():
                counts[name] = rehearse(sender, receiver, size)
            for _ in range(ROUNDS):
                for name, (sender, receiver) in ends.items():
                    measured = rate(sender, receiver, counts[name], size)
                    figures.setdefault(name, {}).setdefault(size, []).append(measured)
    table = Table(
        "from, to", *(f"{size} B" for size in SIZES), title="messages a second: median, spread, to Python"
    )
    base = figures["Python to Python"]
    for name, sizes in figures.items():
        cells = []
        for size, rates in sizes.items():
            middle = statistics.median(rates)
            spread = (max(rates) - min(rates)) / middle
            cells.append(f"{middle:,.0f} ±{spread / 2:.0%} {middle / statistics.median(base[size]):.2f}x")
        table.add_row(name, *cells)
    console.print(table)
    console.print(machine.load(), highlight=False)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine.describe(), "figures": figures}, indent=1))
    console.print(f"figures in {RESULTS}")


if __name__ == "__main__":
    main()
