"""A controller that lies in its own directory: of a term far ahead, the last number there is, or of who is there."""

from __future__ import annotations

import ctypes
import fcntl
import os
from pathlib import Path

from tests.support import proc

#: As crates/bus/src/directory/memory.rs lays it out: the word, two heads of number and length, two copies.
HEADS, COPIES, COPY_BYTES = 64, 64 << 10, 16 << 20

FAR = (1 << 32) - 1


class _Memory:
    """The directory that this process writes, where the core has it mapped."""

    def __init__(self) -> None:
        maps = Path("/proc/self/maps").read_text().splitlines()
        (line,) = [line for line in maps if "ipmb-directory" in line and " rw-s " in line]
        self.base = int(line.partition("-")[0], 16)

    def read(self, at: int, size: int) -> bytes:
        return ctypes.string_at(self.base + at, size)

    def number(self, at: int) -> int:
        return int.from_bytes(self.read(at, 8), "little")

    def write(self, at: int, data: bytes) -> None:
        ctypes.memmove(self.base + at, data, len(data))

    def write_number(self, at: int, value: int) -> None:
        self.write(at, value.to_bytes(8, "little"))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


class _Bytes:
    """Bytes that are read from their beginning on."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self) -> int:
        value = shift = 0
        while (byte := self.take(1)[0]) > 127:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def entry(self) -> tuple[int, bytes]:
        """A member: its id, and all that is written of it."""
        begin = self.at
        identity, _, _ = self.number(), self.number(), self.number()
        self.take(16)
        for _ in range(self.number()):
            self.take(self.number())
        self.take(1)
        return identity, self.data[begin : self.at]


def _now(memory: _Memory) -> tuple[int, int, int, bytes]:
    """Which copy is the directory now; its term and epoch, and what follows them."""
    word = memory.number(0)
    (now,) = [copy for copy in (0, 1) if memory.number(HEADS * (copy + 1)) == word]
    length = memory.number(HEADS * (now + 1) + 8)
    data = _Bytes(memory.read(COPIES + now * COPY_BYTES, length))
    term, epoch = data.number(), data.number()
    assert word == term << 32 | epoch
    return now, term, epoch, data.data[data.at :]


def _commit(memory: _Memory, copy: int, term: int, epoch: int, rest: bytes) -> None:
    data = _varint(term) + _varint(epoch) + rest
    word = term << 32 | epoch
    memory.write_number(HEADS * (copy + 1), 0)
    memory.write(COPIES + copy * COPY_BYTES, data)
    memory.write_number(HEADS * (copy + 1) + 8, len(data))
    memory.write_number(HEADS * (copy + 1), word)
    memory.write_number(0, word)


def claim_the_last_term() -> int:
    """Commit the directory as it is, under the last term; the term it had."""
    memory = _Memory()
    now, term, epoch, rest = _now(memory)
    _commit(memory, 1 - now, FAR, epoch + 1, rest)
    return term


def leave_out(*ids: int) -> int:
    """Commit the directory without some of its members; how many there were."""
    memory = _Memory()
    now, term, epoch, rest = _now(memory)
    data = _Bytes(rest)
    head = _varint(data.number())
    predecessors = [data.number() for _ in range(data.number())]
    head += b"".join(map(_varint, [len(predecessors), *predecessors]))
    entries = [data.entry() for _ in range(data.number())]
    left = [text for identity, text in entries if identity not in ids]
    _commit(
        memory, 1 - now, term, epoch + 1, head + _varint(len(left)) + b"".join(left) + data.data[data.at :]
    )
    return len(entries) - len(left)


def hand_out_another_lock() -> None:
    """Whoever joins from now on gets a lock file of its own, as good as the bus's in every respect."""
    lock = min(number for number, target in proc.descriptors(os.getpid()).items() if "ipmb-lock" in target)
    other = os.memfd_create("ipmb-lock", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    fcntl.fcntl(other, fcntl.F_ADD_SEALS, fcntl.fcntl(lock, fcntl.F_GET_SEALS))
    os.dup2(other, lock, inheritable=False)
    os.close(other)
