"""pyzmq over an ipc socket, one push/pull pair each way: what is fastest for it on one machine."""

from __future__ import annotations

from typing import Any

import zmq

from benches.peers import Setup


class Pyzmq:
    """Each end binds the socket it reads from and connects the one it writes to."""

    name = "pyzmq"

    def version(self) -> str:
        return zmq.pyzmq_version()

    def prepare(self, folder: str) -> Setup:
        near, far = f"ipc://{folder}/near", f"ipc://{folder}/far"
        return Setup({"reads": near, "writes": far}, {"reads": far, "writes": near})


def sockets(
    address: dict[str, Any], queued: int | None = None
) -> tuple[zmq.Context[Any], zmq.Socket[Any], zmq.Socket[Any]]:
    """The context, the socket that reads and the one that writes; ``queued`` messages in each at most."""
    context = zmq.Context()
    reads = context.socket(zmq.PULL)
    writes = context.socket(zmq.PUSH)
    if queued is not None:
        reads.set_hwm(queued)
        writes.set_hwm(queued)
    reads.bind(address["reads"])
    writes.connect(address["writes"])
    return context, reads, writes
