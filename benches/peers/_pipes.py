"""multiprocessing.Pipe: what the standard library offers between two processes."""

from __future__ import annotations

import platform
from multiprocessing.connection import Connection, Pipe
from typing import Any

from benches.peers import Setup


class StandardPipe:
    """One simplex pipe each way; the descriptors are inherited, as between a parent and its child."""

    name = "mp.Pipe"

    def version(self) -> str:
        return platform.python_version()

    def prepare(self, _folder: str) -> Setup:
        far_reads, near_writes = Pipe(duplex=False)
        near_reads, far_writes = Pipe(duplex=False)
        kept = [far_reads, near_writes, near_reads, far_writes]

        def clean() -> None:
            for connection in kept:
                connection.close()

        near = {"reads": near_reads.fileno(), "writes": near_writes.fileno()}
        far = {"reads": far_reads.fileno(), "writes": far_writes.fileno()}
        return Setup(near, far, list(near.values()), list(far.values()), clean)


def connections(address: dict[str, Any]) -> tuple[Connection, Connection]:
    """The end that reads and the one that writes."""
    return Connection(address["reads"], writable=False), Connection(address["writes"], readable=False)
