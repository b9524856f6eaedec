"""multiprocessing.Pipe, bytes in and bytes out, without pickle."""

from __future__ import annotations

from typing import Any

from benches.peers import Link
from benches.peers._pipes import StandardPipe, connections


class BytesPipe(StandardPipe):
    def connect(self, address: dict[str, Any]) -> Link:
        reads, writes = connections(address)

        def close() -> None:
            reads.close()
            writes.close()

        return Link(writes.send_bytes, iter(reads.recv_bytes, None), close)


peer = BytesPipe()
