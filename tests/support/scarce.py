"""Roles that use descriptors up, and report how that ends."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import resource
import struct
import sys
import threading
import time
from typing import Any

import ipmb
from tests.support import roles


def _names(error: BaseException) -> list[str]:
    return [kind.__name__ for kind in type(error).__mro__]


def join_until_error(
    bus: str, count: int, *, first: int = 0, timeout: float = 5.0, affinity: bool = True
) -> tuple[int, list[str]]:
    """Join as end-0, end-1 ...; how many did, and the classes of the exception that ended it."""
    for number in range(first, first + count):
        try:
            roles.join(bus, [f"end-{number}"], name=str(number), timeout=timeout, affinity=affinity)
        except (ipmb.IpmbError, OSError) as error:
            return number - first, _names(error)
    return count, []


def send_to_each(count: int) -> tuple[int, list[str]]:
    """Send one message to each of end-0, end-1 ...; how many went, and what ended it."""
    for number in range(count):
        try:
            assert roles.send(f"end-{number}", number, timeout=2.0) == 1
        except (ipmb.IpmbError, OSError) as error:
            return number, _names(error)
    return count, []


def with_no_descriptor_left(to: str) -> tuple[int, list[str], Any]:
    """Send a small and a large message with all descriptors in use, and a large one when they are free
    again.
    """
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        pass
    large: list[str] = []
    in_ring = roles.send(to, b"in the ring")
    try:
        roles.send(to, bytes(100_000))
    except (ipmb.IpmbError, OSError) as error:
        large = _names(error)
    for number in taken:
        os.close(number)
    return in_ring, large, roles.send(to, bytes(100_000))


_taken: list[int] = []


def use_up() -> None:
    """Open as many descriptors as this process may, until :func:`give_back`."""
    with contextlib.suppress(OSError):
        while True:
            _taken.append(os.dup(0))


def give_back() -> None:
    while _taken:
        os.close(_taken.pop())


def no_more() -> None:
    """Let this process open nothing at all, not even in the place of what it closes, until :func:`as_before`."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))


def as_before() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def watch_nothing_more() -> None:
    """From now on the kernel says to every thread of this process that it may watch nothing more (``epoll_ctl``)."""
    epoll_ctl, seccomp = {"x86_64": (233, 317), "aarch64": (21, 277)}[platform.machine()]
    load, jump_if, give = 0x20, 0x15, 0x06
    steps = [
        (load, 0, 0, 0),  # the number of the call
        (jump_if, 0, 1, epoll_ctl),
        (give, 0, 0, 0x0005_0000 | errno.ENOSPC),
        (give, 0, 0, 0x7FFF_0000),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_filter, all_threads = 38, 1, 1
    assert libc.prctl(no_new_privileges, 1, 0, 0, 0) == 0
    assert libc.syscall(seccomp, set_filter, all_threads, program) == 0, os.strerror(ctypes.get_errno())


def ask_with_no_descriptor_left(to: str, timeout: float, free_after: float | None) -> tuple[Any, str]:
    """Ask with all descriptors in use, which are free again after a while or never: the reply, or the error."""
    use_up()
    timer = threading.Timer(free_after or 0.0, give_back)
    if free_after is not None:
        timer.start()
    try:
        return roles.request(to, b"?", timeout)[0], ""
    except ipmb.IpmbError as error:
        return None, f"{type(error).__name__}: {error}"
    finally:
        if free_after is not None:
            timer.join()
        give_back()


def load_late(bus: str, at: int) -> None:
    """In a process that has only joined: use everything once, with no descriptors left for five steps of loading.

    The ``at``-th step is the first of them. What fails by that has to be an exception, and has to go when it is
    repeated.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    label = f"late-{at}"
    steps = 0

    def step(event: str, _: object) -> None:
        nonlocal steps
        if event in {"open", "import", "os.listdir", "exec"}:
            steps += 1
            if at <= steps <= at + 5:
                limit = 3 if steps < at + 5 else most
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))

    with ipmb.join(bus, label, timeout=20.0) as end, ipmb.join(bus, "other", timeout=20.0) as other:

        def answer(question: str, seconds: float) -> None:
            with contextlib.suppress(ipmb.IpmbError, OSError, ImportError):
                while (message := end.receiver.recv(seconds)).payload != [question, 2.5]:
                    pass
                message.reply({"answer": question})

        def use_everything(question: str, seconds: float) -> None:
            answering = threading.Thread(target=answer, args=(question, seconds))
            answering.start()
            try:
                reply = other.sender.request(label, [question, 2.5], timeout=seconds)
                assert reply.payload == {"answer": question}
            finally:
                answering.join()

        sys.addaudithook(step)
        with contextlib.suppress(ipmb.IpmbError, OSError, ImportError):
            use_everything("first", 0.2)
        at = sys.maxsize
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        use_everything("again", 20.0)


def open_again_and_again(count: int, seconds: float) -> int:
    """Look for messages and open ``count`` files at once, for so long and at least once; how often that went."""
    receiver = roles.ends[roles.MAIN].receiver
    end = time.monotonic() + seconds
    times = 0
    while times == 0 or time.monotonic() < end:
        with contextlib.suppress(ipmb.RecvTimeout):
            receiver.recv(0)
        opened: list[int] = []
        try:
            opened.extend(os.open("/dev/null", os.O_RDONLY) for _ in range(count))
        finally:
            for number in opened:
                os.close(number)
        times += 1
    return times


def recv_despite_errors(quiet: float, bound: int = 10_000) -> tuple[list[Any], int]:
    """Receive until nothing comes, again and again if descriptors are short; (payloads, how often they
    were).
    """
    found: list[Any] = []
    short = 0
    while short < bound:
        try:
            found.append(roles.plain(roles.ends[roles.MAIN].receiver.recv(quiet).payload))
        except ipmb.TooManyOpenFiles:
            short += 1
        except ipmb.RecvTimeout:
            break
    return found, short
