"""Roles whose system calls are counted: between the marks they do nothing but what is measured."""

from __future__ import annotations

import gc
import platform
import time

import ipmb
from tests.support import proc, roles, runner, syscalls

#: The number of `epoll_pwait`, which a receiver sleeps in.
SLEEP = {"x86_64": 281, "aarch64": 22}[platform.machine()]


def nothing() -> None:
    """The next call, for roles that run until there is one."""


def marked_sends(to: str, rounds: int, count: int, size: int = 16, lead: int = 0) -> None:
    """``rounds`` times, between marks: send ``count`` messages.

    In between the receiver gets time to read, and just before them something to look at: a receiver that has
    found nothing for long counts as asleep, even if it looks.
    """
    sender = roles.ends[roles.MAIN].sender
    message = ipmb.Message(ipmb.Selector.unicast(ipmb.LabelOp(to)), bytes(size))
    gc.disable()
    for _ in range(rounds):
        time.sleep(0.02)
        for _ in range(lead):
            sender.send(message)
        syscalls.mark()
        for _ in range(count):
            sender.send(message)
        syscalls.mark()
    gc.enable()


def marked_receive(count: int) -> None:
    """Receive one message, then, between marks, ``count`` more that are there already."""
    receiver = roles.ends[roles.MAIN].receiver
    gc.disable()
    receiver.recv(5.0)
    syscalls.mark()
    for _ in range(count):
        receiver.recv(0)
    syscalls.mark()
    gc.enable()


def marked_wait() -> None:
    """Waits for a message between marks."""
    receiver = roles.ends[roles.MAIN].receiver
    syscalls.mark()
    receiver.recv(5.0)
    syscalls.mark()


def send_when_asleep(to: str, pid: int) -> None:
    """Sends a message once a process sleeps."""
    proc.wait_asleep(pid)
    roles.ends[roles.MAIN].sender.send(to, 0)


def look_until_called() -> int:
    """Look for messages without ever sleeping, until the next call comes and all is read; how many there
    were.
    """
    receiver = roles.ends[roles.MAIN].receiver
    count = 0
    looks = 0
    while True:
        looks += 1
        try:
            receiver.recv(0)
        except ipmb.RecvTimeout:
            if looks % 64 == 0 and runner.called_again():
                return count
            continue
        count += 1
