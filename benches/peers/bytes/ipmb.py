"""This bus, through its public interface, with everything on: routing, checks, sender identity."""

from __future__ import annotations

import functools
import operator
from itertools import chain
from typing import Any

from benches.peers import Link
from benches.peers._bus import Bus, join, other

payload = operator.attrgetter("payload")


class BytesBus(Bus):
    def connect(self, address: dict[str, Any]) -> Link:
        endpoint, send = join(address)
        incoming = map(payload, endpoint.receiver)

        def batches(most: int) -> Any:
            take = functools.partial(endpoint.receiver.recv_many, most)
            return map(payload, chain.from_iterable(iter(take, None)))

        return Link(
            send,
            incoming,
            endpoint.close,
            viewed=incoming,
            lend=memoryview,
            send_many=functools.partial(endpoint.sender.send_many, other(address)),
            incoming_many=batches,
        )


peer = BytesBus()
