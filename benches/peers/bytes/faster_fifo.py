"""faster-fifo as its page advises: one ``put`` a message, ``get_many`` at the other end; bytes without pickle."""

from __future__ import annotations

import functools
import importlib.metadata
from itertools import chain
from typing import Any

import faster_fifo  # type: ignore[import-not-found]

from benches.peers import Link, Setup
from benches.peers._inherited import packed, unpacked

#: Bytes that a queue holds: several of the largest messages.
CAPACITY = 8 << 20

#: Seconds a call waits at most: longer than any measurement may take.
BOUND = 60.0


class FasterFifo:
    """One queue each way."""

    name = "faster-fifo"

    def version(self) -> str:
        return importlib.metadata.version("faster-fifo")

    def prepare(self, _folder: str) -> Setup:
        kept = [faster_fifo.Queue(CAPACITY, loads=bytes, dumps=bytes) for _ in range(2)]
        (near, near_files), (far, far_files) = map(packed, kept)
        files = [*near_files, *far_files]
        return Setup({"reads": near, "writes": far}, {"reads": far, "writes": near}, files, files, kept.clear)

    def connect(self, address: dict[str, Any]) -> Link:
        reads, writes = unpacked(address["reads"]), unpacked(address["writes"])

        def batches(most: int) -> Any:
            take = functools.partial(reads.get_many, timeout=BOUND, max_messages_to_get=most)
            return chain.from_iterable(iter(take, None))

        return Link(
            functools.partial(writes.put, timeout=BOUND),
            batches(1000),
            lambda: None,
            send_many=functools.partial(writes.put_many, timeout=BOUND),
            incoming_many=batches,
        )


peer = FasterFifo()
