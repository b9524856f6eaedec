"""pyzmq, bytes in and bytes out."""

from __future__ import annotations

from typing import Any

from benches.peers import Link
from benches.peers._zmq import Pyzmq, sockets


class BytesPyzmq(Pyzmq):
    def connect(self, address: dict[str, Any]) -> Link:
        context, reads, writes = sockets(address)
        return Link(writes.send, iter(reads.recv, None), lambda: context.destroy(linger=0))


peer = BytesPyzmq()
