"""Streams whose rings grow while one side after another is killed, and the books of those who are left."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import random
import signal
import time

import ipmb
from tests.support import nursery
from tests.support.growth_deaths import LONG, NUMBER, larger_rings
from tests.support.runner import PR_SET_PDEATHSIG
from tests.support.wait import until

#: Messages after which a stream has certainly grown its ring: a dozen small rings full.
MANY = 12 * 64


def _body(number: int) -> bytes:
    return NUMBER.pack(number).ljust(1000 + number % 500, b"%d" % (number % 10))


class Counter:
    """A number in memory that outlives the worker that counts."""

    def __init__(self) -> None:
        # One store for each number: pack_into would write zeros first, and the worker may die in between.
        self._word = ctypes.c_uint64.from_buffer(mmap.mmap(-1, mmap.PAGESIZE))

    def set(self, number: int) -> None:
        self._word.value = number

    def get(self) -> int:
        return self._word.value


def _send_for_ever(bus: str, counter: Counter) -> None:
    with ipmb.join(bus, ["worker"], timeout=LONG) as end:
        number = 0
        while end.sender.send("program", _body(number), timeout=LONG) == 1:
            number += 1
            counter.set(number)


def _take_for_ever(bus: str, counter: Counter) -> None:
    with ipmb.join(bus, ["worker"], timeout=LONG) as end:
        number = 0
        while end.receiver.recv(LONG).payload == _body(number):
            number += 1
            counter.set(number)


class Weather:
    """A program that talks with one worker after another."""

    def __init__(self, bus: str, seed: int) -> None:
        self._bus = bus
        self._chance = random.Random(seed)
        self.end = ipmb.join(bus, ["program"], timeout=LONG)
        self.grown = {"rw-s": 0, "r--s": 0}

    def _bear(self, role: object) -> tuple[int, Counter]:
        counter = Counter()
        pid = os.fork()
        if pid == 0:
            try:
                ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                assert callable(role)
                role(self._bus, counter)
            finally:
                os._exit(7)
        return pid, counter

    def _kill(self, pid: int, mode: str) -> None:
        # Looked at while both live: who is left gives the memory back at once.
        self.grown[mode] += larger_rings(mode) > 0
        # A few microseconds more or less: another instruction.
        moment = time.perf_counter() + self._chance.random() / 2000
        while time.perf_counter() < moment:
            pass
        os.kill(pid, signal.SIGKILL)
        assert nursery.bury(pid) == -signal.SIGKILL

    def kill_a_sender(self) -> None:
        """All that its sends returned for arrives, and nothing else but the one it was just sending."""
        pid, counter = self._bear(_send_for_ever)
        number = 0
        for _ in range(self._chance.randrange(2 * MANY)):
            assert self.end.receiver.recv(LONG).payload == _body(number)
            number += 1
        self._kill(pid, "r--s")
        with contextlib.suppress(ipmb.RecvTimeout):
            while True:
                assert self.end.receiver.recv(0.02).payload == _body(number)
                number += 1
        assert number in (counter.get(), counter.get() + 1), f"{number} of {counter.get()} came"

    def kill_a_receiver(self) -> None:
        """What it had not read goes to another, all but the one that it was just reading."""
        pid, counter = self._bear(_take_for_ever)
        until(
            lambda: any("worker" in peer.label for peer in self.end.peers()),
            "the worker is there",
            bound=LONG,
        )
        to = ipmb.Selector.unicast(ipmb.LabelOp("worker"), ttl=60)
        laps = self._chance.random() < 0.5
        sent = self._chance.randrange(MANY, 2 * MANY) if laps else self._chance.randrange(2 * MANY)
        # A worker that is stopped until the ring is full, and then gets time to read most of it, has it full in laps:
        # it grows. The others run all the time, and hardly ever let it fill.
        if laps:
            os.kill(pid, signal.SIGSTOP)
        for number in range(sent):
            message = ipmb.Message(to, _body(number))
            try:
                self.end.sender.send(message, overflow="error")
            except ipmb.Full:
                if laps:
                    os.kill(pid, signal.SIGCONT)
                    until(lambda: counter.get() + 20 > number, "the worker reads", bound=LONG)  # noqa: B023
                    os.kill(pid, signal.SIGSTOP)
                self.end.sender.send(message, timeout=LONG)
        os.kill(pid, signal.SIGCONT)
        self._kill(pid, "rw-s")
        taken = counter.get()
        with ipmb.join(self._bus, ["worker"], timeout=LONG) as heir:
            found = [NUMBER.unpack_from(heir.receiver.recv(LONG).payload)[0] for _ in range(sent - taken - 1)]
            with contextlib.suppress(ipmb.RecvTimeout):
                while True:
                    found.append(NUMBER.unpack_from(heir.receiver.recv(0.1).payload)[0])
        assert found in (list(range(taken, sent)), list(range(taken + 1, sent))), (
            f"{taken} of {sent} taken, then {found}"
        )


def weather(bus: str, kills: int, seed: int) -> dict[str, int]:
    """How many of the rings had grown when one side died, by whose they were."""
    storm = Weather(bus, seed)
    with storm.end:
        for number in range(kills):
            (storm.kill_a_sender if number % 2 else storm.kill_a_receiver)()
    return storm.grown
