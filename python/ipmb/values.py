"""Small values of the interface that are plain Python: what to join, what was counted, what C programs send."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ipmb.registrations import a_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Buffer

    from ipmb._core import Label
    from ipmb.users import Users


#: Bytes of a payload that its `repr` shows.
_SHOWN = 32


class SelectorMode(enum.Enum):
    """Who gets a message among those who match its selector."""

    UNICAST = "unicast"
    """Exactly one of them."""
    MULTICAST = "multicast"
    """All of them."""


class Version(NamedTuple):
    """What `version()` returns.

    Attributes:
        protocol: Endpoints talk only to endpoints of the same protocol number.
        package: The version of the package, e.g. "0.1.0".
    """

    protocol: int
    package: str


@dataclass(frozen=True, slots=True)
class Options:
    """How to join, for programs that carry it around; the fields are those of `join`, which checks them.

    Attributes:
        identifier: The name of the bus, 1 to 255 bytes in UTF-8 without NUL.
        label: A `Label`, a string, or an iterable of strings.
        token: The shared secret, at most 1024 bytes; empty for a bus without one.
        controller_affinity: Whether this endpoint may play controller.
        users: Users of this machine that share the bus, by name or id.

    Example:
        >>> import ipmb
        >>> ipmb.Options("com.solar", "earth")
        Options(identifier='com.solar', label='earth', controller_affinity=True, users=())
    """

    identifier: str
    label: Label | str | Iterable[str] = ()
    token: str | bytes = ""
    controller_affinity: bool = True
    users: Users = ()

    def __repr__(self) -> str:
        # The token is a secret: it stays out of logs and tracebacks.
        return (
            f"Options(identifier={self.identifier!r}, label={self.label!r}, "
            f"controller_affinity={self.controller_affinity!r}, users={self.users!r})"
        )


@dataclass(frozen=True, slots=True)
class Stats:
    """What an endpoint has counted since it joined; numbers only rise, `waiting` excepted.

    Attributes:
        sent: Messages put into receivers' rings; a multicast to three counts three.
        received: Messages that `recv` returned, and replies that `request` returned.
        skipped: Messages this receiver does not take, consumed and passed over.
        dropped: Messages given up, for any reason.
        expired: Messages whose ttl ended before they were delivered.
        redelivered: Messages that went to another receiver because the first one died with them unread.
        waiting: Messages that wait for a match now, or for room with whoever takes over from a receiver that died.
        bytes_sent: Payload bytes of `sent`.
        bytes_received: Payload bytes of `received`.
        dropped_by_reason: `dropped`, taken apart; every reason is there, also with 0: `no_route` (nobody matched, and
            there was no ttl), `full` (no room, and `overflow="drop"`), `receiver_gone` (the receiver died or closed
            with it unread, and nobody else could have it), `closed` (this endpoint left before somebody had room,
            or the controller, or whoever follows as one, had taken it over: one that stood still may yet deliver it),
            `sender_gone` (it waited when its sender died, and could not be taken over), `late_reply` (nobody waited for
            this reply any more, or nobody had asked for it).
        duplicates: Second copies of messages that had waited, dropped: nothing is lost by these.
        refused: Who was refused or cut off by this endpoint, as controller and as receiver and sender.
        refused_by_reason: `refused`, taken apart; every reason is there. At the controller's door: `join_permission`
            (another user), `join_token` (another token, or other `users`), `join_version`, `join_malformed` (no proper
            request), `join_id_in_use`, `join_full`, `join_silent` (not in time), `join_crowded` (made room for newer
            ones). At the receiver's: `channel_permission`, `channel_proof` (not the member it says it is),
            `channel_malformed`, `channel_silent`, `channel_crowded`. Later: `memory` (it sent memory that could change
            its size, or none), `lie` (it broke the protocol), `impostor` (it holds another endpoint's name); and
            `rejoin`, the other way round: a new controller refuses this endpoint.
        shortages: How often this process had too little of something.
        shortages_by_kind: `shortages`, taken apart: `open_files` (descriptors), `parking` (room for messages that wait
            for a match), `ring_growth` (the channel of a busy pair keeps a small ring).
        takeovers: New controllers that this endpoint has noticed.
    """

    sent: int
    received: int
    skipped: int
    dropped: int
    expired: int
    redelivered: int
    waiting: int
    bytes_sent: int
    bytes_received: int
    dropped_by_reason: Mapping[str, int]
    duplicates: int
    refused: int
    refused_by_reason: Mapping[str, int]
    shortages: int
    shortages_by_kind: Mapping[str, int]
    takeovers: int


@dataclass(frozen=True, slots=True)
class BytesMessage:
    """Bytes and a number that says what they are: what programs in C and JavaScript send and receive.

    Attributes:
        format: What `data` is, 0 to 65535; its meaning is for the programs to agree on.
        data: Any contiguous buffer. It is copied and kept as `bytes`.

    Raises:
        TypeError, ValueError: An argument is of the wrong type, or the format is out of its bounds.

    Example:
        >>> import ipmb
        >>> ipmb.BytesMessage(7, bytearray(b"seven"))
        BytesMessage(format=7, data=b'seven')
    """

    format: int
    data: bytes

    def __init__(self, format: int, data: Buffer) -> None:  # noqa: A002 # the name is promised
        object.__setattr__(self, "format", format)
        object.__setattr__(self, "data", data)
        self.__post_init__()

    def __repr__(self) -> str:
        shown = repr(self.data[:_SHOWN]) + "..." if len(self.data) > _SHOWN else repr(self.data)
        return f"BytesMessage(format={self.format}, data={shown})"

    def __post_init__(self) -> None:
        """Checks; as a field of a registered class it is decoded without `__init__`."""
        if type(self.format) is not int:
            msg = f"format is {a_type(type(self.format))}: give an int, 0 to 65535"
            raise TypeError(msg)
        if not 0 <= self.format <= 0xFFFF:
            msg = f"format is {self.format}: give 0 to 65535"
            raise ValueError(msg)
        if type(self.data) is bytes:
            return
        try:
            with memoryview(self.data) as view:
                object.__setattr__(self, "data", view.tobytes())
        except TypeError as error:
            msg = f"data is {a_type(type(self.data))}: give bytes, or anything with a buffer"
            raise TypeError(msg) from error
