"""What the machine itself gives while this is measured: a figure of two processes means little without it.

On a shared machine the same two cores are near each other in one minute and far apart in the next, and memory is
as fast as the neighbours leave it. So the probe looks again before each group: one look costs about 0.2 s.

``line``        a cache line goes to the other core, ns: what every message between two awake processes pays
``copy``        memory copied within the cache, and beyond it, GB/s: what a payload pays for each copy
``wake``        an eventfd to a process that sleeps, and one back, µs: what a message to a sleeper pays; on two cores,
                and where the kernel would have it
"""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import time
from typing import TYPE_CHECKING, Any

from benches import thin
from benches.pair import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Nothing here takes longer than this many seconds.
BOUND = 10

#: Medians, so that a neighbour who takes the core for a while does not count.
BATCHES, BOUNCES = 40, 500
WAKES = 300
COPIES = 5
NEAR, FAR = 256 << 10, 64 << 20

UNITS = {
    "line": "a cache line to the other core {:.0f} ns",
    "copy near": "memory copied {:.0f} GB/s in the cache",
    "copy far": "{:.0f} GB/s beyond",
    "wake": "eventfd to a sleeper and back {:.1f} µs",
    "wake apart": "{:.1f} µs between two cores",
}


@contextlib.contextmanager
def partner(does: Callable[[], object], cores: tuple[int, int] | None) -> Iterator[None]:
    """Another process that does something while this one does its part; both held on a core each, if so wished."""

    def late(*_: Any) -> None:
        raise BenchError(f"the probe's other process does nothing within {BOUND} s")

    usual, before = os.sched_getaffinity(0), signal.signal(signal.SIGALRM, late)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            signal.alarm(BOUND)
            if cores:
                os.sched_setaffinity(0, {cores[1]})
            does()
        os._exit(0)
    signal.alarm(BOUND)
    try:
        if cores:
            os.sched_setaffinity(0, {cores[0]})
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        os.sched_setaffinity(0, usual)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def line(cores: tuple[int, int]) -> float:
    """One way, from core to core."""
    made = thin.load()
    memory = os.memfd_create("probe")
    try:
        os.ftruncate(memory, made.SIZE)
        ring = made.Ring(memory)
        with partner(lambda: ring.bounce(False, BATCHES * BOUNCES), cores):
            took = [ring.bounce(True, BOUNCES, batch * BOUNCES) for batch in range(BATCHES)]
        return float(statistics.median(took) / BOUNCES / 2)
    finally:
        os.close(memory)


def wake(cores: tuple[int, int] | None) -> float:
    """There and back, the median."""
    there, back = os.eventfd(0), os.eventfd(0)

    def answer() -> None:
        while True:
            os.eventfd_read(there)
            os.eventfd_write(back, 1)

    took = []
    try:
        with partner(answer, cores):
            for _ in range(WAKES):
                begin = time.monotonic_ns()
                os.eventfd_write(there, 1)
                os.eventfd_read(back)
                took.append(time.monotonic_ns() - begin)
    finally:
        os.close(there)
        os.close(back)
    return statistics.median(took) / 1000


def copy(size: int) -> float:
    """GB/s that are copied (each is read once and written once)."""
    source, target = memoryview(bytearray(size)), memoryview(bytearray(size))
    target[:] = source
    took = []
    for _ in range(COPIES):
        begin = time.monotonic_ns()
        target[:] = source
        took.append(time.monotonic_ns() - begin)
    return size / statistics.median(took)


def look() -> dict[str, float]:
    """All of it, as far as this machine has it."""
    found = {}
    cores = sorted(os.sched_getaffinity(0))[:2]
    apart = (cores[0], cores[1]) if len(cores) == 2 else None
    if apart:
        with contextlib.suppress(ImportError):  # without a C compiler: the ring's row says so
            found["line"] = line(apart)
        found["wake apart"] = wake(apart)
    return {**found, "wake": wake(None), "copy near": copy(NEAR), "copy far": copy(FAR)}


def sentence(found: dict[str, float]) -> str:
    return ", ".join(text.format(found[name]) for name, text in UNITS.items() if name in found)
