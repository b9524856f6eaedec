"""A process that joins a bus and leaves it again and again, for tests of who is there."""

from __future__ import annotations

import random

import ipmb


def come_and_go(bus: str, seed: int) -> None:
    """Endpoints of one process that come and go in any order, until the process is killed."""
    chance = random.Random(seed)
    present: list[ipmb.Endpoint] = []
    while True:
        if len(present) < 4 and chance.random() < 0.6:
            present.append(ipmb.join(bus, f"c{seed}", timeout=10))
        elif present:
            present.pop(chance.randrange(len(present))).close()
