"""The limit: the thinnest ring that an extension module can be, called the way the bus is called."""

from __future__ import annotations

import functools
import operator
import os
from itertools import chain
from typing import Any

from benches import thin
from benches.peers import Link, Setup

ring = thin.load()

payload = operator.attrgetter("payload")


class ThinRing:
    """One ring each way; whoever waits spins."""

    name = "thin ring, the limit"

    def version(self) -> str:
        return thin.built().name

    def prepare(self, _folder: str) -> Setup:
        files = [os.memfd_create("bench") for _ in range(2)]
        for descriptor in files:
            os.ftruncate(descriptor, ring.SIZE)

        def clean() -> None:
            for descriptor in files:
                os.close(descriptor)

        near, far = files
        return Setup({"reads": near, "writes": far}, {"reads": far, "writes": near}, files, files, clean)

    def connect(self, address: dict[str, Any]) -> Link:
        reads, writes = ring.Ring(address["reads"]), ring.Ring(address["writes"])

        def batches(most: int) -> Any:
            return map(payload, chain.from_iterable(iter(functools.partial(reads.recv_many, most), None)))

        return Link(
            functools.partial(writes.send, None),
            map(payload, reads),
            lambda: None,
            send_many=functools.partial(writes.send_many, None),
            incoming_many=batches,
        )


peer = ThinRing()
