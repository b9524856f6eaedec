"""Roles of those who answer and of those who ask, for tests in which some of them die or stop."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import Any

import ipmb
from tests.support import runner
from tests.support.roles import MAIN, ends

#: A request with this payload is never answered.
NEVER = "never"


def answer(workers: int, reply_timeout: float = 0.5, *, name: str = MAIN) -> str:
    """Serve the double of each number; how it ended, and after how long since the signal that ended it."""
    never = threading.Event()

    def handler(message: ipmb.Message) -> object:
        if message.payload == NEVER:
            runner.event("stuck")
            never.wait()
        return message.payload * 2

    runner.event("serving")
    try:
        ipmb.serve(ends[name].receiver, handler, workers=workers, reply_timeout=reply_timeout)
    except KeyboardInterrupt:
        return f"KeyboardInterrupt {time.monotonic()}"
    return "returned"


def answer_until_stuck(pause: float, stick_at: int, *, name: str = MAIN) -> None:
    """Answer one after the other, and stick for ever at a certain one: there is something to lose when it is killed."""
    count = 0

    def handler(message: ipmb.Message) -> object:
        nonlocal count
        count += 1
        if count == stick_at:
            runner.event("stuck")
            threading.Event().wait()
        time.sleep(pause)
        return message.payload * 2

    ipmb.serve(ends[name].receiver, handler, workers=1)


def ask_in_threads(to: str, threads: int, timeout: float, *, name: str = MAIN) -> dict[str, int]:
    """Ask from that many threads at once; how many requests ended in which way."""
    ended: dict[str, int] = {}
    lock = threading.Lock()

    def ask(number: int) -> None:
        try:
            reply = ends[name].sender.request(to, number, timeout=timeout).payload
            kind = "reply" if reply == number * 2 else "wrong reply"
        except Exception as error:  # noqa: BLE001 - the test counts them
            kind = type(error).__name__
        with lock:
            ended[kind] = ended.get(kind, 0) + 1

    everybody = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(threads)]
    for one in everybody:
        one.start()
    runner.event("asking")
    for one in everybody:
        one.join()
    return ended


def ask_and_read_nothing(to: str, count: int, size: int, *, name: str = MAIN) -> int:
    """Send requests and never look at the replies, which fills the way back; how many went."""
    asked = 0

    def ask() -> None:
        nonlocal asked
        while True:
            asked += 1
            try:
                ends[name].sender.request(to, bytes(size), timeout=0.0)
            except ipmb.RecvTimeout:
                continue

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    while asked < count:
        time.sleep(0.001)
    return asked


def ask_until_interrupted(to: str, payload: Any, timeout: float | None, *, name: str = MAIN) -> float | str:
    """Wait for a reply until Ctrl-C; the monotonic time at which it was raised."""
    try:
        ends[name].sender.request(to, payload, timeout=timeout)
    except KeyboardInterrupt:
        return time.monotonic()
    return "returned"


def ask_through_interrupts(to: str, count: int, threads: int, *, name: str = MAIN) -> tuple[int, int, int]:
    """Ask in the main thread while Ctrl-C keeps coming, and in other threads all the while.

    Returns how many of the main thread's requests were answered and interrupted, and how many of the others were
    answered. None of the others may be stranded by what happens to the main thread, which leads them now and then.
    """
    waiting = False
    over = threading.Event()
    answered, interrupted = 0, 0
    others = [0] * threads

    def handle(*_: object) -> None:
        nonlocal waiting
        if waiting:
            waiting = False
            raise KeyboardInterrupt

    def ask_on(at: int) -> None:
        number = at
        while not over.is_set():
            assert ends[name].sender.request(to, number, timeout=20.0).payload == number * 2
            others[at] += 1
            number += threads

    # Before the storm: Ctrl-C in the middle of an import may leave the interpreter's own import lock taken.
    ask(to, 0, 20.0)
    signal.signal(signal.SIGINT, handle)
    everybody = [threading.Thread(target=ask_on, args=(at,), daemon=True) for at in range(threads)]
    for one in everybody:
        one.start()
    runner.event("ready")
    while interrupted < count:
        try:
            waiting = True
            reply = ends[name].sender.request(to, answered, timeout=20.0).payload
            waiting = False
            assert reply == answered * 2
            answered += 1
        except KeyboardInterrupt:
            interrupted += 1
    over.set()
    for one in everybody:
        one.join(30.0)
        assert not one.is_alive(), "stranded"
    return answered, interrupted, min(others)


def answer_patiently(*, name: str = MAIN) -> None:
    """Answer everything, and wait for room for each reply as long as it takes."""
    for message in ends[name].receiver:
        message.reply(message.payload * 2, timeout=None)


def ask(to: str, payload: Any, timeout: float, *, name: str = MAIN) -> Any:
    return ends[name].sender.request(to, payload, timeout=timeout).payload


def ask_and_give_up(to: str, count: int, size: int, *, name: str = MAIN) -> int:
    """Send requests and wait for no reply; how many were given up."""
    given_up = 0
    while given_up < count:
        with contextlib.suppress(ipmb.RecvTimeout):
            ends[name].sender.request(to, bytes(size), timeout=0.0)
            continue
        given_up += 1
    return given_up
