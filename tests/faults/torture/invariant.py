"""The judge of invariant I: lays the books of everybody who talked side by side, and says what is wrong with them.

    I: a message whose send returned between two survivors arrives exactly once, in order, checksum intact;
    traffic with a killed peer is a clean prefix, or is redelivered.

It knows nothing of the bus and trusts no counter of it; what it finds is named by one of the kinds below. What was for
one of a group and has come to nobody must have gone with the dead, and each of these excuses only what it can have had:
what was sent before it died and not long before, no more than it had in its hands, or what lay unread in its ring when
the sender died as well.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from tests.faults.torture.books import (
    ALL_OF,
    CORRUPT,
    GROUP,
    ONE_OF,
    REDELIVERED,
    REQUEST,
    SECOND,
    Death,
    Fate,
    Member,
    Record,
    Step,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOST = "lost"
DOUBLED = "doubled"
REORDERED = "reordered"
CORRUPTED = "corrupt"
MISADDRESSED = "misaddressed"
FORGED = "forged sender"
NEEDLESSLY = "redelivered though both lived"
BEYOND = "beyond the clean prefix"

#: A message is read, or begins its way anew, within this time, and whoever has joined is known to all, takeovers and a
#: busy machine included: ten times what storms have seen.
MOMENT = 5 * SECOND


class Wrong(NamedTuple):
    """One violation: its kind, and what exactly."""

    kind: str
    text: str


#: A message: its sender, whether it is a request, its number.
Key = tuple[int, bool, int]


class Missing(NamedTuple):
    """A message to one of a group that has come to nobody."""

    sender: Member
    group: int
    number: int
    fate: Fate


class Verdict(NamedTuple):
    """What is wrong with the books of all members, and what the dead took with them."""

    wrong: list[Wrong]
    #: Messages to groups that must have been in somebody's hands when it died.
    buried: int
    #: Messages to groups that lay unread with one of the dead when their sender, another, died.
    with_both: int
    #: Those that their sender had sent to itself, as one of the group, and not read when it died.
    to_itself: int


def judge(members: Mapping[int, Member]) -> Verdict:
    """Compare the books of all members, the living and the dead."""
    return _Court(members).judge()


class _Court:
    """All books laid side by side."""

    def __init__(self, members: Mapping[int, Member]) -> None:
        self.members = members
        self.dead = [(one, one.death) for one in members.values() if one.death is not None]
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
            for (request, number), fate in sender.fate.items():
                if fate.step != Step.REFUSED:
                    flows[sender.number, request, fate.target].append(number)
        missing: list[Missing] = []
        for (sender_number, request, target), numbers in flows.items():
            numbers.sort()
            sender = self.members[sender_number]
            if target & ALL_OF:
                self._all_of(sender, target, numbers)
            elif target & ONE_OF:
                missing += self._one_of(sender, request, target, numbers)
            else:
                self._to_member(sender, request, target, numbers)
        of_others = [one for one in missing if not self._died_with_itself(one)]
        alone = [one for one in of_others if not self._died_with_both(one)]
        with_both, to_itself = len(of_others) - len(alone), len(missing) - len(of_others)
        return Verdict(self.wrong, self._bury(alone), with_both, to_itself)

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
        if fate is None or fate.step == Step.NOBODY or fate.target != record.target:
            self._say(BEYOND, f"{what} was never sent")
        elif fate.step == Step.REFUSED or record.at < fate.since:
            self._say(BEYOND, f"{what} was refused to its sender, and came all the same")
        takers = self.takers[record.who, request, record.number]
        if me.number in takers or (takers and not record.target & ALL_OF):
            self._say(DOUBLED, f"{what}, which {takers} had got")
        takers.append(me.number)
        flow = (record.who, request)
        if record.flags & REDELIVERED:
            if request or fate is None or not self._had_an_owner(record, fate):
                self._say(NEEDLESSLY, what)
        elif last.get(flow, -1) > record.number:
            self._say(REORDERED, f"{what} came after {last[flow]}")
        else:
            last[flow] = record.number

    def _had_an_owner(self, record: Record, fate: Fate) -> bool:
        """Whether one of the group has died that can have had it: not before it was sent, nor after it came."""
        return bool(record.target & ONE_OF) and any(
            record.target & GROUP in one.groups
            and fate.since <= death.after + MOMENT
            and death.before <= record.at
            for one, death in self.dead
        )

    def _to_member(self, sender: Member, request: bool, target: int, numbers: list[int]) -> None:
        """What was for one member only."""
        receiver = self.members.get(target)
        if receiver is None:
            return  # one that was killed before it wrote its first line
        missing: list[int] = []
        for number in numbers:
            fate = sender.fate[request, number]
            got = bool(self.takers.get((sender.number, request, number)))
            what = f"{'request' if request else 'message'} {number} of {sender.number} to {target}"
            if fate.step == Step.UNKNOWN:
                continue
            if fate.step in (Step.NOBODY, Step.UNANSWERED):
                lived = receiver.death is None and (sender.death is None or fate.step == Step.NOBODY)
                if lived or receiver.was_there(fate.since, fate.until, MOMENT):
                    became = "found nobody" if fate.step == Step.NOBODY else "has no answer"
                    self._say(LOST, f"{what} {became}")
                continue
            if got and missing:
                self._say(BEYOND, f"{what} came, but {missing[0]} had not")
                missing.clear()
            if fate.step == Step.ANSWERED and not got:
                self._say(FORGED, f"{what} was answered by somebody who has not got it")
            elif not got and fate.step != Step.TRIES and receiver.death is None:
                self._say(LOST, what)
            elif not got:
                missing.append(number)

    def _all_of(self, sender: Member, target: int, numbers: list[int]) -> None:
        """What was for each of a group: all of it for survivors, a piece without a gap for others."""
        group = target & GROUP
        self._find_somebody(sender, group, [sender.fate[False, number] for number in numbers])
        for receiver in self.members.values():
            if group not in receiver.groups:
                continue
            begun = not receiver.late
            missing: list[int] = []
            for number in numbers:
                fate = sender.fate[False, number]
                got = receiver.number in self.takers.get((sender.number, False, number), ())
                what = f"multicast {number} of {sender.number} to {receiver.number}"
                if got and missing:
                    self._say(BEYOND, f"{what} came, but {missing[0]} had not")
                    missing.clear()
                begun = begun or got or receiver.was_there(fate.since, fate.since, MOMENT)
                if got or not begun or fate.step == Step.NOBODY:
                    continue
                if receiver.death is None and fate.step != Step.TRIES:
                    self._say(LOST, what)
                else:
                    missing.append(number)

    def _find_somebody(self, sender: Member, group: int, fates: Iterable[Fate]) -> None:
        """What was dropped because nobody matched, although there was somebody all the time."""
        members = [one for one in self.members.values() if group in one.groups]
        for fate in fates:
            if fate.step == Step.NOBODY:
                there = [one.number for one in members if one.was_there(fate.since, fate.until, MOMENT)]
                if there:
                    self._say(LOST, f"a message of {sender.number} to group {group} found none of {there}")

    # -- one of a group

    def _one_of(self, sender: Member, request: bool, target: int, numbers: list[int]) -> list[Missing]:
        """What was for any one of a group, and has come to nobody."""
        group = target & GROUP
        self._find_somebody(sender, group, [sender.fate[request, number] for number in numbers])
        return [
            Missing(sender, group, number, fate)
            for number in numbers
            if (fate := sender.fate[request, number]).step not in (Step.NOBODY, Step.TRIES)
            and not self.takers.get((sender.number, request, number))
        ]

    @staticmethod
    def _died_with_itself(one: Missing) -> bool:
        """Whether its sender may have been the one that it went to: it was killed soon, and had not read on."""
        killed, fate = one.sender.death, one.fate
        return (
            killed is not None
            and one.group in one.sender.groups
            and killed.before <= fate.since + MOMENT
            and one.sender.read_of.get(one.sender.number, -1) < one.number
        )

    def _died_with_both(self, one: Missing) -> bool:
        """Whether its sender was killed before it could take back what somebody killed had not read.

        That one had read nothing that the sender sent to it later. What waits for a match is lost with its sender and
        a controller, which may be any of the dead.
        """
        killed, fate = one.sender.death, one.fate
        if killed is None:
            return False
        waited = fate.step == Step.WAITS
        return any(
            (
                death.after + MOMENT >= fate.since
                and death.before <= fate.since + MOMENT
                and killed.before <= death.after + MOMENT
                and dead.read_of.get(one.sender.number, -1) < one.number
            )
            or (waited and abs(death.before - killed.before) <= MOMENT)
            for dead, death in self.dead
            if dead is not one.sender and (waited or one.group in dead.groups)
        )

    def _bury(self, missing: list[Missing]) -> int:
        """Find for each lost message one of the dead that had it in its hands; how many there were.

        Whoever dies takes those along that must have come to somebody soonest, which excuses as many as can be.
        """
        missing.sort(key=lambda one: one.fate.since)
        buried = 0
        for dead, death in sorted(self.dead, key=_time_of):
            room = dead.held
            for one in missing[:]:
                if room <= 0 or one.fate.since > death.after:
                    break
                if one.group in dead.groups and death.before <= one.fate.since + MOMENT:
                    missing.remove(one)
                    room -= 1
                    buried += 1
        for one in missing:
            self._say(LOST, f"message {one.number} of {one.sender.number} to one of group {one.group}")
        return buried


def _time_of(dead: tuple[Member, Death]) -> int:
    return dead[1].before
