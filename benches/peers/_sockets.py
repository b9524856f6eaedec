"""A connected pair of Unix sockets, one end inherited by each worker, as multiprocessing would have it."""

from __future__ import annotations

import platform
import socket

from benches.peers import Setup

#: Bounds what is in flight between streams: every message in a Unix socket is charged about 1 KiB, whatever it holds.
BUFFER = 32 << 10


class SocketPair:
    sort = socket.SOCK_STREAM

    def version(self) -> str:
        return platform.python_version()

    def prepare(self, _folder: str) -> Setup:
        near, far = socket.socketpair(type=self.sort)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)

        def clean() -> None:
            near.close()
            far.close()

        return Setup(
            {"socket": near.fileno()}, {"socket": far.fileno()}, [near.fileno()], [far.fileno()], clean
        )
