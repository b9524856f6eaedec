"""A minute of all faults at once: what each of them does alone is in the other files."""

from __future__ import annotations

import pytest

from tests.faults.torture.trial import SHARE, in_ci
from tests.faults.torture.trials.soak import Soaking


@pytest.mark.timeout(300, method="signal")
def test_a_soak_with_all_faults_mixed() -> None:
    """The survivors' books are right, they go on all the time, and hold no more in the end."""
    figures = in_ci(Soaking())
    assert figures["violations"] == 0
    least = {
        "kills": 60,
        "reigns ended by closing": 10,
        "stops": 30,
        "shortages": 30,
        "expired": 60,
        "lies": 60,
        "messages": 10_000,
    }
    for name, wanted in least.items():
        reached = figures[name]
        assert isinstance(reached, int)
        assert reached >= wanted * SHARE, f"too few for this to mean anything: {figures}"
