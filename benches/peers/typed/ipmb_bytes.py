"""This bus with the application's own codec: what registering a type costs or saves against doing it by hand."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from benches.peers._bus import Bus, join
from benches.peers._msgspec import encoded_link

if TYPE_CHECKING:
    from benches.peers import Link


class BytesBus(Bus):
    name = "ipmb bytes, msgspec"

    def connect(self, address: dict[str, Any]) -> Link:
        endpoint, send = join(address)
        payloads = map(operator.attrgetter("payload"), endpoint.receiver)
        return encoded_link(send, payloads, endpoint.close)


peer = BytesBus()
