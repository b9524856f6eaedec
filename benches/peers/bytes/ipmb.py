"""This bus, through its public interface, with everything on: routing, checks, sender identity."""

from __future__ import annotations

import operator
from typing import Any

from benches.peers import Link
from benches.peers._bus import Bus, join


class BytesBus(Bus):
    def connect(self, address: dict[str, Any]) -> Link:
        endpoint, send = join(address)
        return Link(send, map(operator.attrgetter("payload"), endpoint.receiver), endpoint.close)


peer = BytesBus()
