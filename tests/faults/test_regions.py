"""Holders, makers and forwarders of shared memory are killed: nothing leaks, nobody reads memory that is no longer his.

A survivor fills memory of its pool and sends it; another holds what came, in every way there is, and looks at it again
and again. Beside them processes that view, fill or hand on are killed, one after the other, at any moment. The memory
of each message is stamped with its number, so memory that was used again too early shows; the one that fills waits for
what is out, so memory that never comes back shows too; and how each of the killed ended is looked at, so that a SIGBUS
does not pass for the SIGKILL that was meant.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.support import memory, registries, roles, stamped
from tests.support.nursery import Nursery
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Spawn

#: How many of each kind are killed; the bound in time grows with it.
ROUNDS = int(os.environ.get("IPMB_REGION_ROUNDS", "50"))

#: Shared memory of the machine that may come and go meanwhile for other reasons.
OTHERS_KIB = 8192

VICTIMS = [stamped.doomed_viewer, stamped.doomed_filler, stamped.doomed_forwarder]


@pytest.mark.timeout(120 + 2 * ROUNDS, method="signal")
@pytest.mark.parametrize("victim", VICTIMS, ids=["viewer", "filler", "forwarder"])
def test_memory_outlives_its_holders_and_not_its_use(
    spawn: Spawn, bus: str, victim: Callable[[str], None]
) -> None:
    chance = random.Random(ROUNDS)
    keeper, origin = spawn.members(bus, "viewer", "origin")
    nursery_child = spawn.child("nursery")
    nursery = Nursery(nursery_child)
    children = [keeper.child, origin.child, nursery_child]
    assert origin.child.call(stamped.fill_one, "viewer") == 1
    assert keeper.child.call(stamped.watch_one) == []
    assert origin.child.call(stamped.let_everything_go, 10.0) == 1
    origin.child.call(registries.end)
    before = [memory.total(child.pid) for child in children]
    machine = memory.shared_kib()
    watching = keeper.child.begin(stamped.watch)
    filling = origin.child.begin(stamped.fill, "viewer | forwarder")
    for _ in range(ROUNDS):
        pid = nursery.bear(victim, bus)
        nursery.wait_event("busy")
        time.sleep(chance.random() * 0.01)
        nursery.kill(pid)
    ended = origin.child.post(stamped.let_everything_go, 10.0)
    messages, files = filling.result(30.0)
    emptied = keeper.child.post(roles.stats)
    seen, wrong, senders = watching.result(30.0)
    emptied.result()
    assert wrong == []
    assert ended.result(30.0) >= messages > ROUNDS
    assert seen > ROUNDS
    assert senders == {"doomed_viewer": 1}.get(victim.__name__, 1 + ROUNDS), "all of them were heard"
    assert files <= 2 * stamped.OUT, "the memory was used again"
    origin.child.call(registries.end)
    for child, most in zip(children, before, strict=True):
        until(lambda: memory.total(child.pid) <= most, f"{child.name} holds {most} as before")  # noqa: B023
    until(lambda: memory.shared_kib() <= machine + OTHERS_KIB, "no shared memory is left over")
