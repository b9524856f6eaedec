"""The classes that this process has given a UUID: what `message_type` writes, and who encodes and decodes reads.

The native module has the same in tables of its own, for the path of a message; these are for everything beside it.
"""

from __future__ import annotations

import builtins
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Registration:
    """What was said of one class.

    Attributes:
        cls: The class.
        uuid: What its objects travel under.
        codec: How they are encoded.
        check: Makes sure that its fields are known and can travel, which takes until names of later classes exist.
            TypeError: they are not.
    """

    cls: type
    uuid: UUID
    codec: Literal["msgpack", "pickle"]
    check: Callable[[], None]


BY_CLASS: Final[dict[type, Registration]] = {}
BY_UUID: Final[dict[bytes, Registration]] = {}

HINT: Final = "put @ipmb.message_type(uuid) over the class (a dataclass, attrs class, msgspec.Struct or Enum)"


def kind(cls: type) -> Literal["dataclass", "attrs", "Struct", "Enum"] | None:
    """Which of the four kinds of classes that can be registered this is; None when it is none."""
    # Nothing is imported to find out: a class of these kinds has its marks.
    if any(base.__module__ == "enum" and base.__name__ == "Enum" for base in cls.__mro__):
        return "Enum"
    if hasattr(cls, "__struct_fields__"):
        return "Struct"
    if "__attrs_attrs__" in vars(cls):
        return "attrs"
    if "__dataclass_fields__" in vars(cls):
        return "dataclass"
    return None


def is_pythons_own(cls: type) -> bool:
    """Whether the class is one of Python's built-in ones; not all that say so by their module are."""
    return vars(builtins).get(cls.__name__) is cls


def a_type(cls: type) -> str:
    """Its name with the article, for the texts of errors."""
    name = cls.__name__
    return f"{'an' if name[:1].lower() in {*'aeiou'} else 'a'} {name}"


PLAIN: Final = (
    "give None, bool, int, float, str, bytes or another buffer, datetime, UUID, BytesMessage, an array, table or "
    "tensor, an object of a registered class, or lists and dicts of these"
)

#: What msgspec knows and a payload by itself is not: a field that says so keeps the type.
_IN_FIELDS: Final = {
    ("datetime", "date"): "its isoformat()",
    ("datetime", "time"): "its isoformat()",
    ("datetime", "timedelta"): "its total_seconds()",
    ("decimal", "Decimal"): "a str of it",
}

_OF_IPMB: Final = {
    "Object": "send it as objects=[it]",
    "Message": "give its payload, or send the Message alone, as send(message)",
    "MemoryRegistry": "send a region of it, as memory_regions=[region]",
}


def missing(cls: type) -> str:
    """Why an object of a class that is not registered cannot be sent, and what to do."""
    base = next((base for base in cls.__mro__[1:] if base in BY_CLASS), None)
    if base is not None:
        return (
            f"its base {base.__qualname__} is registered, {cls.__module__}.{cls.__qualname__} is not: "
            "put @ipmb.message_type(uuid) with a UUID of its own over it"
        )
    instead = _instead(cls)
    if instead is not None:
        return instead
    if is_pythons_own(cls):
        return PLAIN
    if is_of_others(cls):
        return f"convert it: {PLAIN}"
    return f"{cls.__module__}.{cls.__qualname__} is not registered: {HINT}, or {PLAIN}"


def _instead(cls: type) -> str | None:
    """What to do with a value that has a form of its own to travel in."""
    if cls.__module__ == "ipmb" and cls.__name__ in _OF_IPMB:
        return _OF_IPMB[cls.__name__]
    if issubclass(cls, (tuple, set, frozenset)):
        return "give a list, or put it in a field of a registered class that is declared so"
    for parent in cls.__mro__:
        other = _IN_FIELDS.get((parent.__module__, parent.__name__))
        if other is not None:
            return f"give {other}, or put it in a field of a registered class that is declared so"
    return None


#: Py_TPFLAGS_HEAPTYPE: a class that was made while running, as every `class` statement does.
_HEAP_TYPE: Final = 1 << 9


def is_of_others(cls: type) -> bool:
    """Whether nobody could put a decorator over the class: it is of the standard library, ours, or an installed one."""
    top = cls.__module__.partition(".")[0]
    if top == "builtins":
        # Also what was defined where there is no `__name__`, as `exec` does it.
        return not cls.__flags__ & _HEAP_TYPE
    if top in sys.stdlib_module_names or top == "ipmb":
        return True
    # One that was installed may still be a program's own; over a dataclass it would make sense.
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return kind(cls) is None and ("site-packages" in file or "dist-packages" in file)
