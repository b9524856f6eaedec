"""How a handler's error travels: as a reply of a type of our own, which `request` raises as a `RemoteError`.

What an exception says of itself is a program's own code and may be anything: fail in turn, be endless, be no valid
Unicode. All of it is taken with care here, since an asker waits for it. This module is imported with the first request
or the first failure, not before: registering a class loads the encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipmb.errors import RemoteError
from ipmb.message_types import message_type

if TYPE_CHECKING:
    from ipmb._core import EndpointInfo

#: Characters of a text and of a traceback that travel: enough to read, and no weight for a ring.
TEXT: Final = 8_000
TRACEBACK: Final = 24_000


@message_type("8f1d4f0e-6d0a-4d55-9a3b-5a1c8b7e2d90")
@dataclass(frozen=True, slots=True)
class Failure:
    """An error on its way; the fields are those of `RemoteError`."""

    type: str
    text: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What there is to say of an exception."""
        return cls(_name(type(error)), _text(error), _traceback(error))

    def error(self, sender: EndpointInfo) -> RemoteError:
        """The error to raise where it was asked."""
        summary = f"{self.type}: {self.text}" if self.text else self.type
        error = RemoteError(summary, type=self.type, text=self.text, traceback=self.traceback, sender=sender)
        where = f"in the handler of {sender.label!r} (process {sender.pid})"
        error.add_note(f"\n{where}:\n{self.traceback.rstrip()}")
        return error


def _name(cls: type) -> str:
    return (
        cls.__qualname__
        if cls.__module__ in ("builtins", "__main__")
        else f"{cls.__module__}.{cls.__qualname__}"
    )


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as wrong:  # noqa: BLE001 # a program's own code, in the middle of an error
        text = f"<its str() raised {type(wrong).__name__}>"
    return _fit(text, TEXT)


def _traceback(error: BaseException) -> str:
    import traceback  # noqa: PLC0415 # only where something has failed

    try:
        lines = traceback.format_exception(error)
    except Exception as wrong:  # noqa: BLE001 # the same
        lines = [f"<its traceback raised {type(wrong).__name__}>\n"]
    return _fit("".join(lines), TRACEBACK)


def _fit(text: str, size: int) -> str:
    """Valid Unicode of a bounded length: the beginning and the end say most."""
    if len(text) > size:
        half = size // 2
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters ...\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode()
