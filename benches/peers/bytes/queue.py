"""multiprocessing.Queue as everybody uses it: a thread that feeds a pipe, and pickle."""

from __future__ import annotations

import multiprocessing
import platform
from typing import Any

from benches.peers import Link, Setup
from benches.peers._inherited import packed, unpacked

#: So many items are in a queue at most; without a bound its feeder's memory would grow while the clock runs.
DEPTH = 1000


class StandardQueue:
    """One queue each way."""

    name = "mp.Queue"

    def version(self) -> str:
        return platform.python_version()

    def prepare(self, _folder: str) -> Setup:
        context = multiprocessing.get_context("spawn")
        kept = [context.Queue(DEPTH) for _ in range(2)]
        (near, near_files), (far, far_files) = map(packed, kept)

        def clean() -> None:
            for queue in kept:
                queue.close()
            kept.clear()

        files = [*near_files, *far_files]
        return Setup({"reads": near, "writes": far}, {"reads": far, "writes": near}, files, files, clean)

    def connect(self, address: dict[str, Any]) -> Link:
        reads, writes = unpacked(address["reads"]), unpacked(address["writes"])

        def close() -> None:
            writes.cancel_join_thread()
            writes.close()
            reads.close()

        return Link(writes.put, iter(reads.get, b""), close)


peer = StandardQueue()
