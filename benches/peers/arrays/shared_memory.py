"""multiprocessing.shared_memory as it is shown everywhere: a segment for each message, its name through a pipe."""

from __future__ import annotations

from collections import deque
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from benches.groups.arrays import DEPTH
from benches.peers import Link
from benches.peers._pipes import StandardPipe, connections
from benches.peers._segments import attach, memory, remove


class Segments(StandardPipe):
    """Made, filled and removed by the sender; attached and viewed by the receiver, which says when it is done."""

    name = "shared_memory"

    def connect(self, address: dict[str, Any]) -> Link:
        reads, writes = connections(address)
        flying: deque[SharedMemory] = deque()

        def settle(most: int) -> None:
            while len(flying) > most:
                reads.recv_bytes()
                remove(flying.popleft())

        def push(segment: SharedMemory) -> None:
            flying.append(segment)
            writes.send_bytes(segment.name.encode())
            while reads.poll():
                settle(len(flying) - 1)

        def send(array: Any) -> None:
            settle(DEPTH - 1)
            segment = SharedMemory(create=True, size=array.nbytes)
            np.copyto(np.frombuffer(memory(segment), np.float32, len(array)), array)
            push(segment)

        def hand_over(size: int, number: float) -> None:
            settle(DEPTH - 1)
            segment = SharedMemory(create=True, size=size)
            np.frombuffer(memory(segment), np.float32, size // 4)[0] = number
            push(segment)

        def incoming() -> Any:
            while True:
                segment = attach(reads.recv_bytes().decode())
                yield np.frombuffer(memory(segment), np.float32)
                segment.close()
                writes.send_bytes(b".")

        def close() -> None:
            for segment in flying:
                remove(segment)
            reads.close()
            writes.close()

        return Link(send, incoming(), close, hand_over=hand_over)


peer = Segments()
