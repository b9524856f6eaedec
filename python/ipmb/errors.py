"""Every exception the bus raises, defined once; the native module looks them up here.

Bad arguments are plain ValueError and TypeError: they are a mistake in the program, not an event on the bus.

    IpmbError
     ├── JoinError                 join did not get onto the bus
     │    ├── VersionMismatch      the bus speaks another protocol version
     │    ├── TokenMismatch        the token is not the bus's
     │    ├── PermissionDenied     the bus belongs to another user         (also PermissionError)
     │    └── JoinTimeout          nobody answered in time                 (also TimeoutError)
     ├── SendError                 the message was not sent, or not to all
     │    ├── NoRoute              nobody matches
     │    ├── Full                 no room, and waiting was not asked for or cannot help
     │    ├── TooLarge             the payload is over the maximum, or over what can wait (ttl)
     │    └── SendTimeout          no room in time; `.delivered` have it   (also TimeoutError)
     ├── RecvError                 no message came
     │    ├── DecodeError          one did, but its bytes are not what its type says
     │    ├── RecvTimeout          nothing arrived in time                 (also TimeoutError)
     │    └── TooManyOpenFiles     one waits, but its descriptors do not fit in this process
     ├── PeerLost                  who was asked is gone, and the reply will not come
     ├── RemoteError               whoever was asked failed; its error, carried back
     ├── Closed                    we closed it: this half, or its endpoint
     └── Forked                    this handle belongs to the parent process
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipmb._core import EndpointInfo

__all__ = [
    "Closed",
    "DecodeError",
    "Forked",
    "Full",
    "IpmbError",
    "JoinError",
    "JoinTimeout",
    "NoRoute",
    "PeerLost",
    "PermissionDenied",
    "RecvError",
    "RecvTimeout",
    "RemoteError",
    "SendError",
    "SendTimeout",
    "TokenMismatch",
    "TooLarge",
    "TooManyOpenFiles",
    "VersionMismatch",
]


class IpmbError(Exception):
    """Base of everything the bus raises; catch this to catch it all."""


class JoinError(IpmbError):
    """`join` did not get onto the bus. Nothing is left behind; it may be tried again."""


class VersionMismatch(JoinError):
    """The bus speaks another protocol version: one side has to be upgraded."""


class TokenMismatch(JoinError):
    """The token is not the bus's, or was given where the bus has none."""


class PermissionDenied(JoinError, PermissionError):
    """The bus, or the name it would have, belongs to another user."""


class JoinTimeout(JoinError, TimeoutError):
    """Nobody admitted us in time: no bus yet, or one whose controller is stopped."""


class SendError(IpmbError):
    """The message was not sent, or not to everybody it was for.

    Attributes:
        delivered: How many copies are out all the same: more than 0 only for a multicast, and for `send_many`.
    """

    delivered: int

    def __init__(self, *args: object, delivered: int = 0) -> None:
        super().__init__(*args)
        self.delivered = delivered


class NoRoute(SendError):
    """Nobody on the bus matches the selector, and nobody did before the ttl was over.

    Or the one who was asked takes no payloads of this type; the text says which. Raised by `request`, which needs
    somebody; `send` returns 0 instead. Nobody has done what was asked.
    """


class Full(SendError):
    """There is no room, and `overflow="error"` was asked for or waiting could never help.

    Raised for a full ring, for a ring to oneself (waiting would be for ever), and at the bound of messages that
    wait for a receiver (ttl).
    """


class TooLarge(SendError, ValueError):
    """The payload is over the maximum, or over what can wait while nobody matches (ttl); the text names both sizes."""


class SendTimeout(SendError, TimeoutError):
    """There was no room in time. Its `delivered` says how many copies are out all the same."""


class RecvError(IpmbError):
    """No message was returned. The receiver itself is well; `recv` may be called again."""


class DecodeError(RecvError):
    """A message came whose bytes are not what its type says. It costs only that message; the next `recv` goes on.

    Attributes:
        sender: The `EndpointInfo` of who sent it. None for bytes that no receiver got.
    """

    sender: EndpointInfo | None

    def __init__(self, *args: object, sender: EndpointInfo | None = None) -> None:
        super().__init__(*args)
        self.sender = sender


class RecvTimeout(RecvError, TimeoutError):
    """Nothing arrived in time: no message, or no reply to a request."""


class TooManyOpenFiles(RecvError):
    """A message waits, but this process has no room for its descriptors.

    The message stays where it is: close some files and call `recv` again.
    """


class PeerLost(IpmbError):
    """Whoever was asked died or left the bus, so the reply will not come.

    Raised by `request`. The peer may have done what it was asked for or not; nobody else was asked. Ask again if
    doing it twice does no harm.
    """


class RemoteError(IpmbError):
    """The handler that `serve` called for our request failed. This is its error, carried back by `request`.

    The traceback of the handler is printed below our own.

    Attributes:
        type: The name of the handler's exception as tracebacks print it, e.g. "KeyError" or "shop.OutOfStock".
        text: What `str()` gave of it.
        traceback: Its traceback in the other process, many lines; long ones lose their middle.
        sender: The `EndpointInfo` of who failed. None when the error was not received.
    """

    type: str
    text: str
    traceback: str
    sender: EndpointInfo | None

    def __init__(
        self,
        *args: object,
        type: str = "",  # noqa: A002 # what it is of, as everybody calls it
        text: str = "",
        traceback: str = "",
        sender: EndpointInfo | None = None,
    ) -> None:
        super().__init__(*args)
        self.type = type
        self.text = text
        self.traceback = traceback
        self.sender = sender


class Closed(IpmbError):
    """This side closed it: the half that was used, or the whole endpoint."""


class Forked(IpmbError):
    """The handle was made before `os.fork()`, in the parent. Join again in the child."""
