"""Joins and leaves: neither the one that comes and goes nor those that stay hold more in the end."""

from __future__ import annotations

import uuid
from contextlib import ExitStack

from tests.faults.torture.trial import Case, Figures, Tell, Trial, Violation
from tests.support import cycles, streams
from tests.support.child import Child, ChildDiedError, RemoteError
from tests.support.limits import bound
from tests.support.member import Member
from tests.support.sizes import MEMORY_KIB, Size
from tests.support.wait import NeverError, until

#: The directory remembers so many of the departed, in every process; from then on it is as large as it ever gets.
WARM_UP = bound("TOMBSTONES") + 100

#: For so long nothing comes any more.
QUIET = 0.1

#: Joins between two looks.
STEP = 100


class Joins(Trial):
    """One process joins, sends a message and leaves, while a controller and a receiver stay."""

    name = "joins"
    title = "join and leave: no growth of descriptors, mappings, threads, names; memory at most 1 MiB"
    unit = "joins"
    ci = 2_000
    demand = 100_000

    def run(self, count: int, seed: int, tell: Tell, case: Case | None = None) -> Figures:
        del seed, case  # it does the same thing again and again
        try:
            return self._run(count, tell)
        except (AssertionError, ChildDiedError, NeverError, RemoteError) as error:
            raise Violation({}, str(error)) from error

    @staticmethod
    def _run(count: int, tell: Tell) -> Figures:
        bus = f"torture.{uuid.uuid4().hex}"
        with ExitStack() as stack:
            child, controller, earth = (
                stack.enter_context(Child(name)) for name in ("cycler", "controller", "earth")
            )
            members = [Member.join(one, bus, one.name) for one in (controller, earth)]

            def cycle(joins: int) -> None:
                child.call(cycles.join_and_leave, bus, joins, bound=60)
                assert earth.call(streams.recv_plain_numbers, joins, bound=60) == list(range(joins))

            for _ in range(WARM_UP // STEP + 1):
                cycle(STEP)
            # A receiver lets the channels of the departed go in `recv`, which may have ended before their end came.
            assert members[1].recv_all(QUIET) == []
            pids = {"cycler": child.pid, "controller": controller.pid, "receiver": earth.pid}
            before = {name: Size.of(pid) for name, pid in pids.items()}
            done = 0
            while done < count:
                cycle(STEP)
                done += STEP
                if not tell(min(done, count)):
                    break
                if done % (20 * STEP) == 0:
                    assert members[1].recv_all(QUIET) == []
                    look(pids, before)
            assert members[1].recv_all(QUIET) == []
            look(pids, before)
            assert members[0].peer_ids() == {members[1].id}
            more = {name: Size.of(pid).kib - before[name].kib for name, pid in pids.items()}
            return {"joins": done, **{f"KiB more in the {name}": kib for name, kib in more.items()}}


def look(pids: dict[str, int], before: dict[str, Size]) -> None:
    for name, pid in pids.items():
        until(
            lambda pid=pid, name=name: not Size.of(pid).has_grown(before[name], MEMORY_KIB),  # type: ignore[misc]
            f"the {name} as it was, {before[name]}; now {Size.of(pid)}",
        )


TRIALS = [Joins()]
