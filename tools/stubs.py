"""Copies the docstrings of the native module into its stub file, where editors find them.

Without arguments it rewrites `python/ipmb/_core.pyi`; a test calls `updated` and compares.
"""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

from ipmb import _core

STUB = Path(__file__).parent.parent / "python" / "ipmb" / "_core.pyi"


def docstring(owner: Any, name: str) -> str | None:
    """The docstring of a member of the native module or of one of its classes; None for what Python made itself."""
    if re.fullmatch(r"__\w+__", name):
        return None
    member = inspect.getattr_static(owner, name)
    if isinstance(member, staticmethod):
        member = getattr(owner, name)
    text = getattr(member, "__doc__", None)
    return inspect.cleandoc(text) if isinstance(text, str) and text else None


def _insertion(
    node: ast.ClassDef | ast.FunctionDef, text: str, lines: list[str]
) -> tuple[int, int, list[str]]:
    """Which lines (from, to) of the stub give way to which others."""
    indent = " " * (node.col_offset + 4)
    quoted = [
        '"""' + line if not at else line for at, line in enumerate(text.replace("\\", "\\\\").split("\n"))
    ]
    block = [indent + line if line else "" for line in quoted]
    if len(block) == 1:
        block[0] += '"""'
    else:
        block.append(indent + '"""')
    first = node.body[0]
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        assert first.end_lineno is not None
        return first.lineno - 1, first.end_lineno, block
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and first.value.value is ...:
        # `def f(): ...` becomes a body that is the docstring.
        line = lines[first.lineno - 1]
        return first.lineno - 1, first.lineno, [line[: first.col_offset].rstrip(), *block]
    start = min([first.lineno, *(mark.lineno for mark in getattr(first, "decorator_list", []))]) - 1
    return start, start, block


def updated(stub: str) -> str:
    """The stub with the docstrings of the module as it is built now."""
    lines = stub.split("\n")
    changes: list[tuple[int, int, list[str]]] = []

    def visit(body: list[ast.stmt], owner: Any) -> None:
        seen: set[str] = set()
        for node in body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef):
                continue
            overloaded = any(
                isinstance(mark, ast.Name) and mark.id == "overload" for mark in node.decorator_list
            )
            text = docstring(owner, node.name)
            # Of overloads only the last one has it, or an editor shows it twice.
            last = not overloaded or node is [n for n in body if getattr(n, "name", "") == node.name][-1]
            if text and last and node.name not in seen:
                changes.append(_insertion(node, text, lines))
                seen.add(node.name)
            if isinstance(node, ast.ClassDef):
                visit(node.body, inspect.getattr_static(owner, node.name))

    visit(ast.parse(stub).body, _core)
    for start, end, block in sorted(changes, reverse=True):
        lines[start:end] = block
    return "\n".join(lines)


if __name__ == "__main__":
    STUB.write_text(updated(STUB.read_text()))
