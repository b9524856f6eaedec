"""The bounds as the product defines them, read from their one file.

A test that repeated the numbers would pass when one of them changed by accident on both sides; read from the
source, a bound that moves moves its tests, and a new one without a test is noticed.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "crates" / "bus" / "src" / "limits.rs"
ITEM = re.compile(r"^pub const (\w+): \w+ = (.+);$", re.MULTILINE)
TYPES = {"u32::MAX": str(2**32 - 1), "u64::MAX": str(2**64 - 1), " as u64": "", " as usize": ""}


def _value(rust: str, known: dict[str, int]) -> int:
    """The value of an expression of numbers, operators and bounds further up."""
    words = TYPES | {name: str(known[name]) for name in sorted(known, key=len, reverse=True)}
    for word, number in words.items():
        rust = rust.replace(word, number)
    assert re.fullmatch(r"[\d_ <+*/()-]+", rust), f"cannot read {rust}"
    return int(eval(rust.replace("/", "//")))  # digits and operators only, as just checked


@cache
def all_bounds() -> dict[str, int]:
    """Every bound by its name in the source."""
    found: dict[str, int] = {}
    for name, rust in ITEM.findall(SOURCE.read_text()):
        found[name] = _value(rust, found)
    return found


def bound(name: str) -> int:
    """One bound."""
    return all_bounds()[name]
