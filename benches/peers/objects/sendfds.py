"""multiprocessing.reduction by the calls beneath: many descriptors in one message of the kernel."""

from __future__ import annotations

import os
import socket
from multiprocessing import reduction
from typing import Any

from benches.peers import Link
from benches.peers._sockets import SocketPair


class Sendfds(SocketPair):
    name = "mp sendfds"

    def connect(self, address: dict[str, Any]) -> Link:
        end = socket.socket(fileno=address["socket"])
        size = 1

        def choose(number: int) -> None:
            nonlocal size
            size = number

        def send(descriptors: list[int]) -> None:
            reduction.sendfds(end, descriptors)

        def incoming() -> Any:
            while True:
                came = reduction.recvfds(end, size)
                yield came
                for descriptor in came:
                    os.close(descriptor)

        return Link(send, incoming(), end.close, choose)


peer = Sendfds()
