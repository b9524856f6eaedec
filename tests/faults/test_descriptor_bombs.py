"""Messages that carry as many descriptors as there can be, at those who did not ask for any."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support import objects, proc, roles
from tests.support.limits import bound
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn

#: How many such messages are sent; the bound in time grows with it.
BOMBS = int(os.environ.get("IPMB_DESCRIPTOR_BOMBS", "100"))

#: As many as the kernel puts in one packet.
EACH = 253


@pytest.mark.timeout(60 + BOMBS, method="signal")
@pytest.mark.parametrize("how", ["unseen", "closed"])
def test_they_are_closed_as_they_come(spawn: Spawn, bus: str, how: str) -> None:
    """The receiver never holds more than a message or two of them, and none in the end; others talk on."""
    earth, moon, liar = spawn.members(bus, "earth", "moon", "liar")
    assert liar.child.call(objects.send_many_numbered, "earth", 1, 200) == 200
    assert earth.child.call(objects.recv_many_numbered, 1, 200, how) == 1
    assert moon.send("liar", "hello") == 1
    before = len(proc.descriptors(earth.pid))
    most = 0
    receiving = earth.child.begin(objects.recv_many_numbered, BOMBS, 200, how)
    sending = liar.child.begin(objects.send_many_numbered, "earth", BOMBS, 200)
    while not receiving.ready():
        most = max(most, len(proc.descriptors(earth.pid)))
    assert sending.result(60.0 + BOMBS) == BOMBS * 200
    assert receiving.result() == BOMBS
    assert most < before + 4 * EACH
    until(lambda: len(proc.descriptors(earth.pid)) <= before, "none is left")


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
