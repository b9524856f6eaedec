"""What a child has been told through the logger "ipmb", for tests of what is lost or refused."""

from __future__ import annotations

import logging
import time
from typing import Any

import ipmb
from tests.support import roles

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
