"""multiprocessing.Pipe: what the standard library offers between two processes, bytes in and bytes out."""

from __future__ import annotations

import platform
from multiprocessing.connection import Connection, Pipe
from typing import Any

from benches.peers import Link, Setup


class StandardPipe:
    """One simplex pipe each way; the descriptors are inherited, as between a parent and its child."""

    name = "mp.Pipe"

    def version(self) -> str:
        return platform.python_version()

    def prepare(self, _folder: str) -> Setup:
        far_reads, near_writes = Pipe(duplex=False)
        near_reads, far_writes = Pipe(duplex=False)
        self._kept = [far_reads, near_writes, near_reads, far_writes]
        near = {"reads": near_reads.fileno(), "writes": near_writes.fileno()}
        far = {"reads": far_reads.fileno(), "writes": far_writes.fileno()}
        return Setup(near, far, list(near.values()), list(far.values()))

    def connect(self, address: dict[str, Any]) -> Link:
        reads = Connection(address["reads"], writable=False)
        writes = Connection(address["writes"], readable=False)

        def close() -> None:
            reads.close()
            writes.close()

        return Link(writes.send_bytes, iter(reads.recv_bytes, None), close)


peer = StandardPipe()
