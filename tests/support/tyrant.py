"""A controller that claims, in its own directory, a term far ahead: the last number there is."""

from __future__ import annotations

import ctypes
from pathlib import Path

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


def _after_varint(data: bytes) -> bytes:
    return data[next(place for place, byte in enumerate(data) if byte < 128) + 1 :]


def claim_the_last_term() -> int:
    """Commit the directory as it is, under the last term; the term it had."""
    memory = _Memory()
    word = memory.number(0)
    (now,) = [copy for copy in (0, 1) if memory.number(HEADS * (copy + 1)) == word]
    length = memory.number(HEADS * (now + 1) + 8)
    rest = _after_varint(_after_varint(memory.read(COPIES + now * COPY_BYTES, length)))
    term, epoch = word >> 32, word & FAR
    data = _varint(FAR) + _varint(epoch + 1) + rest
    other, far = 1 - now, FAR << 32 | (epoch + 1)
    memory.write_number(HEADS * (other + 1), 0)
    memory.write(COPIES + other * COPY_BYTES, data)
    memory.write_number(HEADS * (other + 1) + 8, len(data))
    memory.write_number(HEADS * (other + 1), far)
    memory.write_number(0, far)
    return term
