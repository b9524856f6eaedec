"""Which payload types a receiver takes: `MessageBox(A, B, str)`, or a union, or one type."""

from __future__ import annotations

import sys
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, Union, get_args, get_origin, overload

from ipmb import _core
from ipmb.registrations import BY_CLASS, HINT, is_of_others, is_pythons_own

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import TypeForm
    from typing_extensions import TypeVar as _TypeVar

    _A = TypeVar("_A")
    _B = TypeVar("_B")
    _C = TypeVar("_C")
    _D = TypeVar("_D")
    _E = TypeVar("_E")
    _F = TypeVar("_F")
    _G = TypeVar("_G")
    _H = TypeVar("_H")
    _T_co = _TypeVar("_T_co", covariant=True, default=Any)
else:
    _T_co = TypeVar("_T_co", covariant=True)


class MessageBox(Generic[_T_co]):
    """The payload types that a receiver takes; for `join(..., payloads=...)`.

    The same as a union, for those who keep types in a list: `MessageBox(*types)`. Boxes of the same types are equal.
    Type checkers know the payload type of up to eight.

    Args:
        *types: Built-in payload types, classes registered with `message_type`, `None`, or unions of these; one or more.

    Attributes:
        types: The types, each once.

    Raises:
        TypeError: One is no type of a payload.

    Example:
        >>> import ipmb
        >>> box = ipmb.MessageBox(str, int)
        >>> with ipmb.join("com.example.box", "earth", payloads=box) as (sender, receiver):
        ...     sender.send("earth", b"skipped, since it is bytes")
        ...     sender.send("earth", "taken")
        ...     receiver.recv(timeout=5).payload
        1
        1
        'taken'
    """

    __slots__ = ("types",)

    types: tuple[Any, ...]

    @overload
    def __new__(cls, a: TypeForm[_A], /) -> MessageBox[_A]: ...
    @overload
    def __new__(cls, a: TypeForm[_A], b: TypeForm[_B], /) -> MessageBox[_A | _B]: ...
    @overload
    def __new__(cls, a: TypeForm[_A], b: TypeForm[_B], c: TypeForm[_C], /) -> MessageBox[_A | _B | _C]: ...
    @overload
    def __new__(
        cls, a: TypeForm[_A], b: TypeForm[_B], c: TypeForm[_C], d: TypeForm[_D], /
    ) -> MessageBox[_A | _B | _C | _D]: ...
    @overload
    def __new__(
        cls, a: TypeForm[_A], b: TypeForm[_B], c: TypeForm[_C], d: TypeForm[_D], e: TypeForm[_E], /
    ) -> MessageBox[_A | _B | _C | _D | _E]: ...
    @overload
    def __new__(
        cls,
        a: TypeForm[_A],
        b: TypeForm[_B],
        c: TypeForm[_C],
        d: TypeForm[_D],
        e: TypeForm[_E],
        f: TypeForm[_F],
        /,
    ) -> MessageBox[_A | _B | _C | _D | _E | _F]: ...
    @overload
    def __new__(
        cls,
        a: TypeForm[_A],
        b: TypeForm[_B],
        c: TypeForm[_C],
        d: TypeForm[_D],
        e: TypeForm[_E],
        f: TypeForm[_F],
        g: TypeForm[_G],
        /,
    ) -> MessageBox[_A | _B | _C | _D | _E | _F | _G]: ...
    @overload
    def __new__(
        cls,
        a: TypeForm[_A],
        b: TypeForm[_B],
        c: TypeForm[_C],
        d: TypeForm[_D],
        e: TypeForm[_E],
        f: TypeForm[_F],
        g: TypeForm[_G],
        h: TypeForm[_H],
        /,
    ) -> MessageBox[_A | _B | _C | _D | _E | _F | _G | _H]: ...
    @overload
    def __new__(cls, *types: Any) -> MessageBox[Any]: ...
    def __new__(cls, *types: Any) -> MessageBox[Any]:
        """Checks the types; see the class."""
        if not types:
            msg = "MessageBox is empty: give one type or more"
            raise TypeError(msg)
        self = super().__new__(cls)
        members = [member for one in types for member in _members(one)]
        for member in members:
            _number(member)  # before they are compared: what is no type may have no hash
        self.types = tuple(dict.fromkeys(members))
        return self

    def __eq__(self, other: object) -> bool:
        """Whether the other takes the same types."""
        return set(self.types) == set(other.types) if isinstance(other, MessageBox) else NotImplemented

    def __reduce__(self) -> tuple[Any, ...]:
        """The types, by their names: they are imported where it is unpickled."""
        return MessageBox, self.types

    def __hash__(self) -> int:
        return hash(frozenset(self.types))

    def __contains__(self, member: object) -> bool:
        return member in self.types

    def __repr__(self) -> str:
        return f"MessageBox({', '.join(getattr(one, '__qualname__', repr(one)) for one in self.types)})"


def accepted(payloads: Any) -> list[bytes]:
    """The UUIDs of the payload types in a box, a union, or of a single type.

    Raises:
        TypeError: One is no type of a payload.
    """
    return [_number(member) for member in _members(payloads)]


def _members(payloads: Any) -> Iterator[Any]:
    if isinstance(payloads, MessageBox):
        yield from payloads.types
    elif isinstance(payloads, UnionType) or get_origin(payloads) is Union:
        for member in get_args(payloads):
            yield from _members(member)
    elif type(payloads).__name__ == "TypeAliasType":  # `type Shape = Circle | Square`, Python 3.12
        yield from _members(payloads.__value__)
    else:
        yield NoneType if payloads is None else payloads


#: By module and name, since importing uuid and datetime would take a tenth of the time that `import ipmb` has.
_BUILTINS: Final = {
    ("builtins", "NoneType"): "None",
    ("builtins", "bool"): "bool",
    ("builtins", "int"): "int",
    ("builtins", "float"): "float",
    ("builtins", "str"): "str",
    ("builtins", "bytes"): "bytes",
    ("builtins", "list"): "list",
    ("builtins", "dict"): "dict",
    ("datetime", "datetime"): "datetime",
    ("uuid", "UUID"): "UUID",
    ("ipmb.values", "BytesMessage"): "BytesMessage",
    ("builtins", "memoryview"): "memoryview",
}

#: Classes of libraries that are payload types.
_LIBRARIES: Final = (
    ("numpy", "ndarray"),
    ("numpy", "generic"),
    ("pyarrow", "Table"),
    ("pyarrow", "RecordBatch"),
    ("torch", "Tensor"),
)


def _number(member: Any) -> bytes:
    """The UUID under which payloads of this type travel."""
    if isinstance(member, type) and get_origin(member) is None:
        registration = BY_CLASS.get(member)
        if registration is not None:
            registration.check()
            return registration.uuid.bytes
        name = _BUILTINS.get((member.__module__, member.__qualname__))
        if name is not None:
            return _core.BUILTIN_TYPES[name]
    # Parameters of array classes are for type checkers: numpy.ndarray[Any, ...].
    plain = get_origin(member) or member
    for library, one in _LIBRARIES:
        if library in sys.modules and plain is getattr(sys.modules[library], one, None):
            return _core.BUILTIN_TYPES[one]
    raise TypeError(_wrong(member))


def _wrong(member: Any) -> str:
    shown = member.__qualname__ if isinstance(member, type) and get_origin(member) is None else repr(member)
    start = f"payloads is or holds {shown}"
    return f"{start}{_instead(member)}"


def _instead(member: Any) -> str:
    plain = get_origin(member) or member
    text = f": {_GIVE}"
    if isinstance(member, (list, tuple, set, frozenset)):
        text = ": give MessageBox(*types), or types joined by |"
    elif not isinstance(plain, type) or plain is Any:
        pass
    elif plain in (list, dict):
        text = f": give {plain.__name__}, its members may be of any type"
    elif plain in BY_CLASS:
        text = f": give {plain.__qualname__}, its fields may be of any type"
    elif (parent := _library_class(plain)) is not None:
        text = f", which is no type of a payload by itself: give {parent}"
    elif not is_pythons_own(plain) and not is_of_others(plain):
        text = f", which is not registered: {HINT}"
    return text


def _library_class(cls: type) -> str | None:
    """As what values of a subclass of a library's class arrive."""
    for library, one in _LIBRARIES:
        if library in sys.modules and issubclass(cls, getattr(sys.modules[library], one, ())):
            # numpy's float64, str_ and bytes_ are Python's as well.
            python = next((base for base in (float, str, bytes) if issubclass(cls, base)), None)
            return f"{library}.{one}" if python is None else python.__name__
    return None


_GIVE: Final = (
    f"give one of {', '.join(_BUILTINS.values())}, a class of arrays, tables or tensors, or a registered class, or "
    "several joined by |, such as str | int"
)
