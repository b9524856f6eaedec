"""SIGKILL storm: random members under load, the controller among them."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from typing import TYPE_CHECKING, Any

from tests.faults.torture import weather
from tests.faults.torture.trial import Case, Figures, Tell, Trial, Violation, in_rounds
from tests.support.child import Child, ChildDiedError, RemoteError
from tests.support.wait import NeverError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Kills in one storm: then the books are closed and compared, so that what they hold is bounded.
ROUND = 1000


class Storm(Trial):
    """Rounds of kills, each on a bus of its own with books of its own."""

    name = "storm"
    title = "SIGKILL storm, random members under load, controller included"
    unit = "kills"
    ci = 500
    demand = 100_000
    means = (
        "Members that use everything the bus has are killed one after the other, the controller often; afterwards "
        "invariant I is judged from the logs of all. The figures: controllers among the killed, and reigns that ended "
        "by closing; messages that arrived, those among them that came again because their first receiver had died, "
        "and requests. Messages that nobody can have: taken along by the dead (one each at most, in few hands), unread "
        "when sender and receiver had both died, and sent by the dead to themselves; too many of them are a violation."
    )

    def run(self, count: int, seed: int, tell: Tell, case: Case | None = None) -> Figures:
        total: dict[str, int] = {}
        rounds = [case] if case else in_rounds(count, seed, ROUND)
        for one in rounds:
            done = total.get("kills", 0)
            found = in_a_child(weather.storm, one, lambda more, done=done: tell(done + more))  # type: ignore[misc]
            for name, value in found.items():
                total[name] = total.get(name, 0) + value
            if not tell(total["kills"]):
                break
        return dict(total)


def in_a_child(work: Callable[..., dict[str, Any]], case: Case, tell: Tell) -> dict[str, int]:
    """Run one storm in an interpreter of its own; its figures.

    What was written down stays where it is when something is wrong.
    """
    folder = tempfile.mkdtemp(prefix="torture-books-")
    bus = f"torture.{uuid.uuid4().hex}"
    try:
        with Child("storm") as child:
            pending = child.post(work, bus, folder, case["count"], case["seed"])
            asked = False
            while not pending.ready():
                child.take_in(0.2)
                while child.events:
                    _, done = child.events.popleft()
                    if not tell(done) and not asked:
                        asked = True
                        child.post(_end)
            try:
                found = pending.result()
            except (ChildDiedError, RemoteError) as error:
                raise AssertionError(f"{error}\n{child.stderr()}") from error
    except (AssertionError, NeverError) as error:
        raise Violation({**case, "books": folder}, str(error)) from error
    wrong = found.pop("wrong")
    if wrong:
        raise Violation({**case, "books": folder}, "\n".join([*wrong, f"the books are in {folder}"]))
    shutil.rmtree(folder)
    return found


def _end() -> None:
    """The call that ends a storm early."""


TRIALS = [Storm()]
