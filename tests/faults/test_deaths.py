"""Deaths at every instruction of what a process does on a bus: who is left finds everything as it should be.

The native program is crates/bus/tests/deaths, which says what is cut off and what is looked at.
"""

from __future__ import annotations

import pytest

from tests.faults.torture import trial
from tests.faults.torture.trials.deaths import TRIALS


@pytest.mark.timeout(400, method="signal")
def test_a_death_at_any_instruction() -> None:
    """Seen to fail: a ring that shows its head before the record is written; a receiver that shows its tail late."""
    [deaths] = TRIALS
    figures = trial.in_ci(deaths)
    assert figures["violations"] == 0
    assert int(str(figures["points"])) > 2 * int(str(figures["ended before the place"]))
