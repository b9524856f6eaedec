"""Members that do themselves harm while they talk, and liars that harm others: what a soak is made of.

A :class:`Soaked` member uses up its descriptors, forks, sends messages that expire by the clock, and hears liars.
Whatever befalls it, its books have to be those of one to whom nothing happens. Liars keep no books: they come, do their
worst as strangers or as members, and are killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import socket
import time
from pathlib import Path
from typing import Any

import ipmb
from tests.faults.torture.talker import LABELS, Talker, name_of
from tests.support import churn, proc, scarce, stranger
from tests.support.wait import NeverError

#: How liars are called.
LIAR = "liar"

#: Messages for nobody wait so long at most: less than all are quiet for in the end.
SHORT = 0.3


class Soaked(Talker):
    """A talker to which everything happens that a process can do to itself."""

    REFUSED = (*Talker.REFUSED, OSError)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.expiring = 0
        self.shortages = 0
        self.lies = 0
        self._owed: list[tuple[Any, bytes]] = []
        self._children: list[int] = []

    def survive(self) -> None:
        super().survive()
        self._mischief()

    def fall(self) -> None:
        super().fall()
        self._mischief()

    def take(self, wait: float) -> bool:
        owed, self._owed = self._owed, []
        for message, payload in owed:
            self.reply(message, payload)
        return super().take(wait)

    def recv(self, wait: float) -> list[Any]:
        try:
            return super().recv(wait)
        except ipmb.DecodeError:
            self.lies += 1
        except OSError as error:
            if isinstance(error, ipmb.RecvTimeout):
                raise
            self.shortages += 1
        except ipmb.TooManyOpenFiles:
            self.shortages += 1
        return []

    def check(self, message: Any) -> None:
        if LIAR in message.sender.label:
            self.lies += 1
            message.close()
        else:
            super().check(message)

    def reply(self, message: Any, payload: bytes) -> None:
        """One that finds no descriptor for it replies later."""
        try:
            super().reply(message, payload)
        except OSError:
            self._owed.append((message, payload))

    # -- what it does to itself

    def _mischief(self) -> None:
        if self.chance.random() < 0.05:
            self._expire()
        if self.chance.random() < 0.01:
            self._starve()
        if self.chance.random() < 0.01:
            self._fork()
        self._reap()

    def _expire(self) -> None:
        """Messages for somebody who never comes."""
        for _ in range(5):
            to = ipmb.Selector.unicast(ipmb.LabelOp("nobody"), ttl=self.chance.random() * SHORT)
            with contextlib.suppress(*self.REFUSED):
                assert self.face.send(to, b"late", overflow="error") == 0
                self.expiring += 1

    def _starve(self) -> None:
        """Talk on without a single descriptor left."""
        scarce.use_up()
        try:
            for other in self.survivors:
                self.send(other, self.chance.choice((60, 20_000, 100_000)))
            self.take(0)
        finally:
            scarce.give_back()

    def _fork(self) -> None:
        """A child that finds its handles dead, and may outlive us."""
        rest = self.chance.random() * 0.1
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                time.sleep(rest)
                self.face.end.peers()
            except ipmb.Forked:
                code = 0
            finally:
                os._exit(code)
        self._children.append(pid)

    def _reap(self) -> None:
        for pid in self._children[:]:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                assert os.waitstatus_to_exitcode(status) == 0, "its handles were alive in a forked child"
                self._children.remove(pid)

    def said(self) -> dict[str, int]:
        while self._children:
            self._reap()
        stats = self.face.end.stats()
        why = {f"refused: {reason}": count for reason, count in stats.refused_by_reason.items()}
        why |= {f"dropped: {reason}": count for reason, count in stats.dropped_by_reason.items()}
        why |= {f"short of: {want}": count for want, count in stats.shortages_by_kind.items()}
        why |= {"skipped": stats.skipped, "duplicates": stats.duplicates}
        counted = {"expiring": self.expiring, "lies": self.lies, "shortages": self.shortages}
        return super().said() | counted | why


# -- liars


def scribble(bus: str, seed: int, pids: list[int]) -> None:
    """A member that writes over all the memory of its own that others read: rings, pages, waiting messages, regions."""
    chance = random.Random(seed)
    with ipmb.join(bus, LIAR, controller_affinity=False, timeout=10.0) as end:
        to = ipmb.Selector.multicast(ipmb.LabelOp(LABELS[1]) | LABELS[2])
        region = ipmb.MemoryRegion(1 << 16)
        while True:
            with contextlib.suppress(ipmb.IpmbError, OSError):
                end.sender.send(
                    ipmb.Message(to, chance.randbytes(40), memory_regions=[region]), overflow="drop"
                )
                end.sender.send(to, bytes(100_000), overflow="drop")
                end.sender.send(ipmb.Selector.unicast("nobody", ttl=SHORT), b"lie", overflow="drop")
            for begin, length in _writable():
                for _ in range(40):
                    where = begin + chance.randrange(length // 8) * 8
                    ctypes.c_uint64.from_address(where).value = chance.choice(
                        (0, 1, 2**32 - 1, 2**64 - 1, chance.getrandbits(64), chance.getrandbits(16))
                    )


def _writable() -> list[tuple[int, int]]:
    """Where memory is mapped that we write and others read: (address, bytes)."""
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "/memfd:ipmb" in line and " rw-s " in line:
            begin, end = (int(part, 16) for part in line.split()[0].split("-"))
            found.append((begin, end - begin))
    return found


def bomb(bus: str, seed: int, pids: list[int]) -> None:
    """A member that sends descriptors nobody asked for, sockets that carry themselves among them."""
    chance = random.Random(seed)
    with ipmb.join(bus, LIAR, controller_affinity=False, timeout=10.0) as end:
        spare = stranger.spare_descriptors(60)
        while True:
            ours, theirs = socket.socketpair()
            with ours, theirs, contextlib.suppress(ipmb.IpmbError, OSError):
                for _ in range(3):
                    stranger.say(ours, b"x", [theirs.fileno(), ours.fileno()])
                many = [*spare, ours.fileno(), theirs.fileno()]
                name = name_of(chance.randrange(3))
                end.sender.send(name, b"x", objects=many, timeout=0.01)


def shout(bus: str, seed: int, pids: list[int]) -> None:
    """A stranger that says nonsense at every door there is."""
    chance = random.Random(seed)
    packets = stranger.garbage(60, seed)
    spare = stranger.spare_descriptors(10)
    while True:
        for pid in pids:
            with contextlib.suppress(OSError, NeverError):
                for name in proc.listening_names(pid):
                    with stranger.connect(name, bound=0.01) as one:
                        for _ in range(chance.randrange(3)):
                            stranger.say(one, chance.choice(packets), chance.choice(([], spare)))


def come_and_go(bus: str, seed: int, pids: list[int]) -> None:
    """Endpoints that join and leave as fast as they can."""
    churn.come_and_go(bus, seed)


LIES = (scribble, bomb, shout, come_and_go)


def lie(role: Any, bus: str, seed: int, pids: list[int]) -> None:
    """Play a liar until killed. What it says itself is of no interest, a panic of its own threads included."""
    nothing = os.open("/dev/null", os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    role(bus, seed, pids)
