"""docs/limits.md lists the bounds as the source has them, all of them."""

from __future__ import annotations

from pathlib import Path

from tests.support import program
from tests.support.limits import all_bounds

ROOT = Path(__file__).parents[2]


def test_the_page_is_made_from_the_source() -> None:
    done = program.python("tools/limits.py", "--check", seconds=50)
    assert done.returncode == 0, done.stderr


def test_the_page_lists_every_bound() -> None:
    page = (ROOT / "docs" / "limits.md").read_text("utf-8")
    missing = [name for name, value in all_bounds().items() if f"| `{name}` | {value:,} |" not in page]
    assert not missing
