"""What waits for a match, and has descriptors or regions with it, ends with its sender: they cannot outlive it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import objects, regions
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn


def test_they_end_with_their_sender(spawn: Spawn, bus: str) -> None:
    """Counted by the one who takes over what the sender left, and nobody gets half a message."""
    controller, moon = spawn.members(bus, "controller", "moon")
    assert moon.child.call(objects.send_numbered, "late", 2, ttl=60) == 0
    moon.child.call(regions.make, 4096, 7)
    assert moon.child.call(regions.send, "late", ttl=60) == 0
    assert moon.send("late", "alone", ttl=60) == 0
    moon.kill()
    until(lambda: controller.stats()["dropped_by_reason"]["sender_gone"] == 2, "both are given up")
    late = spawn.member(bus, "late")
    assert late.recv().payload == "alone"
    late.nothing_comes()
