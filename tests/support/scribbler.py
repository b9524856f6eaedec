"""A member that scribbles at full speed over all it may write, life after life, and those who have to endure it.

A life is a forked process that joins honestly, opens channels in every way there is (small messages, large ones,
regions, requests, messages that wait, a page for those who send to it), and then writes numbers that are nearly right,
or not at all, all over the memory that the bus has mapped writable for it, and nonsense on its sockets. The next life
comes as soon as this one has been cut off, or has had its time.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import random
import signal
import socket
import struct
import time
from collections import Counter
from typing import Any

import numpy as np

import ipmb
from tests.support import proc, roles, runner
from tests.support.runner import PR_SET_PDEATHSIG

#: What one life reports when it ends: words written, packets of nonsense.
REPORT = struct.Struct("<QQ")

#: Where the words are that a peer looks at: head, tail, room, sleep, the directory's word, numbers and lengths.
PLACES = np.array([0, 8, 16, 64, 72, 128, 136, 192, 256], dtype=np.int64) // 8

BATCH = 8192

MREMAP_MAYMOVE = 1
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
_libc.mremap.restype = ctypes.c_void_p


class Memory:
    """A piece of this process's memory, as words."""

    def __init__(self, begin: int, size: int, name: str) -> None:
        self.name = name
        raw = (ctypes.c_uint64 * (size // 8)).from_address(begin)
        self._words = np.frombuffer(memoryview(raw), np.uint64)

    def scribble(self, chance: np.random.Generator) -> int:
        """A batch of words: where a peer looks, in the first pages, or anywhere; nearly right, or nonsense."""
        words = self._words
        match chance.integers(4):
            case 0:
                at = PLACES[len(words) > PLACES]
            case 1:
                at = chance.integers(0, min(len(words), 4096), BATCH)
            case 2:
                at = chance.integers(0, len(words), BATCH)
            case _:  # one straight piece
                begin = int(chance.integers(0, len(words)))
                at = np.arange(begin, min(begin + BATCH, len(words)))
        match chance.integers(4):
            case 0:
                words[at] = words[at] + chance.integers(0, 1 << 14, len(at), dtype=np.uint64) * np.uint64(8)
            case 1:
                words[at] = chance.integers(0, 1 << 63, len(at), dtype=np.uint64)
            case 2:
                words[at] = chance.choice(np.array([0, 1, (1 << 64) - 1, 1 << 32], dtype=np.uint64), len(at))
            case _:
                words[at] = chance.integers(0, 1 << 17, len(at), dtype=np.uint64)
        return len(at)


def own_memory() -> list[Memory]:
    """All memory of the bus that this process may write, mapped once more: the bus unmaps what it is cut off from."""
    found = []
    for line in proc.mappings(os.getpid()):
        fields = line.split(None, 5)
        if fields[1] == "rw-s" and len(fields) == 6 and fields[5].startswith("/memfd:ipmb-"):
            begin, end = (int(part, 16) for part in fields[0].split("-"))
            again = _libc.mremap(begin, 0, end - begin, MREMAP_MAYMOVE)
            assert again != ctypes.c_void_p(-1).value
            found.append(Memory(again, end - begin, fields[5]))
    return found


def _nonsense(chance: random.Random) -> int:
    """A packet of nonsense on each connected socket of this process, behind the bus's back."""
    sent = 0
    for number, target in proc.descriptors(os.getpid()).items():
        if target.startswith("socket:"):
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as one:
                data = chance.choice([b"D", b"R", b"G", b"Y", b"N", b"F", b"K1234", chance.randbytes(40)])
                given = [0] if chance.random() < 0.2 else []
                socket.send_fds(one, [data], given, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                sent += 1
    return sent


def _befriend(end: ipmb.Endpoint[Any], chance: random.Random) -> None:
    """Open channels of every kind, and let messages wait."""
    victims = ipmb.Selector.multicast("victim")
    for payload in (b"small", bytes(3000), memoryview(bytes(200_000))):
        end.sender.send(victims, payload, timeout=0.2)
    with ipmb.MemoryRegion(50_000) as region:
        end.sender.send(victims, b"region", memory_regions=[region], timeout=0.2)
    end.sender.send(ipmb.Selector.unicast("nobody", ttl=60), bytes(500))
    if chance.random() < 0.2:  # a ring grows for this, in which it may scribble too
        for _ in range(200):
            end.sender.send("victim", bytes(12_000), timeout=0.2)


def _live(bus: str, seed: int, seconds: float, report: int, label: str) -> None:
    chance = random.Random(seed)
    numbers = np.random.default_rng(seed)
    # What its own bus says of what it finds in its memory is no matter.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    end = ipmb.join(bus, label, controller_affinity=label == "tyrant", timeout=5.0)
    with contextlib.suppress(ipmb.IpmbError, OSError):
        _befriend(end, chance)
    over = time.monotonic() + seconds
    words = packets = 0
    noisy = chance.random() < 0.3
    memory = own_memory()
    while time.monotonic() < over:
        for _ in range(50):
            words += chance.choice(memory).scribble(numbers)
        with contextlib.suppress(ipmb.IpmbError, OSError):
            # It goes on sending and receiving, so that its peers are woken and look.
            end.sender.send("victim", bytes(chance.choice([8, 500, 5000])), timeout=0.0)
            end.receiver.recv(0)
        if noisy:
            packets += _nonsense(chance)
    os.write(report, REPORT.pack(words, packets))
    os.kill(os.getpid(), signal.SIGKILL)


def _live_alone(seed: int, seconds: float, report: int) -> None:
    """The same amount of work on memory that is nobody else's."""
    numbers = np.random.default_rng(seed)
    room = ctypes.create_string_buffer(1 << 20)
    memory = Memory(ctypes.addressof(room), 1 << 20, "private")
    over = time.monotonic() + seconds
    words = 0
    while time.monotonic() < over:
        words += memory.scribble(numbers)
    os.write(report, REPORT.pack(words, 0))
    os.kill(os.getpid(), signal.SIGKILL)


def scribble(bus: str, seed: int, seconds: float, *, alone: bool, label: str = "liar") -> dict[str, int]:
    """Life after life for so long; what they did, and how they ended."""
    chance = random.Random(seed)
    over = time.monotonic() + seconds
    told, report = os.pipe()
    os.set_blocking(told, False)
    found = Counter(lives=0, words=0, packets=0)
    while time.monotonic() < over:
        life, span = chance.randrange(1 << 30), chance.choice([0.02, 0.05, 0.15])
        pid = os.fork()
        if pid == 0:
            try:
                _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                signal.alarm(10)
                if alone:
                    _live_alone(life, span, report)
                else:
                    _live(bus, life, span, report, label)
            finally:
                os._exit(7)
        _, status = os.waitpid(pid, 0)
        found["lives"] += 1
        found[f"ended {os.waitstatus_to_exitcode(status)}"] += 1
        with contextlib.suppress(BlockingIOError):
            words, packets = REPORT.unpack(os.read(told, REPORT.size))
            found["words"] += words
            found["packets"] += packets
    os.close(told)
    os.close(report)
    return dict(found)


# -- those who endure it


def endure(*, name: str = roles.MAIN) -> dict[str, Any]:
    """Receive from all, send to the liars, look around, until the next call comes.

    A friend's messages are numbers, which must come in order. No call may take longer than it was given: the longest of
    each kind of call is told, with what it was allowed to wait taken off.
    """
    end = roles.ends[name]
    longest: dict[str, float] = {}
    errors = Counter[str]()
    others = friend = 0
    wrong: list[str] = []

    def timed(what: str, allowed: float, call: Any) -> Any:
        begin = time.monotonic()
        try:
            return call()
        except ipmb.RecvTimeout:
            return None
        except (ipmb.IpmbError, OSError) as error:
            errors[type(error).__name__] += 1
            return None
        finally:
            longest[what] = max(longest.get(what, 0.0), time.monotonic() - begin - allowed)

    def read(message: ipmb.Message[Any]) -> object:
        with message:
            return sum(bytes(message.payload)[::512]) + sum(
                sum(bytes(r)[::512]) for r in message.memory_regions
            )

    while not runner.called_again():
        message = timed("recv", 0.01, lambda: end.receiver.recv(0.01))
        if message is not None and "friend" in message.sender.label:
            if message.payload != friend:
                wrong.append(f"{message.payload!r:.40} instead of {friend}")
            friend += 1
        elif message is not None:
            others += 1
            timed("read", 0.0, functools.partial(read, message))
        timed("send", 0.0, lambda: end.sender.send(ipmb.Selector.multicast("liar"), bytes(200), timeout=0.0))
        timed("peers", 0.0, end.peers)
    return {
        "friend": friend,
        "others": others,
        "wrong": wrong[:5],
        "errors": dict(errors),
        "longest": longest,
    }


def befriend(to: str, *, name: str = roles.MAIN) -> int:
    """Send numbers at an easy pace until the next call comes; how many went. The wait for room is bounded."""
    sender = roles.ends[name].sender
    number = 0
    while not runner.called_again():
        assert sender.send(to, number, timeout=5.0) == 1, f"{number} found nobody"
        number += 1
        time.sleep(0.002)
    return number


def drain(*, name: str = roles.MAIN) -> int:
    """Take the rest; how much of it is a friend's."""
    friends = 0
    while True:
        try:
            with roles.ends[name].receiver.recv(0.3) as message:
                friends += "friend" in message.sender.label
        except ipmb.RecvTimeout:
            return friends
        except ipmb.IpmbError:
            continue


def talk_under_a_tyrant(to: str) -> dict[str, Any]:
    """Talk and look around until the next call comes, while the controller scribbles over its directory.

    It can take anybody off the bus, so what is sent may find nobody; nothing may hang or raise what it should not.
    """
    sender, receiver = roles.ends[roles.MAIN]
    found = Counter[str]()
    longest = 0.0
    while not runner.called_again():
        begin = time.monotonic()
        with contextlib.suppress(ipmb.SendTimeout):
            found["sent"] += sender.send(to, begin, timeout=0.0)
        roles.ends[roles.MAIN].peers()
        longest = max(longest, time.monotonic() - begin)
        with contextlib.suppress(ipmb.RecvTimeout):
            while receiver.recv(0).payload is not None:
                found["received"] += 1
        found["rounds"] += 1
    return {**found, "longest": longest}
