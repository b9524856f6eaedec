"""A process that receives values, says what it sees, and sends them back.

Sending back alone would not notice a mistake that undoes itself on the way home, such as swapped bytes; so the other
process also tells, in plain values, what it found.
"""

from __future__ import annotations

import contextlib
import decimal
import gc
import mmap
import os
import random
import time
import zlib
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped] # it has no stubs

import ipmb
from ipmb import buffers
from tests.support import memory, proc, roles

END = "end"

#: What the mirror holds on to, by name.
kept: dict[str, Any] = {}


@ipmb.message_type("5f0c1c2e-77ab-4a0e-8f43-0c9f6f3a9a01")
@dataclass
class Frame:
    """What a program would send: arrays in fields of several kinds."""

    time: float
    image: npt.NDArray[Any]
    mask: npt.NDArray[np.bool_] | None = None
    tiles: list[np.ndarray] = field(default_factory=list)
    named: dict[str, np.ndarray] = field(default_factory=dict)
    gain: np.float32 = field(default_factory=lambda: np.float32(1))
    rows: pa.Table | None = None
    whatever: Any = None


def raw(array: npt.NDArray[Any]) -> bytes:
    """The bytes of the elements in C order, gaps between fields included."""
    if array.dtype.names is not None:
        array = array.view(np.dtype((np.void, array.dtype.itemsize)))
    return array.tobytes()


def order(array: npt.NDArray[Any]) -> str:
    return "F" if array.flags.fnc else "C"


def facts(value: Any) -> Any:
    """What a value looks like from here, in plain values."""
    match value:
        case np.ndarray():
            address: int = value.__array_interface__["data"][0]
            is_guarded = not value.flags.writeable and address % 64 == 0
            about = [value.dtype.str, list(value.shape), order(value), zlib.crc32(raw(value))]
            return ["ndarray", is_guarded, *about]
        case pa.Table() | pa.RecordBatch():
            value.validate(full=True)
            return [type(value).__name__, value.schema.to_string(), repr(value.to_pylist())]
        case list():
            return [facts(item) for item in value]
        case dict():
            return [[str(key), facts(item)] for key, item in value.items()]
        case Frame():
            return facts([value.image, value.mask, value.tiles, value.named, value.whatever])
        case _:
            return [type(value).__name__, repr(value)]


def reflect() -> int:
    """Send everything back until told to end; how much that was."""
    count = 0
    for message in roles.ends[roles.MAIN].receiver:
        if isinstance(message.payload, str) and message.payload == END:
            return count
        message.reply([facts(message.payload), message.payload])
        count += 1
    return count


def keep(name: str) -> Any:
    """Receive a value and hold it; what it looks like."""
    kept[name] = roles.ends[roles.MAIN].receiver.recv(10.0).payload
    return facts(kept[name])


def lies_in(name: str) -> int:
    """The memory file of what is held."""
    return memory.inode(kept[name])


def look(name: str) -> Any:
    """What the value that is held looks like now."""
    return facts(kept[name])


def drop(name: str) -> None:
    kept.pop(name)
    gc.collect()


def keep_part(name: str) -> float:
    """Hold nothing but a view of a view of the array that is held."""
    kept[name] = kept[name][1:][::2]
    gc.collect()
    return float(kept[name].sum())


def pass_on(name: str, to: str) -> int:
    """Send on what is held."""
    return roles.ends[roles.MAIN].sender.send(to, kept[name], timeout=10.0)


def consume(count: int) -> list[int]:
    """Receive so many arrays, lists of arrays or record batches, and hold none; the memory files they lay in."""
    seen = []
    receiver = roles.ends[roles.MAIN].receiver
    for _ in range(count):
        message = receiver.recv(10.0)
        payload = message.payload[0] if isinstance(message.payload, list) else message.payload
        if isinstance(payload, pa.RecordBatch):
            payload = payload.column(0).slice(10).buffers()[1]
        seen.append(memory.inode(payload))
        message.reply("seen")
    return seen


def held(pid: int | None = None) -> int:
    """Descriptors and mappings of memory files in a process, this one by default."""
    gc.collect()
    pid = pid or os.getpid()
    lines = [*proc.descriptors(pid).values(), *proc.mappings(pid)]
    return sum("/memfd:" in line for line in lines)


def read_through(found: Any) -> None:
    """Look at every value."""
    try:
        found.to_pylist()
        for column in found.columns:
            column.validate()
    except (ValueError, LookupError, OverflowError, NotImplementedError, decimal.DecimalException):
        return  # one that Python has no value for


def scribble(path: str, seconds: float) -> None:
    """Write anything anywhere into a file's memory, as fast as it goes."""
    chance = random.Random(5)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(100):
                place = chance.randrange(len(memory))
                before = memory[place]
                memory[place] = chance.choice((0, 1, 127, 128, 255, before ^ 1))
                memory[place] = before


def read_often(path: str, seconds: float) -> int:
    """Read the stream in a file's memory again and again; how often."""
    count = 0
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        head = msgspec.msgpack.encode([True, len(memory), 0])
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            count += 1
            with contextlib.suppress(ValueError):
                read_through(buffers.unpack(7, head, memoryview(memory)))
            gc.collect(0)
    return count
