"""The trials, one file each. A file here says ``TRIALS = [...]``; nothing else has to know of it."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.torture.trial import Trial


def found() -> dict[str, Trial]:
    """All trials by name."""
    trials: dict[str, Trial] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        for trial in importlib.import_module(f"{__name__}.{module.name}").TRIALS:
            assert trial.name not in trials, f"two trials are called {trial.name}"
            trials[trial.name] = trial
    return trials
