"""A process that hands over as memory what is none, or none that can be relied on, wherever the bus hands memory over.

Each *place* is a conversation in which an honest process would send a certain memory file; each *kind*
(``hostile_files.py``) is a file that goes instead, as good as the real one (it has its size, its content, its seals)
but for what the kind is named after, and what is done to it once it has been sent. So what is refused is refused for
that, and a copy that is good in every respect, the kind ``honest``, is taken.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import ipmb
from tests.support import proc, roles, runner
from tests.support.hostile_files import KINDS, PAGE, shape
from tests.support.substitution import Substitution

if TYPE_CHECKING:
    from collections.abc import Callable

# -- the places


def _opens(bus: str, to: str, arm: Callable[[], None]) -> None:
    """Its ring, with the first message."""
    end = ipmb.join(bus, "liar", controller_affinity=False, timeout=10.0)
    arm()
    _keep_sending(end, to, bytes(100))


def _grows(bus: str, to: str, arm: Callable[[], None]) -> None:
    """A larger ring, when the first has been found full often enough."""
    end = ipmb.join(bus, "liar", controller_affinity=False, timeout=10.0)
    assert end.sender.send(to, b"first", timeout=5.0) == 1
    arm()
    # More than the ring holds, in one call: it is found full each time, however quick the receiver is.
    burst = [bytes(16_000)] * 16
    while True:
        with contextlib.suppress(ipmb.IpmbError, OSError):
            end.sender.send_many(to, burst, timeout=0.5)


def _attaches(bus: str, to: str, arm: Callable[[], None]) -> None:
    """The page with its tail, to whoever opens a channel to it."""
    end = ipmb.join(bus, "liar", controller_affinity=False, timeout=10.0)
    arm()
    runner.event("ready")
    for _ in end.receiver:
        pass


def _joins(bus: str, to: str, arm: Callable[[], None]) -> None:
    """The memory in which its messages wait."""
    arm()
    try:
        end = ipmb.join(bus, "liar", controller_affinity=False, timeout=2.0)
    except (OSError, ipmb.IpmbError) as error:
        runner.event("refused", type(error).__name__)
        return
    end.sender.send(ipmb.Selector.unicast(ipmb.LabelOp("nobody"), ttl=60), b"waits")
    _keep_sending(end, to, bytes(100))


def _controls(bus: str, to: str, arm: Callable[[], None]) -> None:
    """The directory, the lock and its own waiting messages, to whoever joins."""
    end = ipmb.join(bus, "liar", timeout=10.0)
    assert end.is_controller
    arm()
    runner.event("ready")
    for _ in end.receiver:
        pass


def _carries(bus: str, to: str, arm: Callable[[], None]) -> None:
    """The memory of large payloads, for each of them or once, with the first."""
    end = ipmb.join(bus, "liar", controller_affinity=False, timeout=10.0)
    assert end.sender.send(to, b"first", timeout=5.0) == 1
    arm()
    _keep_sending(end, to, memoryview(bytes(100_000)))


def _attaches_regions(bus: str, to: str, arm: Callable[[], None]) -> None:
    """A memory region of its own."""
    end = ipmb.join(bus, "liar", controller_affinity=False, timeout=10.0)
    assert end.sender.send(to, b"first", timeout=5.0) == 1
    region = ipmb.MemoryRegion(100_000)
    arm()
    _keep_sending(end, to, b"with a region", regions=[region])


def _keep_sending(
    end: ipmb.Endpoint[Any], to: str, payload: bytes | memoryview, *, regions: Any = (), pause: float = 0.01
) -> None:
    """The same again and again, for as long as it lives; what becomes of it is looked at from outside."""
    while True:
        with contextlib.suppress(ipmb.IpmbError, OSError):
            end.sender.send(to, payload, memory_regions=regions, timeout=0.5)
        time.sleep(pause)


class Place(NamedTuple):
    """Where memory is handed over."""

    worker: Callable[[str, str, Callable[[], None]], None]
    name: str  #: of the memory file that is replaced
    times: int = -1  #: how often; always, unless said otherwise
    freeze: bool = False  #: the worker is to do no more after that


PLACES: dict[str, Place] = {
    "ring": Place(_opens, "ipmb-ring"),
    "grown-ring": Place(_grows, "ipmb-ring", freeze=True),
    "consumer-page": Place(_attaches, "ipmb-tail"),
    "parking": Place(_joins, "ipmb-parking"),
    "directory": Place(_controls, "ipmb-directory"),
    "lock": Place(_controls, "ipmb-lock"),
    "controllers-parking": Place(_controls, "ipmb-parking"),
    "payload": Place(_carries, "ipmb-payload"),
    "named-payload": Place(_carries, "ipmb-payload", 1),
    "region": Place(_attaches_regions, "ipmb-region"),
}


# -- the liar


def identity(file: int) -> tuple[int, int]:
    stat = os.fstat(file)
    return stat.st_dev, stat.st_ino


def lie(bus: str, place: str, kind: str, to: str) -> int:
    """Play a place with a file of that kind until the next call comes.

    Reports ``handed`` with the file's device and number when it has left for the first time, then ``cut off`` when the
    connection that it left by is closed. At SIGUSR1 it begins to do to the file what it does.
    Returns how often it left.
    """
    where, what = PLACES[place], KINDS[kind]
    file = what.make()
    attacks: list[int] = []
    signal.signal(signal.SIGUSR1, lambda *_: attacks.append(1))
    deed = Substitution(
        lambda arm: where.worker(bus, to, arm),
        where.name,
        lambda path: shape(what, file, path),
        where.times,
        freeze=where.freeze,
    )
    handed = told = False
    try:
        while not runner.called_again():
            deed.step()
            if deed.link is not None and not handed:
                handed = True
                runner.event("handed", identity(file.sent))
            if handed and not told and deed.is_cut_off():
                told = True
                runner.event("cut off")
            if attacks and what.attack is not None:
                with contextlib.suppress(
                    OSError, ValueError
                ):  # the seals it has, or what it is by now, forbid it
                    what.attack(file)
            time.sleep(0.0002)
    finally:
        deed.end()
        for one in set(file):
            os.close(one)
    return deed.handed


# -- the victim


_kept: list[ipmb.Message[Any]] = []


def take_until(last: bytes) -> int:
    """Receive until that payload comes from somebody else; how much of the liar's came before.

    The liar's messages are kept open, and looked at to their end, all of them again when they have turned bad.
    """
    taken = 0
    while True:
        try:
            message = roles.ends[roles.MAIN].receiver.recv(10.0)
        except ipmb.DecodeError:
            continue
        if message.payload == last:
            break
        taken += 1
        _kept.append(message)
        look(message)
    for one in _kept:
        look(one)
    return taken


def look(message: ipmb.Message[Any]) -> int:
    """Read all memory that a message leads to."""
    return sum(sum(bytes(part)[:: PAGE // 2]) for part in (message.payload, *message.memory_regions))


def let_go() -> None:
    """Of all that came."""
    while _kept:
        _kept.pop().close()


def take_the_rest() -> None:
    """Whatever comes until nothing does for a moment, and let go of it."""
    with contextlib.suppress(ipmb.RecvTimeout):
        while True:
            with contextlib.suppress(ipmb.DecodeError):
                roles.ends[roles.MAIN].receiver.recv(0.02).close()


def send_some(to: str, count: int) -> list[str]:
    """Send to a liar; what came of each, by name."""
    found = []
    for number in range(count):
        try:
            found.append(str(roles.ends[roles.MAIN].sender.send(to, number, timeout=0.2)))
        except ipmb.IpmbError as error:
            found.append(type(error).__name__)
    return found


def try_to_join(bus: str) -> str:
    """Join as a candidate; the name of the error, or nothing."""
    try:
        roles.join(bus, ("victim",), name=bus, timeout=5.0)
    except (OSError, ipmb.IpmbError) as error:
        return type(error).__name__
    return ""


def look_around_and_leave(bus: str) -> None:
    """Use all that came with the welcome."""
    roles.peers(bus)
    with contextlib.suppress(ipmb.IpmbError):
        roles.send("liar", b"x", name=bus, timeout=0.2)
    roles.leave(bus)


def holds(pid: int, file: tuple[int, int]) -> bool:
    """Whether a process has that file open or mapped."""
    for line in proc.mappings(pid):
        device, inode = line.split(None, 5)[3:5]
        major, minor = (int(part, 16) for part in device.split(":"))
        if (os.makedev(major, minor), int(inode)) == file:
            return True
    for number in proc.descriptors(pid):
        with contextlib.suppress(OSError):
            stat = os.stat(f"/proc/{pid}/fd/{number}")
            if (stat.st_dev, stat.st_ino) == file:
                return True
    return False
