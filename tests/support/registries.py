"""Roles of a process that fills regions of a registry and hands them out.

Each use of the memory has a number, which is its stamp (see ``regions``), and which is noted when its callback says
that it is free. A number noted twice, or before its last holder has let go, is a defect.
"""

from __future__ import annotations

import functools
import time
from typing import Any

import ipmb
from tests.support import memory, regions, roles

MAIN = roles.MAIN

#: The registry of this process, made at its first use.
_registry: list[ipmb.MemoryRegistry] = []

#: The numbers whose callback was called, in order.
_freed: list[int] = []

#: How many were given out by :func:`new_stamped`, and the inodes of all memory that was.
_used: list[int] = []
_inodes: set[int] = set()


def registry() -> ipmb.MemoryRegistry:
    if not _registry:
        _registry.append(ipmb.MemoryRegistry())
    return _registry[0]


def new(size: int, number: int) -> ipmb.MemoryRegion:
    """A new region outside of the registry, stamped."""
    region = ipmb.MemoryRegion(size)
    regions.put(region, number)
    return region


def new_stamped(size: int, number: int) -> ipmb.MemoryRegion:
    """A region of the registry, stamped, whose end is noted."""
    region = registry().alloc(size, "stamped", functools.partial(_freed.append, number))
    regions.put(region, number)
    _used.append(number)
    return region


def end() -> None:
    """Let the registry go, with the memory that it keeps for later."""
    _registry.clear()


def freed() -> list[int]:
    """The numbers of all that are free by now."""
    registry().maintain()
    return list(_freed)


def outstanding() -> int:
    """How many of those given out are not free yet."""
    return len(_used) - len(freed())


def all_freed() -> bool:
    """Whether all are; fails if one was freed twice, or one that was never given out."""
    found = freed()
    assert len(found) == len(set(found)), "freed twice"
    assert set(found) <= set(_used), "freed and never given out"
    return len(found) == len(_used)


def files_used() -> int:
    """In how many different files the regions lay."""
    return len(_inodes)


def wait_until_fewer(than: int, bound: float = 10.0) -> None:
    """Wait until fewer regions are out; that a holder that died keeps its own would show here."""
    deadline = time.monotonic() + bound
    while outstanding() >= than:
        assert time.monotonic() < deadline, f"{outstanding()} regions are held for ever"
        time.sleep(0.0005)


# -- one region under a name, as in ``regions``


def alloc(size: int, number: int) -> int:
    """Take one from the registry and hold it under its usual name; the inode of its memory."""
    region = regions.held[MAIN] = new_stamped(size, number)
    return memory.inode(region)


send = regions.send
close = regions.close


# -- streams


def send_stamped(to: str, size: int, count: int, most: int = 64) -> int:
    """Send that many regions one after another, with at most ``most`` out at a time."""
    sender = roles.ends[MAIN].sender
    for number in range(count):
        wait_until_fewer(most)
        with new_stamped(size, number) as region:
            _inodes.add(memory.inode(region))
            assert sender.send(to, number, memory_regions=[region], timeout=10.0) == 1
    return count


def recv_stamped(count: int) -> int:
    """Receive what that sends, each checked; how many."""
    for number in range(count):
        with roles.ends[MAIN].receiver.recv(20.0) as message:
            found: list[Any] = [message.payload, *(regions.number_in(one) for one in message.memory_regions)]
        assert found == [number, number], f"{found} instead of {number}"
    return count
