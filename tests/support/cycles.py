"""Roles that do the same thing many times, for the tests that nothing grows."""

from __future__ import annotations

import gc

import ipmb
from tests.support import roles


def join_and_leave(bus: str, count: int) -> None:
    """Join, send one message, leave; the message must outlive the endpoint."""
    for number in range(count):
        with ipmb.join(bus, "cycler", timeout=10.0) as (sender, _):
            assert sender.send("earth", number.to_bytes(8, "little"), timeout=5.0) == 1
    gc.collect()


def make_and_leave(bus: str, count: int) -> None:
    """Be the only one on the bus, with a message to oneself and one that waits for ever."""
    for _ in range(count):
        with ipmb.join(bus, "alone", timeout=10.0) as end:
            assert end.is_controller
            assert end.sender.send("alone", b"x") == 1
            assert end.receiver.recv(5.0).payload == b"x"
            assert end.sender.send("nobody", b"x", ttl=None) == 0
    gc.collect()


def send_new_selectors(first: int, count: int) -> None:
    """Send to ever new expressions that nobody matches, and now and then to one that somebody does."""
    sender = roles.ends[roles.MAIN].sender
    for number in range(first, first + count):
        assert sender.send(ipmb.LabelOp(f"nobody-{number}"), number) == 0
    assert sender.send(ipmb.LabelOp("earth") & ~ipmb.LabelOp(f"nobody-{first}"), first) == 1
    gc.collect()
