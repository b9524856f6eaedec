"""What a child replies that its parent does not expect."""

from __future__ import annotations

import contextlib
import dataclasses
import os

import ipmb
from tests.support import roles


def reply_once() -> int:
    """Reply to one request with what it says."""
    message = roles.ends[roles.MAIN].receiver.recv(10)
    return message.reply(message.payload)


def reply_in_a_type_of_its_own(size: int) -> int:
    """Reply to one request with a class that only this process has registered."""

    @ipmb.message_type("0000000a-7e57-4000-8000-00000000a5c1")
    @dataclasses.dataclass
    class Private:
        data: bytes

    return roles.ends[roles.MAIN].receiver.recv(10).reply(Private(bytes(size)))


def ask_without_descriptors(to: str) -> tuple[str, int]:
    """Ask for a reply with objects while no descriptor is free, then again; the error, and how many objects came."""
    sender = roles.ends[roles.MAIN].sender
    sender.request(to, "the channels are open from here on", timeout=10)
    taken = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.dup(0))
    try:
        sender.request(to, "no room", timeout=0.5)
        error = "none"
    except ipmb.IpmbError as raised:
        error = type(raised).__name__
    for number in taken:
        os.close(number)
    return error, len(sender.request(to, "room", timeout=10).objects)
