"""What a process can do to another of the same user through `/proc`, without a word to the bus."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os

import ipmb
from tests.support import proc, runner

PR_SET_DUMPABLE = 4

#: Locks that this process has, until it ends.
_held: list[int] = []

#: A queue with one item, where this process has made one.
_queue: list[ipmb.Queue[bytes]] = []


def hide() -> None:
    """Have the kernel keep the descriptors and the memory of this process from others of its user."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0


def make_queue(item: bytes) -> None:
    _queue.append(ipmb.Queue())
    _queue[0].put(item)


def _open(pid: int, kind: str, flags: int) -> list[int]:
    """The memory files of that name which a process has open, opened once more."""
    found: list[int] = []
    try:
        there = proc.descriptors(pid)
    except PermissionError:
        return found
    for number, target in there.items():
        if target.startswith(f"/memfd:{kind}"):
            try:
                found.append(os.open(f"/proc/{pid}/fd/{number}", flags))
            except PermissionError:
                continue
    return found


def can_read(pid: int, kind: str, secret: bytes) -> bool:
    """Whether the bytes of somebody's message can be read out of its memory files of a kind."""
    seen = False
    for memory in _open(pid, kind, os.O_RDONLY):
        seen |= secret in os.pread(memory, os.fstat(memory).st_size, 0)
        os.close(memory)
    return seen


def overwrite(pid: int, kind: str, data: bytes) -> int:
    """Write to the beginning of all memory files of a kind that take it; how many did."""
    count = 0
    for memory in _open(pid, kind, os.O_RDWR):
        with contextlib.suppress(PermissionError):  # sealed
            count += os.pwrite(memory, data, 0) > 0
        os.close(memory)
    return count


def wait_for_lock(pid: int) -> bool:
    """Wait for the lock that makes a member controller, and keep it; whether there was one to be opened."""
    for lock in _open(pid, "ipmb-lock", os.O_RDONLY)[:1]:
        _held.append(lock)
        runner.event("waiting")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return bool(_held)
