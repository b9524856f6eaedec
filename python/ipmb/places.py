"""Says which value inside an object of a registered class cannot be sent, and where in it that is.

The encoder of such objects says only what is wrong. So when it fails, the values inside are tried one by one, from the
outside in. That takes its time, which only who is shown the error waits for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipmb.registrations import a_type, kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What an encoder raises for a value that it does not take; all else is the fault of a program's own code.
_UNFIT: Final = (TypeError, ValueError, OverflowError, BufferError)

_SHOWN: Final = 40


def refused(value: object, error: Exception, encode: Callable[[Any], object]) -> Exception:
    """What to raise when an object of a registered class could not be encoded.

    Args:
        value: The object.
        error: What its encoder raised.
        encode: That encoder.

    Returns:
        A TypeError or ValueError that begins with "payload", then the place; or `error` itself.
    """
    if isinstance(error, RecursionError):
        return ValueError(
            f"payload is {a_type(type(value))} that is nested too deep: "
            "flatten it, and look for a list that holds itself"
        )
    if not isinstance(error, _UNFIT):
        return error
    place, inner, found = _find("payload", value, error, encode)
    text = str(found)
    is_value = isinstance(found, (ValueError, OverflowError))
    if text.startswith("payload "):
        text = text.removeprefix("payload")
    elif isinstance(inner, int) and isinstance(found, OverflowError):
        text = " is an int out of range: give -2**63 to 2**64-1"
    elif isinstance(inner, str) and isinstance(found, UnicodeEncodeError):
        text = " is a str with half a surrogate pair: give valid Unicode"
    elif isinstance(found, BufferError):
        text = f" is {a_type(type(inner))} that is not contiguous: give a contiguous copy"
    else:
        text = f" is {a_type(type(inner))} that cannot be sent: {text}"
    return (ValueError if is_value else TypeError)(place + text)


def _find(
    place: str, value: object, error: Exception, encode: Callable[[Any], object]
) -> tuple[str, object, Exception]:
    """The innermost value that cannot be encoded, with its place and its own error."""
    for step, inner in _inside(value):
        try:
            encode(inner)
        except _UNFIT as wrong:
            return _find(place + step, inner, wrong, encode)
    return place, value, error


def _inside(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in list(value.items()):
            shown = _short(key)
            yield f"[{shown}]", key
            yield f"[{shown}]", item
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{number}]", item) for number, item in enumerate(list(value)))
    elif isinstance(value, (set, frozenset)):
        # Its members have no numbers.
        yield from (("[...]", item) for item in list(value))
    else:
        for name in _fields(type(value)):
            try:
                item = getattr(value, name)
            except AttributeError:
                continue
            yield f".{name}", item


def _fields(cls: type) -> list[str]:
    match kind(cls):
        case "Struct":
            return list(cls.__struct_fields__)  # type: ignore[attr-defined] # its marks; see `kind`
        case "attrs":
            return [one.name for one in cls.__attrs_attrs__]  # type: ignore[attr-defined]
        case "dataclass":
            return list(cls.__dataclass_fields__)  # type: ignore[attr-defined]
        case _:
            return []


def _short(key: object) -> str:
    try:
        text = repr(key)
    except Exception:  # noqa: BLE001 # a program's own; the error that is being told is another
        text = "?"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
