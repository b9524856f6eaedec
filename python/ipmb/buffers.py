"""Big buffers travel beside a message, not in it.

What a payload encodes to, its *head*, is MessagePack. Copying a large array into that, and that into memory which the
receiver can see, would be one copy too many, and the receiver could not view it in place. So a `Packer` collects the
large buffers of one payload, wherever they are nested, and copies them once, into one block of shared memory, the
*bulk*; the head only says where each begins. `unpack` makes objects that view the bulk; each keeps all of it alive.

numpy, pyarrow and torch are optional: nothing here imports them until a value of theirs is sent or received.
"""

from __future__ import annotations

import ctypes
import importlib
import struct
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, get_origin

import msgspec

from ipmb import _core

if TYPE_CHECKING:
    from collections.abc import Callable

#: Every buffer begins at a multiple of so many bytes: a cache line, and the widest vector register.
ALIGNMENT: Final = 64

#: A head that is elsewhere: a byte that MessagePack never uses, then its offset and its length in the bulk.
_LOCATOR: Final = struct.Struct("<cQQ")
_ELSEWHERE: Final = b"\xc1"

_BUFFER: Final = 10


class _Library(Protocol):
    """A module of ours for the values of one library."""

    CODE: int

    def pack(self, value: Any, packer: Packer) -> bytes:
        """Describes the value and leaves its buffers with the packer."""
        ...

    def unpack(self, data: bytes | memoryview, bulk: memoryview | None) -> object:
        """The value; ValueError when `data` describes none."""

    def convert(self, kind: Any, value: object) -> object:
        """The value as the type of a field; TypeError when it is no such thing."""


#: The library, its classes that can be sent, and our module for it. Its `CODE` is the extension code of a value inside
#: the head, the next one that of a value whose buffers are in the bulk.
_LIBRARIES: Final = (
    ("numpy", ("ndarray", "generic"), "ipmb.arrays"),
    ("pyarrow", ("Table", "RecordBatch"), "ipmb.arrow"),
    ("torch", ("Tensor",), "ipmb.tensors"),
)
_BY_CODE: Final = {4: 0, 5: 0, 6: 1, 7: 1, 8: 2, 9: 2}


class _Extent(msgspec.Struct, array_like=True, frozen=True):
    """A buffer in the bulk that nothing else describes."""

    offset: int
    size: int


_EXTENT: Final = msgspec.msgpack.Decoder(_Extent)


#: Short cuts for payloads that are one large buffer and nothing else, set by our modules when they are imported. Each
#: gives None for what has to take the long way; what both give is the same.
ALONE_BY_CLASS: Final[dict[type, Callable[[Any], tuple[bytes, _core.Bulk, int, int] | None]]] = {}
ALONE_BY_NAME: Final[dict[str, Callable[[bytes, memoryview], object | None]]] = {}

#: Our modules that have been imported, and whose values classes are: for the path of a message.
_loaded: Final[dict[int, _Library]] = {}
_known: Final[dict[type, int]] = {}
_KNOWN: Final = 256


def _library(number: int) -> _Library:
    found = _loaded.get(number)
    if found is None:
        library, _, ours = _LIBRARIES[number]
        try:
            found = _loaded[number] = cast("_Library", importlib.import_module(ours))
        except ImportError as error:
            msg = f"it was made by {library}, which cannot be imported here ({error}): install {library} to receive it"
            raise ValueError(msg) from error
    return found


def _library_of(kind: type) -> int | None:
    """Which library's value a class is. A library that nobody has imported has no values here."""
    found = _known.get(kind)
    if found is not None:
        return found
    for number, (name, classes, _) in enumerate(_LIBRARIES):
        library = sys.modules.get(name)
        # One that is just being imported lacks its classes yet; nothing is a subclass of ().
        if library and any(issubclass(kind, getattr(library, one, ())) for one in classes):
            if len(_known) < _KNOWN:
                _known[kind] = number
            return number
    return None


class Packer:
    """Takes the large buffers of one payload out of it.

    Use one for each payload: `pack` what MessagePack has no type for, then `finish` with what came out.
    """

    __slots__ = ("_inside", "_parts", "_size")

    def __init__(self) -> None:
        self._inside = 0
        self._size = 0
        self._parts: list[tuple[int, int, Any, Callable[[memoryview], object] | None]] = []

    def pack(self, value: object) -> tuple[int, bytes] | None:
        """Describes an array, table, tensor or large buffer.

        Returns:
            The code and the bytes of a MessagePack extension; None when the value is none of these.

        Raises:
            TypeError, ValueError: It is one of these and cannot be sent; the text begins with "payload is".
        """
        number = _library_of(type(value))
        if number is None:
            return self._pack_buffer(value)
        library = _library(number)
        parts = len(self._parts)
        data = library.pack(value, self)
        return library.CODE + (len(self._parts) > parts), data

    def _pack_buffer(self, value: object) -> tuple[int, bytes] | None:
        if isinstance(value, bytes):
            return None
        try:
            view = memoryview(value)  # type: ignore[arg-type] # asking is the way to find out
        except TypeError:
            return None
        if not view.contiguous or not self.goes_out(view.nbytes):
            return None
        # Of other orders than C's the bytes go in that.
        flat = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
        return _BUFFER, msgspec.msgpack.encode(_Extent(self.add(flat.nbytes, flat), flat.nbytes))

    def goes_out(self, size: int) -> bool:
        """Whether a buffer of `size` bytes belongs into the bulk; if not, the caller keeps it in the head.

        Large ones do; and small ones once those in the head would be large together.
        """
        if self._inside + size >= _core.VIEW_BYTES:
            return size > 0
        self._inside += size
        return False

    def add(self, size: int, source: Any = None, fill: Callable[[memoryview], object] | None = None) -> int:
        """Reserves `size` bytes of the bulk.

        Args:
            size: In bytes, 1 or more.
            source: A contiguous buffer with these bytes, when there is one: in shared memory it may be sent in place.
            fill: Writes them into a view of the bulk; left out, `source` is copied.

        Returns:
            Where they will be: an offset in the bulk, a multiple of `ALIGNMENT`.
        """
        offset = -(-self._size // ALIGNMENT) * ALIGNMENT
        self._parts.append((offset, size, source, fill))
        self._size = offset + size
        return offset

    def finish(self, head: bytes) -> bytes | tuple[bytes, _core.Bulk, int, int]:
        """Fills the bulk, if there is to be one.

        Args:
            head: The MessagePack that holds what `pack` returned.

        Returns:
            What to send: the head alone, or the head, a block of shared memory, and the offset and the length of the
            bulk in it.
        """
        if not self._parts:
            return head
        size = self._size
        if len(self._parts) == 1 and len(head) <= _core.HEAD_BYTES and self._parts[0][2] is not None:
            bulk = _core.find(self._parts[0][2])
            if bulk is not None:
                return head, bulk, 0, size
        behind = b""  # a head that is too long for a record
        if len(head) > _core.HEAD_BYTES:
            head, behind = _LOCATOR.pack(_ELSEWHERE, size, len(head)), head
        bulk = _core.alloc(size + len(behind))
        for offset, length, source, fill in self._parts:
            if fill is None:
                bulk.write(offset, source)
            else:
                with memoryview(bulk) as view, view[offset : offset + length] as part:
                    fill(part)
        bulk.write(size, behind)
        return head, bulk, 0, size + len(behind)


def locate(head: bytes, bulk: memoryview | None) -> bytes:
    """The head of a received message, wherever it is.

    Raises:
        ValueError: It is said to be where it cannot be.
    """
    if head[:1] != _ELSEWHERE:
        return head
    if len(head) != _LOCATOR.size:
        msg = f"{len(head)} bytes do not say where the head is"
        raise ValueError(msg)
    _, offset, size = _LOCATOR.unpack(head)
    # A copy: the sender could change the bulk while it is decoded.
    return bytes(_range(bulk, offset, size))


def part(bulk: memoryview | None, offset: int, size: int) -> memoryview:
    """A buffer in the bulk, in place and read-only.

    Raises:
        ValueError: There is no such part.
    """
    if offset % ALIGNMENT:
        msg = f"its buffer begins at byte {offset} of the bulk, which is no multiple of {ALIGNMENT}"
        raise ValueError(msg)
    return _range(bulk, offset, size)


def _range(bulk: memoryview | None, offset: int, size: int) -> memoryview:
    if bulk is None:
        msg = "it says that its bytes are beside the message, and there are none"
        raise ValueError(msg)
    if not 0 <= offset <= offset + size <= bulk.nbytes:
        msg = f"it says that its bytes are {offset} to {offset + size} of a bulk of {bulk.nbytes}"
        raise ValueError(msg)
    return bulk[offset : offset + size]


def aligned(data: memoryview) -> tuple[bytearray, int]:
    """A copy of what came inside a head, and where in it a multiple of `ALIGNMENT` is: there it begins."""
    room = bytearray(data.nbytes + ALIGNMENT - 1)
    start = -ctypes.addressof(ctypes.c_char.from_buffer(room)) % ALIGNMENT
    room[start : start + data.nbytes] = data
    return room, start


def unpack(code: int, data: bytes | memoryview, bulk: memoryview | None) -> object:
    """The value that `Packer.pack` described so.

    Args:
        code: The code of the extension.
        data: Its bytes.
        bulk: The bulk of the message, read-only; None when it has none. What is returned may view it, and keeps it.

    Raises:
        ValueError: The bytes describe no such value, or its library is not installed here.
    """
    try:
        if code == _BUFFER:
            extent = _EXTENT.decode(data)
            return part(bulk, extent.offset, extent.size)
        number = _BY_CODE.get(code)
        if number is None:
            msg = f"extension {code} of {len(data)} bytes is no built-in payload"
            raise ValueError(msg)
        return _library(number).unpack(data, bulk)
    except (TypeError, OverflowError, RecursionError, MemoryError) as error:
        # What libraries raise for descriptions that nobody could have made.
        msg = f"extension {code} of {len(data)} bytes describes nothing: {error}"
        raise ValueError(msg) from error


def builtin(kind: object) -> str | None:
    """The name of the built-in type as which values of a library's class travel; None for other classes."""
    number = _library_of(kind) if isinstance(kind, type) else None
    if number is None:
        return None
    name, classes, _ = _LIBRARIES[number]
    return next(one for one in classes if issubclass(cast("type", kind), getattr(sys.modules[name], one, ())))


def handles(kind: object) -> bool:
    """Whether a field of this type can hold an array, table or tensor: the class itself or one with parameters."""
    if not isinstance(kind, type):
        kind = get_origin(kind)
    return isinstance(kind, type) and _library_of(kind) is not None


#: Classes of numpy that only group others. A number in a field travels as Python's, so which one it was is not known.
_ABSTRACT: Final = frozenset(
    (
        *("generic", "number", "integer", "signedinteger", "unsignedinteger", "inexact", "floating"),
        *("complexfloating", "flexible", "character"),
    )
)


def is_abstract(kind: Any) -> bool:
    """Whether no value of such a field could ever be received."""
    wanted = get_origin(kind) or kind
    return getattr(wanted, "__module__", "") == "numpy" and getattr(wanted, "__name__", "") in _ABSTRACT


def convert(kind: Any, value: object) -> object:
    """A received value as the type of a field, of which `handles` is true.

    Raises:
        TypeError: It is no such thing.
    """
    number = _library_of(get_origin(kind) or kind)
    if number is None:
        msg = f"{kind!r} is no type of a field for arrays, tables or tensors"
        raise TypeError(msg)
    return _library(number).convert(kind, value)
