"""multiprocessing.Pipe as it is meant: objects in, objects out, by pickle."""

from __future__ import annotations

from typing import Any

from benches.peers import Link
from benches.peers._pipes import StandardPipe, connections


class PicklePipe(StandardPipe):
    name = "mp.Pipe, pickle"

    def connect(self, address: dict[str, Any]) -> Link:
        reads, writes = connections(address)

        def close() -> None:
            reads.close()
            writes.close()

        return Link(writes.send, iter(reads.recv, None), close)


peer = PicklePipe()
