"""The judge of invariant I finds each kind of violation in books that were doctored, and none in honest ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.faults.torture import invariant as inv
from tests.faults.torture.invariant import ALL_OF, ONE_OF, REDELIVERED, REQUEST, Member, Record, Step, judge

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Group 1 are the survivors, group 2 those that may be killed.
STAY, FALL = 1, 2


@dataclass
class Books:
    """What everybody wrote down: two that stay, two that were killed, all of them talking."""

    logs: dict[int, list[Record]] = field(default_factory=dict)
    killed: set[int] = field(default_factory=set)

    @classmethod
    def honest(cls) -> Books:
        self = cls({number: [] for number in (1, 2, 10, 11)}, {10, 11})
        for number in self.logs:
            group = FALL if number in self.killed else STAY
            self.logs[number].append(Record(Step.JOINED, many=1 << group))
        for number in range(4):
            self.send(1, 2, number)
            self.send(10, 2, number)
            self.send(1, 10, 10 + number)
        self.got(2, 1, 2, *range(4))
        self.got(2, 10, 2, *range(4))
        self.got(10, 1, 10, 10, 11)  # then it was killed
        for number in range(20, 24):
            self.send(1, ONE_OF | FALL, number)
        self.got(10, 1, ONE_OF | FALL, 20, 22)
        self.got(11, 1, ONE_OF | FALL, 21)
        self.got(11, 1, ONE_OF | FALL, 23, flags=REDELIVERED)
        for number in range(30, 33):
            self.send(1, ALL_OF | STAY, number)
            self.got(1, 1, ALL_OF | STAY, number)
            self.got(2, 1, ALL_OF | STAY, number)
        self.logs[10].append(Record(Step.TAKES, many=1))  # and in `recv`
        self.logs[11].append(Record(Step.TAKES, many=1))
        self.send(10, 2, 4, step=None)  # killed within the call: it may have come or not
        self.send(2, 1, 0, flags=REQUEST, step=Step.ANSWERED)
        self.got(1, 2, 1, 0, flags=REQUEST)
        self.send(2, 11, 1, flags=REQUEST, step=Step.UNANSWERED)
        return self

    def send(
        self, sender: int, target: int, number: int, *, flags: int = 0, step: Step | None = Step.SENT
    ) -> None:
        self.logs[sender].append(Record(Step.TRIES, flags, 1, 0, target, 0, number))
        if step is not None:
            self.logs[sender].append(Record(step, flags, 1, 0, target, 0, number))

    def got(self, receiver: int, sender: int, target: int, *numbers: int, flags: int = 0) -> None:
        for number in numbers:
            self.logs[receiver].append(Record(Step.GOT, flags, 1, sender, target, sender, number))

    def find(self, member: int, /, **what: int) -> int:
        """Where in a log the first record with these fields is."""
        return next(
            place
            for place, one in enumerate(self.logs[member])
            if all(getattr(one, name) == value for name, value in what.items())
        )

    def change(self, member: int, place: int, /, **what: int) -> None:
        self.logs[member][place] = self.logs[member][place]._replace(**what)

    def judged(self) -> list[inv.Wrong]:
        return judge(
            {
                number: Member.read(number, records, survived=number not in self.killed)
                for number, records in self.logs.items()
            }
        ).wrong


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
    books.change(2, last_message_to(books, 2, 1, 1), flags=inv.CORRUPT)


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
    books.send(1, 2, 60, step=None)
    books.send(1, 2, 61)
    books.got(2, 1, 2, 60, 61)


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
    assert books.judged() == []


def test_a_batch_of_the_dead_is_a_prefix() -> None:
    books = Books.honest()
    books.logs[10].append(Record(Step.TRIES, 0, 5, 0, 2, 0, 4))
    books.got(2, 10, 2, 4, 5)
    assert books.judged() == []
    books.got(2, 10, 2, 7)
    assert [one.kind for one in books.judged()] == [inv.BEYOND]


def test_who_comes_late_has_a_piece_without_a_gap() -> None:
    def judged(*numbers: int) -> list[str]:
        books = Books.honest()
        books.logs[12] = [Record(Step.JOINED, many=1 << STAY)]
        books.got(12, 1, ALL_OF | STAY, *numbers)
        members = {
            number: Member.read(number, records, survived=number not in books.killed, late=number == 12)
            for number, records in books.logs.items()
        }
        return [one.kind for one in judge(members).wrong]

    assert judged(31, 32) == []
    assert judged(31) == [inv.LOST]
    assert judged(30, 32) == [inv.LOST]


def test_a_log_is_read_to_its_last_whole_record(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = inv.Log(path)
    records = [Record(Step.JOINED, many=6), Record(Step.GOT, 2, 1, 3, ONE_OF | 2, 3, 1 << 40)]
    for record in records:
        log.note(record)
    path.write_bytes(path.read_bytes() + b"\x01\x02")
    assert list(inv.read_log(path)) == records
    assert list(inv.read_log(tmp_path / "none")) == []
