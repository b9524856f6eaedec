"""Roles of a child that lacks a library; nothing here imports one."""

from __future__ import annotations

import sys
from typing import Any

from tests.support import roles


def forget(library: str) -> None:
    """From now on this library cannot be imported here."""
    sys.modules[library] = None  # type: ignore[assignment] # what the interpreter looks for


def imported(*libraries: str) -> list[str]:
    """Which of these libraries are loaded."""
    return [library for library in libraries if library in sys.modules]


def send(to: str, payload: Any) -> int:
    return roles.send(to, payload)
