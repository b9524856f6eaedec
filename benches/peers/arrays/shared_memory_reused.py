"""multiprocessing.shared_memory by somebody who has measured: a few segments, made and attached once, go round."""

from __future__ import annotations

from collections import deque
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from benches.groups.arrays import DEPTH
from benches.peers import Link
from benches.peers._pipes import StandardPipe, connections
from benches.peers._segments import attach, memory, remove


class ReusedSegments(StandardPipe):
    """What comes back through the second pipe is free to be filled again."""

    name = "shared_memory, reused"

    def connect(self, address: dict[str, Any]) -> Link:
        reads, writes = connections(address)
        made: dict[str, SharedMemory] = {}
        free: dict[int, deque[str]] = {}
        attached: dict[str, SharedMemory] = {}

        def place(size: int) -> tuple[str, Any]:
            names = free.setdefault(size, deque())
            if not names and sum(segment.size >= size for segment in made.values()) < DEPTH:
                segment = SharedMemory(create=True, size=size)
                made[segment.name] = segment
                names.append(segment.name)
            while not names:
                name = reads.recv_bytes().decode()
                free[made[name].size].append(name)
            name = names.popleft()
            return name, np.frombuffer(memory(made[name]), np.float32, size // 4)

        def send(array: Any) -> None:
            name, target = place(array.nbytes)
            np.copyto(target, array)
            writes.send_bytes(name.encode())

        def hand_over(size: int, number: float) -> None:
            name, target = place(size)
            target[0] = number
            writes.send_bytes(name.encode())

        def incoming() -> Any:
            while True:
                name = reads.recv_bytes().decode()
                if name not in attached:
                    attached[name] = attach(name)
                yield np.frombuffer(memory(attached[name]), np.float32)
                writes.send_bytes(name.encode())

        def close() -> None:
            for segment in made.values():
                remove(segment)
            for segment in attached.values():
                segment.close()
            reads.close()
            writes.close()

        return Link(send, incoming(), close, hand_over=hand_over)


peer = ReusedSegments()
