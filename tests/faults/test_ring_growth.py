"""Rings that grow while their sides die, or lack what growing needs: nothing is lost, doubled or out of order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support import growth_deaths, growth_storm, proc, roles, scarce

if TYPE_CHECKING:
    from tests.conftest import Spawn

#: At how many instructions each part is cut off; the bound in time grows with it, so that all can be had on demand.
POINTS = int(os.environ.get("IPMB_GROWTH_POINTS", "100"))

#: How many die in the storm.
KILLS = int(os.environ.get("IPMB_KILLS", "120"))


@pytest.mark.timeout(60 + POINTS // 2, method="signal")
@pytest.mark.parametrize(
    "number", range(len(growth_deaths.CASES)), ids=[" ".join(case) for case in growth_deaths.CASES]
)
def test_a_death_at_any_instruction(spawn: Spawn, bus: str, number: int) -> None:
    """Who is left has every message whose send returned, once and in order."""
    program = spawn.child("program")
    points, instructions = program.call(
        growth_deaths.die_within, number, bus, POINTS, number, bound=50.0 + POINTS / 2
    )
    assert points >= POINTS
    assert instructions > 1000


@pytest.mark.timeout(60 + KILLS // 2, method="signal")
def test_streams_whose_sides_are_killed_at_random(spawn: Spawn, bus: str) -> None:
    """The same at full speed, with rings that have grown, are growing, or never will. The unread go to another."""
    grown = spawn.child("program").call(growth_storm.weather, bus, KILLS, 5, bound=50.0 + KILLS / 2)
    assert min(grown.values()) > KILLS / 24, f"too few had grown for this to mean anything: {grown}"


@pytest.mark.parametrize("who", ["sender", "receiver"])
def test_a_side_without_descriptors_stays_with_the_small_ring(spawn: Spawn, bus: str, who: str) -> None:
    """It is no error for anybody."""
    count = 1000
    earth, moon = (spawn.limited_child(64, name) for name in ("earth", "moon"))
    for child in (earth, moon):
        child.call(roles.join, bus, [child.name[: child.name.index("#")]])
    poor = moon if who == "sender" else earth
    # The first time it waits for room a sender needs a descriptor for that; here it waits and does not prove busy yet.
    for first, last in ((0, 100), (100, count)):
        sending = moon.begin(roles.send_numbers, "earth", first, last - first, size=2000, timeout=30.0)
        proc.wait_asleep(moon.pid)  # the ring is full
        got = earth.call(roles.recv_numbers, last - first, bound=30.0)
        assert got == [(number, False) for number in range(first, last)]
        assert sending.result() == [1] * (last - first)
        poor.call(scarce.use_up)
        # On a busy machine the core may close something yet that it needed for the talk.
        proc.wait_asleep(poor.pid)
        poor.call(scarce.use_up)
    poor.call(scarce.give_back)
    assert moon.call(growth_deaths.larger_rings, "rw-s") == 0
    assert earth.call(growth_deaths.larger_rings, "r--s") == 0
