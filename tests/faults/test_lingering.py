"""Whoever sends a socket that waits in its last close (SO_LINGER) makes nobody wait: no thread, no fork, no send.

Seen: the close ran with the interpreter's lock held where a message was dropped, and in the core thread where the
sender kept the last duplicate; each for as long as the sender of the socket liked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import lingering, roles

if TYPE_CHECKING:
    from tests.conftest import Spawn

LINGER = 6
#: A busy machine may need a while, but not this long.
SOON = 2.0


def test_a_receiver_that_drops_it(spawn: Spawn, bus: str) -> None:
    earth, moon = spawn.members(bus, "earth", "moon")
    assert moon.child.call(lingering.send_lingering, "earth", LINGER, to_all=True) == 1
    pause, fork = earth.child.call(lingering.drop_and_fork, bound=20)
    assert pause < SOON
    assert fork < SOON


def test_a_sender_that_keeps_the_last_one(spawn: Spawn, bus: str) -> None:
    """It plays controller too: others join meanwhile."""
    moon, earth = spawn.members(bus, "moon", "earth")
    joiner = spawn.child("late")
    joiner.call(roles.version)
    closing = earth.child.post(lingering.take_and_close)
    assert moon.child.call(lingering.send_lingering, "earth", LINGER, to_all=False) == 1
    closing.result()
    sending = moon.child.begin(lingering.longest_send, "earth", 1.5)
    joiner.call(roles.join, bus, ("late",), timeout=SOON)
    assert sending.result(20) < SOON
