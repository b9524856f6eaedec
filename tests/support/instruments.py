"""Roles without the bus, for the tests of the instruments themselves."""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from typing import Any

from tests.support import plain_user, proc, syscalls

_kept: list[socket.socket] = []


def double(value: Any) -> Any:
    return value * 2


def kill_oneself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def work(seconds: float) -> None:
    """Keep a core busy."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def marked_calls(pairs: int, calls: int) -> None:
    """Make exactly ``calls`` system calls between each pair of marks."""
    for _ in range(pairs):
        syscalls.mark()
        for _ in range(calls):
            os.getuid()
        syscalls.mark()


def who() -> tuple[int, tuple[int, int], int]:
    """(uid, limits of descriptors, capabilities beyond those for reading files)."""
    held = int(proc.status(os.getpid())["CapEff"], 16)
    reading = 1 << plain_user.CAP_DAC_READ_SEARCH | 1 << plain_user.CAP_DAC_OVERRIDE
    return os.getuid(), resource.getrlimit(resource.RLIMIT_NOFILE), held & ~reading


def listen(name: bytes) -> None:
    """Hold a listening socket of an abstract name."""
    one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one.bind(b"\0" + name)
    one.listen()
    _kept.append(one)
