"""Roles that hold, hand on and freeze memory regions.

What lies in a region is its *stamp*: a number, repeated to the end. A region that was freed shows zeros, one that was
given to somebody else another number, and one that is being written a mixture, so each look tells whether the memory is
still what its message says.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

import ipmb
from ipmb import _core
from tests.support import forking, memory, roles

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

MAIN = roles.MAIN

#: What this process holds between two calls, by the name the test gave it.
held: dict[str, ipmb.MemoryRegion] = {}

#: Views of them.
views: dict[str, memoryview] = {}

#: Messages that are kept open.
messages: list[ipmb.Message[Any]] = []


def stamp(number: int, size: int) -> bytes:
    """A number, repeated over ``size`` bytes."""
    return (number.to_bytes(8, "little") * (size // 8 + 1))[:size]


def number_in(buffer: Buffer) -> int:
    """The number a buffer is stamped with; -1 for one that holds anything else."""
    whole = bytes(memoryview(buffer).cast("B"))
    number = int.from_bytes(whole[:8], "little")
    return number if whole == stamp(number, len(whole)) else -1


def put(buffer: Buffer, number: int) -> None:
    """Stamp the whole of a writable buffer."""
    with memoryview(buffer) as view, view.cast("B") as flat:
        flat[:] = stamp(number, len(flat))


# -- making, holding, letting go


def make(size: int, number: int, *, name: str = MAIN) -> int:
    """Make a region and stamp it; the inode of its memory."""
    region = held[name] = ipmb.MemoryRegion(size)
    put(region, number)
    return memory.inode(region)


def send(to: str, payload: Any = None, *, name: str = MAIN, mode: str = "unicast", ttl: float = 0) -> int:
    where = roles.selector(to, mode, ttl)
    return roles.ends[MAIN].sender.send(where, payload, memory_regions=[held[name]], timeout=10.0)


def send_new(to: str, size: int, number: int, payload: Any = None, *, freeze: bool = False) -> int:
    """Make a region, stamp it, send it, and keep nothing of it."""
    with ipmb.MemoryRegion(size) as region:
        put(region, number)
        if freeze:
            region.freeze()
        return roles.ends[MAIN].sender.send(to, payload, memory_regions=[region], timeout=10.0)


def recv(*, name: str = MAIN, timeout: float = 10.0) -> tuple[Any, int, int]:
    """Receive one region and hold it: (payload, its number, the inode of its memory)."""
    with roles.ends[MAIN].receiver.recv(timeout) as message:
        (held[name],) = message.memory_regions
        return roles.plain(message.payload), number_in(held[name]), memory.inode(held[name])


def recv_closed(timeout: float = 10.0) -> Any:
    """Receive a message, look at nothing and let go of it."""
    with roles.ends[MAIN].receiver.recv(timeout) as message:
        return roles.plain(message.payload)


def recv_open(timeout: float = 10.0) -> int:
    """Receive a message and keep it as it is; how many regions it has."""
    messages.append(roles.ends[MAIN].receiver.recv(timeout))
    return len(messages[-1].memory_regions)


def close_messages() -> None:
    while messages:
        messages.pop().close()


def close(*, name: str = MAIN) -> None:
    held.pop(name).close()


def clone(*, name: str = MAIN, to: str) -> None:
    held[to] = held[name].clone()


def view(offset: int = 0, size: int | None = None, *, name: str = MAIN) -> None:
    """Map a part and keep the view of it under the same name."""
    views[name] = held[name].map(offset, size)


def release(*, name: str = MAIN) -> None:
    views.pop(name).release()


def ref_count(*, name: str = MAIN) -> int:
    return held[name].ref_count


def number(*, name: str = MAIN) -> int:
    return number_in(held[name])


def number_of_view(*, name: str = MAIN) -> int:
    return number_in(views[name])


def write(number: int, *, name: str = MAIN) -> str:
    """Stamp it anew; the name of the error that this raises, if any."""
    try:
        put(held[name], number)
    except (TypeError, ValueError, BufferError) as error:
        return type(error).__name__
    return ""


def freeze(*, name: str = MAIN) -> str:
    """Freeze it; the error as ``Class: text``, if any."""
    try:
        held[name].freeze()
    except (ipmb.IpmbError, BufferError, ValueError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def attempts(*, name: str = MAIN) -> dict[str, str]:
    """What comes of changing its file behind the bus's back."""
    return memory.attempts(memory.inode(held[name]))


def permissions(*, name: str = MAIN) -> str:
    """How it is mapped here."""
    return memory.mapping(held[name])[1]


def misaligned(*, name: str = MAIN) -> int:
    """How far its first byte is from a multiple of 64."""
    return memory.address(held[name]) % 64


def is_read_only(*, name: str = MAIN) -> bool:
    with memoryview(held[name]) as one:
        return one.readonly


# -- fork


def read_after_fork(*, name: str = MAIN) -> tuple[int, int]:
    """The numbers that a forked child reads: through the view kept here, and after the parent wrote another."""
    read_end, write_end = os.pipe()
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        found = [number_in(views[name])]
        os.write(tell, b".")
        os.read(read_end, 1)
        found.append(number_in(views[name]))
        os.write(tell, repr(found).encode())
        os._exit(0)
    os.read(told, 1)
    put(views[name], number_in(views[name]) + 1)
    os.write(write_end, b".")
    first, second = eval(os.read(told, 100), {})  # two numbers, from ourselves
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    for end in (read_end, write_end, told, tell):
        os.close(end)
    return first, second


#: What would give a child a new way to the memory of a region.
USES: dict[str, Callable[[ipmb.MemoryRegion], object]] = {
    "map": lambda region: region.map(),
    "map a part": lambda region: region.map(8, 8),
    "map a clone": lambda region: region.clone().map(),
    "memoryview": memoryview,
    "numpy": lambda region: np.frombuffer(memoryview(region), np.uint8),
    "private": lambda region: region.private(),
    "freeze": lambda region: region.freeze(),
}


def uses_after_fork(*, name: str = MAIN) -> Any:
    """What each use of a region comes to in a forked child."""

    def outcome(use: Callable[[ipmb.MemoryRegion], object]) -> str:
        try:
            use(held[name])
        except Exception as error:  # noqa: BLE001 - which one it is, is the question
            return type(error).__name__
        return "nothing"

    return forking.in_child(os.fork, lambda: {use: outcome(call) for use, call in USES.items()})


def look_after_fork(*, name: str = MAIN) -> Any:
    """The numbers that a child reads in a view, a part and an array of it; and where the view lies, to send it."""

    def look() -> tuple[int, int, int, object]:
        view = views[name]
        return (
            number_in(view),
            number_in(view[64:128]),
            number_in(np.frombuffer(view, np.uint8).data),
            _core.find(view),
        )

    return forking.in_child(os.fork, look)
