"""Memory files that are none, or none that can be relied on, each as good as the real one but in one respect.

A kind says how its file is made, which seals it lacks, its size, and what is done to it once it has been sent; whatever
else the real one has, it has too. ``hostile_memory.py`` hands them over.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import socket
import tempfile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = mmap.PAGESIZE
VAST = 1 << 40

SHRINK, GROW, WRITE, SEAL = fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_WRITE, fcntl.F_SEAL_SEAL
FUTURE_WRITE = getattr(fcntl, "F_SEAL_FUTURE_WRITE", 0x10)
SEAL_EXEC = 0x20
PUNCH_HOLE = 3  # and the size stays

_libc = ctypes.CDLL(None, use_errno=True)


class File(NamedTuple):
    """A file that can take a memory's place: the descriptor that is sent, and one by which its maker gets at it."""

    sent: int
    own: int


def _memfd(flags: int = 0) -> File:
    made = os.memfd_create("hostile", os.MFD_ALLOW_SEALING | flags)
    return File(made, made)


def _again(access: int) -> File:
    """A memory file by a description of another kind."""
    own = _memfd().own
    return File(os.open(f"/proc/self/fd/{own}", access), own)


def _ordinary(folder: str | None = None) -> File:
    with tempfile.TemporaryFile(dir=folder) as file:
        made = os.dup(file.fileno())
        return File(made, made)


def _pipe() -> File:
    read_end, write_end = os.pipe()
    os.close(read_end)
    return File(write_end, write_end)


def _socket() -> File:
    made = socket.socketpair()[0].detach()
    return File(made, made)


def _open(path: str, flags: int) -> File:
    made = os.open(path, flags)
    return File(made, made)


def _copy(genuine: str, file: File, size: int | None) -> None:
    """The content, holes included, in a file of ``size`` bytes; of the same size without that."""
    source = os.open(genuine, os.O_RDONLY)
    whole = os.fstat(source).st_size
    os.ftruncate(file.own, whole if size is None else size)
    end = whole if size is None else min(whole, size)
    at = 0
    with contextlib.suppress(OSError):  # no data behind the place
        while at < end:
            begin = os.lseek(source, at, os.SEEK_DATA)
            at = min(os.lseek(source, begin, os.SEEK_HOLE), end)
            os.pwrite(file.own, os.pread(source, at - begin, begin), begin)
    os.close(source)
    # What was all there is all there, and what is sparse is sparse.
    if size is None and os.stat(genuine).st_blocks * 512 >= whole > 0:
        os.posix_fallocate(file.own, 0, whole)


def _punch(file: File) -> None:
    size = os.fstat(file.own).st_size
    if _libc.fallocate(file.own, PUNCH_HOLE, ctypes.c_long(0), ctypes.c_long(size)):
        raise OSError(ctypes.get_errno(), "fallocate")


def _scribble(file: File) -> None:
    """Map it anew and write over all of it."""
    size = os.fstat(file.own).st_size
    with mmap.mmap(file.own, size) as again:
        again[:] = os.urandom(PAGE) * (size // PAGE) + bytes(size % PAGE)


def _shrink(file: File) -> None:
    os.ftruncate(file.own, 0)


def _grow(file: File) -> None:
    os.ftruncate(file.own, VAST)


def _seal_it(file: File) -> None:
    fcntl.fcntl(file.own, fcntl.F_ADD_SEALS, WRITE)


class Kind(NamedTuple):
    """What is wrong with a file: how it is made, which seals it lacks, its size, and what is done to it when sent."""

    make: Callable[[], File] = _memfd
    lacks: int = 0
    size: Callable[[int], int] | None = None
    attack: Callable[[File], None] | None = None
    hollow: bool = False  #: everything behind its first page is a hole


KINDS: dict[str, Kind] = {
    "honest": Kind(),
    "shrinks": Kind(lacks=SHRINK, attack=_shrink),
    "grows": Kind(lacks=GROW, attack=_grow),
    "punched": Kind(lacks=FUTURE_WRITE | WRITE, attack=_punch),
    "remapped": Kind(lacks=FUTURE_WRITE | WRITE, attack=_scribble),
    "unsealed": Kind(lacks=SHRINK | GROW | FUTURE_WRITE | WRITE | SEAL, attack=_shrink),
    "not-final": Kind(lacks=SEAL, attack=_seal_it),
    "empty": Kind(size=lambda _: 0),
    "too-small": Kind(size=lambda size: PAGE if size > PAGE else 0),
    "half-page": Kind(size=lambda size: size + PAGE // 2),
    "too-large": Kind(size=lambda size: size + (16 << 20)),
    "vast": Kind(size=lambda _: VAST),
    "hollow": Kind(hollow=True),
    "write-only": Kind(make=lambda: _again(os.O_WRONLY)),
    "path-only": Kind(make=lambda: _again(os.O_PATH)),
    "ordinary-file": Kind(make=_ordinary, attack=_shrink),
    "shm-file": Kind(make=lambda: _ordinary("/dev/shm"), attack=_shrink),
    "hugetlb": Kind(make=lambda: _memfd(os.MFD_HUGETLB), size=lambda size: -(-size >> 21) << 21),
    "pipe": Kind(make=_pipe),
    "socket": Kind(make=_socket),
    "folder": Kind(make=lambda: _open("/proc", os.O_RDONLY | os.O_DIRECTORY)),
    "device": Kind(make=lambda: _open("/dev/zero", os.O_RDWR)),
}


def shape(kind: Kind, file: File, genuine: str) -> int:
    """Give the file what the real one has, but for what the kind is about; the descriptor to send."""
    size = os.stat(genuine).st_size
    try:
        _copy(genuine, file, None if kind.size is None else kind.size(size))
        if kind.hollow:
            _punch_behind(file, PAGE)
        source = os.open(genuine, os.O_RDONLY)
        # That it is not executable is no matter here, and would bring other seals along.
        seals = fcntl.fcntl(source, fcntl.F_GET_SEALS) & ~kind.lacks & ~SEAL_EXEC
        os.close(source)
        # Whoever forbids writing for good has to have nothing mapped for it; nothing is.
        fcntl.fcntl(file.own, fcntl.F_ADD_SEALS, seals)
    except OSError as error:  # what is no memory file takes no content, or no seals
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.EPERM, errno.ENODEV, errno.ENOSPC):
            raise
    return file.sent


def _punch_behind(file: File, at: int) -> None:
    whole = os.fstat(file.own).st_size
    first = os.pread(file.own, at, 0)
    os.ftruncate(file.own, 0)
    os.ftruncate(file.own, whole)
    os.pwrite(file.own, first, 0)
