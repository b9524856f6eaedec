"""Messages that carry as many descriptors as there can be, at those who did not ask for any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.torture import trial
from tests.faults.torture.trials.bombs import FULL, Bombs
from tests.support import objects, roles
from tests.support.limits import bound

if TYPE_CHECKING:
    from tests.conftest import Spawn


@pytest.mark.timeout(240, method="signal")
def test_they_are_closed_as_they_come() -> None:
    """Full packets, socket cycles, and both at a small victim: nobody holds more than a few, or any in the end.

    Tried: one descriptor more than before, an event counter that is made at the first wait, was enough to fail it.
    """
    figures = trial.in_ci(Bombs())
    assert int(str(figures["most at a victim at a time"])) < 4 * FULL


def test_a_receiver_with_few_descriptors(spawn: Spawn, bus: str) -> None:
    """It gets an ordinary error, again and again, and goes on hearing the others."""
    earth = spawn.limited_child(100)
    earth.call(roles.join, bus, ("earth",))
    moon, liar = spawn.members(bus, "moon", "liar")
    for member in (moon, liar):
        assert member.send("earth", "first") == 1
        assert earth.call(roles.recv)[0] == "first"
    assert liar.child.call(objects.send_numbered, "earth", 200) == 1
    for number in range(20):
        assert moon.send("earth", number) == 1
        assert earth.call(objects.recv_through_shortage, 5.0) == number
    liar.kill()
    assert moon.send("earth", "last") == 1
    assert earth.call(objects.recv_through_shortage, 5.0) == "last"
    assert bound("DESCRIPTORS_IN_FLIGHT_PER_PEER") >= 200


def test_a_stopped_receiver_is_sent_a_bounded_number(spawn: Spawn, bus: str) -> None:
    """Descriptors under way are the kernel's to keep: the sender stops at its bound, others have theirs."""
    earth, moon, liar = spawn.members(bus, "earth", "moon", "liar")
    earth.stop()
    sent, error = liar.child.call(objects.send_numbered_until_error, "earth", 50)
    assert error == "Full"
    assert sent * 50 <= bound("DESCRIPTORS_IN_FLIGHT_PER_PEER")
    assert moon.send("earth", "beside it") == 1
    assert liar.send("moon", "liar's") == 1
    assert moon.recv().payload == "liar's"
    earth.resume()
    assert earth.child.call(objects.recv_payload_counts) == {"numbered": sent, "beside it": 1}
