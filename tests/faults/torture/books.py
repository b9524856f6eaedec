"""The books that everybody who talks keeps, one record for each step: what :mod:`invariant` judges.

Every member keeps a :class:`Log`: a file to which each step is written with one call *before* the next one is taken, so
that what a killed one knew can be read. Each record has the time of the clock that all processes share, so that it can
be said who was there when, and what one of the dead can have had.

A message is known by its sender and a number, which it carries in its header. A sender numbers its messages from 0, and
its requests, which another thread may make, from 0 as well; what was refused for want of room is tried again under the
same number. Whom it is for is a member, one of a group (unicast) or all of a group (multicast).
"""

from __future__ import annotations

import enum
import os
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

#: Nanoseconds; the stamps are CLOCK_MONOTONIC, which is one clock for all processes.
SECOND = 1_000_000_000
FOREVER = 1 << 63


class Step(enum.IntEnum):
    """What is logged."""

    JOINED = 1  #: `join` has returned
    REIGNED = 2  #: an endpoint beside it was controller, and has closed
    TRIES = 3  #: it is about to send ``many`` messages from ``number`` on, or to ask
    SENT = 4  #: so many of them are in a ring
    WAITS = 5  #: nobody matched, and they wait for somebody
    NOBODY = 6  #: nobody matched, and they were dropped
    TAKES = 7  #: ``many`` messages may be in its hands from now on: it is in `recv`, or has them and not yet said so
    GOT = 8  #: one of these
    ANSWERED = 9
    UNANSWERED = 10
    UNKNOWN = 11  #: it gave up waiting for the answer
    REFUSED = 12  #: the call raised, and by what it raised nothing was sent
    JOINS = 13  #: it is about to join; ``many`` has a bit for each group it belongs to


#: Flags of TRIES and all that follow it.
REQUEST = 1
#: Flags of GOT.
REDELIVERED, CORRUPT = 2, 4

#: Not a member, but one of a group, or all of it; the group's number is below.
ONE_OF, ALL_OF = 1 << 30, 1 << 31
GROUP = ONE_OF - 1

_RECORD = struct.Struct("<BBHIIIQQ")


class Record(NamedTuple):
    """One step of one member."""

    what: int
    flags: int = 0
    many: int = 1
    #: Of GOT: who sent it, as the message itself says; else unused.
    who: int = 0
    target: int = 0
    #: Of GOT: who sent it, as the bus says.
    came: int = 0
    number: int = 0
    #: When it was written, in nanoseconds.
    at: int = 0


class Log:
    """What one member did, readable after its death. Several threads may write: a record goes in one piece."""

    def __init__(self, path: str | Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(self, record: Record) -> None:
        """Write a record with the time of now."""
        os.write(self._file, _RECORD.pack(*record[:-1], time.monotonic_ns()))


def read_log(path: Path) -> Iterator[Record]:
    """The records of a log, up to the last whole one."""
    data = path.read_bytes() if path.exists() else b""
    return (
        Record(*fields) for fields in _RECORD.iter_unpack(data[: len(data) // _RECORD.size * _RECORD.size])
    )


class Fate(NamedTuple):
    """What became of a message or request."""

    #: TRIES when its sender died within the call.
    step: int
    target: int
    #: When it was tried last, and when the call was over.
    since: int
    until: int


class Death(NamedTuple):
    """When somebody was killed: it lived before, it was dead after."""

    before: int
    after: int


@dataclass
class Member:
    """One member's books, read from its log."""

    number: int
    #: None of one that has survived.
    death: Death | None = None
    #: Joined when others were talking already, so that it takes a moment until everybody knows it, whatever befalls
    #: the controller meanwhile.
    late: bool = False
    groups: set[int] = field(default_factory=set)
    joined: int | None = None
    fate: dict[tuple[bool, int], Fate] = field(default_factory=dict)
    got: list[Record] = field(default_factory=list)
    #: The last message of each sender that came in its order.
    read_of: dict[int, int] = field(default_factory=dict)
    #: How many messages it may have had in its hands when it died.
    held: int = 0
    #: How many reigns it has ended by closing an endpoint.
    reigns: int = 0

    @classmethod
    def read(
        cls, number: int, records: Iterable[Record], *, death: Death | None = None, late: bool = False
    ) -> Member:
        self = cls(number, death, late)
        for record in records:
            self._note(record)
        return self

    def _note(self, record: Record) -> None:
        request = bool(record.flags & REQUEST)
        match record.what:
            case Step.JOINS:
                self.groups = {bit for bit in range(16) if record.many >> bit & 1}
            case Step.JOINED:
                self.joined = record.at
            case Step.REIGNED:
                self.reigns += 1
            case Step.TAKES:
                self.held = record.many
            case Step.GOT:
                self.got.append(record)
                self.held -= 1
                if not request and not record.flags & REDELIVERED:
                    self.read_of[record.who] = max(self.read_of.get(record.who, -1), record.number)
            case Step.TRIES:
                for number in range(record.number, record.number + record.many):
                    self.fate[request, number] = Fate(Step.TRIES, record.target, record.at, FOREVER)
            case _:
                for number in range(record.number, record.number + record.many):
                    tried = self.fate[request, number]
                    self.fate[request, number] = Fate(record.what, record.target, tried.since, record.at)

    def was_there(self, since: int, until: int, settling: int) -> bool:
        """Whether everybody knew it through all of that time; one that came late is known after so long."""
        if self.joined is None or self.joined + (settling if self.late else 0) > since:
            return False
        return self.death is None or self.death.before >= until
