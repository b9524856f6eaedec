"""Roles of the attacks that once found a defect."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import ipmb
from tests.support import proc, roles, runner
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable

#: The descriptors that this process has used up.
taken: list[int] = []


def take_all_but(free: int) -> int:
    """Use up every descriptor but ``free``; how many that took."""
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.dup(0))
    for _ in range(free):
        os.close(taken.pop())
    return len(taken)


def give_back() -> None:
    while taken:
        os.close(taken.pop())


def recv_or_why(timeout: float) -> tuple[Any, str]:
    """What one ``recv`` returned, or the name of what it raised."""
    try:
        return roles.recv(timeout)[0], ""
    except ipmb.IpmbError as error:
        return None, type(error).__name__


def patient_beside_multicast(to: str) -> list[int]:
    """One thread waits for room, this one tries a multicast over and over; what the two sends returned."""
    sender = roles.ends[roles.MAIN].sender
    patient: list[int] = []
    thread = threading.Thread(
        target=lambda: patient.append(sender.send(to, b"p" * 8000, timeout=20.0)), daemon=True
    )
    thread.start()
    number = thread.native_id
    until(lambda: proc.state(os.getpid(), number) == "S", "the patient one sleeps")
    runner.event("patient")
    many = ipmb.Selector.multicast(to)
    end = time.monotonic() + 5.0
    sent = 0
    while not sent and time.monotonic() < end:
        with contextlib.suppress(ipmb.Full):
            sent = sender.send(many, b"m" * 12000, overflow="error")
    thread.join(5.0)
    return [sent, *patient]


def time_sends(to: str, count: int) -> float:
    """The median time of a small send, in seconds."""
    sender = roles.ends[roles.MAIN].sender
    times = []
    for number in range(count):
        begin = time.perf_counter()
        assert sender.send(to, number, timeout=5.0) == 1
        times.append(time.perf_counter() - begin)
    return sorted(times)[count // 2]


def work_in_daemon(kind: str) -> None:
    """A daemon thread encodes and decodes for ever; returns when it has begun."""
    sender, receiver = roles.ends[roles.MAIN]
    payloads: dict[str, Callable[[], Any]] = {
        "list": lambda: [[number, str(number)] for number in range(50_000)],
        "dict": lambda: {str(number): number for number in range(50_000)},
        "bytes": lambda: b"x" * 3_000_000,
        "encode": lambda: [[number, str(number)] for number in range(50_000)],
    }
    payload = payloads[kind]()
    begun = threading.Event()

    def work() -> None:
        with contextlib.suppress(ipmb.Closed):
            while True:
                if kind == "encode":
                    sender.send("nobody", payload)
                else:
                    sender.send("self", payload)
                    begun.set()
                    receiver.recv()
                begun.set()

    threading.Thread(target=work, daemon=True).start()
    assert begun.wait(10.0)


def close_both_halves(bus: str, rounds: int) -> int:
    """Join, and close both halves in two threads at the same moment, over and over; endpoints closed."""
    sys.setswitchinterval(1e-5)
    for _ in range(rounds):
        end = ipmb.join(bus, "halves", timeout=10.0)
        barrier = threading.Barrier(2)

        def close(half: ipmb.Sender | ipmb.Receiver, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            half.close()

        threads = [threading.Thread(target=close, args=(half,)) for half in (end.sender, end.receiver)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return rounds
