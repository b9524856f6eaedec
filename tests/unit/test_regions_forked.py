"""A forked child sees through the views it has, and comes by no others: it holds nothing of its parent's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import regions

if TYPE_CHECKING:
    from tests.conftest import Spawn


@pytest.mark.parametrize("viewed", [False, True])
def test_a_child_maps_nothing_of_its_parents(spawn: Spawn, viewed: bool) -> None:
    """Also while a view is alive, whose mapping is the child's too."""
    child = spawn.child()
    child.call(regions.make, 1 << 16, 7)
    if viewed:
        child.call(regions.view)
    assert child.call(regions.uses_after_fork) == dict.fromkeys(regions.USES, "Forked")
    assert child.call(regions.number) == 7


def test_a_child_uses_the_views_it_has(spawn: Spawn) -> None:
    child = spawn.child()
    child.call(regions.make, 1 << 16, 7)
    child.call(regions.view)
    assert child.call(regions.look_after_fork) == (7, 7, 7, None)
