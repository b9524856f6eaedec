"""A member that uses everything the bus has, and keeps the books that :mod:`invariant` judges.

Unicast to one and to one of a group, multicast, messages that wait, batches, objects, regions, large payloads, requests
in both directions: which comes next, a random generator decides. Half of them do all that from an event loop. Who is to
be killed and who survives runs the same code; what differs is whom they talk to, and that survivors are controller only
in the chairs beside them.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import random
import struct
import time
import zlib
from typing import TYPE_CHECKING, Any

import ipmb
from tests.faults.torture.books import (
    ALL_OF,
    CORRUPT,
    ONE_OF,
    REDELIVERED,
    REQUEST,
    Log,
    Record,
    Step,
)
from tests.faults.torture.chairs import Chairs
from tests.faults.torture.faces import Looped, Plain
from tests.support.growth_deaths import larger_rings

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

#: The two groups, by number and by label.
STAY, FALL = 1, 2
LABELS = {STAY: "stays", FALL: "falls"}

#: Who sent it, whom it is for, its number, what is attached, checksum of the body.
HEADER = struct.Struct("<IIQII")
PLAIN, WITH_OBJECT, WITH_REGION = range(3)

SIZES = (0, 8, 60, 60, 300, 1500, 6000)

#: Between two rounds of a member: the cores are wanted for starting the next ones.
REST = 0.01


class Board:
    """A page that everybody shares with whoever started them: where each one is, and what all are to do."""

    TALK, LISTEN, END = range(3)
    UNBORN, BEGUN, JOINED, BUSY, LISTENS = range(5)
    CONTROLS = 0x80

    def __init__(self, slots: int) -> None:
        self._page = mmap.mmap(-1, 1 + slots)

    @property
    def phase(self) -> int:
        return self._page[0]

    @phase.setter
    def phase(self, phase: int) -> None:
        self._page[0] = phase

    def of(self, slot: int) -> int:
        return self._page[1 + slot] & ~self.CONTROLS

    def controls(self, slot: int) -> bool:
        return bool(self._page[1 + slot] & self.CONTROLS)

    def say(self, slot: int, state: int, *, controls: bool = False) -> None:
        self._page[1 + slot] = state | self.CONTROLS * controls


def name_of(number: int) -> str:
    return f"m{number}"


class Talker:
    """One member, from its join to the end of everything or of itself."""

    #: What a send raises when nothing was sent and it may be tried again.
    REFUSED: tuple[type[BaseException], ...] = (ipmb.Full, ipmb.SendTimeout)

    def __init__(  # noqa: PLR0917 - it is called by its place in a list of arguments that crosses a fork
        self,
        bus: str,
        number: int,
        group: int,
        survivors: int,
        path: str,
        seed: int,
    ) -> None:
        self.number = number
        self.group = group
        self.survivors = [other for other in range(survivors) if other != number]
        self.chance = random.Random(seed)
        self.log = Log(path)
        self.limit = 16 if group == STAY or self.chance.random() < 0.1 else 1
        face = Looped if seed % 2 else Plain
        self.log.note(Record(Step.JOINS, many=1 << group))
        self.face = face(bus, [name_of(number), LABELS[group]], affinity=group == FALL)
        self.log.note(Record(Step.JOINED))
        self._next = 0
        self._held = 0
        self.got = 0
        #: Whether it may be killed any time.
        self.mortal = group == FALL

    # -- sending

    def compose(self, target: int, number: int, size: int, attached: int = PLAIN) -> bytes:
        body = self.chance.randbytes(size)
        return HEADER.pack(self.number, target, number, attached, zlib.crc32(body)) + body

    def _note(self, step: Step, target: int, number: int, many: int = 1, flags: int = 0) -> None:
        self.log.note(Record(step, flags, many, 0, target, 0, number))

    def _selector(self, target: int, ttl: float) -> ipmb.Selector:
        if target & ALL_OF:
            return ipmb.Selector.multicast(ipmb.LabelOp(LABELS[target & ~ALL_OF]), ttl=ttl)
        label = LABELS[target & ~ONE_OF] if target & ONE_OF else name_of(target)
        return ipmb.Selector.unicast(ipmb.LabelOp(label), ttl=ttl)

    def send(self, target: int, size: int, *, ttl: float = 0, attached: int = PLAIN) -> bool:
        """One message, if there is room now; whether there was."""
        number = self._next
        message = self.compose(target, number, size, attached)
        self._note(Step.TRIES, target, number)
        how: dict[str, Any] = {}
        with contextlib.ExitStack() as stack:
            if attached == WITH_OBJECT:
                made = os.memfd_create("numbered")
                stack.callback(os.close, made)
                os.write(made, struct.pack("<Q", number))
                how["objects"] = [made]
            elif attached == WITH_REGION:
                region = stack.enter_context(ipmb.MemoryRegion(4096))
                with memoryview(region) as view:
                    view[:8] = struct.pack("<Q", number)
                how["memory_regions"] = [region]
            # Now and then it waits for room, so that a death finds senders asleep.
            patient = self.chance.random() < 0.1 and not target & ALL_OF
            how |= {"timeout": 0.02} if patient else {"overflow": "error"}
            try:
                selector = self._selector(target, ttl)
                sent = self.face.send(ipmb.Message(selector, message, **self._attached(how)), **how)
            except self.REFUSED:
                self._note(Step.REFUSED, target, number)
                return False
        self._next += 1
        step = Step.SENT if sent else Step.WAITS if ttl else Step.NOBODY
        self._note(step, target, number)
        return True

    @staticmethod
    def _attached(how: dict[str, Any]) -> dict[str, Any]:
        return {name: how.pop(name) for name in ("objects", "memory_regions") if name in how}

    def send_many(self, target: int, sizes: list[int]) -> bool:
        """A batch, as far as there is room."""
        first = self._next
        messages = [self.compose(target, first + place, size) for place, size in enumerate(sizes)]
        self._note(Step.TRIES, target, first, len(sizes))
        try:
            sent = self.face.send_many(self._selector(target, 0), messages, timeout=0.01)
        except self.REFUSED as error:
            sent = getattr(error, "delivered", 0)
        if sent:
            self._note(Step.SENT, target, first, sent)
        if sent < len(sizes):
            self._note(Step.REFUSED, target, first + sent, len(sizes) - sent)
        self._next = first + sent
        return sent == len(sizes)

    def questions(self, board: Board) -> Generator[tuple[str, bytes], Any]:
        """What is asked, until there is an end of talking; gets the answers, or the error in place of one."""
        chance = random.Random(self.chance.random())
        number = 0
        while board.phase == Board.TALK:
            targets = self.survivors
            if chance.random() < 0.2:
                targets = self.victims() or targets
            target = chance.choice(targets)
            body = chance.randbytes(chance.choice(SIZES))
            question = HEADER.pack(self.number, target, number, PLAIN, zlib.crc32(body)) + body
            self._note(Step.TRIES, target, number, flags=REQUEST)
            answer = yield name_of(target), question
            if isinstance(answer, self.REFUSED) and not isinstance(answer, ipmb.RecvTimeout):
                self._note(Step.REFUSED, target, number, flags=REQUEST)
                continue
            if isinstance(answer, bytes):
                assert answer == question[::-1], f"{len(answer)} bytes answered to {number}"
                became = Step.ANSWERED
            else:  # one that asked, and then had no descriptor to hear the answer with, knows nothing of it
                became = Step.UNKNOWN if isinstance(answer, ipmb.TooManyOpenFiles) else Step.UNANSWERED
            self._note(became, target, number, flags=REQUEST)
            number += 1

    def victims(self) -> list[int]:
        peers = self.face.end.peers()
        return [
            int(name[1:])
            for peer in peers
            if LABELS[FALL] in peer.label
            for name in peer.label
            if name != LABELS[FALL] and name != name_of(self.number)
        ]

    # -- receiving

    def take(self, wait: float) -> bool:
        """Take what is there, waiting once; whether there was anything."""
        for round_ in range(100):
            self._holds(self.limit)
            try:
                messages = self.recv(0 if round_ else wait)
            except ipmb.RecvTimeout:
                self._holds(0)
                return round_ > 0
            self._holds(len(messages))
            for message in messages:
                self.check(message)
        return True

    def recv(self, wait: float) -> list[Any]:
        return self.face.recv(self.limit, wait)

    def _holds(self, many: int) -> None:
        """How many messages a death now would take along."""
        if self.mortal and many != self._held:
            self._held = many
            self.log.note(Record(Step.TAKES, many=many))

    def check(self, message: Any) -> None:
        """Write down what has come, and reply if that is wanted."""
        payload = bytes(message.payload)
        who, target, number, attached, checksum = HEADER.unpack_from(payload)
        flags = REDELIVERED * message.redelivered | REQUEST * message.is_request
        if zlib.crc32(payload[HEADER.size :]) != checksum or not self._has(message, attached, number):
            flags |= CORRUPT
        names = [name for name in message.sender.label if name not in LABELS.values()]
        came = int(names[0][1:])
        self.log.note(Record(Step.GOT, flags, 1, who, target, came, number))
        self.got += 1
        self._held -= 1
        if message.is_request:
            self.reply(message, payload[::-1])

    def reply(self, message: Any, payload: bytes) -> None:
        self.face.reply(message, payload)

    @staticmethod
    def _has(message: Any, attached: int, number: int) -> bool:
        """Whether what was attached has come, and is what was attached."""
        stamp = struct.pack("<Q", number)
        if (len(message.objects), len(message.memory_regions)) != (
            attached == WITH_OBJECT,
            attached == WITH_REGION,
        ):
            return False
        if attached == WITH_OBJECT:
            return os.pread(message.objects[0].fileno(), 9, 0) == stamp
        if attached == WITH_REGION:
            with memoryview(message.memory_regions[0]) as view:
                return bytes(view[:8]) == stamp
        return True

    # -- a round of each

    def survive(self) -> None:
        """One round of a survivor: to the others, to all of them, and to those that fall."""
        chance = self.chance
        for other in self.survivors:
            if chance.random() < 0.02:  # until the ring is full: rings grow by that
                while self.send_many(other, [chance.choice(SIZES) for _ in range(30)]):
                    if chance.random() < 0.1:
                        break
            for _ in range(chance.randrange(3)):
                if not self.send(other, chance.choice(SIZES), attached=self._something()):
                    break
        if chance.random() < 0.3:
            self.send(ALL_OF | STAY, chance.choice(SIZES), attached=self._something())
        for _ in range(chance.randrange(4)):
            if not self.send(ONE_OF | FALL, self._size(), ttl=600, attached=self._something()):
                break
        if chance.random() < 0.3 and (victims := self.victims()):
            self.send(chance.choice(victims), self._size(), attached=self._something())

    def fall(self) -> None:
        """One round of a victim: to the survivors, to all of them, and to its like."""
        chance = self.chance
        for other in self.survivors:
            if chance.random() < 0.1:
                self.send_many(other, [chance.choice(SIZES) for _ in range(chance.randrange(1, 40))])
            else:
                self.send(other, self._size(), attached=self._something())
        if chance.random() < 0.3:
            self.send(ALL_OF | STAY, chance.choice(SIZES))
        if chance.random() < 0.3:
            self.send(ONE_OF | FALL, chance.choice(SIZES), ttl=600)

    def said(self) -> dict[str, int]:
        """What it counts in the end, beside its books."""
        stats = self.face.end.stats()
        return {
            "waiting": stats.waiting,
            "redelivered": stats.redelivered,
            "expired": stats.expired,
            "grown rings": larger_rings("rw-s"),
        }

    def _something(self) -> int:
        return self.chance.choices((PLAIN, WITH_OBJECT, WITH_REGION), (40, 1, 1))[0]

    def _size(self) -> int:
        large = self.chance.random() < 0.02
        return self.chance.choice((20_000, 60_000, 200_000)) if large else self.chance.choice(SIZES)


def talk(  # noqa: PLR0917 - as for Talker
    kind: type[Talker],
    bus: str,
    number: int,
    group: int,
    survivors: int,
    folder: Path,
    seed: int,
    board: Board,
    slot: int,
) -> None:
    """The life of a member: join, talk, then listen until all is over, and say what it has counted."""
    board.say(slot, Board.BEGUN)
    me = kind(bus, number, group, survivors, str(folder / str(number)), seed)
    board.say(slot, Board.JOINED)
    while sum(LABELS[STAY] in peer.label for peer in me.face.end.peers()) < len(me.survivors):
        time.sleep(REST)
    me.face.ask(me.questions(board))
    chairs = Chairs(bus, seed, me.log) if number == 0 or (group == FALL and seed % 4 < 2) else None
    while board.phase == Board.TALK:
        controls = me.face.end.is_controller or (chairs is not None and chairs.preside)
        if group == STAY:
            me.survive()
        else:
            me.fall()
        me.take(0.004)
        if me.got:
            board.say(slot, Board.BUSY, controls=controls)
        time.sleep(REST)
    me.mortal = False
    if chairs:
        chairs.end()
    while board.phase != Board.END:
        me.take(0.05)
        if not me.face.asks():
            board.say(slot, Board.LISTENS)
    (folder / f"{number}.json").write_text(json.dumps(me.said()))
    me.face.close()
