"""The half of encoding and decoding that is not native.

Native code encodes the frequent built-in types, and calls the encoder and decoder of a registered class itself. What
comes here: arrays, large buffers, times, what cannot be sent, and the bytes of lists and dicts, which msgspec decodes:
it checks what it reads and bounds its recursion. Native code makes a `DecodeError` of whatever decoding raises.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from ipmb import _core, buffers
from ipmb.extensions import (
    NeedsPacking,
    Packing,
    buffer,
    decoder,
    pack_bytes_message,
    pack_datetime,
)
from ipmb.places import refused
from ipmb.registrations import BY_CLASS, BY_UUID, Registration, a_type, missing
from ipmb.values import BytesMessage

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What follows the UUID: all bytes; or the head, and a block of shared memory with offset and length of the bulk in it.
Parts = bytes | tuple[bytes, _core.Bulk, int, int]

BUILTINS: Final[Mapping[str, UUID]] = {name: UUID(bytes=raw) for name, raw in _core.BUILTIN_TYPES.items()}
"""The UUID under which each built-in type travels, by the type's name."""

_NAMES: Final[Mapping[bytes, str]] = {raw: name for name, raw in _core.BUILTIN_TYPES.items()}

_LIST: Final = decoder(list)
_DICT: Final = decoder(dict)
_EXTENSION: Final = msgspec.msgpack.Decoder(msgspec.msgpack.Ext)


def encode(payload: object) -> tuple[bytes, Parts]:
    """The UUID and the bytes of a payload that native code does not know.

    Raises:
        TypeError: It cannot be sent; the message names its type.
    """
    alone = buffers.ALONE_BY_CLASS.get(type(payload))
    if alone is not None and (parts := alone(payload)) is not None:
        return _core.BUILTIN_TYPES["ndarray"], parts
    if isinstance(payload, UUID):
        return _core.BUILTIN_TYPES["UUID"], payload.bytes
    if isinstance(payload, datetime):
        return _core.BUILTIN_TYPES["datetime"], pack_datetime(payload)
    if isinstance(payload, BytesMessage):
        return _core.BUILTIN_TYPES["BytesMessage"], pack_bytes_message(payload)
    if buffers.handles(type(payload)):
        return _library_value(payload)
    view = buffer(payload)
    if view is None:
        msg = f"payload is {a_type(type(payload))}: {missing(type(payload))}"
        raise TypeError(msg)
    # Let go also when it cannot be sent: an error keeps the frames that it came through, and what they look at.
    with view:
        return _buffer(view)


def _library_value(payload: object) -> tuple[bytes, Parts]:
    packer = buffers.Packer()
    packed = packer.pack(payload)
    assert packed is not None
    head = msgspec.msgpack.encode(msgspec.msgpack.Ext(*packed))
    name = buffers.builtin(type(payload))
    assert name is not None
    return _core.BUILTIN_TYPES[name], packer.finish(head)


def _buffer(view: memoryview) -> tuple[bytes, Parts]:
    size = view.nbytes
    if size < _core.VIEW_BYTES:
        return _core.BUILTIN_TYPES["bytes"], view.tobytes()
    # Of another order than C's: its bytes in logical order are others than in memory.
    source = view if view.c_contiguous else view.tobytes()
    bulk = _core.find(source)
    if bulk is None:
        bulk = _core.alloc(size)
        bulk.write(0, source)
    return _core.BUILTIN_TYPES["memoryview"], (b"", bulk, 0, size)


def encode_again(payload: object, error: BaseException) -> Parts:
    """Encodes an object of a registered class that its encoder did not take.

    Raises:
        TypeError, ValueError: It cannot be sent; the message says which value of it.
    """
    if isinstance(error, NeedsPacking):
        packing = Packing()
        return packing.finish(packing.encode(payload))
    if not isinstance(error, Exception):
        raise error
    if BY_CLASS[type(payload)].codec == "pickle":
        # pickle has several errors for what it cannot do.
        unfit = ValueError if isinstance(error, (ValueError, RecursionError)) else TypeError
        msg = f"payload is {a_type(type(payload))} that cannot be sent: {error}"
        raise unfit(msg) from error
    raise refused(payload, error, Packing().encode_part) from error


def decode(kind: bytes, head: bytes, bulk: memoryview | None) -> Any:
    """The payload that travelled under the UUID `kind`.

    Args:
        kind: The UUID; not that of a flat type, nor of a registered one unless there is a bulk.
        head: The bytes in the record.
        bulk: What came beside them, read-only. The payload may view it.

    Raises:
        Exception: The bytes are no such thing.
    """
    name = _NAMES.get(kind)
    if bulk is not None:
        if name == "memoryview":
            return bulk
        alone = buffers.ALONE_BY_NAME.get(name or "")
        if alone is not None and (array := alone(head, bulk)) is not None:
            return array
        head = buffers.locate(head, bulk)
    value: Any
    match name:
        case "list":
            value = (_LIST if bulk is None else decoder(list, bulk)).decode(head)
        case "dict":
            value = (_DICT if bulk is None else decoder(dict, bulk)).decode(head)
        case "datetime":
            value = datetime.fromisoformat(head.decode())
        case "UUID":
            value = UUID(bytes=head)
        case None:
            value = _registered(BY_UUID[kind], head, bulk)
        case _:
            extension = _EXTENSION.decode(head)
            value = buffers.unpack(extension.code, memoryview(extension.data), bulk)
            if buffers.builtin(type(value)) != name:
                msg = f"it is {a_type(type(value))}"
                raise ValueError(msg)
    return value


def _registered(registration: Registration, head: bytes, bulk: memoryview | None) -> Any:
    if registration.codec != "msgpack":
        msg = "what is pickled comes without a bulk"
        raise ValueError(msg)
    return decoder(registration.cls, bulk).decode(head)
