"""Which memory a buffer lies in, as the kernel tells it.

Whether two processes look at the same memory, whether a pool gave the same memory again, and whether a sealed file
really is sealed: none of that is the bus's word here. The kernel names the file behind every mapping.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.support import proc

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

PyBUF_SIMPLE = 0

#: How the memory files are called that processes share by messages; the bus has others of its own.
SHARED = ("/memfd:ipmb-region", "/memfd:ipmb-payload")


def array(buffer: Any, kind: Any) -> Any:
    """``numpy.frombuffer``, whose types know no buffers of others' classes before Python 3.12."""
    return np.frombuffer(buffer, kind)


class _View(ctypes.Structure):
    """The beginning of a ``Py_buffer``, with room for all of it."""

    _fields_ = (
        ("address", ctypes.c_void_p),
        ("owner", ctypes.py_object),
        ("length", ctypes.c_ssize_t),
        ("rest", ctypes.c_char * 128),
    )


def address(buffer: Buffer) -> int:
    """Where the bytes of any buffer begin, writable or not."""
    view = _View()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(buffer), ctypes.byref(view), PyBUF_SIMPLE)
    found = int(view.address or 0)
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    return found


def mapping(buffer: Buffer) -> tuple[int, str]:
    """The inode and the permissions (``rw-s``) of the file mapped where ``buffer`` lies."""
    place = address(buffer)
    for line in proc.mappings(os.getpid()):
        span, permissions, _, _, inode, *_ = line.split(None, 5)
        begin, end = (int(part, 16) for part in span.split("-"))
        if begin <= place < end:
            return int(inode), permissions
    raise AssertionError(f"nothing is mapped at {place:#x}")


def inode(buffer: Buffer) -> int:
    found = mapping(buffer)[0]
    assert found, "the buffer does not lie in a file"
    return found


def descriptor(number: int) -> int | None:
    """A descriptor of this process that leads to the memory file with that inode."""
    for found, target in proc.descriptors(os.getpid()).items():
        if target.startswith("/memfd:") and os.stat(found).st_ino == number:
            return found
    return None


def reopened(number: int) -> int:
    """A new descriptor, open for writing, of the memory file with that inode: as hostile as a holder can be."""
    held = descriptor(number)
    assert held is not None, "the memory has no descriptor here"
    return os.open(f"/proc/self/fd/{held}", os.O_RDWR | os.O_CLOEXEC)


def attempts(number: int) -> dict[str, str]:
    """What comes of trying to change the memory file with that inode: the name of the error, or ``done``."""
    opened = reopened(number)
    size = os.fstat(opened).st_size
    tries: dict[str, Callable[[], object]] = {
        "shrink": lambda: os.ftruncate(opened, size - 4096),
        "empty": lambda: os.ftruncate(opened, 0),
        "grow": lambda: os.ftruncate(opened, size + 4096),
        "write": lambda: os.pwrite(opened, os.pread(opened, 1, 0), 0),
        "map": lambda: mmap.mmap(opened, size).close(),
    }
    found = {}
    for name, call in tries.items():
        try:
            call()
        except OSError as error:
            found[name] = type(error).__name__
        else:
            found[name] = "done"
    os.close(opened)
    return found


def seals(number: int) -> int:
    """The seals of the memory file with that inode."""
    opened = reopened(number)
    try:
        return fcntl.fcntl(opened, fcntl.F_GET_SEALS)
    finally:
        os.close(opened)


def held(pid: int) -> tuple[int, int]:
    """How many descriptors of regions and large payloads a process has, and how many mappings of them."""
    files = [target for target in proc.descriptors(pid).values() if target.startswith(SHARED)]
    maps = [line for line in proc.mappings(pid) if any(name in line for name in SHARED)]
    return len(files), len(maps)


def files(pid: int) -> set[tuple[str, int]]:
    """All memory files of the bus that a process has open or mapped: (kind, inode)."""
    found = set()
    for line in proc.mappings(pid):
        _, _, _, _, there, *path = line.split(None, 5)
        if path and path[0].startswith("/memfd:ipmb-"):
            found.add((path[0].split()[0].removeprefix("/memfd:ipmb-"), int(there)))
    for number, target in proc.descriptors(pid).items():
        if target.startswith("/memfd:ipmb-"):
            kind = target.split()[0].removeprefix("/memfd:ipmb-")
            found.add((kind, os.stat(f"/proc/{pid}/fd/{number}").st_ino))
    return found


def total(pid: int) -> int:
    """Both together: what has to be the same again."""
    return sum(held(pid))


def shared_kib() -> int:
    """Shared memory of the whole machine in KiB, memory files that nobody has mapped included."""
    with open("/proc/meminfo") as lines:
        for line in lines:
            if line.startswith("Shmem:"):
                return int(line.split()[1])
    raise AssertionError("/proc/meminfo has no Shmem")
