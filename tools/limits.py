"""Make docs/limits.md from crates/bus/src/limits.rs, so that every bound is written, and explained, once.

`python tools/limits.py` writes the page; with `--check` it only compares, and exits with 1 when they differ.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "crates/bus/src/limits.rs"
PAGE = ROOT / "docs/limits.md"

HEAD = """\
# Limits

Every bound of the bus, and why it has its value. Reaching one is an ordinary error for whoever does. This
page is made from `crates/bus/src/limits.rs` by `tools/limits.py`; change the values there.

| name | value | unit | reason |
|---|---:|---|---|
"""

CONSTANT = re.compile(r"pub const (?P<name>[A-Z_0-9]+): \w+ = (?P<value>[^;]+);")
REASON = re.compile(r"\[(?P<unit>[^\]]+)\] (?P<reason>.+)")
WORD = re.compile(r"\d[\d_]*|[A-Za-z_][A-Za-z_0-9:]*|<<|[+*/()-]")


class SourceError(Exception):
    """The source is not written as this script and its readers expect."""


@dataclass(frozen=True)
class Limit:
    """One constant of the source."""

    name: str
    value: int
    unit: str
    reason: str

    def row(self) -> str:
        """Write it as a line of the table."""
        reason = self.reason.replace("|", "\\|")
        return f"| `{self.name}` | {self.value:,} | {self.unit} | {reason} |\n"


def evaluate(expression: str, known: dict[str, int]) -> int:
    """Compute a constant expression of integers and of the constants before it."""
    without_casts = re.sub(r"\bas \w+", "", expression)
    words: list[str] = []
    for word in WORD.findall(without_casts):
        if word[0].isdigit():
            words.append(word.replace("_", ""))
        elif word == "u32::MAX":
            words.append(str(2**32 - 1))
        elif word in known:
            words.append(str(known[word]))
        else:
            words.append("//" if word == "/" else word)
    text = " ".join(words)
    # Only digits and operators are left, unless the source uses something new.
    if not re.fullmatch(r"[\d+*/()<\s-]+", text):
        raise SourceError(f"cannot compute `{expression}`")
    return int(eval(text, {"__builtins__": {}}))  # noqa: S307


def parse(source: str) -> list[Limit]:
    """Read all constants, each with the comment above it."""
    limits: list[Limit] = []
    known: dict[str, int] = {}
    comment: list[str] = []
    for number, line in enumerate(source.splitlines(), 1):
        if line.startswith("/// "):
            comment.append(line[4:].strip())
        elif line.startswith("pub const"):
            constant = CONSTANT.fullmatch(line)
            reason = REASON.fullmatch(" ".join(comment))
            if constant is None or reason is None:
                form = "give `/// [unit] reason` and one line `pub const NAME: type = value;`"
                raise SourceError(f"{SOURCE.name}:{number}: {form}")
            known[constant["name"]] = evaluate(constant["value"], known)
            limits.append(Limit(constant["name"], known[constant["name"]], reason["unit"], reason["reason"]))
            comment.clear()
        elif line and not line.startswith("//!"):
            raise SourceError(f"{SOURCE.name}:{number}: only constants belong here")
    return limits


def main(arguments: list[str]) -> int:
    """Write the page, or compare it."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    page = HEAD + "".join(limit.row() for limit in parse(SOURCE.read_text("utf-8")))
    if not arguments:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page, "utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text("utf-8") == page:
        return 0
    print(
        "docs/limits.md is not made from crates/bus/src/limits.rs: run python tools/limits.py",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
