"""Tensors of torch as payloads: dense ones in the main memory.

torch knows no read-only tensors: writing to one over memory that is mapped read-only would end the process. So a large
tensor that arrives lies in a private mapping of the sender's memory: it shows what the sender has written, and a page
that the receiver writes to becomes its own.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from typing import TYPE_CHECKING, Any, Final

import msgspec
import torch  # type: ignore[import-not-found, unused-ignore] # too large for the development environment

from ipmb.buffers import aligned, part

if TYPE_CHECKING:
    from ipmb.buffers import Packer

CODE: Final = 8

_DIMENSIONS: Final = 64

#: Those whose bytes are all there is to them; which of them a version of torch has differs.
_DTYPES: Final = {
    name: getattr(torch, name)
    for name in (
        *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
        *("float16", "bfloat16", "float32", "float64", "complex32", "complex64", "complex128"),
        *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
    )
    if hasattr(torch, name)
}
_NAMES: Final = {dtype: name for name, dtype in _DTYPES.items()}


class _Tensor(msgspec.Struct, array_like=True, frozen=True):
    """A tensor without its bytes; the last is these themselves, or where in the bulk they begin."""

    dtype: str
    shape: tuple[int, ...]
    data: memoryview | int


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(_Tensor).decode

_view: Final = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)(
    ("PyMemoryView_FromMemory", ctypes.pythonapi)
)
_PYBUF_READ: Final = 0x100


def pack(value: Any, packer: Packer) -> bytes:
    """Describes a tensor. Gradients stay here.

    Raises:
        TypeError: It is on another device, or not dense, or its dtype needs more than its bytes.
    """
    if value.device.type != "cpu":
        msg = f"payload is a tensor on {value.device}: give tensor.cpu()"
        raise TypeError(msg)
    if value.is_nested:
        msg = "payload is a nested tensor, which cannot be sent: send its parts, list(tensor.unbind())"
        raise TypeError(msg)
    if value.layout is not torch.strided:
        msg = f"payload is a tensor of layout {value.layout}: give tensor.to_dense(), or a dict of its parts"
        raise TypeError(msg)
    name = _NAMES.get(value.dtype)
    if name is None:
        msg = f"payload is a tensor of dtype {value.dtype}: give tensor.dequantize(), or a view of another dtype"
        raise TypeError(msg)
    tensor = value.detach().as_subclass(torch.Tensor).resolve_conj().resolve_neg()
    shape = tuple(tensor.shape)
    size = tensor.numel() * tensor.element_size()
    if not packer.goes_out(size):
        tensor = tensor.contiguous()
        data = bytes(_bytes(tensor, size)) if size else b""
        return _ENCODE(_Tensor(name, shape, memoryview(data)))

    def fill(room: memoryview) -> None:
        torch.frombuffer(room, dtype=torch.uint8).view(tensor.dtype).view(shape).copy_(tensor)

    source = _bytes(tensor, size) if tensor.is_contiguous() else None
    return _ENCODE(_Tensor(name, shape, packer.add(size, source, fill)))


def _bytes(tensor: Any, size: int) -> memoryview:
    """The memory of a contiguous tensor. It does not keep it alive: only for as long as the tensor is held."""
    view: memoryview = _view(tensor.data_ptr(), size, _PYBUF_READ)
    return view


def unpack(data: bytes | memoryview, bulk: memoryview | None) -> object:
    """The tensor that was described so, aligned to 64 bytes.

    Raises:
        ValueError, TypeError: The bytes describe none.
    """
    head = _DECODE(data)
    dtype = _DTYPES.get(head.dtype)
    if dtype is None:
        msg = f"{head.dtype[:40]!r} is no dtype of a tensor"
        raise ValueError(msg)
    if len(head.shape) > _DIMENSIONS or any(not 0 <= length < 1 << 63 for length in head.shape):
        msg = f"a tensor has {len(head.shape)} dimensions, such as {head.shape[:8]}"
        raise ValueError(msg)
    size = math.prod(head.shape) * dtype.itemsize
    start = 0
    if isinstance(head.data, int):
        room: bytearray | memoryview = part(_private(bulk), head.data, size)
    elif head.data.nbytes == size:
        room, start = aligned(head.data)
    else:
        msg = f"a tensor of {dtype} and shape {head.shape} has {head.data.nbytes} bytes instead of {size}"
        raise ValueError(msg)
    try:
        if not size:
            return torch.empty(head.shape, dtype=dtype)
        return (
            torch.frombuffer(room, dtype=torch.uint8, count=size, offset=start).view(dtype).view(head.shape)
        )
    except RuntimeError as error:
        msg = f"a tensor has the shape {head.shape}: {error}"
        raise ValueError(msg) from error


#: The bulk and its private mapping that were used last: tensors of one message share one.
_latest: tuple[weakref.ref[memoryview], weakref.ref[memoryview]] | None = None


def _private(bulk: memoryview | None) -> memoryview | None:
    """The bulk, mapped so that it can be written to and nobody sees it."""
    global _latest  # noqa: PLW0603 - a cache of one
    if bulk is None:
        return None
    latest = _latest
    mapped = latest[1]() if latest is not None and latest[0]() is bulk else None
    if mapped is None:
        mapped = bulk.obj.private()  # type: ignore[attr-defined] # what a bulk comes in has it
        _latest = weakref.ref(bulk), weakref.ref(mapped)
    return mapped


def convert(kind: Any, value: object) -> object:
    """A received value as a field of type `kind`; subclasses arrive as plain tensors.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, torch.Tensor):
        msg = f"it is a {type(value).__name__}, not a {kind.__name__}"
        raise TypeError(msg)
    return value
