"""iceoryx2: bytes written into loaned memory; copied out of it by who wants bytes, or looked at where they lie."""

from __future__ import annotations

import ctypes
from typing import Any

from benches.peers import Link
from benches.peers._iceoryx2 import Iceoryx2, Node, delivered, received

#: So many bytes are in flight at most, in no more than so many messages.
FLYING, MOST = 8 << 20, 256


class BytesIceoryx2(Iceoryx2):
    """Two services for each size, one each way."""

    def connect(self, address: dict[str, Any]) -> Link:
        node, ports = Node(address), dict[int, tuple[Any, Any]]()
        link = Link(lambda _: None, iter(()), ports.clear)

        def choose(size: int) -> None:
            depth = max(4, min(MOST, FLYING // size))
            if size not in ports:
                subscriber = node.subscriber(f"{size} to {address['me']}", depth)
                ports[size] = subscriber, node.publisher(f"{size} to {address['other']}", size, depth)
            subscriber, publisher = ports[size]

            def send(payload: bytes) -> None:
                delivered(publisher, size, lambda found: ctypes.memmove(found.data_ptr, payload, size))

            link.send = send
            came, view = received(subscriber), (ctypes.c_char * size).from_address
            link.incoming = (ctypes.string_at(found.data_ptr, size) for found in came)
            link.viewed = (view(found.data_ptr) for found in came)

        link.open = choose
        return link


peer = BytesIceoryx2()
