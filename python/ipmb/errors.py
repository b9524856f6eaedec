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
     ├── PeerLost                  the peer is gone
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
    """The message was not sent, or not to everybody it was for."""


class NoRoute(SendError):
    """Nobody on the bus matches the selector.

    For requests, which need somebody; `send` returns 0 instead. Nothing raises it in this version.
    """


class Full(SendError):
    """There is no room, and `overflow="error"` was asked for or waiting could never help.

    Raised for a full ring, for a ring to oneself (waiting would be for ever), and at the bound of messages that
    wait for a receiver (ttl).
    """


class TooLarge(SendError, ValueError):
    """The payload is over the maximum, or over what can wait while nobody matches (ttl); the text names both sizes."""


class SendTimeout(SendError, TimeoutError):
    """There was no room in time.

    Attributes:
        delivered: How many endpoints have the message all the same. More than 0 only for a multicast.
    """

    delivered: int

    def __init__(self, *args: object, delivered: int = 0) -> None:
        super().__init__(*args)
        self.delivered = delivered


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
    """Nothing arrived in time."""


class TooManyOpenFiles(RecvError):
    """A message waits, but this process has no room for its descriptors.

    The message stays where it is: close some files and call `recv` again.
    """


class PeerLost(IpmbError):
    """The peer that was asked is gone: it left the bus or died.

    For requests. Nothing raises it in this version.
    """


class Closed(IpmbError):
    """This side closed it: the half that was used, or the whole endpoint."""


class Forked(IpmbError):
    """The handle was made before `os.fork()`, in the parent. Join again in the child."""
