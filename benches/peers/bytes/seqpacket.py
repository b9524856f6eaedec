"""A Unix socket that keeps messages apart, and nothing above it: the thinnest way through the kernel."""

from __future__ import annotations

import functools
import socket
from typing import Any

from benches.peers import Link
from benches.peers._sockets import SocketPair

#: A message of 1 MiB has to fit. Only root may ask for more than the machine's usual maximum.
BUFFER = 4 << 20
SO_SNDBUFFORCE = 32


class Seqpacket(SocketPair):
    name = "unix seqpacket"
    sort = socket.SOCK_SEQPACKET

    def connect(self, address: dict[str, Any]) -> Link:
        end = socket.socket(fileno=address["socket"])
        try:
            end.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER)
        except PermissionError:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        link = Link(end.send, iter(()), end.close)

        def choose(size: int) -> None:
            link.incoming = iter(functools.partial(end.recv, size), None)

        link.open = choose
        return link


peer = Seqpacket()
