"""An inter-process message bus for one machine: no server, shared memory, survives `kill -9`.

Processes `join` a bus by its identifier, and from then on `send` and `recv` messages:

    >>> import ipmb
    >>> with ipmb.join("com.example.solar", "earth") as earth, ipmb.join("com.example.solar", "moon") as moon:
    ...     moon.sender.send("earth", "hello world")
    ...     earth.receiver.recv(timeout=5).payload
    1
    'hello world'

Start with `join`, `Sender.send` and `Receiver.recv`. Everything that can go wrong is in `ipmb.errors`.
"""

import logging as _logging

from ipmb import _core, errors
from ipmb._core import (
    EndpointInfo,
    Label,
    LabelOp,
    MemoryRegion,
    MemoryRegistry,
    Message,
    Object,
    Receiver,
    Selector,
    Sender,
)
from ipmb.endpoint import Endpoint, join
from ipmb.errors import (
    Closed,
    DecodeError,
    Forked,
    Full,
    IpmbError,
    JoinError,
    JoinTimeout,
    NoRoute,
    PeerLost,
    PermissionDenied,
    RecvError,
    RecvTimeout,
    SendError,
    SendTimeout,
    TokenMismatch,
    TooLarge,
    TooManyOpenFiles,
    VersionMismatch,
)
from ipmb.message_box import MessageBox
from ipmb.message_types import message_type
from ipmb.presence import PeerEvent, Watch
from ipmb.values import BytesMessage, Options, SelectorMode, Stats, Version

__all__ = [
    "BytesMessage",
    "Closed",
    "DecodeError",
    "Endpoint",
    "EndpointInfo",
    "Forked",
    "Full",
    "IpmbError",
    "JoinError",
    "JoinTimeout",
    "Label",
    "LabelOp",
    "MemoryRegion",
    "MemoryRegistry",
    "Message",
    "MessageBox",
    "NoRoute",
    "Object",
    "Options",
    "PeerEvent",
    "PeerLost",
    "PermissionDenied",
    "Receiver",
    "RecvError",
    "RecvTimeout",
    "Selector",
    "SelectorMode",
    "SendError",
    "SendTimeout",
    "Sender",
    "Stats",
    "TokenMismatch",
    "TooLarge",
    "TooManyOpenFiles",
    "Version",
    "VersionMismatch",
    "Watch",
    "errors",
    "join",
    "label",
    "message_type",
    "version",
]

_logging.getLogger("ipmb").addHandler(_logging.NullHandler())


def label(*elements: str) -> Label:
    """A label of these elements, e.g. `label("renderer", "codec")`; see `Label`.

    Example:
        >>> import ipmb
        >>> ipmb.label("renderer", "codec") == {"codec", "renderer"}
        True
    """
    return Label(*elements)


def version() -> Version:
    """The protocol number, by which endpoints decide whether they can talk, and the version of the package.

    Example:
        >>> import ipmb
        >>> ipmb.version().protocol
        1
    """
    return Version(_core.PROTOCOL, _core.PACKAGE)
