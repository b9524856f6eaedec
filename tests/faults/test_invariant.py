"""The judge of invariant I finds each kind of violation in books that were doctored, and none in honest ones."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.faults.torture import books as pages
from tests.faults.torture import invariant as inv
from tests.faults.torture.books import (
    ALL_OF,
    CORRUPT,
    ONE_OF,
    REDELIVERED,
    REQUEST,
    SECOND,
    Death,
    Member,
    Record,
    Step,
)
from tests.faults.torture.invariant import MOMENT, judge

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Group 1 are the survivors, group 2 those that may be killed.
STAY, FALL = 1, 2


@dataclass
class Books:
    """What everybody wrote down: two that stay, two that were killed, all of them talking.

    Each record is a millisecond later than the one written before it, whoever wrote that.
    """

    logs: dict[int, list[Record]] = field(default_factory=dict)
    deaths: dict[int, Death] = field(default_factory=dict)
    late: set[int] = field(default_factory=set)
    now: int = 0

    @classmethod
    def honest(cls) -> Books:
        self = cls()
        for number, group in ((1, STAY), (2, STAY), (10, FALL), (11, FALL)):
            self.join(number, group)
        for number in range(4):
            self.send(1, 2, number)
            self.send(10, 2, number)
            self.send(1, 10, 10 + number)
        self.got(2, 1, 2, *range(4))
        self.got(2, 10, 2, *range(4))
        self.got(10, 1, 10, 10, 11)
        for number in range(20, 24):
            self.send(1, ONE_OF | FALL, number)
        self.got(10, 1, ONE_OF | FALL, 20, 22)
        self.got(11, 1, ONE_OF | FALL, 21)
        for number in range(30, 33):
            self.send(1, ALL_OF | STAY, number)
            self.got(1, 1, ALL_OF | STAY, number)
            self.got(2, 1, ALL_OF | STAY, number)
        self.send(10, 2, 4, step=None)  # killed within the call: it may have come or not
        self.takes(10)  # and in `recv`, in another thread
        self.kill(10)
        self.got(11, 1, ONE_OF | FALL, 23, flags=REDELIVERED)
        self.takes(11)
        self.kill(11)
        self.send(2, 1, 0, flags=REQUEST, step=None)
        self.got(1, 2, 1, 0, flags=REQUEST)
        self.became(2, 1, 0, Step.ANSWERED, flags=REQUEST)
        self.send(2, 11, 1, flags=REQUEST, step=Step.UNANSWERED)
        return self

    def write(self, who: int, record: Record) -> None:
        self.now += SECOND // 1000
        self.logs.setdefault(who, []).append(record._replace(at=self.now))

    def join(self, number: int, group: int, *, late: bool = False) -> None:
        self.write(number, Record(Step.JOINS, many=1 << group))
        self.write(number, Record(Step.JOINED))
        if late:
            self.late.add(number)

    def kill(self, number: int) -> None:
        self.now += SECOND // 1000
        self.deaths[number] = Death(self.now, self.now)

    def wait(self) -> None:
        """So long that whatever was under way has come, and everybody knows everybody."""
        self.now += 2 * MOMENT

    def takes(self, who: int, many: int = 1) -> None:
        self.write(who, Record(Step.TAKES, many=many))

    def send(
        self, sender: int, target: int, *numbers: int, flags: int = 0, step: Step | None = Step.SENT
    ) -> None:
        for number in numbers:
            self.write(sender, Record(Step.TRIES, flags, 1, 0, target, 0, number))
            if step is not None:
                self.became(sender, target, number, step, flags=flags)

    def became(self, sender: int, target: int, number: int, step: Step, *, flags: int = 0) -> None:
        self.write(sender, Record(step, flags, 1, 0, target, 0, number))

    def got(self, receiver: int, sender: int, target: int, *numbers: int, flags: int = 0) -> None:
        for number in numbers:
            self.write(receiver, Record(Step.GOT, flags, 1, sender, target, sender, number))

    def find(self, member: int, /, **what: int) -> int:
        """Where in a log the first record with these fields is."""
        return next(
            place
            for place, one in enumerate(self.logs[member])
            if all(getattr(one, name) == value for name, value in what.items())
        )

    def change(self, member: int, place: int, /, **what: int) -> None:
        self.logs[member][place] = self.logs[member][place]._replace(**what)

    def verdict(self) -> inv.Verdict:
        return judge(
            {
                number: Member.read(number, records, death=self.deaths.get(number), late=number in self.late)
                for number, records in self.logs.items()
            }
        )

    def judged(self) -> list[inv.Wrong]:
        return self.verdict().wrong


def last_message_to(books: Books, who: int, sender: int, number: int) -> int:
    return books.find(who, what=Step.GOT, who=sender, number=number)


def lose_between_survivors(books: Books) -> None:
    del books.logs[2][last_message_to(books, 2, 1, 2)]


def lose_of_the_dead(books: Books) -> None:
    del books.logs[2][last_message_to(books, 2, 10, 3)]


def lose_to_a_group(books: Books) -> None:
    """Two were in the hands of the dead at most, one each."""
    for who, number in ((10, 20), (11, 21), (10, 22)):
        del books.logs[who][last_message_to(books, who, 1, number)]


def lose_a_multicast(books: Books) -> None:
    del books.logs[2][last_message_to(books, 2, 1, 32)]


def lose_an_answer(books: Books) -> None:
    place = books.find(2, what=Step.ANSWERED)
    books.change(2, place, what=Step.UNANSWERED)


def find_nobody(books: Books) -> None:
    books.send(1, 2, 50, step=Step.NOBODY)


def double(books: Books) -> None:
    books.got(2, 1, 2, 3)


def double_in_a_group(books: Books) -> None:
    books.got(11, 1, ONE_OF | FALL, 22, flags=REDELIVERED)


def double_what_the_dead_have_read(books: Books) -> None:
    books.got(11, 1, ONE_OF | FALL, 20)


def reorder(books: Books) -> None:
    log = books.logs[2]
    first, second = (last_message_to(books, 2, 1, number) for number in (1, 2))
    log[first], log[second] = log[second], log[first]


def corrupt(books: Books) -> None:
    books.change(2, last_message_to(books, 2, 1, 1), flags=CORRUPT)


def misaddress(books: Books) -> None:
    """It came to one whom it was not for."""
    books.logs[1].append(books.logs[2].pop(last_message_to(books, 2, 10, 3)))


def misaddress_a_group(books: Books) -> None:
    books.logs[2].append(books.logs[11].pop(last_message_to(books, 11, 1, 21)))


def forge(books: Books) -> None:
    books.change(2, last_message_to(books, 2, 1, 1), came=10)


def answer_without_asking(books: Books) -> None:
    del books.logs[1][books.find(1, what=Step.GOT, who=2)]


def redeliver(books: Books) -> None:
    books.change(2, last_message_to(books, 2, 1, 3), flags=REDELIVERED)


def redeliver_a_request(books: Books) -> None:
    books.change(1, books.find(1, what=Step.GOT, who=2), flags=REDELIVERED | REQUEST)


def never_sent(books: Books) -> None:
    books.got(2, 1, 2, 77)


def gap(books: Books) -> None:
    """The dead one has read what was behind something it has not read."""
    del books.logs[10][last_message_to(books, 10, 1, 10)]


def refused_and_got(books: Books) -> None:
    """What was refused for want of room, and not tried again, has come."""
    books.send(1, 2, 60, step=Step.REFUSED)
    books.send(1, 2, 61)
    books.got(2, 1, 2, 60, 61)


def refused_and_got_before_it_was_tried_again(books: Books) -> None:
    books.send(1, 2, 60, step=Step.REFUSED)
    books.got(2, 1, 2, 60)
    books.send(1, 2, 60)


def refused_at_last_and_got(books: Books) -> None:
    """Nothing was sent after it."""
    books.send(1, ONE_OF | FALL, 60, step=Step.REFUSED)
    books.got(11, 1, ONE_OF | FALL, 60)


def find_nobody_of_a_group(books: Books) -> None:
    """A unicast, while two who live belong to the group."""
    books.send(1, ONE_OF | STAY, 50, step=Step.NOBODY)


def find_nobody_to_multicast_to(books: Books) -> None:
    books.send(1, ALL_OF | STAY, 50, step=Step.NOBODY)


def find_nobody_that_was_killed_later(books: Books) -> None:
    books.join(12, FALL, late=True)
    books.wait()
    books.send(1, 12, 50, step=Step.NOBODY)
    books.kill(12)


def get_no_answer_of_one_that_was_killed_later(books: Books) -> None:
    books.join(12, FALL, late=True)
    books.wait()
    books.send(1, 12, 50, flags=REQUEST, step=Step.UNANSWERED)
    books.kill(12)


def lose_what_the_dead_cannot_have_had(books: Books) -> None:
    """It was sent after all of the group that have died were dead, and before a next one joined."""
    books.send(1, ONE_OF | FALL, 50)


def lose_what_was_read_long_before_a_death(books: Books) -> None:
    books.join(12, FALL)
    books.send(1, ONE_OF | FALL, 50)
    books.wait()
    books.takes(12, 16)
    books.kill(12)


def lose_more_than_one_dead_had(books: Books) -> None:
    """Fifteen of another's hands are none in its own."""
    books.join(12, FALL)
    books.join(13, FALL)
    books.takes(12, 16)
    books.kill(12)
    books.send(1, ONE_OF | FALL, 50, 51)
    books.takes(13)
    books.kill(13)


def lose_to_a_group_of_which_nobody_died(books: Books) -> None:
    books.send(1, ONE_OF | STAY, 50)


def lose_all_of_the_dead_to_a_group(books: Books) -> None:
    """Its sender is dead, others of the group are, too, but neither was when it was sent."""
    books.join(12, FALL)
    books.wait()
    books.send(12, ONE_OF | FALL, *range(20))
    books.wait()
    books.kill(12)
    books.join(13, FALL)


def lose_of_the_dead_in_a_gap(books: Books) -> None:
    """Both that have died, its sender among them, have read what was behind it."""
    books.join(12, FALL)
    books.join(13, FALL)
    books.wait()
    books.send(12, ONE_OF | FALL, *range(4))
    books.got(13, 12, ONE_OF | FALL, 0, 2)
    books.got(12, 12, ONE_OF | FALL, 3)
    books.kill(13)
    books.kill(12)


def redeliver_what_no_dead_one_can_have_had(books: Books) -> None:
    """Somebody of the group has died, but long before it was sent."""
    books.join(12, FALL)
    books.wait()
    books.send(1, ONE_OF | FALL, 50)
    books.got(12, 1, ONE_OF | FALL, 50, flags=REDELIVERED)


def redeliver_before_anybody_died(books: Books) -> None:
    books.join(12, FALL)
    books.join(13, FALL)
    books.wait()
    books.send(1, ONE_OF | FALL, 50)
    books.got(12, 1, ONE_OF | FALL, 50, flags=REDELIVERED)
    books.kill(13)


def miss_all_multicasts_after_coming_late(books: Books) -> None:
    books.join(12, STAY, late=True)
    books.wait()
    books.send(1, ALL_OF | STAY, *range(50, 53))
    for survivor in (1, 2):
        books.got(survivor, 1, ALL_OF | STAY, *range(50, 53))


def miss_the_first_multicasts_after_coming_late(books: Books) -> None:
    miss_all_multicasts_after_coming_late(books)
    books.got(12, 1, ALL_OF | STAY, 52)


def answer_for_the_dead(books: Books) -> None:
    books.send(2, 10, 5, flags=REQUEST, step=Step.ANSWERED)


DOCTORED: list[tuple[Callable[[Books], None], str]] = [
    (lose_between_survivors, inv.LOST),
    (lose_of_the_dead, inv.LOST),
    (lose_to_a_group, inv.LOST),
    (lose_a_multicast, inv.LOST),
    (lose_an_answer, inv.LOST),
    (find_nobody, inv.LOST),
    (double, inv.DOUBLED),
    (double_in_a_group, inv.DOUBLED),
    (double_what_the_dead_have_read, inv.DOUBLED),
    (reorder, inv.REORDERED),
    (corrupt, inv.CORRUPTED),
    (misaddress, inv.MISADDRESSED),
    (misaddress_a_group, inv.MISADDRESSED),
    (forge, inv.FORGED),
    (answer_without_asking, inv.FORGED),
    (redeliver, inv.NEEDLESSLY),
    (redeliver_a_request, inv.NEEDLESSLY),
    (never_sent, inv.BEYOND),
    (gap, inv.BEYOND),
    (refused_and_got, inv.BEYOND),
    (refused_and_got_before_it_was_tried_again, inv.BEYOND),
    (refused_at_last_and_got, inv.BEYOND),
    (find_nobody_of_a_group, inv.LOST),
    (find_nobody_to_multicast_to, inv.LOST),
    (find_nobody_that_was_killed_later, inv.LOST),
    (get_no_answer_of_one_that_was_killed_later, inv.LOST),
    (lose_what_the_dead_cannot_have_had, inv.LOST),
    (lose_what_was_read_long_before_a_death, inv.LOST),
    (lose_more_than_one_dead_had, inv.LOST),
    (lose_to_a_group_of_which_nobody_died, inv.LOST),
    (lose_all_of_the_dead_to_a_group, inv.LOST),
    (lose_of_the_dead_in_a_gap, inv.LOST),
    (redeliver_what_no_dead_one_can_have_had, inv.NEEDLESSLY),
    (redeliver_before_anybody_died, inv.NEEDLESSLY),
    (miss_all_multicasts_after_coming_late, inv.LOST),
    (miss_the_first_multicasts_after_coming_late, inv.LOST),
    (answer_for_the_dead, inv.FORGED),
]


def test_honest_books_are_clean() -> None:
    assert Books.honest().judged() == []


@pytest.mark.parametrize(("doctor", "kind"), DOCTORED, ids=[doctor.__name__ for doctor, _ in DOCTORED])
def test_doctored_books_are_found(doctor: Callable[[Books], None], kind: str) -> None:
    books = Books.honest()
    doctor(books)
    found = books.judged()
    assert kind in {one.kind for one in found}, found


def test_each_kind_is_among_them() -> None:
    kinds = {value for name, value in vars(inv).items() if name.isupper() and isinstance(value, str)}
    assert {kind for _, kind in DOCTORED} == kinds


def test_what_was_under_way_with_the_dead_is_no_loss() -> None:
    """The last message of a killed sender may have come; one in the hands of each dead receiver may not."""
    books = Books.honest()
    books.got(2, 10, 2, 4)
    del books.logs[10][last_message_to(books, 10, 1, 22)]
    del books.logs[10][last_message_to(books, 10, 1, 11)]
    assert books.verdict() == ([], 1, 0, 0)


def test_what_lies_unread_when_both_die_is_no_loss() -> None:
    """In the ring to one that is dead, in order, and nobody is left to take it back."""
    books = Books.honest()
    books.join(12, FALL)
    books.join(13, FALL)
    books.wait()
    books.send(12, ONE_OF | FALL, 0, 1, 2, 3)
    books.got(13, 12, ONE_OF | FALL, 0)
    books.got(12, 12, ONE_OF | FALL, 3)
    books.kill(13)
    books.kill(12)
    assert books.verdict() == ([], 0, 2, 0)


def test_what_one_sends_to_itself_dies_with_it() -> None:
    """As one of the group; and it had read nothing of itself that came later."""
    books = Books.honest()
    books.join(12, FALL)
    books.wait()
    books.send(12, ONE_OF | FALL, 0, 1, 2)
    books.got(12, 12, ONE_OF | FALL, 0)
    books.kill(12)
    assert books.verdict() == ([], 0, 0, 2)


def test_what_waits_when_its_sender_and_a_controller_die_is_no_loss() -> None:
    books = Books.honest()
    books.join(12, STAY)
    books.join(13, STAY)
    books.wait()
    books.send(12, ONE_OF | FALL, 0, step=Step.WAITS)
    books.kill(12)
    books.kill(13)
    assert books.verdict() == ([], 0, 1, 0)


def test_each_of_the_dead_excuses_what_it_had_at_best() -> None:
    """The earlier death takes the earlier loss, so that the later is left for the later."""
    books = Books.honest()
    books.join(12, FALL)
    books.join(13, FALL)
    books.wait()
    books.send(1, ONE_OF | FALL, 50)
    books.takes(12)
    books.kill(12)
    books.send(1, ONE_OF | FALL, 51)
    books.takes(13)
    books.kill(13)
    assert books.verdict() == ([], 2, 0, 0)


def test_what_was_refused_and_tried_again_is_clean() -> None:
    books = Books.honest()
    books.send(1, 2, 60, step=Step.REFUSED)
    books.send(1, ALL_OF | STAY, 60)
    for survivor in (1, 2):
        books.got(survivor, 1, ALL_OF | STAY, 60)
    assert books.judged() == []


def test_nobody_is_found_where_nobody_is_known_yet() -> None:
    """One has just come; a takeover may keep it from being known for a moment."""
    books = Books.honest()
    books.send(1, ONE_OF | FALL, 49, step=Step.NOBODY)
    books.join(12, FALL, late=True)
    books.send(1, ONE_OF | FALL, 50, step=Step.NOBODY)
    books.send(1, 11, 51, step=Step.NOBODY)
    assert books.judged() == []


def test_a_batch_of_the_dead_is_a_prefix() -> None:
    books = Books.honest()
    books.write(10, Record(Step.TRIES, 0, 5, 0, 2, 0, 4))
    books.got(2, 10, 2, 4, 5)
    assert books.judged() == []
    books.got(2, 10, 2, 7)
    assert [one.kind for one in books.judged()] == [inv.BEYOND]


def test_who_comes_late_has_a_piece_without_a_gap() -> None:
    def judged(*numbers: int) -> list[str]:
        books = Books.honest()
        books.join(12, STAY, late=True)
        books.got(12, 1, ALL_OF | STAY, *numbers)
        return [one.kind for one in books.judged()]

    assert judged(31, 32) == []
    assert judged(31) == [inv.LOST]
    assert judged(30, 32) == [inv.LOST]


def test_a_log_is_read_to_its_last_whole_record(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = pages.Log(path)
    begun = time.monotonic_ns()
    records = [Record(Step.JOINS, many=6), Record(Step.GOT, 2, 1, 3, ONE_OF | 2, 3, 1 << 40)]
    for record in records:
        log.note(record)
    path.write_bytes(path.read_bytes() + b"\x01\x02")
    read = list(pages.read_log(path))
    assert [one._replace(at=0) for one in read] == records
    assert begun <= read[0].at <= read[1].at <= time.monotonic_ns()
    assert list(pages.read_log(tmp_path / "none")) == []
