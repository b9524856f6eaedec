"""An inter-process message bus for one machine: no server, shared memory, survives `kill -9`.

Processes `join` a bus by its identifier, and from then on `send` and `recv` messages:

    >>> import ipmb
    >>> with ipmb.join("com.example.solar", "earth") as earth, ipmb.join("com.example.solar", "moon") as moon:
    ...     moon.sender.send("earth", "hello world")
    ...     earth.receiver.recv(timeout=5).payload
    1
    'hello world'

Start with `join`, `Sender.send` and `Receiver.recv`. `Sender.request` asks and `serve` answers; `ipmb.aio` has all of
it for event loops. Everything that can go wrong is in `ipmb.errors`. What no exception tells anybody is logged under
"ipmb": failed handlers and dropped replies as errors and warnings, joining and leaving as debug messages.
"""

import logging as _logging
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from ipmb import _core, errors
from ipmb import requests as _requests  # noqa: F401 # pyright: ignore[reportUnusedImport] # native code looks it up
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
    RemoteError,
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
from ipmb.queues import Queue
from ipmb.serving import serve
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
    "Queue",
    "Receiver",
    "RecvError",
    "RecvTimeout",
    "RemoteError",
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
    "serve",
    "version",
]

if _TYPE_CHECKING:
    from ipmb import aio as aio

__version__: str = _core.PACKAGE
"""The version of the package, as `version().package`."""

_logging.getLogger("ipmb").addHandler(_logging.NullHandler())


def __getattr__(name: str) -> _Any:
    # Only those who use it need anyio.
    if name == "aio":
        import importlib  # noqa: PLC0415

        return importlib.import_module("ipmb.aio")
    msg = f"module 'ipmb' has no attribute {name!r}"
    raise AttributeError(msg)


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
