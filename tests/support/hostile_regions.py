"""A member that sends as memory what is none, or none that can be relied on.

It need not speak the wire for that: it puts another descriptor in the place of the one that its own bus is about to
send, which is what a program can always do to itself, and what the receiver has to be safe against.
"""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from typing import TYPE_CHECKING, Any

import ipmb
from ipmb import _core
from tests.support import memory, roles, runner
from tests.support.regions import put

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 1 << 20

SEALED = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
READ_ONLY = SEALED | getattr(fcntl, "F_SEAL_FUTURE_WRITE", 0x10) | fcntl.F_SEAL_SEAL


def _file(size: int, seals: int, written: int) -> int:
    made = os.memfd_create("hostile", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.ftruncate(made, size)
    if written:
        os.pwrite(made, b"h" * written, 0)
    fcntl.fcntl(made, fcntl.F_ADD_SEALS, seals)
    return made


def _ordinary() -> int:
    with tempfile.TemporaryFile() as file:
        os.ftruncate(file.fileno(), SIZE)
        return os.dup(file.fileno())


def _pipe() -> int:
    read_end, write_end = os.pipe()
    os.close(read_end)
    return write_end


#: What is sent in the place of a region, by what is wrong with it.
KINDS: dict[str, Callable[[], int]] = {
    "unsealed": lambda: _file(SIZE, 0, SIZE),
    "can shrink": lambda: _file(SIZE, fcntl.F_SEAL_GROW, SIZE),
    "can grow": lambda: _file(SIZE, fcntl.F_SEAL_SHRINK, SIZE),
    "empty": lambda: _file(0, SEALED, 0),
    "shrunk before": lambda: _file(100, 0, 100),
    "sparse": lambda: _file(SIZE, SEALED, 0),
    "half sparse": lambda: _file(SIZE, SEALED, SIZE // 2),
    "sparse and vast": lambda: _file(1 << 40, SEALED, 4096),
    "ordinary file": _ordinary,
    "pipe": _pipe,
    "device": lambda: os.open("/dev/zero", os.O_RDWR),
    "folder": lambda: os.open("/proc", os.O_RDONLY | os.O_DIRECTORY),
}


def _replace(buffer: Any, kind: str) -> None:
    """Put the other thing where the bus has the memory's descriptor."""
    number = memory.descriptor(memory.inode(buffer))
    assert number is not None
    made = KINDS[kind]()
    os.dup2(made, number, inheritable=False)
    os.close(made)


def lie(bus: str, to: str, what: str, kind: str) -> None:
    """Join, send an honest message, a lie and another one, and stay; tells when, and if the own bus saw through it."""
    end = ipmb.join(bus, "liar", controller_affinity=False, timeout=10.0)
    assert end.sender.send(to, "ready") == 1
    kept: Any = ipmb.MemoryRegion(SIZE) if what == "region" else _core.alloc(SIZE)
    put(kept, 7)
    payload = "lie" if what == "region" else memoryview(kept)
    _replace(kept, kind)
    error = ""
    try:
        end.sender.send(to, payload, memory_regions=[kept] if what == "region" else [], timeout=5.0)
    except (OSError, ipmb.IpmbError) as raised:
        error = f"{type(raised).__name__}: {raised}"
    end.sender.send(to, "after", timeout=1.0)
    runner.event("lied", error)
    signal.pause()


def recv_until(last: str) -> list[str]:
    """Receive until that payload comes; the others before it, and the errors, all memory looked at to the end."""
    found = []
    while True:
        try:
            with roles.ends[roles.MAIN].receiver.recv(10.0) as message:
                payload = roles.plain(message.payload)
                looked = [bytes(region)[:1] for region in message.memory_regions]
        except ipmb.DecodeError as error:
            found.append(f"DecodeError: {error}")
            continue
        if payload == last:
            return found
        found.append(f"{payload!r:.20} {looked}" if looked else f"{payload!r:.20}")
