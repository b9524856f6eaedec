"""This bus: classes registered by ``message_type``, objects in, objects out."""

from __future__ import annotations

import functools
import operator
from typing import Any

import ipmb
from benches.groups.typed import TYPES
from benches.peers import Link
from benches.peers._bus import Bus, join


class TypedBus(Bus):
    def connect(self, address: dict[str, Any]) -> Link:
        classes = [ipmb.message_type(uuid)(made) for made, uuid in TYPES.values()]
        endpoint, send = join(address, payloads=functools.reduce(operator.or_, classes))
        return Link(send, map(operator.attrgetter("payload"), endpoint.receiver), endpoint.close)


peer = TypedBus()
