"""multiprocessing.reduction by its documented calls: one descriptor each time."""

from __future__ import annotations

import os
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

from benches.peers import Link
from benches.peers._sockets import SocketPair


class Reduction(SocketPair):
    name = "mp send_handle"

    def connect(self, address: dict[str, Any]) -> Link:
        connection = Connection(address["socket"])
        size = 1

        def choose(number: int) -> None:
            nonlocal size
            size = number

        def send(descriptors: list[int]) -> None:
            for descriptor in descriptors:
                reduction.send_handle(connection, descriptor, None)

        def incoming() -> Any:
            while True:
                came = [reduction.recv_handle(connection) for _ in range(size)]
                yield came
                for descriptor in came:
                    os.close(descriptor)

        return Link(send, incoming(), connection.close, choose)


peer = Reduction()
