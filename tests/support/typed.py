"""Classes that are sent, and what a child does with them.

Both sides import this module and so have the same classes. For schema evolution each side makes its own version of a
class under one UUID, see :func:`serve_version`.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 # a field's type
import enum
from dataclasses import dataclass, field, make_dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import attrs
import msgspec

import ipmb
from ipmb import codec
from tests.support.runner import event

if TYPE_CHECKING:
    from collections.abc import Iterable

STOP = "stop"


@ipmb.message_type("00000001-7e57-4000-8000-000000000001")
class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@ipmb.message_type("00000001-7e57-4000-8000-000000000002")
class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@ipmb.message_type("00000001-7e57-4000-8000-000000000003")
class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@ipmb.message_type("00000001-7e57-4000-8000-000000000004")
class Point(msgspec.Struct):
    x: float
    y: float = 0.0
    tags: list[str] = []  # a Struct copies it
    colour: Colour | None = None


@ipmb.message_type(UUID("00000001-7e57-4000-8000-000000000005"))
@dataclass
class Task:
    name: str
    numbers: tuple[int, ...] = ()
    names: set[str] = field(default_factory=set)
    mode: Literal["fast", "slow"] = "fast"
    point: Point | None = None
    at: dt.datetime | None = None
    price: Decimal = Decimal(0)
    id: UUID | None = None
    pairs: dict[str, tuple[int, str]] = field(default_factory=dict)
    part: ipmb.BytesMessage | None = None
    data: bytes = b""
    _hidden: int = 0


@ipmb.message_type("00000001-7e57-4000-8000-000000000006")
@attrs.define
class Job:
    task: Task
    level: Level = Level.LOW
    retries: int = attrs.field(default=0, init=False)


@ipmb.message_type("00000001-7e57-4000-8000-000000000007")
@dataclass(frozen=True, slots=True)
class Node:
    value: int
    children: list[Node] = field(default_factory=list)


@ipmb.message_type("00000001-7e57-4000-8000-000000000008")
class Row(msgspec.Struct, array_like=True, frozen=True):
    number: Annotated[int, msgspec.Meta(ge=0)]
    text: str = ""


@ipmb.message_type("00000001-7e57-4000-8000-000000000009", codec="pickle")
class Anything:
    """No kind that msgspec knows."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return type(other) is Anything and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)


@ipmb.message_type("00000001-7e57-4000-8000-00000000000a")
@dataclass
class Checked:
    percent: int

    def __post_init__(self) -> None:
        # An error that nobody expects from a decoder.
        self.share = 1 / (100 - self.percent)


REGISTERED: tuple[type, ...] = (Colour, Level, Rights, Point, Task, Job, Node, Row, Anything, Checked)


def echo(bus: str) -> None:
    """Sends everything back until somebody says stop."""
    with ipmb.join(bus, "echo", timeout=10) as (_, receiver):
        event("joined")
        for message in receiver:
            if message.payload == STOP:
                return
            message.reply(message.payload)


# What is no class: a UUID and bytes as a hostile peer would send them.


@dataclass
class Raw:
    kind: bytes
    data: bytes


def send_raw(bus: str, to: str, messages: Iterable[tuple[bytes, bytes]]) -> int:
    """Send bytes under a UUID, whatever they are."""
    vars(codec)["encode"] = lambda raw: (raw.kind, raw.data)  # it is called for Raw alone
    with ipmb.join(bus, timeout=10) as (sender, _):
        return sum(sender.send(to, Raw(kind, data), timeout=10) for kind, data in messages)


# Versions of a class.

VERSIONED = "00000001-7e57-4000-8000-0000000000ff"

BASE: list[tuple[str, type]] = [("name", str), ("count", int)]


def version(kind: str, which: str) -> type:
    """A version of one class: "old", or with a field more that is "required" or "optional", or "strict"."""
    notes: dict[str, list[Any]] = {"optional": [("note", str, "none")], "required": [("note", str)]}
    more = notes.get(which, [])
    if kind == "Struct":
        return msgspec.defstruct("Version", [*BASE, *more], forbid_unknown_fields=which == "strict")
    if kind == "attrs":
        fields: dict[str, Any] = {
            name: attrs.field(type=type_, default=default[0] if default else attrs.NOTHING)
            for name, type_, *default in [*BASE, *more]
        }
        return attrs.make_class("Version", fields)
    return make_dataclass("Version", [*BASE, *more])


def serve_version(bus: str, kind: str, which: str) -> None:
    """Take objects of a version and tell the fields of what arrives, or the error."""
    cls = ipmb.message_type(VERSIONED)(version(kind, which))
    with ipmb.join(bus, "versions", timeout=10, payloads=ipmb.MessageBox(cls, str)) as (_, receiver):
        event("joined")
        while True:
            try:
                payload = receiver.recv(timeout=30).payload
            except ipmb.DecodeError as error:
                event("failed", str(error))
                continue
            if payload == STOP:
                return
            event(
                "arrived",
                {
                    name: getattr(payload, name)
                    for name in ("name", "count", "note")
                    if hasattr(payload, name)
                },
            )


def send_version(bus: str, kind: str, which: str, **fields: Any) -> int:
    """Send an object of a version."""
    cls = ipmb.message_type(VERSIONED)(version(kind, which))
    with ipmb.join(bus, timeout=10) as (sender, _):
        return sender.send("versions", cls(**fields)) + sender.send("versions", STOP)
