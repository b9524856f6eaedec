"""Roles around a socket whose closing waits (SO_LINGER with data that nobody reads)."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time

import ipmb
from tests.support import roles

#: The other ends of the sockets that were sent, which never read.
unread: list[socket.socket] = []


def send_lingering(to: str, seconds: int, *, to_all: bool) -> int:
    """Send a loopback socket that waits so long in its last close, and close our own first copy of it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as one,
    ):
        unread.append(server.accept()[0])
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                one.send(bytes(65536))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))
        target = ipmb.Selector.multicast(to) if to_all else ipmb.Selector.unicast(to)
        return roles.ends[roles.MAIN].sender.send(target, "a socket", objects=[one])


def drop_and_fork() -> tuple[float, float]:
    """Drop a received message with such a socket, then fork; the longest pause of another thread, and of the
    fork.
    """
    message = roles.ends[roles.MAIN].receiver.recv(10)
    assert len(message.objects) == 1
    longest = 0.0
    over = threading.Event()

    def tick() -> None:
        nonlocal longest
        before = time.monotonic()
        while not over.wait(0.01):
            now = time.monotonic()
            longest, before = max(longest, now - before), now

    ticking = threading.Thread(target=tick)
    ticking.start()
    del message
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    forked = time.monotonic() - begin
    over.set()
    ticking.join()
    return longest, forked


def take_and_close() -> None:
    """Close a received socket at once."""
    with roles.ends[roles.MAIN].receiver.recv(10) as message:
        message.objects[0].close()


def longest_send(to: str, seconds: float) -> float:
    """Send for so long; the longest time that one call took."""
    sender = roles.ends[roles.MAIN].sender
    longest = 0.0
    end = time.monotonic() + seconds
    while (begin := time.monotonic()) < end:
        sender.send(to, b"x", overflow="drop")
        longest = max(longest, time.monotonic() - begin)
        time.sleep(0.005)
    return longest
