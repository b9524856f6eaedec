"""What a child has been told through the logger "ipmb", for tests of what is lost or refused."""

from __future__ import annotations

import ctypes
import logging
import os
import time
from typing import Any

import ipmb
from tests.support import proc, roles

_told: list[tuple[str, str]] = []


class _Listener(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _told.append((record.levelname, record.getMessage()))


def listen() -> None:
    """Keep what is logged from now on, from INFO upwards."""
    logger = logging.getLogger("ipmb")
    logger.setLevel(logging.INFO)
    logger.addHandler(_Listener())


def told() -> list[tuple[str, str]]:
    """(level, text) of everything that was logged so far."""
    return list(_told)


def close(name: str = roles.MAIN) -> float:
    """Leave; the endpoint can still be asked what it has counted. How long that took, in seconds."""
    start = time.monotonic()
    roles.ends[name].close()
    return time.monotonic() - start


_waiting: list[tuple[int, bytes]] = []


def remember_what_waits() -> None:
    """Keep what is in the memory of messages that wait for a match."""
    for line in proc.mappings(os.getpid()):
        if " rw-s " in line and "/memfd:ipmb-parking" in line:
            begin, end = (int(part, 16) for part in line.split()[0].split("-"))
            _waiting.append((begin, ctypes.string_at(begin, end - begin)))


def put_it_back() -> int:
    """As if this process had been killed after it sent what had waited, and before it said so; how many memories."""
    for begin, data in _waiting:
        ctypes.memmove(begin, data, len(data))
    return len(_waiting)


def ask_and_give_up(to: str) -> None:
    try:
        roles.ends[roles.MAIN].sender.request(to, b"quick?", timeout=0.05)
    except ipmb.RecvTimeout:
        return
    raise AssertionError("somebody has replied")


def reply_late() -> int:
    """Reply to a request whose asker has given it up; how many endpoints got the reply."""
    message: Any = roles.ends[roles.MAIN].receiver.recv(10)
    time.sleep(0.3)
    return int(message.reply(b"late"))


def recv_only_text() -> Any:
    """Join once more, as one that takes text only, send it bytes and text, and receive."""
    end = roles.ends[roles.MAIN]
    with ipmb.join(end.identifier, "picky", payloads=str, timeout=10) as picky:
        end.sender.send("picky", b"not taken")
        end.sender.send("picky", "taken")
        return picky.receiver.recv(10).payload
