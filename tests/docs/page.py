"""What is on a page: its code blocks, each with what is to be done with it. Nothing is left to be read only.

A page is Markdown. Its fenced blocks are, by language and title:

    ```python title="worker.py"             a file that the reader types
    ```python title="part of worker.py"     lines of such a file, shown again
    ```python title="a fragment"            code that stands for itself: it is compiled, nothing more
    ```python                               `>>>` examples, run as a doctest; all of a page are one session
    ```c title="earth.c"                    the same in C, and in C++ with ```cpp: a command of the page compiles it
    ```js title="earth.js"                  the same in JavaScript: a command of the page runs it
    ```console title="first terminal"       commands (`$ `), keys (`^C`) and what is seen; see `terminals.py`
    ```text                                 no code

A `python` block of another kind, or one in a language that is not listed here, is a `PageError`: something a reader
would type, and nobody has tried.

Programs on pages name their buses `com.example.*`. `Page.read` gives these a suffix of their own for every run, in code
and in output alike, so that two runs on one machine do not meet.
"""

from __future__ import annotations

import ast
import re
import textwrap
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FENCE = re.compile(r"^(?P<indent>\s*)```(?P<info>.*)$")
INFO = re.compile(r'^(?P<language>\w+)(?: title="(?P<title>[^"]+)")?$')
NO_CODE = {"text", "toml", "yaml", "json", "cmake"}
#: Languages whose blocks are files, and how these end.
FILES = {"python": ".py", "c": ".c", "cpp": ".cpp", "js": ".js"}


class PageError(AssertionError):
    """Something on a page is not so, or cannot be tried."""


@dataclass(frozen=True)
class Block:
    """A fenced block: `line` is that of its first line of content, counted from 1."""

    language: str
    title: str
    text: str
    line: int

    @property
    def is_doctest(self) -> bool:
        return self.language == "python" and self.text.startswith(">>> ")

    @property
    def is_file(self) -> bool:
        return (
            not self.is_doctest
            and self.language in FILES
            and self.title.endswith(FILES[self.language])
            and " " not in self.title
        )


@dataclass(frozen=True)
class Page:
    """A page with its blocks in order."""

    name: str
    blocks: tuple[Block, ...]
    lines: int

    @classmethod
    def read(cls, path: Path) -> Page:
        """The page in a file, its buses renamed."""
        return cls.parse(path.name, path.read_text())

    @classmethod
    def parse(cls, name: str, text: str) -> Page:
        unique = f"com.example.{uuid.uuid4().hex[:12]}"
        lines = text.replace("com.example", unique).splitlines()
        page = cls(name, tuple(blocks(name, lines)), len(lines))
        for block in page.blocks:
            check(page, block)
        return page

    def doctest(self) -> str:
        """All `>>>` examples, each on its own line of the page; empty if there is none."""
        lines = [""] * self.lines
        for block in self.blocks:
            if block.is_doctest:
                content = block.text.splitlines()
                lines[block.line - 1 : block.line - 1 + len(content)] = content
        return "\n".join(lines) + "\n" if any(lines) else ""


def blocks(name: str, lines: list[str]) -> list[Block]:
    """The fenced blocks in these lines."""
    found = []
    opened: tuple[int, re.Match[str]] | None = None
    for number, line in enumerate(lines, 1):
        fence = FENCE.match(line)
        if not fence:
            continue
        if opened is None:
            info = INFO.match(fence["info"])
            if info is None or fence["indent"]:
                msg = f'{name}:{number}: {line!r} opens a block: write ```language title="..." at the margin'
                raise PageError(msg)
            opened = number, info
        else:
            begin, info = opened
            text = "".join(f"{inner}\n" for inner in lines[begin : number - 1])
            found.append(Block(info["language"], info["title"] or "", text, begin + 1))
            opened = None
    if opened is not None:
        msg = f"{name}:{opened[0]}: the block is not closed"
        raise PageError(msg)
    return found


def check(page: Page, block: Block) -> None:
    """Whether a block is of a kind that is tried; one that cannot be run is compiled, or compared with what is."""
    where = f"{page.name}:{block.line}"
    if block.language in NO_CODE or block.is_doctest or block.language == "console":
        return
    if block.language in ("c", "cpp", "js") and block.is_file:
        return
    if block.language != "python":
        msg = f"{where}: nothing runs a block in {block.language!r}: write python, console or text"
        raise PageError(msg)
    if block.title == "a fragment" or block.is_file:
        try:
            ast.parse(textwrap.dedent(block.text))
        except SyntaxError as error:
            msg = f"{where}: {error}"
            raise PageError(msg) from error
    elif block.title.startswith("part of "):
        whole = [other.text for other in page.blocks if other.title == block.title.removeprefix("part of ")]
        if not any(is_part(block.text, text) for text in whole):
            msg = f"{where}: these lines are no {block.title}"
            raise PageError(msg)
    else:
        msg = f'{where}: nothing runs this: give it a title="name.py", or `>>>`, or title="a fragment"'
        raise PageError(msg)


def is_part(part: str, whole: str) -> bool:
    """Whether these lines stand in those, one after the other, however far indented."""
    wanted = textwrap.dedent(part).splitlines()
    lines = whole.splitlines()
    return any(
        textwrap.dedent("\n".join(lines[begin : begin + len(wanted)])).splitlines() == wanted
        for begin in range(len(lines) - len(wanted) + 1)
    )
