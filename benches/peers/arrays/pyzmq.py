"""pyzmq as it is by default: the array is copied into a message, and the message's bytes out of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from benches.groups.arrays import DEPTH
from benches.peers import Link
from benches.peers._zmq import Pyzmq, sockets


class CopyingPyzmq(Pyzmq):
    """Both queues together hold as much as other links have in flight."""

    def connect(self, address: dict[str, Any]) -> Link:
        context, reads, writes = sockets(address, DEPTH // 2)

        def incoming() -> Any:
            while True:
                yield np.frombuffer(reads.recv(), np.float32)

        return Link(writes.send, incoming(), lambda: context.destroy(linger=0))


peer = CopyingPyzmq()
