"""The books of everybody who talked, and what is wrong with them: the judge of invariant I.

    I: a message whose send returned between two survivors arrives exactly once, in order, checksum intact;
    traffic with a killed peer is a clean prefix, or is redelivered.

Every member keeps a :class:`Log`: a file to which each step is written with one call *before* the next one is taken, so
that what a killed one knew can be read. :func:`judge` compares all logs. It knows nothing of the bus and trusts no
counter of it; what it finds is named by one of the kinds below.

A message is known by its sender and a number, which it carries in its header. A sender numbers its messages from 0, and
its requests, which another thread may make, from 0 as well; what was refused for want of room is tried again under the
same number. Whom it is for is a member, one of a group (unicast) or all of a group (multicast).
"""

from __future__ import annotations

import enum
import os
import struct
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


class Step(enum.IntEnum):
    """What is logged."""

    JOINED = 1  #: ``many`` has a bit for each group the member belongs to
    CONTROLS = 2  #: it has seen that it plays controller
    TRIES = 3  #: it is about to send ``many`` messages from ``number`` on, or to ask
    SENT = 4  #: so many of them are in a ring
    WAITS = 5  #: nobody matched, and they wait for somebody
    NOBODY = 6  #: nobody matched, and they were dropped
    TAKES = 7  #: ``many`` messages may be in its hands from now on: it is in `recv`, or has them and not yet said so
    GOT = 8  #: one of these
    ANSWERED = 9
    UNANSWERED = 10
    UNKNOWN = 11  #: it gave up waiting for the answer


#: Flags of TRIES and all that follow it.
REQUEST = 1
#: Flags of GOT.
REDELIVERED, CORRUPT = 2, 4

#: Not a member, but one of a group, or all of it; the group's number is below.
ONE_OF, ALL_OF = 1 << 30, 1 << 31
GROUP = ONE_OF - 1

LOST = "lost"
DOUBLED = "doubled"
REORDERED = "reordered"
CORRUPTED = "corrupt"
MISADDRESSED = "misaddressed"
FORGED = "forged sender"
NEEDLESSLY = "redelivered though both lived"
BEYOND = "beyond the clean prefix"

_RECORD = struct.Struct("<BBHIIIQ")


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


class Log:
    """What one member did, readable after its death. Several threads may write: a record goes in one piece."""

    def __init__(self, path: str | Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(self, record: Record) -> None:
        os.write(self._file, _RECORD.pack(*record))


def read_log(path: Path) -> Iterator[Record]:
    """The records of a log, up to the last whole one."""
    data = path.read_bytes() if path.exists() else b""
    return (
        Record(*fields) for fields in _RECORD.iter_unpack(data[: len(data) // _RECORD.size * _RECORD.size])
    )


class Wrong(NamedTuple):
    """One violation: its kind, and what exactly."""

    kind: str
    text: str


#: A message: its sender, whether it is a request, its number.
Key = tuple[int, bool, int]


@dataclass
class Member:
    """One member's books, read from its log."""

    number: int
    survived: bool
    #: Joined when others were talking already, so that what was for all of a group may have come before it.
    late: bool = False
    groups: set[int] = field(default_factory=set)
    #: What became of each message or request it tried: TRIES when it died within the call.
    fate: dict[tuple[bool, int], tuple[int, int]] = field(default_factory=dict)
    got: list[Record] = field(default_factory=list)
    #: How many messages it may have had in its hands when it died.
    held: int = 0
    controlled: bool = False

    @classmethod
    def read(
        cls, number: int, records: Iterable[Record], *, survived: bool = True, late: bool = False
    ) -> Member:
        self = cls(number, survived, late)
        for record in records:
            self._note(record)
        return self

    def _note(self, record: Record) -> None:
        request = bool(record.flags & REQUEST)
        match record.what:
            case Step.JOINED:
                self.groups = {bit for bit in range(16) if record.many >> bit & 1}
            case Step.CONTROLS:
                self.controlled = True
            case Step.TAKES:
                self.held = record.many
            case Step.GOT:
                self.got.append(record)
                self.held -= 1
            case Step.TRIES:  # what an earlier try left undecided was refused
                for key in [key for key in self._undecided if key[0] == request]:
                    del self.fate[key]
                    self._undecided.discard(key)
                for number in range(record.number, record.number + record.many):
                    self.fate[request, number] = (Step.TRIES, record.target)
                    self._undecided.add((request, number))
            case _:
                for number in range(record.number, record.number + record.many):
                    self.fate[request, number] = (record.what, record.target)
                    self._undecided.discard((request, number))

    def __post_init__(self) -> None:
        self._undecided: set[tuple[bool, int]] = set()


class Verdict(NamedTuple):
    """What is wrong with the books of all members, and how many messages to groups the dead took with them."""

    wrong: list[Wrong]
    buried: int


def judge(members: Mapping[int, Member]) -> Verdict:
    """Compare the books of all members, the living and the dead."""
    return _Court(members).judge()


class _Court:
    """All books laid side by side."""

    def __init__(self, members: Mapping[int, Member]) -> None:
        self.members = members
        self.wrong: list[Wrong] = []
        #: Who has got a message.
        self.takers: dict[Key, list[int]] = defaultdict(list)

    def judge(self) -> Verdict:
        for member in self.members.values():
            last: dict[tuple[int, bool], int] = {}
            for record in member.got:
                self._look_at(member, record, last)
        flows: dict[tuple[int, bool, int], list[int]] = defaultdict(list)
        for sender in self.members.values():
            for (request, number), (_, target) in sender.fate.items():
                flows[sender.number, request, target].append(number)
        missing = 0
        for (sender_number, request, target), numbers in flows.items():
            numbers.sort()
            sender = self.members[sender_number]
            if target & ALL_OF:
                self._all_of(sender, target, numbers)
            elif target & ONE_OF:
                missing += self._one_of(sender, request, target, numbers)
            else:
                self._to_member(sender, request, target, numbers)
        held = sum(max(member.held, 0) for member in self.members.values() if not member.survived)
        if missing > held:
            self._say(LOST, f"{missing} messages to groups, while the dead had {held} in their hands at most")
        return Verdict(self.wrong, missing)

    def _say(self, kind: str, text: str) -> None:
        self.wrong.append(Wrong(kind, text))

    def _look_at(self, me: Member, record: Record, last: dict[tuple[int, bool], int]) -> None:
        """One message that came, by itself and after those before it."""
        request = bool(record.flags & REQUEST)
        what = f"{'request' if request else 'message'} {record.number} of {record.who} to {me.number}"
        if record.flags & CORRUPT:
            self._say(CORRUPTED, what)
            return
        if record.came != record.who:
            self._say(FORGED, f"{what} came from {record.came}")
        group = record.target & GROUP
        to_group = record.target & (ONE_OF | ALL_OF)
        if group not in me.groups if to_group else record.target != me.number:
            self._say(MISADDRESSED, f"{what} was for {record.target:#x}")
        sender = self.members.get(record.who)
        fate = sender.fate.get((request, record.number)) if sender else None
        if fate is None or fate[0] == Step.NOBODY or fate[1] != record.target:
            self._say(BEYOND, f"{what} was never sent")
        takers = self.takers[record.who, request, record.number]
        if me.number in takers or (takers and not record.target & ALL_OF):
            self._say(DOUBLED, f"{what}, which {takers} had got")
        takers.append(me.number)
        flow = (record.who, request)
        if record.flags & REDELIVERED:
            heirs = record.target & ONE_OF and any(
                group in one.groups and not one.survived for one in self.members.values()
            )
            if not heirs or request:
                self._say(NEEDLESSLY, what)
        elif last.get(flow, -1) > record.number:
            self._say(REORDERED, f"{what} came after {last[flow]}")
        else:
            last[flow] = record.number

    def _to_member(self, sender: Member, request: bool, target: int, numbers: list[int]) -> None:
        """What was for one member only."""
        receiver = self.members.get(target)
        if receiver is None:
            return  # one that was killed before it wrote its first line
        missing: list[int] = []
        for number in numbers:
            fate = sender.fate[request, number][0]
            got = bool(self.takers.get((sender.number, request, number)))
            what = f"{'request' if request else 'message'} {number} of {sender.number} to {target}"
            if fate == Step.UNKNOWN:
                continue
            if fate in (Step.NOBODY, Step.UNANSWERED):
                if receiver.survived and (sender.survived or fate == Step.NOBODY):
                    self._say(
                        LOST, f"{what} found nobody" if fate == Step.NOBODY else f"{what} has no answer"
                    )
                continue
            if got and missing:
                self._say(BEYOND, f"{what} came, but {missing[0]} had not")
                missing.clear()
            if not got and fate != Step.TRIES and receiver.survived:
                self._say(LOST, what)
            elif not got:
                missing.append(number)
            if fate == Step.ANSWERED and not got and receiver.survived:
                self._say(FORGED, f"{what} was answered by somebody who has not got it")

    def _one_of(self, sender: Member, request: bool, target: int, numbers: list[int]) -> int:
        """What was for any one of a group: how many of it have come to nobody. The dead's own are not counted when
        one of the group has died, for then they may have died unread with both.
        """
        mortal = any(target & GROUP in one.groups and not one.survived for one in self.members.values())
        missing = 0
        for number in numbers:
            fate = sender.fate[request, number][0]
            if fate in (Step.NOBODY, Step.TRIES) or self.takers.get((sender.number, request, number)):
                continue
            if not mortal:
                self._say(LOST, f"message {number} of {sender.number} to one of group {target & GROUP}")
            elif sender.survived:
                missing += 1
        return missing

    def _all_of(self, sender: Member, target: int, numbers: list[int]) -> None:
        """What was for each of a group: all of it for survivors, a piece without a gap for others."""
        for receiver in self.members.values():
            if target & GROUP not in receiver.groups:
                continue
            begun = not receiver.late
            missing: list[int] = []
            for number in numbers:
                fate = sender.fate[False, number][0]
                got = receiver.number in self.takers.get((sender.number, False, number), ())
                what = f"multicast {number} of {sender.number} to {receiver.number}"
                if got and missing:
                    self._say(BEYOND, f"{what} came, but {missing[0]} had not")
                    missing.clear()
                begun = begun or got
                if got or not begun or fate == Step.NOBODY:
                    continue
                if receiver.survived and fate != Step.TRIES:
                    self._say(LOST, what)
                else:
                    missing.append(number)
