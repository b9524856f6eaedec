"""A message that cannot be decoded names who sent it, and costs nothing but itself."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

import pytest

import ipmb

if TYPE_CHECKING:
    from collections.abc import Iterator


@ipmb.message_type("00000002-7e57-4000-8000-00000000de0d")
@dataclasses.dataclass
class Depth:
    """What a program sends wrongly is noticed by the one who receives it."""

    number: int
    rest: bytes = b""


WRONG: Any = "deep"

#: In the ring, in a region, and with a head in the ring.
BROKEN = [Depth(WRONG), Depth(WRONG, bytes(40_000)), Depth(WRONG, bytes(1_000_000))]


@pytest.fixture
def ends(bus: str) -> Iterator[tuple[ipmb.Endpoint, ipmb.Endpoint]]:
    with (
        ipmb.join(bus, "earth", timeout=10) as earth,
        ipmb.join(bus, ipmb.label("moon", "grey"), timeout=10) as moon,
    ):
        yield earth, moon


@pytest.mark.parametrize("broken", BROKEN, ids=["small", "long", "large"])
def test_it_names_its_sender(ends: tuple[ipmb.Endpoint, ipmb.Endpoint], broken: Depth) -> None:
    earth, moon = ends
    for payload in ("before", broken, "after"):
        moon.sender.send("earth", payload)
    before = earth.receiver.recv(timeout=10)
    with pytest.raises(ipmb.DecodeError) as caught:
        earth.receiver.recv(timeout=10)
    assert caught.value.sender == before.sender
    assert caught.value.sender.label == ipmb.label("moon", "grey")
    assert str(caught.value).startswith("a message of ")
    assert str(caught.value).endswith(f"; it came from {ipmb.label('moon', 'grey')!r}, process {os.getpid()}")
    assert earth.receiver.recv(timeout=10).payload == "after"


def test_also_when_it_is_the_first_of_its_sender(ends: tuple[ipmb.Endpoint, ipmb.Endpoint]) -> None:
    earth, moon = ends
    moon.sender.send("earth", Depth(WRONG))
    with pytest.raises(ipmb.DecodeError, match=r"it came from label\('grey', 'moon'\), process"):
        earth.receiver.recv(timeout=10)


def test_also_when_it_is_raised_by_a_later_call(ends: tuple[ipmb.Endpoint, ipmb.Endpoint]) -> None:
    earth, moon = ends
    for payload in ("before", Depth(WRONG), "after"):
        moon.sender.send("earth", payload)
    assert [message.payload for message in earth.receiver.recv_many(10, timeout=10)] == ["before"]
    with pytest.raises(ipmb.DecodeError) as caught:
        earth.receiver.recv_many(10, timeout=10)
    assert caught.value.sender is not None
    assert [message.payload for message in earth.receiver.recv_many(10, timeout=10)] == ["after"]


def test_the_loop_of_the_help_survives(ends: tuple[ipmb.Endpoint, ipmb.Endpoint]) -> None:
    earth, moon = ends
    for payload in (1, Depth(WRONG), 2, Depth(WRONG), 3, None):
        moon.sender.send("earth", payload)
    found: list[Any] = []
    while True:
        try:
            for message in earth.receiver:
                found.append(message.payload)
                if message.payload is None:
                    earth.receiver.close()
            break
        except ipmb.DecodeError as error:
            found.append(error.sender)
    (sender,) = [peer for peer in earth.peers() if peer.label == ipmb.label("moon", "grey")]
    assert found == [1, sender, 2, sender, 3, None]
