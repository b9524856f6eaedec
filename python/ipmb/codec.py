"""The half of encoding and decoding that is not native.

Values of built-in types are encoded natively; what is left comes here: objects with a buffer, and whatever cannot be
sent. Lists and dicts are decoded here, by msgspec, which checks what it reads and bounds its recursion.
"""

from __future__ import annotations

import builtins
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, get_args
from uuid import UUID

import msgspec

from ipmb import _core
from ipmb.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BUILTINS: Final[Mapping[str, UUID]] = {name: UUID(bytes=raw) for name, raw in _core.BUILTIN_TYPES.items()}
"""The UUID under which each built-in type travels, by the type's name."""

_BYTES: Final = _core.BUILTIN_TYPES["bytes"]


def _no_extension(code: int, data: memoryview) -> object:
    msg = f"extension {code} of {len(data)} bytes is no built-in payload"
    raise ValueError(msg)


_DECODERS: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "list": msgspec.msgpack.Decoder(list, ext_hook=_no_extension).decode,
    "dict": msgspec.msgpack.Decoder(dict, ext_hook=_no_extension).decode,
}


def accepted(payloads: type | UnionType | None) -> list[bytes]:
    """The UUIDs of the payload types in a union such as `str | bytes`.

    Raises:
        TypeError: A member of the union is no payload type.
    """
    members = get_args(payloads) if isinstance(payloads, UnionType) else (payloads,)
    ids = []
    for member in members:
        name = "None" if member is None or member is NoneType else getattr(member, "__name__", "")
        if name not in BUILTINS or (name != "None" and getattr(builtins, name) is not member):
            msg = (
                f"payloads is or holds {member!r}: give one of {', '.join(BUILTINS)}, or several joined by |, "
                "such as str | int"
            )
            raise TypeError(msg)
        ids.append(BUILTINS[name].bytes)
    return ids


def encode(payload: object) -> tuple[bytes, bytes]:
    """The UUID and the bytes of a payload that native code does not know.

    Raises:
        TypeError: It cannot be sent; the message names its type.
    """
    data = buffer(payload)
    if data is None:
        name = type(payload).__name__
        article = "an" if name[:1].lower() in "aeiou" else "a"
        msg = (
            f"payload is {article} {name}: give None, bool, int, float, str, bytes or a buffer, "
            "or lists and dicts of these"
        )
        raise TypeError(msg)
    return _BYTES, data


def buffer(value: object) -> bytes | None:
    """The bytes of any object with a contiguous buffer, in logical order; None when it has no buffer.

    Raises:
        TypeError: Its buffer is not contiguous: which bytes are meant is for the caller to say.
    """
    try:
        view = memoryview(value)  # type: ignore[arg-type] # asking is the way to find out
    except TypeError:
        return None
    with view:
        if not view.contiguous:
            msg = f"payload is a {type(value).__name__} that is not contiguous: give a contiguous copy"
            raise TypeError(msg)
        return view.tobytes()


def decode(kind: str, data: bytes) -> Any:
    """The list or dict in `data`.

    Raises:
        DecodeError: The bytes are no such thing.
    """
    try:
        return _DECODERS[kind](data)
    except (msgspec.DecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
        # Text that is no UTF-8, a key that cannot be hashed, a nesting beyond the interpreter's.
        msg = f"a message of {len(data)} bytes is no {kind}: {error}"
        raise DecodeError(msg) from error
