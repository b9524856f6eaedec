"""What is measured, one module each: ``run`` in the process that directs, ``Worker`` in those that obey."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from benches.scaling.findings import Study

NAMES = ("senders", "receivers", "members", "drift", "memory", "idle", "takeover")


def load(name: str) -> Study:
    return cast("Study", importlib.import_module(f"{__name__}.{name}"))
