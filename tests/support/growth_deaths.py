"""Deaths of a sender and of a receiver at one instruction after another while the ring between them grows.

A worker is forked, joins, and talks until the very step that is to be looked at; then it is followed by ptrace and
killed so many system calls and instructions later. Who is left says what it has got, and that has to be what was
sent: every message whose ``send`` returned, in order, none twice.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import select
import signal
import struct
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import ipmb
from tests.support import nursery, syscalls
from tests.support.limits import bound
from tests.support.runner import PR_SET_PDEATHSIG
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes of a message: few make a lap.
SIZE = 16_000
#: Laps before the one whose end proves the pair busy; the first does not count.
LAPS = bound("FULL_RINGS_BEFORE_GROWTH")
#: Messages that go through the larger ring within the part that is looked at.
BEYOND = 3
NUMBER = struct.Struct("<Q")
LONG = 20.0

#: Instructions after a system call that are looked at: what comes later is the interpreter's, or a long copy.
REACH = 1500

#: Who dies, and in which part of it.
CASES = [("sender", "offer"), ("receiver", "accept"), ("sender", "switch"), ("receiver", "switch")]


class Pipes(NamedTuple):
    """What worker and program say to each other: (read end, write end)."""

    gate: tuple[int, int]  #: the worker goes on, up to this number
    tell: tuple[int, int]  #: the worker has got so far
    log: tuple[int, int]  #: one for each message that was sent, or taken

    @classmethod
    def make(cls) -> Pipes:
        return cls(os.pipe(), os.pipe(), os.pipe())

    def go(self, to: int) -> None:
        os.write(self.gate[1], NUMBER.pack(to))

    def wait(self) -> int:
        assert select.select([self.tell[0]], [], [], LONG)[0], "the worker says nothing"
        return int(NUMBER.unpack(os.read(self.tell[0], NUMBER.size))[0])

    def logged(self) -> list[int]:
        """What a dead worker has noted."""
        os.set_blocking(self.log[0], False)
        with contextlib.suppress(BlockingIOError):
            data = os.read(self.log[0], 1 << 16)
            return [number for (number,) in NUMBER.iter_unpack(data)]
        return []

    def close(self) -> None:
        for pair in self:
            for end in pair:
                os.close(end)


def _body(number: int) -> bytes:
    return NUMBER.pack(number) * (SIZE // NUMBER.size)


class Book:
    """Numbers that go out or come in through one endpoint."""

    def __init__(self, end: ipmb.Endpoint, to: str = "", log: int | None = None) -> None:
        self.end = end
        self.to = ipmb.Selector.unicast(ipmb.LabelOp(to), ttl=60) if to else None
        self.next = 0
        self._log = log

    def put(self) -> bool:
        """Send the next number; False when there is no room."""
        assert self.to is not None
        try:
            assert self.end.sender.send(ipmb.Message(self.to, _body(self.next)), overflow="error") == 1
        except ipmb.Full:
            return False
        self._note()
        return True

    def fill(self) -> None:
        while self.put():
            pass

    def take(self, timeout: float = LONG) -> bool:
        """Receive the next number, which it has to be; False when none comes."""
        try:
            payload = self.end.receiver.recv(timeout).payload
        except ipmb.RecvTimeout:
            return False
        assert payload == _body(self.next), f"{NUMBER.unpack_from(payload)} instead of {self.next}"
        self._note()
        return True

    def take_to(self, number: int) -> None:
        while self.next < number:
            assert self.take(), f"{self.next} does not come"

    def _note(self) -> None:
        if self._log is not None:
            os.write(self._log, NUMBER.pack(self.next))
        self.next += 1


def _worker(role: Callable[[str, Pipes], None], bus: str, pipes: Pipes) -> None:
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        role(bus, pipes)
        while True:  # what is left of the steps
            os.getppid()
    finally:
        os._exit(7)


def _sends(bus: str, pipes: Pipes) -> None:
    """Fills the ring, lap by lap; then a lap but for what does not fit, and that between two marks, twice."""
    book = Book(ipmb.join(bus, ["worker"], timeout=LONG), "program", pipes.log[1])
    lap = 0
    _turn(book, pipes)
    for _ in range(LAPS):
        lap = -book.next
        book.fill()
        lap += book.next
        _turn(book, pipes)
    for window in (1, BEYOND):
        for _ in range(lap):
            assert book.put()
        _turn(book, pipes)
        syscalls.mark()
        for _ in range(window):
            book.put()
        syscalls.mark()
        _turn(book, pipes)


def _takes(bus: str, pipes: Pipes) -> None:
    """Takes up to the number it is told, in turns; the last but two, and the very last of them, between two marks."""
    book = Book(ipmb.join(bus, ["worker"], timeout=LONG), "", pipes.log[1])
    while True:
        to = _turn(book, pipes)
        marked = to >> 32
        if marked:
            syscalls.mark()
        book.take_to(to & 0xFFFF_FFFF)
        if marked == 1:  # it may not have looked at its socket yet
            book.take(0.02)
        if marked:
            syscalls.mark()


def _turn(book: Book, pipes: Pipes) -> int:
    os.write(pipes.tell[1], NUMBER.pack(book.next))
    return int(NUMBER.unpack(os.read(pipes.gate[0], NUMBER.size))[0])


def larger_rings(mode: str) -> int:
    """How many larger rings this process has mapped, ``rw-s`` its own, ``r--s`` those of others."""
    count = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "memfd:ipmb-ring" in line and f" {mode} " in line:
            begin, end = (int(part, 16) for part in line.split()[0].split("-"))
            count += end - begin > bound("GROWN_RING_BYTES")
    return count


class Scene:
    """A worker just before the part that is looked at, and the endpoint of this process that talks with it."""

    def __init__(self, bus: str, who: str, part: str) -> None:
        self._who = who
        self.pipes = Pipes.make()
        self._bus = bus
        self.pid = os.fork()
        if self.pid == 0:
            _worker(_sends if who == "sender" else _takes, bus, self.pipes)
        self.end = ipmb.join(bus, ["program"], timeout=LONG)
        self.book = Book(self.end, "worker" if who == "receiver" else "")
        self.sent = 0
        if who == "sender":
            self._before_sender(part)
        else:
            self._before_receiver(part)

    def _before_sender(self, part: str) -> None:
        for _ in range(1 + LAPS):
            self.book.take_to(self.pipes.wait())
            self.pipes.go(0)
        self.gate = 0
        if part == "offer":
            self.pipes.wait()
            return
        self.pipes.wait()
        self.pipes.go(0)
        self.book.take_to(self.pipes.wait())
        # It is asked with the next look at the socket.
        until(lambda: not self.book.take(0.001) and larger_rings("r--s") == 1, "the larger ring is accepted")
        self.pipes.go(0)
        self.pipes.wait()

    def _before_receiver(self, part: str) -> None:
        self.pipes.wait()
        for _ in range(LAPS):
            self.book.fill()
            self.pipes.go(self.book.next)
            self.pipes.wait()
        self.book.fill()
        self.gate = 1 << 32 | self.book.next
        if part == "accept":
            return
        self.pipes.go(self.gate)
        self.pipes.wait()
        before = self.book.next
        for _ in range(bound("RING_BYTES") // SIZE + BEYOND):
            assert self.book.put(), "the ring has not grown"
        assert larger_rings("rw-s") == 1
        # Up to the last but one of the small ring.
        self.pipes.go(before + bound("RING_BYTES") // (SIZE + 40) - 1)
        self.pipes.wait()
        self.gate = 2 << 32 | self.book.next

    def start(self) -> None:
        self.pipes.go(self.gate)

    def judge(self) -> None:
        """What is left after the worker's death."""
        assert nursery.bury(self.pid) == -signal.SIGKILL
        noted = self.pipes.logged()
        assert noted == list(range(len(noted)))
        if self._who == "sender":
            # Everything that a send returned for, and what was in the ring when it died.
            while self.book.take(0.02):
                pass
            assert self.book.next in (len(noted), len(noted) + 1), f"{self.book.next} of {len(noted)} came"
        else:
            self._to_an_heir(len(noted))

    def _to_an_heir(self, taken: int) -> None:
        """Another receiver gets the rest; the dead one may have taken one with it that it was just receiving."""
        with ipmb.join(self._bus, ["worker"], timeout=LONG) as heir:
            rest = Book(heir)
            rest.next = taken
            left = self.book.next - taken
            if left > 1:
                payload = heir.receiver.recv(LONG).payload
                first = NUMBER.unpack_from(payload)[0]
                assert payload == _body(first)
                assert first in (taken, taken + 1), f"{first} after {taken} were taken"
                rest.next = first + 1
                rest.take_to(self.book.next)
            elif left == 1:
                rest.take(0.5)
            assert not rest.take(0.01), "more than was sent"

    def end_it(self) -> None:
        self.end.close()
        self.pipes.close()


def _at(bus: str, case: tuple[str, str], follow: Callable[[Scene], None]) -> None:
    scene = Scene(bus, *case)
    try:
        follow(scene)
        scene.judge()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(scene.pid, signal.SIGKILL)
        scene.end_it()


def die_within(number: int, bus: str, points: int, seed: int) -> tuple[int, int]:
    """Kill at so many points, spread over the instructions between two marks; (points, instructions)."""
    case = CASES[number]
    calls: list[int] = []

    def count(scene: Scene) -> None:
        calls.append(len(syscalls.Tracer(scene.pid).count(scene.start)[0]))
        os.kill(scene.pid, signal.SIGKILL)

    _at(bus, case, count)
    lengths = [_die_at(bus, case, at, REACH) for at in range(calls[0] + 1)]
    chance = random.Random(seed)
    every = max(1, sum(lengths) // points)
    done = len(lengths)
    for at, length in enumerate(lengths):
        for steps in range(chance.randrange(min(every, length)), length, every):
            _die_at(bus, case, at, steps)
            done += 1
    return done, sum(lengths)


def _die_at(bus: str, case: tuple[str, str], calls: int, steps: int) -> int:
    """Kill the worker there; how many instructions after the call that was, fewer if the next call comes sooner."""
    found: list[int] = []
    try:
        _at(
            bus,
            case,
            lambda scene: found.append(syscalls.Tracer(scene.pid).kill_within(scene.start, calls, steps)),
        )
    except BaseException as error:
        raise AssertionError(f"{case}, killed {steps} instructions after call {calls}: {error!r}") from error
    return found[0]
