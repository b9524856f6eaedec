"""pyzmq over an ipc socket, one push/pull pair each way: what is fastest for it on one machine."""

from __future__ import annotations

from typing import Any

import zmq

from benches.peers import Link, Setup


class Pyzmq:
    """Each end binds the socket it reads from and connects the one it writes to."""

    name = "pyzmq"

    def version(self) -> str:
        return zmq.pyzmq_version()

    def prepare(self, folder: str) -> Setup:
        near, far = f"ipc://{folder}/near", f"ipc://{folder}/far"
        return Setup({"reads": near, "writes": far}, {"reads": far, "writes": near})

    def connect(self, address: dict[str, Any]) -> Link:
        context = zmq.Context()
        reads = context.socket(zmq.PULL)
        reads.bind(address["reads"])
        writes = context.socket(zmq.PUSH)
        writes.connect(address["writes"])
        return Link(writes.send, iter(reads.recv, None), lambda: context.destroy(linger=0))


peer = Pyzmq()
