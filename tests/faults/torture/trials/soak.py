"""Soak: all faults mixed, and the survivors' books are right, their memory and descriptors bounded."""

from __future__ import annotations

from tests.faults.torture import soak
from tests.faults.torture.trial import Case, Figures, Tell, Trial, in_rounds
from tests.faults.torture.trials.storm import in_a_child

#: What the table calls the roles of liars.
LIARS = {
    "scribble": "liars that scribble",
    "bomb": "that throw descriptors",
    "shout": "that shout nonsense",
    "come_and_go": "that come and go",
}

#: Seconds of one soak: then the books are closed and compared, so that what they hold is bounded.
ROUND = 300


class Soaking(Trial):
    """Kills, stops, scribblers, bombs, strangers, joins and leaves, forks, shortages, expiring messages."""

    name = "soak"
    title = "soak with all faults mixed"
    unit = "seconds"
    ci = 60
    demand = 3 * 3600
    means = (
        "As the storm, and all the rest at the same time: members stopped for up to half a second, starved of "
        "descriptors (shortages), liars that scribble, throw descriptors, shout nonsense or come and go, messages "
        "that expire. Survivors may never stand still for 10 s, and may hold no more in the end than after the "
        "first quarter."
    )

    def run(self, count: int, seed: int, tell: Tell, case: Case | None = None) -> Figures:
        total: dict[str, int] = {"seconds": 0}
        rounds = [case] if case else in_rounds(count, seed, ROUND)
        for one in rounds:
            done = total["seconds"]
            found = in_a_child(soak.soak, one, lambda more, done=done: tell(done + more))  # type: ignore[misc]
            for name, value in found.items():
                longest = name.startswith("longest")
                total[name] = max(total.get(name, 0), value) if longest else total.get(name, 0) + value
            if not tell(total["seconds"]):
                break
        return {LIARS.get(name, name): value for name, value in total.items()}


TRIALS = [Soaking()]
