"""Deaths at every instruction, and system calls that fail: native programs that follow their victims by ptrace.

What they do is said in crates/bus/tests/deaths and crates/bus/tests/failing_calls.
"""

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
    ),
    Native(
        "failing-calls",
        title="the nth system call fails, for every n, in every operation",
        unit="sites",
        ci=2000,
        demand=2000,
        command=[".build/programs/failing_calls"],
    ),
]
