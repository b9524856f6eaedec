"""Deaths at every instruction: a native program follows its victims by ptrace (crates/bus/tests/deaths)."""

from __future__ import annotations

from tests.faults.torture.native import Native

TRIALS = [
    Native(
        "deaths",
        title="SIGKILL at every instruction of push, pop, sleep, wake, join, leave, takeover",
        unit="points",
        ci=2000,
        demand=40_000,
        command=[".build/programs/deaths"],
    )
]
