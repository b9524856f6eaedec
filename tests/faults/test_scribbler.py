"""A hostile peer scribbles over all it may write: the short run of the trial."""

from __future__ import annotations

import pytest

from tests.faults.torture import trial
from tests.faults.torture.trials.scribble import Scribble


@pytest.mark.timeout(180, method="signal")
def test_only_its_own_channels_die() -> None:
    trial.in_ci(Scribble())
