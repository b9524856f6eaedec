"""Joins and leaves: neither the one that comes and goes nor those that stay hold more in the end."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from tests.faults.torture.staged import staged
from tests.faults.torture.trial import Case, Figures, Tell, Trial
from tests.support import cycles, streams
from tests.support.limits import bound
from tests.support.sizes import MEMORY_KIB, Size
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn

#: The directory remembers so many of the departed, in every process; from then on it is as large as it ever gets.
WARM_UP = bound("TOMBSTONES") + 100

#: For so long nothing comes any more.
QUIET = 0.1

#: Joins between two words of how far it is, and between two looks.
STEP = 50
LOOK = 2000


class Joins(Trial):
    """One process joins, sends a message and leaves, while a controller and a receiver stay."""

    name = "joins"
    title = "join and leave: no growth of descriptors, mappings, threads, names; memory at most 1 MiB"
    unit = "joins"
    ci = 2_000
    demand = 100_000
    means = (
        f"One process joins, sends and leaves; a controller and a receiver stay. After {WARM_UP:,} joins, which "
        f"fill what remembers the departed, all three are measured, and every {LOOK:,} joins again. None may hold a "
        f"descriptor, a thread, a name or {MEMORY_KIB:,} KiB more. The figures: by how much the memory of each has "
        "grown at the end."
    )

    def run(self, count: int, seed: int, tell: Tell, case: Case | None = None) -> Figures:
        del seed, case  # it does the same thing again and again
        with staged() as spawn:
            return self._run(spawn, count, tell)

    def _run(self, spawn: Spawn, count: int, tell: Tell) -> Figures:
        bus = f"torture.{uuid.uuid4().hex}"
        controller, earth = spawn.members(bus, "controller", "earth")
        child = spawn.child("cycler")

        def cycle(joins: int) -> None:
            child.call(cycles.join_and_leave, bus, joins, bound=60)
            assert earth.child.call(streams.recv_plain_numbers, joins, bound=60) == list(range(joins))

        def nothing_left() -> None:
            # A receiver lets the channels of the departed go in `recv`, which may have ended before their end came.
            assert earth.recv_all(QUIET) == []

        for warm in range(0, WARM_UP, STEP):
            self.doing = f"warming up: {warm:,} of {WARM_UP:,} joins"
            cycle(min(STEP, WARM_UP - warm))
            if not tell(0):
                return {}
        self.doing = ""
        nothing_left()
        pids = {"one that comes and goes": child.pid, "controller": controller.pid, "receiver": earth.pid}
        before = {name: Size.of(pid) for name, pid in pids.items()}
        done = 0
        while done < count:
            joins = min(STEP, count - done)
            cycle(joins)
            done += joins
            if not tell(done):
                break
            if done % LOOK == 0:
                nothing_left()
                look(pids, before)
        nothing_left()
        look(pids, before)
        assert controller.peer_ids() == {earth.id}
        more = {name: Size.of(pid).kib - before[name].kib for name, pid in pids.items()}
        return {"joins": done, **{f"memory of the {name}": f"{kib:+,} KiB" for name, kib in more.items()}}


def look(pids: dict[str, int], before: dict[str, Size]) -> None:
    for name, pid in pids.items():
        until(
            lambda pid=pid, name=name: not Size.of(pid).has_grown(before[name], MEMORY_KIB),  # type: ignore[misc]
            f"the {name} as it was, {before[name]}; now {Size.of(pid)}",
        )


TRIALS = [Joins()]
