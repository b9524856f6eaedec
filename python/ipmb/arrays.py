"""numpy arrays and scalars as payloads.

The dtype travels as a description of our own, not as `dtype.descr` or a pickle: it covers every layout (gaps, overlaps,
titles, fields out of order), and what a peer sends is checked against a closed grammar before numpy sees it, so no
description can name an object or reach for memory that is not there.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

import msgspec
import numpy as np

from ipmb import _core
from ipmb.buffers import ALONE_BY_CLASS, ALONE_BY_NAME, aligned, part
from ipmb.registrations import a_type

if TYPE_CHECKING:
    from ipmb.buffers import Packer

CODE: Final = 4

_FORTRAN: Final = 1
_SCALAR: Final = 2

#: How deep fields may be nested in fields.
_DEPTH: Final = 32

#: Dimensions of the largest array that numpy makes.
_DIMENSIONS: Final = 64

#: A longer head than this is decoded anew each time.
_HEAD: Final = 256

#: What `dtype.str` gives, and nothing else that `numpy.dtype` takes: "M8[s/0]" alone would end the process.
_PLAIN: Final = re.compile(
    r"[<>|](?:b1|[iu][1248]|f(?:2|4|8|12|16)|c(?:8|16|24|32)|[SUV][0-9]{1,10}"
    r"|[mM]8(?:\[(?:[1-9][0-9]{0,9})?(?:Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\])?)"
)


#: Which values of Python's own a field takes that is annotated with a scalar.
_FROM_PLAIN: Final = (
    (np.bool_, bool),
    (np.integer, int),
    (np.floating, (int, float)),
    (np.complexfloating, (int, float, complex)),
    (np.str_, str),
    (np.bytes_, bytes),
)


class _Array(msgspec.Struct, array_like=True, frozen=True):
    """An array without its bytes; the last is these themselves, or where in the bulk they begin."""

    dtype: str | list[Any]
    shape: tuple[int, ...]
    flags: int
    data: memoryview | int


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(_Array).decode


def pack(value: np.ndarray[Any, Any] | np.generic, packer: Packer) -> bytes:
    """Describes an array or a scalar.

    Raises:
        TypeError: Its elements are objects of Python, or of a dtype that is not numpy's own, or some are masked.
    """
    if type(value) is np.ndarray:
        array = value
    elif isinstance(value, np.generic):
        return _pack_scalar(value)
    elif isinstance(value, np.ma.MaskedArray):
        msg = "payload is a masked numpy array: give its .data and its .mask, or .filled(...)"
        raise TypeError(msg)
    else:
        array = np.asarray(value)  # subclasses arrive as plain arrays
    dtype, shape, size = array.dtype, array.shape, array.nbytes
    description = _describe(dtype)
    is_contiguous, order = array.flags.c_contiguous, 0
    if not is_contiguous and array.flags.f_contiguous:
        array, is_contiguous, order = array.T, True, _FORTRAN
    if not packer.goes_out(size):
        # numpy moves fields one by one, and what is between them would come from memory that nobody has written.
        return _ENCODE(_Array(description, shape, order, memoryview(_raw(array).tobytes())))
    if is_contiguous:
        # Numbers are a buffer as they are; times and text are none.
        offset = packer.add(size, array if dtype.kind in "biufc" else array.reshape(-1).view(np.uint8))
    else:
        offset = packer.add(size, None, lambda room: _copy(array, room))
    return _ENCODE(_Array(description, shape, order, offset))


def _copy(array: np.ndarray[Any, Any], room: memoryview) -> None:
    source = _raw(array)
    np.copyto(np.ndarray(source.shape, source.dtype, room), source)


def _raw(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same elements, as mere bytes when they have fields: copying takes those as they are, gaps included."""
    return array if array.dtype.names is None else array.view(np.dtype((np.void, array.dtype.itemsize)))


def _pack_scalar(value: np.generic) -> bytes:
    # numpy's text and bytes do not come here: they travel as Python's.
    array = np.asarray(value)
    description, data = _describe(array.dtype), array.tobytes()
    return _ENCODE(_Array(description, (), _SCALAR, memoryview(data)))


def unpack(data: bytes | memoryview, bulk: memoryview | None) -> object:
    """The array or scalar that was described so: aligned to 64 bytes and read-only.

    Raises:
        ValueError, TypeError, OverflowError: The bytes describe none.
    """
    head = _DECODE(data)
    dtype, size = _layout(head)
    if head.flags & _SCALAR and dtype.char in "US":
        msg = "it holds a scalar of text or bytes, which travel as Python's"
        raise ValueError(msg)
    start = 0
    if isinstance(head.data, int):
        room = part(bulk, head.data, size)
    else:
        if head.data.nbytes != size:
            msg = f"an array of dtype {dtype} and shape {head.shape} has {head.data.nbytes} bytes instead of {size}"
            raise ValueError(msg)
        memory, start = aligned(head.data)
        room = memoryview(memory).toreadonly()
    array: np.ndarray[Any, Any]
    array = np.ndarray(head.shape, dtype, room, start, None, "F" if head.flags & _FORTRAN else "C")
    return array[()] if head.flags & _SCALAR and not head.shape else array


def _layout(head: _Array) -> tuple[np.dtype[Any], int]:
    """The dtype of an array and how many bytes it has."""
    dtype = _dtype(head.dtype) if isinstance(head.dtype, str) else _structured(head.dtype, _DEPTH)
    if len(head.shape) > _DIMENSIONS:
        msg = f"an array has {len(head.shape)} dimensions: numpy has {_DIMENSIONS} at most"
        raise ValueError(msg)
    size = dtype.itemsize
    for length in head.shape:
        if length < 0:
            msg = f"an array has the shape {head.shape}"
            raise ValueError(msg)
        size *= length
    return dtype, size


# An array on its own, the most frequent large payload: its head is the same as the last time.


@lru_cache(256)
def _head_alone(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    data = _ENCODE(_Array(_describe(dtype), shape, 0, 0))
    return msgspec.msgpack.encode(msgspec.msgpack.Ext(CODE + 1, data))


def _encode_alone(array: np.ndarray[Any, Any]) -> tuple[bytes, _core.Bulk, int, int] | None:
    """The parts of a large array of numbers that lies in one piece; None for another one."""
    size = array.nbytes
    if size < _core.VIEW_BYTES or not array.flags.c_contiguous or array.dtype.kind not in "biufc":
        return None
    head = _head_alone(array.dtype, array.shape)
    source: Any = array  # whose class says that it is a buffer only from Python 3.12 on
    bulk = _core.find(source)
    if bulk is None:
        bulk = _core.alloc(size)
        bulk.write(0, source)
    return head, bulk, 0, size


@lru_cache(256)
def _layout_alone(head: bytes) -> tuple[tuple[int, ...], np.dtype[Any], int] | None:
    extension = msgspec.msgpack.decode(head, type=msgspec.msgpack.Ext)
    if extension.code != CODE + 1:
        return None
    array = _DECODE(extension.data)
    dtype, size = _layout(array)
    return (array.shape, dtype, size) if array.flags == 0 and array.data == 0 else None


def _decode_alone(head: bytes, bulk: memoryview) -> np.ndarray[Any, Any] | None:
    """The array that `head` alone describes, in place; None where it is no such head, or a wrong one."""
    if len(head) > _HEAD:
        return None
    try:
        layout = _layout_alone(head)
    except (ValueError, TypeError, OverflowError, RecursionError, MemoryError):
        return None  # the long way says what is wrong with it
    if layout is None or not 0 < layout[2] <= bulk.nbytes:
        return None
    return np.ndarray(layout[0], layout[1], bulk[: layout[2]])


ALONE_BY_CLASS[np.ndarray] = _encode_alone
ALONE_BY_NAME["ndarray"] = _decode_alone


def convert(kind: Any, value: object) -> object:
    """A received value as a field of type `kind`: an array class, also with parameters, or a class of scalars.

    Raises:
        TypeError: It is none, or its elements are of another type.
    """
    wanted = get_origin(kind) or kind
    if any(issubclass(wanted, scalar) and isinstance(value, plain) for scalar, plain in _FROM_PLAIN):
        scalar_of: Any = wanted
        value = scalar_of(value)  # the sender's field is one of Python's own numbers or text
    if issubclass(wanted, np.ndarray):
        wanted = np.ndarray  # subclasses arrive as plain arrays
    if not isinstance(value, wanted):
        msg = f"it is {a_type(type(value))}, not {a_type(wanted)}"
        raise TypeError(msg)
    if isinstance(value, np.ndarray):
        # Of NDArray[numpy.float32], which is ndarray[shape, dtype[float32]]; there may be a variable or Any instead.
        elements: Any = next(iter(get_args(next(iter(get_args(kind)[1:]), None))), None)
        is_class = isinstance(elements, type) and issubclass(elements, np.generic)
        if is_class and not issubclass(value.dtype.type, elements):
            msg = f"it is an array of dtype {value.dtype}, not of {elements.__name__}"
            raise TypeError(msg)
    return value


# The dtype, as a string where it has no fields; equal dtypes are described equally.


@lru_cache(256)
def _describe(dtype: np.dtype[Any], depth: int = _DEPTH) -> str | list[Any]:
    if dtype.hasobject:
        msg = (
            f"payload is a numpy array of dtype {dtype}: give numbers, times, bytes or strings of a fixed length, "
            "or a list of the objects"
        )
        raise TypeError(msg)
    if depth == 0:
        msg = f"payload is a numpy array with fields nested more than {_DEPTH} deep: flatten them"
        raise TypeError(msg)
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return [_describe(base, depth - 1), list(shape)]
    if dtype.names is None:
        if _PLAIN.fullmatch(dtype.str) is None or np.dtype(dtype.str) != dtype:
            msg = f"payload is a numpy array of dtype {dtype}, which is not numpy's own: give a view of one that is"
            raise TypeError(msg)
        return dtype.str
    fields = []
    for name in dtype.names:
        member, offset, *title = dtype.fields[name]  # type: ignore[index] # there are fields where there are names
        if title and not isinstance(title[0], str):
            msg = f"payload is a numpy array whose field {name!r} has {title[0]!r} as its title: give a str, or none"
            raise TypeError(msg)
        fields.append([name, offset, title[0] if title else None, _describe(member, depth - 1)])
    return [dtype.itemsize, dtype.isalignedstruct, fields]


@lru_cache(256)
def _dtype(text: str) -> np.dtype[Any]:
    if _PLAIN.fullmatch(text) is None:
        msg = f"{text[:40]!r} is no dtype"
        raise ValueError(msg)
    return np.dtype(text)


def _structured(description: list[Any], depth: int) -> np.dtype[Any]:
    match description:
        case _ if depth == 0:
            msg = f"a dtype has fields nested more than {_DEPTH} deep"
            raise ValueError(msg)
        case [base, [*shape]] if all(type(length) is int for length in shape):
            array: np.dtype[Any] = np.dtype((_member(base, depth), tuple(shape)))
            return array
        case [int(itemsize), bool(aligned), [*fields]]:
            names, offsets, titles, formats = [], [], [], []
            for field in fields:
                match field:
                    case [str(name), int(offset), str() | None as title, member]:
                        names.append(name)
                        offsets.append(offset)
                        titles.append(title)
                        formats.append(_member(member, depth))
                    case _:
                        msg = "a field of a dtype is described wrongly"
                        raise ValueError(msg)
            layout: Any = {"names": names, "formats": formats, "offsets": offsets, "itemsize": itemsize}
            if any(title is not None for title in titles):
                layout["titles"] = titles
            structure: np.dtype[Any] = np.dtype(layout, align=aligned)
            return structure
    msg = f"a dtype is described by a list of {len(description)}"
    raise ValueError(msg)


def _member(description: object, depth: int) -> np.dtype[Any]:
    if isinstance(description, str):
        return _dtype(description)
    if isinstance(description, list):
        return _structured(description, depth - 1)
    msg = f"a dtype is described by a {type(description).__name__}"
    raise ValueError(msg)
