"""Deaths at every instruction of what a process does on a bus, and system calls that fail in it.

The native programs are crates/bus/tests/deaths and crates/bus/tests/failing_calls; each says what it does and looks at.
"""

from __future__ import annotations

import pytest

from tests.faults.torture import trial
from tests.faults.torture.trials.deaths import TRIALS


@pytest.mark.timeout(600, method="signal")
def test_a_death_at_any_instruction() -> None:
    """Seen to fail on a ring and a redelivery that were broken by hand, one rule at a time.

    docs/testing.md ("That the tests can fail") has the breaks that were tried, what noticed, and what nothing notices.
    """
    deaths, _ = TRIALS
    figures = trial.in_ci(deaths)
    assert figures["violations"] == 0
    assert int(str(figures["points"])) > 2 * int(str(figures["ended before the place"]))


@pytest.mark.timeout(300, method="signal")
def test_a_system_call_that_fails() -> None:
    """Seen to fail on the code as found: a page that could not be mapped lost the first message sent."""
    _, failing = TRIALS
    figures = trial.in_ci(failing)
    assert figures["violations"] == 0
    assert int(str(figures["an error"])) + int(str(figures["success by another way"])) > 50
