"""Parts of pages that a command makes: what stands between two marks is written there and nowhere else.

The prose around the marks is written by hand, and stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


def put(page: Path, name: str, text: str) -> None:
    """Put `text` between ``<!-- name: begin -->`` and ``<!-- name: end -->``."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = page.read_text().split(begin)
    after = rest.split(end)[1]
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, figures: bool = True) -> list[str]:
    """A table in Markdown; the first column is text, and so are the others unless they are figures."""
    line = "|---" + ("|---:" if figures else "|---") * (len(columns) - 1) + "|"
    return ["| " + " | ".join(columns) + " |", line, *("| " + " | ".join(row) + " |" for row in rows), ""]
