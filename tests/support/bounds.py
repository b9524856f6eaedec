"""Roles that go to a bound and one past it."""

from __future__ import annotations

import mmap
import os
import resource
import select
import time
from typing import TYPE_CHECKING, Any

import ipmb
from tests.support import proc, roles, stranger

if TYPE_CHECKING:
    from collections.abc import Callable

GIBIBYTE = 1 << 30


def chain(leaves: int) -> str:
    """An expression of one operator and that many leaves, one of them `moon`."""
    return " | ".join(["moon", *(f"e{number}" for number in range(1, leaves))])


def chain_of_bytes(size: int, element: int) -> str:
    """A chain whose encoding has exactly ``size`` bytes: two, and for each leaf two and its own."""
    size -= 2
    leaves: list[str] = []
    while size:
        length = min(element, size - 2)
        if 0 < size - 2 - length < 3:
            length -= 3  # so that what is left is enough for another leaf
        leaves.append(f"e{len(leaves):02}".ljust(length, "x"))
        size -= 2 + length
    return " | ".join(leaves)


def send_gibibyte(to: str) -> int:
    """A payload of one GiB, mostly zeros, with a mark in every 64th MiB."""
    with mmap.mmap(-1, GIBIBYTE) as source:
        for place in range(0, GIBIBYTE, 64 << 20):
            source[place : place + 8] = place.to_bytes(8, "little")
        return roles.ends[roles.MAIN].sender.send(to, source, timeout=40.0)


def recv_gibibyte() -> bool:
    payload = memoryview(roles.ends[roles.MAIN].receiver.recv(40.0).payload)
    places = range(0, GIBIBYTE, 64 << 20)
    marks = [int.from_bytes(payload[place : place + 8], "little") for place in places]
    return len(payload) == GIBIBYTE and marks == list(places)


def send_vast(to: str, size: int) -> int:
    """A payload that exists only as address space, in a process that may not write files of such a size."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as source:
        return roles.ends[roles.MAIN].sender.send(to, source, timeout=20.0)


def send_by_many_selectors(to: str, count: int) -> int:
    """One message by each of ``count`` different selectors that all mean the same endpoint."""
    sender = roles.ends[roles.MAIN].sender
    return sum(sender.send(ipmb.LabelOp(to) & ~ipmb.LabelOp(f"no-{n}"), n, timeout=5.0) for n in range(count))


def crowd_until_dropped(name: bytes, count: int) -> list[float]:
    """Connect ``count`` times in silence, each until it is dropped; how long each was borne."""
    poller = select.poll()
    begun: dict[int, float] = {}
    crowd = {}
    for _ in range(count):
        one = stranger.connect(name)
        crowd[one.fileno()] = one
        begun[one.fileno()] = time.monotonic()
        poller.register(one, select.POLLRDHUP)
    borne = []
    while crowd:
        for number, _ in poller.poll(10_000):
            borne.append(time.monotonic() - begun[number])
            poller.unregister(number)
            crowd.pop(number).close()
    return borne


def peak(pid: int, name: bytes, count: int) -> int:
    """The most descriptors ``pid`` holds while ``count`` silent connections come."""
    crowd = [stranger.connect(name) for _ in range(count)]
    most = 0
    while not all(stranger.is_closed(one) for one in crowd):
        most = max(most, len(proc.descriptors(pid)))
        time.sleep(0.005)
    for one in crowd:
        one.close()
    return most


def send_in_turn_until_error(to: list[str]) -> tuple[int, str]:
    """A message with a descriptor to each in turn until there is no room; (how many went, the exception)."""
    sender = roles.ends[roles.MAIN].sender
    with open(os.devnull) as null:
        for number in range(100_000):
            try:
                assert sender.send(to[number % len(to)], number, objects=[null], overflow="error") == 1
            except ipmb.SendError as error:
                return number, type(error).__name__
    return -1, ""


def recv_and_weigh(count: int, names: list[str], size: int) -> list[int]:
    """Take ``count`` payloads by each endpoint; the sizes of the regions of payloads that are kept after that."""
    for name in names:
        receiver = roles.ends[name].receiver
        for _ in range(count):
            assert len(receiver.recv(10.0).payload) == size
    found = proc.descriptors(os.getpid())
    return [os.fstat(at).st_size for at, target in found.items() if target.startswith("/memfd:ipmb-payload")]


def bad_calls(to: str) -> list[tuple[str, list[str]]]:
    """Calls with a bad argument: (its name, the classes and the text of what was raised)."""
    end = roles.ends[roles.MAIN]
    send: Any = end.sender.send
    recv: Any = end.receiver.recv
    unicast: Any = ipmb.Selector.unicast
    calls: dict[str, list[Callable[[], object]]] = {
        "timeout": [
            lambda: send(to, b"", timeout=-1),
            lambda: send(to, b"", timeout="1"),
            lambda: recv(-1),
            lambda: recv(float("nan")),
            lambda: recv("1"),
        ],
        "ttl": [
            lambda: unicast("a", ttl=-1),
            lambda: unicast("a", ttl=float("nan")),
            lambda: unicast("a", ttl="1"),
            lambda: send(to, b"", ttl=-0.5),
        ],
        "overflow": [lambda: send(to, b"", overflow="explode"), lambda: send(to, b"", overflow=1)],
        "payload": [
            lambda: send(to, object()),
            lambda: send(to, {1, 2}),
            lambda: send(to, 2**64),
            lambda: send(to, -(2**63) - 1),
            lambda: send(to, [1, [2, {"three": object()}]]),
        ],
        "selector": [lambda: send(1, b""), lambda: send(None, b"")],
    }
    found = []
    for argument, tries in calls.items():
        for call in tries:
            try:
                value = call()
            except Exception as error:  # noqa: BLE001 - which one it is, is the question
                found.append((argument, [kind.__name__ for kind in type(error).__mro__] + [str(error)]))
            else:
                found.append((argument, ["nothing was raised", repr(value)]))
    return found
