"""Branch coverage of what reads other processes' bytes: `make coverage` prints the table, and each gap with its reason.

The tests of both crates run instrumented, corpora of the fuzzers included. Counted is production code: a condition
has two outcomes, each arm and each early return is a piece that runs. What is missing gets a test, or a line in
`tools/coverage.txt` with the reason why no test can reach it; one that is listed nowhere, and a line of the list that
is covered by now, are errors.

It needs the compiler's own llvm-profdata and llvm-cov (`rustup component add llvm-tools`); the flags are a stable
compiler's when it is told to take them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "target" / "coverage"
PROFILES = ROOT / ".build" / "coverage"
LIST = ROOT / "tools" / "coverage.txt"

#: What is measured: whatever judges bytes of others.
MEASURED = (
    "crates/bus/src/label.rs",
    "crates/bus/src/label_op.rs",
    "crates/bus/src/label_text/",
    "crates/bus/src/wire.rs",
    "crates/bus/src/controller/",
    "crates/transport/src/ring/",
)
#: A region that is code, as llvm-cov numbers them.
CODE = 0

#: Tests, and what only they run.
LEFT_OUT = ("/tests/", "/tests.rs", "/hostile.rs", "/fuzzing.rs")


class CoverageError(Exception):
    """Something that is needed is missing, or has failed; the text says what to do."""


@dataclass(frozen=True)
class Outcome:
    """One way that the code can take: a condition that is true, or false, or a piece that runs."""

    file: str
    line: int
    what: str
    count: int

    def place(self) -> str:
        """File and text of the line, which stay when lines above move."""
        return f"{self.file}: {_text(ROOT / self.file, self.line).strip()}"


@cache
def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.is_relative_to(ROOT) else []


def _text(path: Path | str, line: int) -> str:
    """A line of a source of ours; nothing of others."""
    lines = _lines(Path(path))
    return lines[line - 1] if line <= len(lines) else ""


def _llvm(name: str) -> str:
    question = ["rustc", "--print", "sysroot"]
    root = subprocess.run(question, capture_output=True, text=True, check=True)  # noqa: S603
    found = next(Path(root.stdout.strip()).glob(f"lib/rustlib/*/bin/{name}"), None)
    if found is None:
        msg = f"{name} is missing: rustup component add llvm-tools"
        raise CoverageError(msg)
    return str(found)


def _cargo(*arguments: str) -> str:
    flags = "-Cinstrument-coverage -Zcoverage-options=branch"
    crates = ["--package=ipmb-transport", "--package=ipmb-bus"]
    done = subprocess.run(  # noqa: S603
        ["cargo", "test", "--locked", *crates, "--lib", "--tests", *arguments],  # noqa: S607
        cwd=ROOT,
        env={
            **os.environ,
            "RUSTC_BOOTSTRAP": "1",
            "RUSTFLAGS": flags,
            "CARGO_TARGET_DIR": str(BUILT),
            "LLVM_PROFILE_FILE": f"{PROFILES}/%p-%m.profraw",
            # Trials among the tests: more of them say the same.
            "IPMB_COUNT": "100",
        },
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        msg = f"{' '.join(done.args)} failed\n{done.stdout[-3000:]}"
        raise CoverageError(msg)
    return done.stdout


def measure() -> list[Outcome]:
    """Build and run the tests; every outcome of what is measured."""
    messages = _cargo("--no-run", "--message-format=json").splitlines()
    programs = [program for line in messages if (program := json.loads(line).get("executable"))]
    shutil.rmtree(PROFILES, ignore_errors=True)
    _cargo("--quiet", "--no-fail-fast")
    merged = PROFILES / "all.profdata"
    raw = map(str, PROFILES.glob("*.profraw"))
    merge = [_llvm("llvm-profdata"), "merge", "-sparse", "-o", str(merged), *raw]
    subprocess.run(merge, check=True)  # noqa: S603
    objects = [f"-object={program}" for program in programs]
    export = [_llvm("llvm-cov"), "export", f"-instr-profile={merged}", *objects]
    exported = subprocess.run(export, capture_output=True, check=True)  # noqa: S603
    return outcomes(json.loads(exported.stdout)["data"][0])


def outcomes(exported: dict[str, Any]) -> list[Outcome]:
    """What can happen in production code, each once: a generic function counts for each of its uses."""
    counts: Counter[tuple[str, int, int, int, str]] = Counter()
    for file in exported["files"]:
        for line, column, _, end, true, false, *_ in file["branches"]:
            counts[file["filename"], line, column, end, "true"] += true
            counts[file["filename"], line, column, end, "false"] += false
    for function in exported["functions"]:
        for line, column, _, end, count, file, _, kind in function["regions"]:
            # What begins where a block ends is an `else` that is not written; its condition says the same.
            if kind == CODE and not _text(function["filenames"][file], line).startswith("}", column - 1):
                counts[function["filenames"][file], line, column, end, "run"] += count
    found = []
    for (path, line, _, _, what), count in sorted(counts.items()):
        name = path.removeprefix(f"{ROOT}/")
        measured = name.startswith(MEASURED) and not any(part in name for part in LEFT_OUT)
        if measured and line <= _production_lines(ROOT / name):
            found.append(Outcome(name, line, what, count))
    return found


@cache
def _production_lines(path: Path) -> int:
    """How many lines come before the tests of a file."""
    lines = path.read_text().splitlines()
    inline = (number for number, line in enumerate(lines[1:]) if line.endswith("mod tests {"))
    return next(inline, len(lines))


def explained() -> dict[str, str]:
    """The list, `file: line of code -- reason`, by file and line of code."""
    reasons = {}
    for line in LIST.read_text().splitlines():
        if line and not line.startswith("#"):
            place, _, reason = line.partition(" -- ")
            assert reason, f"{LIST}: no reason in {line!r}"
            reasons[place] = reason
    return reasons


@click.command(help=__doc__)
def main() -> None:
    """Measure, print, compare with the list."""
    console = Console()
    console.width = max(console.width, 120)
    try:
        found = measure()
    except CoverageError as error:
        sys.exit(str(error))
    reasons = explained()
    table = Table(
        "file", "outcomes", "never seen", "explained", title="branches of what reads the bytes of others"
    )
    by_file: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in found:
        by_file[outcome.file].append(outcome)
    for file, there in by_file.items():
        gaps = [outcome for outcome in there if not outcome.count]
        known = sum(gap.place() in reasons for gap in gaps)
        table.add_row(file, str(len(there)), str(len(gaps)), str(known))
    console.print(table)
    gaps = [outcome for outcome in found if not outcome.count]
    used = {gap.place() for gap in gaps}
    for place in sorted(used & reasons.keys()):
        console.print(f"{place}\n    {reasons[place]}", highlight=False, markup=False)
    unexplained = [gap for gap in gaps if gap.place() not in reasons]
    for gap in unexplained:
        text = f"{gap.place()}\n    line {gap.line}: never {gap.what}"
        console.print(text, style="red", highlight=False, markup=False)
    for stale in sorted(reasons.keys() - used):
        text = f"{stale}\n    is covered by now: take it off {LIST.name}"
        console.print(text, style="red", highlight=False, markup=False)
    if unexplained or reasons.keys() - used:
        sys.exit(1)


if __name__ == "__main__":
    main()
