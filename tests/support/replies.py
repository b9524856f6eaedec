"""What a child replies that its parent does not expect."""

from __future__ import annotations

import dataclasses

import ipmb
from tests.support import roles


def reply_in_a_type_of_its_own(size: int) -> int:
    """Reply to one request with a class that only this process has registered."""

    @ipmb.message_type("0000000a-7e57-4000-8000-00000000a5c1")
    @dataclasses.dataclass
    class Private:
        data: bytes

    return roles.ends[roles.MAIN].receiver.recv(10).reply(Private(bytes(size)))
