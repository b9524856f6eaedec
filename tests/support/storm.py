"""Members that talk while some of them are killed, and keep the books that invariant I is judged by.

    I: a message whose send returned between two survivors arrives exactly once, in order, checksum intact;
    what comes from a killed peer is a clean prefix of what it sent.

A survivor keeps its books in memory and reports them at the end. A victim may be killed at any instruction,
so it writes what it knows to a file with one call each, before it goes on.
"""

from __future__ import annotations

import os
import random
import struct
import time
import zlib
from dataclasses import dataclass, field
from typing import Any

import ipmb
from tests.support import runner
from tests.support.wait import until

#: What a victim logs, each with a peer's number and a sequence number.
BEGIN, JOINED, SENT, READ, CONTROLS = range(1, 6)
RECORD = struct.Struct("<BxxxIQ")

#: Who sent it, whom it is for (or GROUP), its number in that sequence, checksum of the body.
HEADER = struct.Struct("<IIQI")
GROUP = 0xFFFF_FFFF

#: Victims are numbered from here, each incarnation anew; survivors below.
FIRST_VICTIM = 1000

#: Between two rounds of a member: the cores are wanted for starting the next victims.
REST = 0.003

SIZES = (0, 8, 60, 60, 300, 1500, 6000)


def name_of(number: int) -> str:
    return f"m{number}"


def compose(chance: random.Random, sender: int, target: int, sequence: int) -> bytes:
    size = 40_000 if chance.random() < 0.004 else chance.choice(SIZES)
    body = chance.randbytes(size)
    return HEADER.pack(sender, target, sequence, zlib.crc32(body)) + body


@dataclass
class Books:
    """What one member has sent and received."""

    me: int
    sent: dict[int, int] = field(default_factory=dict)  #: to a survivor: how many sends have returned 1
    got: dict[int, int] = field(default_factory=dict)  #: from a member: how many have come, all in order
    group_sent: list[int] = field(default_factory=list)  #: numbers accepted for the group of victims
    group_next: int = 0
    wrong: list[str] = field(default_factory=list)

    def check(self, message: ipmb.Message) -> tuple[int, int, int]:
        """Note a received message and everything that is wrong with it; (sender, target, sequence)."""
        payload = bytes(message.payload)
        sender, target, sequence, checksum = HEADER.unpack_from(payload)
        if zlib.crc32(payload[HEADER.size :]) != checksum:
            self.wrong.append(f"checksum of {sequence} from {sender}")
        if name_of(sender) not in message.sender.label:
            self.wrong.append(f"{sender} came as {message.sender.label}")
        if target not in (self.me, GROUP):
            self.wrong.append(f"a message for {target} came to {self.me}")
        if target == self.me:
            expected = self.got.get(sender, 0)
            if sequence != expected or message.redelivered:
                self.wrong.append(f"{sequence} instead of {expected} from {sender}")
            self.got[sender] = sequence + 1
        return sender, target, sequence


def _try_send(end: ipmb.Endpoint, to: str, payload: bytes, ttl: float) -> int:
    """1 or 0 as sent or parked; -1 when there is no room now."""
    message = ipmb.Message(ipmb.Selector.unicast(ipmb.LabelOp(to), ttl=ttl), payload)
    try:
        return end.sender.send(message, overflow="error")
    except ipmb.Full:
        return -1


_kept: list[tuple[ipmb.Endpoint, Books]] = []


def survive(bus: str, me: int, survivors: int, seed: int, *, affinity: bool) -> None:
    """Join and talk to all other survivors and to the group of victims until the next call comes."""
    chance = random.Random(seed)
    end = ipmb.join(bus, [name_of(me), "survivor"], controller_affinity=affinity, timeout=20.0)
    books = Books(me)
    _kept.append((end, books))
    others = [number for number in range(survivors) if number != me]
    until(lambda: sum("survivor" in peer.label for peer in end.peers()) == len(others), "all survivors")
    runner.event("joined")
    while not runner.called_again():
        for other in others:
            for _ in range(chance.randrange(8)):
                sequence = books.sent.get(other, 0)
                result = _try_send(end, name_of(other), compose(chance, me, other, sequence), 0)
                if result == 0:
                    books.wrong.append(f"survivor {other} was not found by {me}")
                if result != 1:
                    break
                books.sent[other] = sequence + 1
        for _ in range(chance.randrange(6)):
            payload = compose(chance, me, GROUP, books.group_next)
            if _try_send(end, "victim", payload, 600) == -1:
                break
            books.group_sent.append(books.group_next)
            books.group_next += 1
        _take(end, books, 0.004)
        time.sleep(REST)


def _take(end: ipmb.Endpoint, books: Books, wait: float) -> bool:
    """Take what is there, waiting once; whether there was anything."""
    for taken in range(200):
        try:
            books.check(end.receiver.recv(0 if taken else wait))
        except ipmb.RecvTimeout:
            return taken > 0
    return True


def report_sent() -> dict[int, int]:
    """What a survivor has sent to each other one, when it has ended sending."""
    return _kept[0][1].sent


def settle(quiet: float) -> dict[str, Any]:
    """Take the rest, until nothing has come for ``quiet`` seconds; the books."""
    end, books = _kept[0]
    while _take(end, books, quiet):
        pass
    stats = end.stats()
    return {
        "got": books.got,
        "group": books.group_sent,
        "wrong": books.wrong,
        "dropped": stats.dropped,
        "waiting": stats.waiting,
        "redelivered": stats.redelivered,
        "controller": end.is_controller,
    }


def fall(bus: str, me: int, survivors: int, log_path: str) -> None:
    """Join, talk to the survivors, read what comes for the group, and log every step until killed."""
    chance = random.Random(me)
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(what: int, who: int = 0, sequence: int = 0) -> None:
        os.write(log, RECORD.pack(what, who, sequence))

    note(BEGIN)
    end = ipmb.join(bus, [name_of(me), "victim"], timeout=20.0)
    note(JOINED)
    books = Books(me)
    controls = False
    while not runner.called_again():
        if end.is_controller and not controls:
            controls = True
            note(CONTROLS)
        for target in range(survivors):
            sequence = books.sent.get(target, 0)
            if _try_send(end, name_of(target), compose(chance, me, target, sequence), 0) == 1:
                books.sent[target] = sequence + 1
                note(SENT, target, sequence)
        for taken in range(50):
            try:
                message = end.receiver.recv(0 if taken else 0.004)
            except ipmb.RecvTimeout:
                break
            sender, _, sequence = books.check(message)
            note(READ, sender, sequence)
        time.sleep(REST)
    _kept.append((end, books))


def fall_silent(quiet: float) -> list[str]:
    """For the victims that are left: read what is still there and report what was wrong."""
    end, books = _kept[0]
    log = os.open(os.environ["IPMB_STORM_LOG"], os.O_WRONLY | os.O_APPEND)
    while True:
        try:
            sender, _, sequence = books.check(end.receiver.recv(quiet))
        except ipmb.RecvTimeout:
            os.close(log)
            return books.wrong
        os.write(log, RECORD.pack(READ, sender, sequence))


def read_log(data: bytes) -> list[tuple[int, int, int]]:
    """The records of a victim's log: (what, who, sequence)."""
    return list(RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size]))
