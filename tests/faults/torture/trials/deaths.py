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
        demand=10_000,
        means=(
            "A process is followed instruction by instruction through an operation and killed at one place, and "
            "those who are left have everything that was acknowledged, once, and go on. Boundaries are the places "
            "to choose from: every instruction of push, pop, sleep and wake, and of the longer operations 1,500 "
            "behind each system call, however far the next one is. Where it is nearer, the same place is counted "
            "behind that one, too; where it is further, what lies beyond is not reached: so their number is not that "
            "of the instructions. Points are chosen from them by chance, spread over all, those of short operations "
            "first: the target is every boundary, 10,000 at the least, and these 10,000 are what is called reached. "
            "A few runs end before their place, because it lay beyond the operation's end, or the machine took a "
            "shorter way."
        ),
        command=[".build/programs/deaths"],
    ),
    Native(
        "failing-calls",
        title="the nth system call fails, for every n, in every operation",
        unit="sites",
        ci=2000,
        demand=2000,
        means=(
            "A site is one system call of one operation and one error it can have. There has to be an ordinary "
            "error, or success all the same; then the operation works, and nothing is left over. The figures: how "
            "often which; in other calls the operation went another way this time, and the site was not there."
        ),
        command=[".build/programs/failing_calls"],
        whole=True,
    ),
]
