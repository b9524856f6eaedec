"""`message_type`: gives a class the UUID under which its objects travel.

Whatever can be known is said at the class, not at the first message: a UUID that is none or taken, a class of the wrong
kind, a field that cannot travel. A field whose type names a class that comes later cannot be checked there; that
happens when the class is first named in `join` or first received.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_origin

from ipmb import _core, loading
from ipmb.registrations import BY_CLASS, BY_UUID, Registration, a_type, is_pythons_own, kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

_C = TypeVar("_C", bound=type)

#: The UUIDs of the built-in types begin with this.
_RESERVED: Final = bytes.fromhex("69706d62000080008000")

_lock = threading.Lock()


def message_type(uuid: str | UUID, *, codec: Literal["msgpack", "pickle"] = "msgpack") -> Callable[[_C], _C]:
    """Makes objects of a class sendable: a decorator for dataclasses, attrs classes, `msgspec.Struct` and `Enum`.

    The UUID is the type on the wire: the receiver needs a class with the same UUID, whatever its name and module, and
    fields that fit (docs/payloads.md tells what may change). It goes above `@dataclass` or `@attrs.define`.

    Args:
        uuid: A UUID, as a string or `uuid.UUID`, that no other class has; `uuid.uuid4()` makes one. Those of the
            built-in types are taken.
        codec: "msgpack" is typed and safe. With "pickle" any class can be sent, but whoever is on the bus can make a
            receiver that takes this type run any code: only for buses on which everybody may do that anyway.

    Returns:
        A decorator that returns the class as it is.

    Raises:
        TypeError: The class is none of the four kinds, or has a field that cannot travel; an argument is of the wrong
            type.
        ValueError: The UUID is malformed, that of a built-in type, or another class has it; the class has another UUID.
            A class at the top of a module may be defined again under its name, as `importlib.reload` does: the last one
            is received, objects of those before can still be sent.

    Example:
        >>> from dataclasses import dataclass
        >>> import ipmb
        >>> @ipmb.message_type("0d7a3c1e-5b52-4d8e-9c0b-6a3f1f7f2f10")
        ... @dataclass
        ... class Position:
        ...     x: float
        ...     y: float = 0.0
        >>> with ipmb.join("com.example.position", "earth", payloads=Position) as (sender, receiver):
        ...     sender.send("earth", Position(1.5))
        ...     receiver.recv(timeout=5).payload
        1
        Position(x=1.5, y=0.0)
    """
    number = _parse(uuid)
    if codec not in ("msgpack", "pickle"):
        msg = f'codec is {codec!r}: give "msgpack" or "pickle"'
        raise ValueError(msg)

    def decorate(cls: _C) -> _C:
        _check_class(cls, codec)
        encode, decode, check = _pickled(cls) if codec == "pickle" else _packed(cls, number)
        with _lock:
            _check_taken(cls, number)
            registration = Registration(cls, number, codec, check)
            _core.register(cls, number.bytes, encode, decode)
            BY_CLASS[cls] = BY_UUID[number.bytes] = registration
        return cls

    return decorate


def _parse(uuid: object) -> UUID:
    from uuid import UUID  # noqa: PLC0415 # a tenth of the time of `import ipmb`

    if isinstance(uuid, type):
        msg = f"uuid is the class {uuid.__qualname__}: write @ipmb.message_type(uuid) over it, with a UUID of its own"
        raise TypeError(msg)
    if not isinstance(uuid, (str, UUID)):
        msg = f"uuid is {a_type(type(uuid))}: give a str or a uuid.UUID"
        raise TypeError(msg)
    try:
        number = uuid if isinstance(uuid, UUID) else UUID(uuid)
    except ValueError:
        msg = f"uuid is {uuid!r}: give 32 hexadecimal digits such as '0d7a3c1e-5b52-4d8e-9c0b-6a3f1f7f2f10'"
        raise ValueError(msg) from None
    if number.bytes.startswith(_RESERVED):
        msg = f"uuid is {number}: those that begin with 69706d62-0000-8000-8000 are for built-in types"
        raise ValueError(msg)
    return number


def _check_class(cls: object, codec: str) -> None:
    if not isinstance(cls, type):
        msg = f"@ipmb.message_type is over {a_type(type(cls))}: put it over a class"
        raise TypeError(msg)
    if is_pythons_own(cls):
        msg = f"@ipmb.message_type is over {cls.__qualname__}, which is Python's own: derive a class from it"
        raise TypeError(msg)
    if codec == "msgpack" and kind(cls) is None:
        msg = (
            f"{cls.__qualname__} is no dataclass, attrs class, msgspec.Struct or Enum: make it one, "
            "with @ipmb.message_type(uuid) above @dataclass or @attrs.define"
        )
        raise TypeError(msg)


def _check_taken(cls: type, number: UUID) -> None:
    known = BY_CLASS.get(cls)
    if known is not None and (known.uuid != number or BY_UUID[number.bytes].cls is not cls):
        msg = f"{cls.__qualname__} is registered already, with uuid {known.uuid}"
        raise ValueError(msg)
    other = BY_UUID.get(number.bytes)
    if other is None or other.cls is cls:
        return
    # A module that is loaded again defines its classes again. Two local classes of one name are two classes.
    again = (cls.__module__, cls.__qualname__) == (other.cls.__module__, other.cls.__qualname__)
    if not again or "<locals>" in cls.__qualname__:
        msg = (
            f"uuid is {number}, which {other.cls.__module__}.{other.cls.__qualname__} has: "
            f"give {cls.__module__}.{cls.__qualname__} one of its own"
        )
        raise ValueError(msg)


_Codec = tuple["Callable[[Any], bytes]", "Callable[[bytes], Any]", "Callable[[], None]"]


def _pickled(cls: type) -> _Codec:
    import pickle  # noqa: PLC0415 # only for those who ask for it

    def decode(data: bytes) -> Any:
        value = pickle.loads(data)  # noqa: S301 # what was asked for by name
        if type(value) is not cls:
            msg = f"it is {a_type(type(value))}"
            raise TypeError(msg)
        return value

    return partial(pickle.dumps, protocol=5), decode, lambda: None


def _packed(cls: type, number: UUID) -> _Codec:
    loading.load()
    import msgspec  # noqa: PLC0415 # loaded with the first class that is registered

    from ipmb.extensions import decoder, needs_packing  # noqa: PLC0415

    encode = msgspec.msgpack.Encoder(enc_hook=needs_packing).encode

    def check() -> None:
        try:
            _check_fields(cls)
        except NameError as error:
            msg = f"{cls.__qualname__} has a field of an unknown type: {error}"
            raise TypeError(msg) from error

    def decode_first(data: bytes) -> Any:
        """Until the types of all fields are known, which then makes the real one."""
        check()
        decode = decoder(cls).decode
        if BY_UUID[number.bytes].cls is cls:
            _core.register(cls, number.bytes, encode, decode)
        return decode(data)

    try:
        _check_fields(cls)
    except NameError:
        return encode, decode_first, check
    return encode, decoder(cls).decode, lambda: None


def _check_fields(cls: type) -> None:
    """Looks whether all that the class holds can travel.

    Raises:
        TypeError: It cannot.
        NameError: The type of a field is not there yet.
    """
    import msgspec  # noqa: PLC0415
    from msgspec import inspect  # noqa: PLC0415

    from ipmb import buffers  # noqa: PLC0415

    if kind(cls) == "attrs":
        for name in (one.name for one in cls.__attrs_attrs__):  # type: ignore[attr-defined] # that is what marks them
            if name.startswith("_"):
                msg = f"{cls.__qualname__}.{name} would not travel: attrs keeps names with an underscore to itself"
                raise TypeError(msg)
    try:
        described = inspect.type_info(cls)
        msgspec.msgpack.Decoder(cls)
    except TypeError as error:
        msg = f"{cls.__qualname__} cannot travel: {error}"
        raise TypeError(msg) from error
    for place, unknown in _unknown(described, cls.__qualname__, set()):
        if unknown is not object and not buffers.handles(unknown):
            name = a_type(unknown) if isinstance(unknown, type) else repr(unknown)
            msg = (
                f"{place} is {name}, which cannot travel: give a type that msgspec knows, a class of such fields, "
                "or an array, table or tensor"
            )
            raise TypeError(msg)
        if buffers.is_abstract(unknown):
            msg = f"{place} is {a_type(get_origin(unknown) or unknown)}, which no value is: give one such as float64"
            raise TypeError(msg)


def _unknown(described: Any, place: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Whatever msgspec leaves to others among the types in a type, with its place."""
    if id(described) in seen:
        return
    seen.add(id(described))
    if type(described).__name__ == "CustomType":
        yield place, described.cls
    for field in getattr(described, "fields", ()):
        yield from _unknown(field.type, f"{place}.{field.name}", seen)
    for name in ("item_type", "key_type", "value_type"):
        yield from _unknown(getattr(described, name, None), place, seen)
    for name in ("types", "item_types"):
        for inner in getattr(described, name, ()):
            yield from _unknown(inner, place, seen)
