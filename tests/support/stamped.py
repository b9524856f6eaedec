"""The storm over memory regions: roles that fill, view and hand on memory until they are killed.

Each message has a number. Its region and its payload, both shared memory, are stamped with that number, so whoever
holds either can tell at any time whether it is still that message's memory. The one that fills takes no new memory
while too much is out, so memory that a killed holder kept would stop it, and be noticed.
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import ipmb
from tests.support import memory, registries, roles, runner
from tests.support.regions import number_in, stamp
from tests.support.registries import new_stamped

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIN = roles.MAIN

#: Bytes of a region.
REGION = 1 << 16

#: Bytes of the payloads, in turn: all lie in memory of their own, and receivers keep the larger mapped for a while.
PAYLOADS = (1 << 17, 1 << 18)

#: Regions that one who fills has out at most.
OUT = 48

#: Messages that one who views holds at a time.
HOLD = 12

#: The messages' numbers begin here, for each one who fills, so that no two of them use the same.
_SPAN = 1 << 32


def _fill(sender: ipmb.Sender, to: str, number: int) -> int:
    """Send message ``number`` to all who match: a region of the pool and a payload that travels in the bus's own."""
    where = ipmb.Selector.multicast(ipmb.LabelOp.parse(to))
    with new_stamped(REGION, number) as region:
        try:
            return sender.send(
                where, bytearray(stamp(number, PAYLOADS[number % 2])), memory_regions=[region], timeout=0.5
            )
        except ipmb.SendTimeout:
            return 0


def fill(to: str) -> tuple[int, int]:
    """Fill and send until the next call comes; (messages, how many files they lay in)."""
    sender = roles.ends[MAIN].sender
    count = 0
    inodes = set()
    while not runner.called_again():
        count += 1
        registries.wait_until_fewer(OUT)
        _fill(sender, to, os.getpid() * _SPAN + count)
        if count % 16 == 0:  # looking where it lies costs more than filling it
            with new_stamped(REGION, os.getpid() * _SPAN + (1 << 31) + count) as region:
                inodes.add(memory.inode(region))
    return count, len(inodes)


class Watch:
    """Holds the last messages in every way there is, and looks at all of them again and again."""

    def __init__(self) -> None:
        self.held: deque[tuple[int, list[Any]]] = deque()
        self.seen = 0
        self.wrong: list[str] = []
        self.senders: set[int] = set()

    def take(self, message: ipmb.Message[Any]) -> None:
        """Hold a message: as it is, by its region, or by views alone."""
        payload = memoryview(message.payload)
        number = int.from_bytes(payload[:8], "little")
        (region,) = message.memory_regions
        self.seen += 1
        self.senders.add(message.sender.pid)
        parts: list[Any] = [payload]
        match self.seen % 3:
            case 0:
                parts += [region, message]
            case 1:
                message.close()
                parts.append(region)
            case _:
                view = region.map()
                region.close()
                message.close()
                parts.append(view)
        self.held.append((number, parts))
        if len(self.held) > HOLD:
            self.held.popleft()

    def look(self) -> None:
        for number, (payload, region, *_) in self.held:
            found = number_in(payload), number_in(region)
            if found != (number, number):
                self.wrong.append(f"{found} instead of {number}")


def _incoming(receiver: ipmb.Receiver[Any]) -> Iterator[ipmb.Message[Any]]:
    """Messages until the next call has come and nothing is left."""
    while True:
        try:
            yield receiver.recv(0.05)
        except ipmb.RecvTimeout:
            if runner.called_again():
                return


def watch() -> tuple[int, list[str], int]:
    """View until the next call comes; (messages, what was wrong in them, how many different senders)."""
    found = Watch()
    for message in _incoming(roles.ends[MAIN].receiver):
        found.take(message)
        found.look()
        del message
    found.look()
    return found.seen, found.wrong[:10], len(found.senders)


def fill_one(to: str) -> int:
    """Send the first message, after which everything that a process opens once is open."""
    return _fill(roles.ends[MAIN].sender, to, 1)


def watch_one() -> list[str]:
    """Take it, look at it and let it go."""
    found = Watch()
    found.take(roles.ends[MAIN].receiver.recv(10.0))
    found.look()
    return found.wrong


# -- those that are killed: forked by a nursery, so without calls


def _join(bus: str, label: str) -> ipmb.Endpoint:
    """On a bus whose controller is a survivor: with the last member that may take over, a bus ends."""
    return ipmb.join(bus, label, controller_affinity=False, timeout=20.0)


def doomed_viewer(bus: str) -> None:
    """View what comes for ever; tells when it holds as much as it wants."""
    found = Watch()
    end = _join(bus, "viewer")
    for message in end.receiver:
        found.take(message)
        found.look()
        del message
        assert not found.wrong, found.wrong
        if found.seen == HOLD:
            runner.event("busy")


def doomed_filler(bus: str) -> None:
    """Fill and send for ever; tells when the others must hold some of it."""
    end = _join(bus, "filler")
    count = 0
    while True:
        count += 1
        registries.wait_until_fewer(OUT)
        _fill(end.sender, "viewer", os.getpid() * _SPAN + count)
        if count == HOLD:
            runner.event("busy")


def doomed_forwarder(bus: str) -> None:
    """Hand on what comes for ever, region and payload, without letting go of the last ones."""
    end = _join(bus, "forwarder")
    held: deque[ipmb.Message[Any]] = deque(maxlen=HOLD // 2)
    where = ipmb.Selector.multicast("viewer")
    count = 0
    for message in end.receiver:
        count += 1
        held.append(message)
        try:
            end.sender.send(where, message.payload, memory_regions=message.memory_regions, timeout=0.5)
        except ipmb.SendTimeout:
            continue
        if count == HOLD:
            runner.event("busy")


# -- the books


def let_everything_go(bound: float) -> int:
    """Wait until all that was given out is free again, each once; how many that were."""
    deadline = time.monotonic() + bound
    while not registries.all_freed():
        assert time.monotonic() < deadline, f"{registries.outstanding()} regions are held for ever"
        time.sleep(0.005)
    return len(registries.freed())
