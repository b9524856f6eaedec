"""The transports that are compared, one module each.

A peer is a module with an object called ``peer``. To add one, add a file: it is found by being here. Links
are driven from C loops (``map``, ``all``), so that not the Python around a call is measured but the call;
therefore a link offers a ``send`` that takes a payload and an iterator over the payloads that come.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Link:
    """One process's end: both directions, and how to let go."""

    send: Callable[[bytes], object]
    incoming: Iterator[Any]
    close: Callable[[], object]


@dataclass
class Setup:
    """What the two ends need to find each other: literals for each, and descriptors each inherits."""

    near: dict[str, Any]
    far: dict[str, Any]
    near_descriptors: list[int] = field(default_factory=list)
    far_descriptors: list[int] = field(default_factory=list)


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


def names() -> list[str]:
    """Every peer's module, this bus first."""
    found = [module.name for module in pkgutil.iter_modules(__path__)]
    return sorted(found, key=lambda name: (name != "ipmb", name))


def load(name: str) -> Peer:
    """The peer of one module; raises ImportError where its library is not installed."""
    peer: Peer = importlib.import_module(f"benches.peers.{name}").peer
    return peer
