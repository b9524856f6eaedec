"""Raw sockets that say to the bus what nobody should.

Any process of the machine can connect to an abstract name, so what comes in there is anything at all. These
helpers connect as such a stranger, send bytes and descriptors, and tell when they were thrown out.
"""

from __future__ import annotations

import array
import collections
import errno
import os
import random
import resource
import select
import socket
import struct
import threading
import time

from tests.support import runner
from tests.support.wait import BOUND, NeverError

#: How every control packet of the bus begins: magic, then the version of the protocol (little endian).
MAGIC = b"ipmb"

#: The most descriptors the kernel takes in one message.
MAX_DESCRIPTORS = 253


def connect(name: bytes, bound: float = BOUND) -> socket.socket:
    """Connect to an abstract name; a full backlog is waited for, up to the bound."""
    deadline = time.monotonic() + bound
    while True:
        one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        one.setblocking(False)
        try:
            one.connect(b"\0" + name)
        except BlockingIOError:
            one.close()
            if time.monotonic() > deadline:
                raise NeverError(f"no room to connect to {name!r}") from None
            time.sleep(0.002)
        else:
            one.settimeout(BOUND)
            return one


def say(one: socket.socket, data: bytes, descriptors: list[int] | None = None) -> bool:
    """Send one packet; False when the other side has already closed or takes no more."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    try:
        one.sendmsg([data], rights, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
    except (BrokenPipeError, ConnectionResetError, BlockingIOError):
        return False
    except OSError as error:
        if error.errno in (errno.EMSGSIZE, errno.ENOBUFS, errno.ETOOMANYREFS, errno.ENOTCONN):
            return False
        raise
    return True


def answers_until_closed(one: socket.socket, bound: float = BOUND) -> list[bytes]:
    """What the other side sends before it closes; that it closes at all is what is awaited."""
    deadline = time.monotonic() + bound
    found: list[bytes] = []
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([one], [], [], left)[0]:
            raise NeverError(f"the connection was not closed within {bound:g} s; it said {found!r}")
        try:
            packet = one.recv(65536)
        except ConnectionResetError:
            continue  # on SEQPACKET a reset comes before what was queued
        if not packet:
            return found
        found.append(packet)


def is_closed(one: socket.socket) -> bool:
    """Whether the other side has closed, without waiting."""
    poller = select.poll()
    poller.register(one, select.POLLRDHUP)
    return bool(poller.poll(0))


def packet(body: bytes, version: int = 1) -> bytes:
    """A control packet with a proper beginning."""
    return MAGIC + struct.pack("<H", version) + body


def garbage(rounds: int, seed: int) -> list[bytes]:
    """Packets that are wrong in every way we could think of, the same ones for the same seed."""
    chance = random.Random(seed)
    found = [
        b"",
        b"\0",
        b"D",
        b"GET / HTTP/1.1\r\n\r\n",
        MAGIC,
        MAGIC + b"\1",
        packet(b""),
        packet(b"\xff" * 64),
        packet(b"\x00" + b"\xff" * 10 + bytes(32)),  # an identity of more than 64 bits
        packet(b"\x01" + b"\xff\xff\xff\xff\x0f" + b"a"),  # a length of 4 GiB with one byte behind it
        packet(b"\x01" + b"\x80" * 4000),  # a number that never ends
        packet(bytes(100_000)),
        bytes(60_000),
    ]
    while len(found) < rounds:
        body = chance.randbytes(chance.choice([1, 2, 5, 41, 120, 1000, 16_000]))
        match chance.randrange(3):
            case 0:
                found.append(body)
            case 1:
                found.append(packet(body))
            case _:  # a likely frame: a small tag, then numbers
                found.append(packet(bytes([chance.randrange(8)]) + body))
    return found[:rounds]


def spare_descriptors(count: int) -> list[int]:
    """Descriptors that may be given away: duplicates of one pipe's end."""
    read_end, write_end = os.pipe()
    os.close(write_end)
    found = [read_end]
    while len(found) < count:
        found.append(os.dup(read_end))
    return found


def varint(number: int) -> bytes:
    """An unsigned number as control packets hold it: seven bits a byte, the lowest first."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def opening_lies(opener: int, target: int) -> list[bytes]:
    """Openings of a channel with everything right but the proof, and a few with less."""
    found = []
    for who, whom, term in [
        (opener, target, 1),
        (target, target, 1),
        (opener, opener, 1),
        (opener, target, 0xFFFF_FFFF),
        (1, target, 1),
    ]:
        body = b"\x00" + varint(who) + varint(whom) + varint(term) + bytes(32)
        found += [packet(body), packet(body + b"\x00")]
    return found


def flood(name: bytes, seconds: float) -> int:
    """Keep as many silent connections as are borne, each renewed when dropped; how many in all."""
    end = time.monotonic() + seconds
    kept: list[socket.socket] = []
    count = 0
    while time.monotonic() < end:
        for one in [one for one in kept if is_closed(one)]:
            kept.remove(one)
            one.close()
        try:
            kept.append(connect(name, bound=0.01))
            count += 1
        except NeverError:
            continue
        if len(kept) > 300:
            kept.pop(0).close()
    for one in kept:
        one.close()
    return count


def crowd(name: bytes, most: int) -> int:
    """Fill the queue of a name with silent connections until the next call comes, always new ones; how many in all."""
    most = min(most, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100)
    kept: collections.deque[socket.socket] = collections.deque()
    made: list[int] = []

    def press() -> None:
        count = 0
        while not runner.called_again():
            one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            one.settimeout(0.5)  # whoever waits in `connect` is let in before whoever only tries
            try:
                one.connect(b"\0" + name)
            except OSError:
                one.close()
                continue
            count += 1
            kept.append(one)
            if len(kept) > most:
                kept.popleft().close()
        made.append(count)

    pressing = [threading.Thread(target=press) for _ in range(8)]
    for one in pressing:
        one.start()
    runner.event("pressing")
    for one in pressing:
        one.join()
    while kept:
        kept.pop().close()
    return sum(made)


def knock(name: bytes) -> None:
    """Connect and wait to be thrown out."""
    with connect(name) as one:
        answers_until_closed(one)
