"""After a fork every use of every handle is refused in the child, and a child that joins anew misses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import forked_handles, roles

if TYPE_CHECKING:
    from tests.conftest import Spawn


def test_every_use_raises_forked(spawn: Spawn, bus: str) -> None:
    found = spawn.child().call(forked_handles.used_after_fork, bus)
    assert found == dict.fromkeys(found, "Forked")
    assert len(found) > 20


def test_what_asks_nothing_of_the_bus_works(spawn: Spawn, bus: str) -> None:
    """And closing in the child closes nothing of the parent's."""
    here, there = spawn.child().call(forked_handles.harmless_after_fork, bus)
    assert here == there


def test_a_child_that_joins_anew_can_do_everything(spawn: Spawn, bus: str) -> None:
    doubler = spawn.child("doubler")
    doubler.call(roles.join, bus, ("doubler",))
    serving = doubler.begin(forked_handles.serve_doubles)
    child = spawn.child()
    assert child.call(forked_handles.rejoined_after_fork, bus, "doubler") == ["joined", 42, "to myself", 8]
    assert not serving.ready()
    doubler.kill()
