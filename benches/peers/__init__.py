"""The transports that are compared: a package for each group, a module for each peer.

A peer is a module with an object called ``peer``. To add one, add a file: it is found by being here. Links
are driven from C loops (``map``, ``all``), so that not the Python around a call is measured but the call;
therefore a link offers a ``send`` that takes a payload and an iterator over the payloads that come.

``_bus``, ``_zmq`` and ``_pipes`` hold what the groups have in common.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


#: Peers that show what is possible at all.
LIMITS = ("codec", "limit", "ring")


def nothing(*_: Any) -> None:
    """For links that need no preparation and leave nothing behind."""


@dataclass
class Link:
    """One process's end: both directions, and how to let go."""

    send: Callable[[Any], object]
    #: What comes. An array is valid until the next one is asked for.
    incoming: Iterator[Any]
    close: Callable[[], object]
    #: Told what comes next before the clock runs, the receiving end first: an array's size in bytes, or the
    #: number of a type.
    open: Callable[[int], object] = nothing
    #: Typed payloads: what each object goes through before ``send``.
    encode: Callable[[Any], Any] | None = None
    #: Bytes: a list in one call, and what comes, so many a call at most. None for links that have no such calls.
    send_many: Callable[[list[Any]], object] | None = None
    incoming_many: Callable[[int], Iterator[Any]] | None = None
    #: Bytes: views of what comes where it lies, each valid until the next one is asked for. None where nothing lies.
    viewed: Iterator[Any] | None = None
    #: What ``send`` has to be given so that ``viewed`` gives views.
    lend: Callable[[bytes], Any] = bytes
    #: Arrays: send memory of this many bytes as it is, but for a number in its first element. None for
    #: links that always copy.
    hand_over: Callable[[int, float], object] | None = None


@dataclass
class Setup:
    """What the two ends need to find each other: literals for each, and descriptors each inherits."""

    near: dict[str, Any]
    #: None: nobody is at the other end, this is a limit that one process shows alone.
    far: dict[str, Any] | None
    near_descriptors: list[int] = field(default_factory=list)
    far_descriptors: list[int] = field(default_factory=list)
    #: In the parent, when both ends are gone, however they went.
    clean: Callable[[], object] = nothing


class Peer(Protocol):
    """One transport."""

    #: As it appears in the table.
    name: str

    def version(self) -> str:
        """Its version, for the file of figures."""

    def prepare(self, folder: str, /) -> Setup:
        """In the parent: choose names or make descriptors. ``folder`` is for what needs a path."""

    def connect(self, address: dict[str, Any], /) -> Link:
        """In a worker: open one end. Returns before the other end is there, if it must."""


def names(group: str) -> list[str]:
    """Every peer's module of a group: this bus first, the limit last."""
    package = importlib.import_module(f"benches.peers.{group}")
    found = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return sorted(found, key=lambda name: (not name.startswith("ipmb"), name in LIMITS, name))


def load(group: str, name: str) -> Peer:
    """The peer of one module; raises ImportError where its library is not installed."""
    peer: Peer = importlib.import_module(f"benches.peers.{group}.{name}").peer
    return peer
