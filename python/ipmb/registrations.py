"""The classes that this process has given a UUID: what `message_type` writes, and who encodes and decodes reads.

The native module has the same in tables of its own, for the path of a message; these are for everything beside it.
"""

from __future__ import annotations

import builtins
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


def missing(cls: type) -> str:
    """Why an object of a class that is not registered cannot be sent, and what to do."""
    base = next((base for base in cls.__mro__[1:] if base in BY_CLASS), None)
    if base is not None:
        return (
            f"its base {base.__qualname__} is registered, {cls.__module__}.{cls.__qualname__} is not: "
            "put @ipmb.message_type(uuid) with a UUID of its own over it"
        )
    plain = "give None, bool, int, float, str, bytes or a buffer, or lists and dicts of these"
    if is_pythons_own(cls):
        return plain
    return f"{cls.__module__}.{cls.__qualname__} is not registered: {HINT}, or {plain}"
