"""Requests on top of others of the same thread: in a signal's handler, a finalizer, or a reply that is decoded."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import signal
import threading
import time
from typing import TYPE_CHECKING, ClassVar

import pytest

import ipmb

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def asker(bus: str) -> Iterator[ipmb.Endpoint]:
    with ipmb.join(bus, "asker", timeout=10) as endpoint:
        yield endpoint


@pytest.fixture
def worker(bus: str) -> Iterator[ipmb.Endpoint]:
    with ipmb.join(bus, "worker", timeout=10) as endpoint:
        yield endpoint


@pytest.fixture
def service(worker: ipmb.Endpoint) -> Iterator[None]:
    """Doubles numbers, one second later when they are negative; anything else comes back."""

    def handler(message: ipmb.Message) -> object:
        if not isinstance(message.payload, int):
            return message.payload
        if message.payload < 0:
            time.sleep(1)
        return message.payload * 2

    thread = threading.Thread(target=ipmb.serve, args=(worker.receiver, handler), daemon=True)
    thread.start()
    yield
    worker.receiver.close()
    thread.join(10)


@pytest.mark.usefixtures("service")
def test_a_signal_handler_asks_while_its_thread_waits(asker: ipmb.Endpoint) -> None:
    replies: list[bool] = []
    numbers = itertools.count()

    def handle(*_: object) -> None:
        number = next(numbers)
        replies.append(asker.sender.request("worker", number, timeout=10).payload == number * 2)

    before = signal.signal(signal.SIGUSR1, handle)
    over = threading.Event()

    def storm() -> None:
        while not over.wait(0.003):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        assert asker.sender.request("worker", -1, timeout=20).payload == -2
        for number in range(300):
            assert asker.sender.request("worker", number, timeout=10).payload == number * 2
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    assert all(replies)
    assert len(replies) > 10


@ipmb.message_type("00000002-7e57-4000-8000-00000000a103")
@dataclasses.dataclass
class Curious:
    """Asks when it is received."""

    number: int
    asker: ClassVar[ipmb.Endpoint]
    answers: ClassVar[list[object]] = []

    def __post_init__(self) -> None:
        if threading.current_thread() is threading.main_thread() and self.number > 0:
            self.answers.append(self.asker.sender.request("worker", self.number, timeout=10).payload)


@pytest.mark.usefixtures("service")
def test_a_reply_that_asks_while_it_is_decoded(asker: ipmb.Endpoint) -> None:
    Curious.asker = asker
    Curious.answers.clear()
    curious = Curious(0)
    curious.number = 7
    assert asker.sender.request("worker", curious, timeout=10).payload.number == 7
    assert Curious.answers == [14]


@pytest.mark.usefixtures("service")
def test_a_finalizer_asks_in_the_middle_of_requests(asker: ipmb.Endpoint) -> None:
    answers: list[object] = []

    class Remote:
        def __del__(self) -> None:
            answers.append(asker.sender.request("worker", 1, timeout=10).payload)

    threshold = gc.get_threshold()
    gc.set_threshold(3)
    try:
        for number in range(200):
            one, other = [Remote()], [Remote()]
            one.append(other)  # type: ignore[arg-type]
            other.append(one)  # type: ignore[arg-type]
            del one, other
            assert asker.sender.request("worker", number, timeout=10).payload == number * 2
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert answers == [2] * 400
