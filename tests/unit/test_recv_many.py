"""`recv_many`: what is there in one list, and what becomes of the rest when something goes wrong in the middle."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import ipmb


@ipmb.message_type("5f0a2c1e-3f0e-4f5e-9a53-5d2f7f1f6b01")
@dataclasses.dataclass
class Stubborn:
    """One whose decoding does what its text says."""

    text: str

    def __post_init__(self) -> None:
        if self.text == "stop" and armed:
            raise KeyboardInterrupt
        if self.text == "fail" and armed:
            raise ValueError("no")


#: Whether they do it: not while they are made to be sent.
armed: list[bool] = []


@pytest.fixture
def stubborn() -> Any:
    yield Stubborn
    armed.clear()


def test_who_is_told_to_stop_is_told_at_once_and_finds_the_others_afterwards(bus: str, stubborn: Any) -> None:
    with ipmb.join(bus, "me") as (sender, receiver):
        sender.send_many("me", [1, 2, stubborn("stop"), 4, 5])
        armed.append(True)
        with pytest.raises(KeyboardInterrupt):
            receiver.recv_many(10, 5)
        assert receiver.recv(5).payload == 1
        assert [message.payload for message in receiver.recv_many(10, 5)] == [2, 4, 5]


def test_what_cannot_be_decoded_takes_neither_those_before_nor_those_behind_it_along(
    bus: str, stubborn: Any
) -> None:
    with ipmb.join(bus, "me") as (sender, receiver):
        sender.send_many("me", [1, 2, stubborn("fail"), 4, stubborn("fail"), 6])
        armed.append(True)
        assert [message.payload for message in receiver.recv_many(10, 5)] == [1, 2]
        with pytest.raises(ipmb.DecodeError):
            receiver.recv_many(10, 5)
        assert [message.payload for message in receiver.recv_many(10, 5)] == [4]
        with pytest.raises(ipmb.DecodeError):
            receiver.recv(5)
        assert receiver.recv(5).payload == 6


def test_a_limit_holds_across_what_was_put_aside(bus: str, stubborn: Any) -> None:
    with ipmb.join(bus, "me") as (sender, receiver):
        sender.send_many("me", [*range(600), stubborn("stop"), *range(600, 1000)])
        armed.append(True)
        with pytest.raises(KeyboardInterrupt):
            receiver.recv_many(1000, 5)
        got: list[Any] = []
        while len(got) < 1000:
            some = receiver.recv_many(7, 5)
            assert len(some) <= 7
            got += [message.payload for message in some]
        assert got == list(range(1000))
