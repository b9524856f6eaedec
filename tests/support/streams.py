"""Roles that go on for a while: conversations, checked streams, and deaths at a chosen moment.

A stream checks itself in the process that receives it, number by number, so that nothing but the verdict
has to cross the pipe to the test.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
import time
from typing import Any

import ipmb
from tests.support import proc, runner
from tests.support.roles import MAIN, ends, plain, recv_numbers, selector, send_numbers


def echo(*, name: str = MAIN) -> int:
    """Send every message back to its sender's first label until the next call comes; how many there were."""
    sender, receiver = ends[name]
    count = 0
    while not runner.called_again():
        try:
            message = receiver.recv(0.05)
        except ipmb.RecvTimeout:
            continue
        sender.send(next(iter(message.sender.label)), message.payload, timeout=5.0)
        count += 1
    return count


def ping(to: str, rounds: int, *, name: str = MAIN, seconds: float | None = None) -> list[float]:
    """Round trips to an :func:`echo`, in seconds, checked one by one; for ``seconds`` when that is given."""
    sender, receiver = ends[name]
    times = []
    begin = time.perf_counter()
    number = 0
    while number < rounds or seconds is not None:
        if seconds is not None and time.perf_counter() - begin > seconds:
            break
        start = time.perf_counter()
        assert sender.send(to, number, timeout=5.0) == 1
        answer = receiver.recv(5.0).payload
        times.append(time.perf_counter() - start)
        assert answer == number, f"{answer} instead of {number}"
        number += 1
    return times


def ping_until_called(to: str, *, name: str = MAIN) -> tuple[int, float, float]:
    """More than 20 round trips, on until the next call comes: (how many, the longest in seconds, the median)."""
    times: list[float] = []
    runner.event("talking")
    while len(times) <= 20 or not runner.called_again():
        times += ping(to, 1, name=name)
    return len(times), max(times), sorted(times)[len(times) // 2]


def send_in_order(
    to: str, count: int, *, every: int = 0, name: str = MAIN, ttl: float | None = 0, timeout: float = 30.0
) -> int:
    """Send 0, 1, 2 ... as numbers, all of which must find their one receiver; how many went."""
    where = selector(to, "unicast", ttl)
    sender = ends[name].sender
    for number in range(count):
        if every and number % every == 0:
            runner.event("milestone", number)
        reached = sender.send(ipmb.Message(where, number), timeout=timeout)
        assert reached == 1, f"number {number} reached {reached}"
    return count


def send_in_bursts(to: str, burst: int, pause: float, ttl: float | None, *, name: str = MAIN) -> int:
    """Send integers in bursts until the next call comes; how many went."""
    where = selector(to, "unicast", ttl)
    count = 0
    while not runner.called_again():
        for number in range(count, count + burst):
            assert ends[name].sender.send(ipmb.Message(where, number), timeout=30.0) == 1
        count += burst
        time.sleep(pause)
    return count


def recv_in_order(count: int, *, name: str = MAIN, timeout: float = 30.0) -> int:
    """Receive 0, 1, 2 ... and fail at the first that is missing, doubled or out of place."""
    receiver = ends[name].receiver
    for number in range(count):
        found = receiver.recv(timeout).payload
        assert found == number, f"{found} instead of {number}"
    return count


def recv_by_sender(count: int, *, name: str = MAIN, timeout: float = 30.0) -> tuple[Any, Any, Any]:
    """Receive numbers of several senders, each of which must count from 0 without a gap.

    Returns how many came of each, the place at which each came first, and the place at which each came last.
    """
    receiver = ends[name].receiver
    orders: dict[Any, int] = {}
    first: dict[Any, int] = {}
    last: dict[Any, int] = {}
    for place in range(count):
        message = receiver.recv(timeout)
        who = message.sender.id
        expected = orders.get(who, 0)
        assert message.payload == expected, f"{message.payload} instead of {expected} of {who}"
        orders[who] = expected + 1
        first.setdefault(who, place)
        last[who] = place
    return orders, first, last


def recv_slowly(pause: float, *, name: str = MAIN) -> int:
    """Read one message, rest, and so on until the next call comes; how many were read.

    Without a pause it reads everything that is there before it ends.
    """
    count = 0
    while True:
        try:
            ends[name].receiver.recv(0.05)
        except ipmb.RecvTimeout:
            if runner.called_again():
                return count
            continue
        count += 1
        if pause:
            time.sleep(pause)
            if runner.called_again():
                return count


def collect(*, name: str = MAIN) -> list[Any]:
    """Wait in ``recv`` until the next call comes and all is read; the payloads."""
    found = []
    while True:
        try:
            found.append(ends[name].receiver.recv(0.1))
        except ipmb.RecvTimeout:
            if runner.called_again():
                return [plain(message.payload) for message in found]


def recv_impatiently(count: int, timeout: float, *, name: str = MAIN) -> tuple[list[int], int]:
    """Receive numbers with a timeout so short that it often ends; (the numbers, how often it ended)."""
    receiver = ends[name].receiver
    numbers: list[int] = []
    timeouts = 0
    while len(numbers) < count:
        try:
            numbers.append(int.from_bytes(receiver.recv(timeout).payload[:8], "little"))
        except ipmb.RecvTimeout:
            timeouts += 1
    return numbers, timeouts


def send_until_called(to: str, size: int, *, name: str = MAIN) -> int:
    """Send as much as goes, until the next call comes; how many messages went."""
    count = 0
    payload = bytes(size)
    while not runner.called_again():
        try:
            count += ends[name].sender.send(to, payload, timeout=0.05)
        except ipmb.SendTimeout:
            continue
    return count


def send_and_die(to: str, first: int, count: int, size: int = 8, **options: Any) -> None:
    """Send, and be killed by nobody's mercy right after the last send has returned."""
    join_results = send_numbers(to, first, count, size=size, **options)
    runner.event("sent", join_results)
    os.kill(os.getpid(), 9)


def send_and_tell(to: str, *, name: str = MAIN) -> None:
    """Send numbers without end, and tell after each send that it returned."""
    number = 0
    while True:
        send_numbers(to, number, 1, name=name, timeout=30.0)
        runner.event("sent", number)
        number += 1


def recv_and_die(count: int, *, name: str = MAIN) -> None:
    """Receive that many messages and be killed right after the last ``recv`` has returned."""
    numbers = [number for number, _ in recv_numbers(count, name=name)]
    runner.event("read", numbers)
    os.kill(os.getpid(), 9)


def recv_and_log(path: str, *, name: str = MAIN) -> None:
    """Receive integers without end, each written to a file at once: a kill cannot undo it."""
    receiver = ends[name].receiver
    log = os.open(path, os.O_WRONLY | os.O_APPEND)
    while True:
        os.write(log, receiver.recv(None).payload.to_bytes(8, "little"))


def scribble(seconds: float, seed: int) -> int:
    """Send garbage on every connected socket of this process, behind the bus's back; how many packets."""
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        for number, target in proc.descriptors(os.getpid()).items():
            if not target.startswith("socket:"):
                continue
            try:
                with socket.socket(fileno=os.dup(number)) as one:
                    one.send(chance.randbytes(chance.choice([1, 1, 2, 40, 5000])), socket.MSG_DONTWAIT)
                    count += 1
            except OSError:
                continue  # listening, full, or thrown out by now
    return count


def recv_while_counting(seconds: float, *, name: str = MAIN) -> int:
    """Wait in ``recv`` in one thread, count in another: how far it came shows whether the interpreter was
    free.
    """
    return _count_during(lambda: _swallow(lambda: ends[name].receiver.recv(seconds)))


def send_while_counting(to: str, size: int, seconds: float, *, name: str = MAIN) -> int:
    """The same with a ``send`` that waits for room."""
    return _count_during(lambda: _swallow(lambda: ends[name].sender.send(to, bytes(size), timeout=seconds)))


def _count_during(call: Any) -> int:
    thread = threading.Thread(target=call)
    thread.start()
    count = 0
    while thread.is_alive():
        count += 1
    return count


def _swallow(call: Any) -> None:
    with contextlib.suppress(TimeoutError):
        call()


def recv_plain_numbers(count: int, *, name: str = MAIN) -> list[int]:
    """Receive that many numbered messages without caring for marks."""
    return [number for number, _ in recv_numbers(count, 20.0, name=name)]


def when_interrupted(what: str, timeout: float | None, to: str = "", size: int = 0) -> float | str:
    """Wait for something until Ctrl-C; the monotonic time at which it was raised."""
    try:
        match what:
            case "recv":
                ends[MAIN].receiver.recv(timeout)
            case "send":
                ends[MAIN].sender.send(to, bytes(size), timeout=timeout)
            case "fill":
                while True:
                    ends[MAIN].sender.send(to, bytes(size), timeout=timeout)
            case _:
                ipmb.join(to, timeout=timeout)
    except KeyboardInterrupt:
        return time.monotonic()
    return "returned"


def count_signals(number: int) -> None:
    """Tell the parent of each such signal, from Python's handler."""
    seen = []

    def handle(*_: object) -> None:
        seen.append(1)
        runner.event("signal", len(seen))

    signal.signal(number, handle)


def time_recv(timeout: float, *, name: str = MAIN) -> float:
    begin = time.monotonic()
    with contextlib.suppress(ipmb.RecvTimeout):
        ends[name].receiver.recv(timeout)
    return time.monotonic() - begin


def count_alone(seconds: float) -> int:
    """How far one thread counts while another only sleeps: the measure for the two below."""
    return _count_during(lambda: time.sleep(seconds))


def close_under_recv(what: str) -> str:
    """Close from another thread while this one waits; what the wait raised."""
    end = ends[MAIN]
    closing = threading.Timer(0.1, end.close if what == "endpoint" else end.receiver.close)
    closing.start()
    try:
        end.receiver.recv(20.0)
    except ipmb.IpmbError as error:
        return type(error).__name__
    finally:
        closing.join()
    return "nothing"


def close_under_iteration() -> str:
    """Close from another thread while this one iterates; what became of the loop."""
    end = ends[MAIN]
    closing = threading.Timer(0.1, end.receiver.close)
    closing.start()
    try:
        for _ in end.receiver:
            return "a message"
    finally:
        closing.join()
    return "ended"


def park_until_error(to: str, size: int, *, ttl: float | None = None, name: str = MAIN) -> tuple[int, str]:
    """Send to nobody with a ttl until that fails; (how many wait now, the name of the exception)."""
    for number in range(1_000_000):
        try:
            assert send_numbers(to, number, 1, size=size, ttl=ttl, name=name) == [0]
        except ipmb.SendError as error:
            return number, type(error).__name__
    return -1, ""


def recv_through_interrupts(count: int, *, name: str = MAIN) -> tuple[list[int], int]:
    """Receive integers while Ctrl-C keeps coming; (what came, how many times it was interrupted).

    The interpreter itself may lose the value of a call that is interrupted just after its return. A list that
    extends itself from the receiver leaves it no such moment: Ctrl-C is raised inside the bus or not at all.
    """
    messages: list[ipmb.Message] = []
    interrupts = 0
    waiting = False

    def handle(*_: object) -> None:
        nonlocal interrupts, waiting
        if waiting:
            waiting = False
            interrupts += 1
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handle)  # for good: one may still come when this is over
    runner.event("ready")
    while len(messages) < count:
        with contextlib.suppress(KeyboardInterrupt):
            waiting = True
            messages.extend(ends[name].receiver)
    waiting = False
    return [message.payload for message in messages], interrupts
