"""pyzmq with copy=False at both ends: only the kernel copies, into the socket and out of it.

The sender's array may not change until it has gone; here it never does, which is the best that can be.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from benches.groups.arrays import DEPTH
from benches.peers import Link
from benches.peers._zmq import Pyzmq, sockets


class NoCopyPyzmq(Pyzmq):
    name = "pyzmq, copy=False"

    def connect(self, address: dict[str, Any]) -> Link:
        context, reads, writes = sockets(address, DEPTH // 2)

        def incoming() -> Any:
            while True:
                yield np.frombuffer(reads.recv(copy=False).buffer, np.float32)

        send = functools.partial(writes.send, copy=False)
        return Link(send, incoming(), lambda: context.destroy(linger=0))


peer = NoCopyPyzmq()
