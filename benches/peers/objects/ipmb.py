"""This bus: descriptors as objects of a message, closed with the message."""

from __future__ import annotations

from typing import Any

from benches.peers import Link
from benches.peers._bus import Bus, join


class ObjectBus(Bus):
    def connect(self, address: dict[str, Any]) -> Link:
        endpoint, push = join(address)

        def send(descriptors: list[int]) -> None:
            push(None, objects=descriptors)

        def incoming() -> Any:
            for message in endpoint.receiver:
                with message:
                    yield [found.fileno() for found in message.objects]

        return Link(send, incoming(), endpoint.close)


peer = ObjectBus()
