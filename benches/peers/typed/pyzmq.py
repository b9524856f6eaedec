"""pyzmq with msgspec: the fastest typed messages that can be had with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benches.peers._msgspec import encoded_link
from benches.peers._zmq import Pyzmq, sockets

if TYPE_CHECKING:
    from benches.peers import Link


class TypedPyzmq(Pyzmq):
    name = "pyzmq, msgspec"

    def connect(self, address: dict[str, Any]) -> Link:
        context, reads, writes = sockets(address)
        return encoded_link(writes.send, iter(reads.recv, None), lambda: context.destroy(linger=0))


peer = TypedPyzmq()
