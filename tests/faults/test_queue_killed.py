"""Workers that are killed in the middle of `put` and `get`: the others go on, and all but their item arrives."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support import queue_deaths, queue_storm

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Spawn

#: How many die; the bound in time grows with it, so that it can be run for hours on demand.
KILLS = int(os.environ.get("IPMB_KILLS", "500"))


@pytest.mark.timeout(60 + KILLS // 2, method="signal")
def test_500_kills_block_nobody_and_lose_nothing(spawn: Spawn, tmp_path: Path) -> None:
    """Forked and spawned workers, some of them only by address, at random moments."""
    program = spawn.child("storm")
    books = program.call(queue_storm.weather, str(tmp_path), KILLS, KILLS, bound=40 + KILLS / 2)
    assert books["wrong"] == []
    assert books["lost"] <= books["killed getters"]
    assert books["unnoted"] <= books["killed putters"]
    assert books["killed getters"] + books["killed putters"] == KILLS
    assert min(books["killed getters"], books["killed putters"]) > KILLS / 4
    assert min(books["started"].values()) > 0, "not every kind of worker was there"
    assert books["put"] > 10 * KILLS, "too little was going on for this to mean anything"


@pytest.mark.parametrize(
    "number", range(len(queue_deaths.CASES)), ids=[str(case) for case in queue_deaths.CASES]
)
def test_a_death_at_every_system_call(spawn: Spawn, number: int) -> None:
    """What is found is as before or as after, and whoever waits for it is woken."""
    assert spawn.child("program").call(queue_deaths.die_at_every_step, number, bound=50.0) >= 6
