"""What may stand inside a list, a dict or a field though MessagePack has no type for it.

Such a value is a MessagePack extension: a code and bytes. This is the table of the codes:

    1 UUID           its 16 bytes
    2 datetime       ISO 8601, as `isoformat` writes it
    3 BytesMessage   the format (2 bytes, little endian), the data
    4..10            arrays, tables, tensors and large buffers: see `ipmb.buffers`
    11               an object of a registered class: the UUID of the class (16 bytes), the object's MessagePack
"""

from __future__ import annotations

import struct
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from ipmb import _core, buffers
from ipmb.places import refused
from ipmb.registrations import BY_CLASS, BY_UUID, Registration, a_type, missing
from ipmb.values import BytesMessage

if TYPE_CHECKING:
    from collections.abc import Callable

_UUID: Final = 1
_DATETIME: Final = 2
_BYTES_MESSAGE: Final = 3
_REGISTERED: Final = 11

_FORMAT: Final = struct.Struct("<H")

#: Bytes of the widest number that Python's own hold exactly.
_DOUBLE: Final = 8


class NeedsPacking(Exception):
    """A field holds what only a `Packing` can encode."""


def needs_packing(value: object) -> Any:  # noqa: ARG001 # what msgspec calls
    """For encoders that are made once: says that this payload needs one of its own."""
    raise NeedsPacking


class Packing:
    """Encodes what MessagePack has no type for; one for each payload, since it collects the large buffers in it."""

    __slots__ = ("_packer", "encode_part")

    def __init__(self) -> None:
        self._packer = buffers.Packer()
        self.encode_part: Callable[[Any], bytes] = msgspec.msgpack.Encoder(enc_hook=self.field).encode

    def pack(self, value: object) -> tuple[int, bytes] | bytes | str:
        """Encodes a value inside a list or dict.

        Returns:
            The code and the bytes of an extension; or bytes, for which it goes; or, when it cannot be sent, why.
        """
        kind = type(value)
        packed: tuple[int, bytes] | bytes | str | None = None
        if kind in BY_CLASS:
            packed = self._registered(value, BY_CLASS[kind])
        elif isinstance(value, UUID):
            packed = _UUID, value.bytes
        elif isinstance(value, datetime):
            packed = _DATETIME, pack_datetime(value)
        elif isinstance(value, BytesMessage):
            packed = _BYTES_MESSAGE, pack_bytes_message(value)
        elif buffers.handles(kind):
            packed = self._packer.pack(value)
        else:
            data = buffer(value)
            if data is not None:
                packed = data.tobytes() if data.nbytes < _core.VIEW_BYTES else self._packer.pack(value)
        return missing(kind) if packed is None else packed

    def _registered(self, value: object, registration: Registration) -> tuple[int, bytes] | str:
        if registration.codec != "msgpack":
            return (
                f"{registration.cls.__qualname__} is pickled, and that only by itself: send it as the payload"
            )
        return _REGISTERED, registration.uuid.bytes + self.encode(value)

    def encode(self, value: object) -> bytes:
        """Encodes an object of a registered class.

        Raises:
            TypeError, ValueError: A field has something in it that cannot be sent.
        """
        try:
            return self.encode_part(value)
        except Exception as error:
            raise refused(value, error, self.encode_part) from error

    def field(self, value: object) -> object:
        """Encodes a value in a field: what msgspec calls for what it does not know."""
        if type(value) not in BY_CLASS:
            plain = _plain(value)
            if plain is not None:
                return plain
        packed = self.pack(value)
        if isinstance(packed, str):
            msg = f"payload is {a_type(type(value))}: {packed}"
            raise TypeError(msg)
        return packed if isinstance(packed, bytes) else msgspec.msgpack.Ext(*packed)

    def finish(self, head: bytes) -> bytes | tuple[bytes, _core.Bulk, int, int]:
        """What to send, when `head` is all of the MessagePack: the head, and the bulk if there is one."""
        return self._packer.finish(head)


def _plain(value: object) -> object:
    """A value of a subclass as the plain type, and a number of numpy as Python's; None for everything else.

    So it fits a field declared `int`, `float`, `str` or `bytes`. A field that is declared a class of numpy makes one of
    it again, exactly: Python's numbers are at least as wide.
    """
    # By the plain types' own methods: a subclass may have others.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes.__getitem__(value, slice(None))
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, int):
        return int.__int__(value)
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.generic):
        return None
    scalar: Any = value
    dtype = scalar.dtype
    return scalar.item() if dtype.kind in "biuf" and dtype.itemsize <= _DOUBLE else None


def unpack(code: int, data: memoryview, bulk: memoryview | None = None) -> Any:
    """The value that was packed so.

    Raises:
        ValueError: The bytes are no such value.
    """
    match code:
        case 1:
            return UUID(bytes=bytes(data))
        case 2:
            return datetime.fromisoformat(str(data, "utf-8"))
        case 3:
            return _unpack_bytes_message(data)
        case 11:
            return _unpack_registered(bytes(data), bulk)
        case _:
            return buffers.unpack(code, data, bulk)


def _unpack_registered(data: bytes, bulk: memoryview | None) -> Any:
    registration = BY_UUID.get(data[:16])
    # What is pickled runs code: it comes by itself only, where the receiver may refuse it by `payloads`.
    if registration is None or registration.codec != "msgpack":
        msg = f"it holds an object of the type {data[:16].hex()}, which this process does not know"
        raise ValueError(msg)
    return decoder(registration.cls, bulk).decode(data[16:])


def decoder(cls: Any, bulk: memoryview | None = None) -> msgspec.msgpack.Decoder[Any]:
    """Decodes a class whose extensions are in this bulk."""
    if bulk is None:
        return msgspec.msgpack.Decoder(cls, ext_hook=unpack, dec_hook=unpack_field)

    def hook(code: int, data: memoryview) -> Any:
        return unpack(code, data, bulk)

    return msgspec.msgpack.Decoder(cls, ext_hook=hook, dec_hook=unpack_field)


def unpack_field(kind: Any, value: object) -> Any:
    """A received value as the type of a field that msgspec does not know."""
    if kind is object:
        return value
    return buffers.convert(kind, value)


def pack_datetime(value: datetime) -> bytes:
    """The bytes of a point in time.

    Raises:
        TypeError: A subclass that holds more than a datetime does, and would not arrive equal.
    """
    text = datetime.isoformat(value)
    if type(value) is not datetime and datetime.fromisoformat(text) != value:
        msg = f"payload is {a_type(type(value))} that no datetime equals: give a datetime"
        raise TypeError(msg)
    return text.encode()


def pack_bytes_message(value: BytesMessage) -> bytes:
    """The bytes of a `BytesMessage`."""
    return _FORMAT.pack(value.format) + value.data


def _unpack_bytes_message(data: memoryview) -> BytesMessage:
    if len(data) < _FORMAT.size:
        msg = f"{len(data)} bytes hold no format"
        raise ValueError(msg)
    return BytesMessage(_FORMAT.unpack_from(data)[0], data[_FORMAT.size :])


def buffer(value: object) -> memoryview | None:
    """A view of any object with a contiguous buffer; None when it has no buffer.

    Raises:
        TypeError: Its buffer is not contiguous: which bytes are meant is for the caller to say.
        ValueError: It is closed.
    """
    try:
        view = memoryview(value)  # type: ignore[arg-type] # asking is the way to find out
    except TypeError:
        return None
    except ValueError as error:
        msg = f"payload is {a_type(type(value))} that cannot be read: {error}"
        raise ValueError(msg) from error
    if not view.contiguous:
        msg = f"payload is {a_type(type(value))} that is not contiguous: give a contiguous copy"
        raise TypeError(msg)
    return view
