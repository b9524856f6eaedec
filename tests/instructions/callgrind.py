"""Counts what the calls of a driver cost, by valgrind's callgrind.

A driver prints a line before each of its runs, how many calls and of what, and calls ``getppid`` before and after the
run. There callgrind writes a file of what it has counted since the last. So every second file is a run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.instructions.figures import Layer

ROOT = Path(__file__).parents[2]
#: Seconds that a driver may take; it takes a few.
BOUND = 240.0
#: Rows whose names begin so try out the measuring.
CONTROL = "control: "

_TOTAL = re.compile(rb"^totals: (\d+)$", re.MULTILINE)
_DUMPING = ("--quiet", "--tool=callgrind", "--dump-before=getppid")


def missing() -> str:
    """What has to be installed, or an empty string."""
    if shutil.which("valgrind") is None:
        return "valgrind is missing: install it (on Debian and Ubuntu: apt install valgrind)"
    return ""


def build() -> None:
    """The native driver, in the way the native module is built."""
    cargo = [
        "cargo",
        "build",
        "--release",
        "--locked",
        "--quiet",
        "-p",
        "ipmb-bus",
        "--example",
        "instructions",
    ]
    subprocess.run(cargo, cwd=ROOT, check=True)


def costs() -> dict[Layer, dict[str, float]]:
    """Instructions of one call, by layer and row; both drivers at once, which disturbs neither."""
    with ThreadPoolExecutor() as pool:
        native = pool.submit(count, [str(ROOT / "target/release/examples/instructions")])
        python = pool.submit(count, [sys.executable, "-m", "tests.instructions.driver"])
        return {"native": native.result(), "python": python.result()}


def count(driver: list[str]) -> dict[str, float]:
    """Instructions of one call, by row."""
    # Hashes decide what stands beside what in a table.
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "counts")
        done = subprocess.run(
            ["valgrind", *_DUMPING, f"--callgrind-out-file={written}", *driver],
            cwd=ROOT,
            env=environment,
            timeout=BOUND,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        return per_call([(line, _total(Path(f"{written}.{2 * run}"))) for run, line in enumerate(lines, 1)])


def _total(file: Path) -> int:
    found = _TOTAL.search(file.read_bytes())
    assert found is not None, f"{file} has no total"
    return int(found[1])


def per_call(runs: list[tuple[str, int]]) -> dict[str, float]:
    """The cost of a row's runs, without what the run without calls costs, by their calls."""
    empty: dict[str, int] = {}
    cost: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for line, total in runs:
        number, row = line.split(" ", 1)
        if number == "0":
            empty[row] = total
        else:
            cost[row] += total - empty[row]
            calls[row] += int(number)
    return {row: cost[row] / calls[row] for row in cost}
