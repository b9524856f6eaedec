"""Requests from threads: who gets which reply, and how a wait ends without one."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import ipmb
from ipmb import _core
from ipmb.requests import Table, Waiter
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def asker(bus: str) -> Iterator[ipmb.Endpoint]:
    with ipmb.join(bus, "asker", timeout=10) as endpoint:
        yield endpoint


@pytest.fixture
def worker(bus: str) -> Iterator[ipmb.Endpoint]:
    """Somebody who replies only when the test does."""
    with ipmb.join(bus, "worker", timeout=10) as endpoint:
        yield endpoint


class Asked:
    """A request that another thread makes."""

    def __init__(self, asker: ipmb.Endpoint, payload: object = "?", **how: Any) -> None:
        self.result: Any = None
        self._thread = threading.Thread(target=self._ask, args=(asker, payload, how), daemon=True)
        self._thread.start()

    def _ask(self, asker: ipmb.Endpoint, payload: object, how: dict[str, Any]) -> None:
        try:
            self.result = asker.sender.request("worker", payload, **{"timeout": 20, **how})
        except Exception as error:  # noqa: BLE001 # the test looks at it
            self.result = error

    def end(self) -> Any:
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.result


def test_a_request_and_its_reply(asker: ipmb.Endpoint, worker: ipmb.Endpoint) -> None:
    asked = Asked(asker, 21)
    message = worker.receiver.recv(timeout=10)
    assert message.is_request
    assert (message.payload, message.sender.id) == (21, asker.id)
    assert message.reply(42) == 1
    reply = asked.end()
    assert (reply.payload, reply.sender.id) == (42, worker.id)
    assert not reply.is_request
    with pytest.raises(ipmb.RecvTimeout):
        asker.receiver.recv(0)  # replies do not come that way


def test_a_plain_message_is_no_request(asker: ipmb.Endpoint, worker: ipmb.Endpoint) -> None:
    asker.sender.send("worker", 1)
    message = worker.receiver.recv(timeout=10)
    assert not message.is_request
    assert message.reply(2) == 1
    assert asker.receiver.recv(timeout=10).payload == 2


def test_replies_come_in_any_order_and_to_whom_they_are_for(
    asker: ipmb.Endpoint, worker: ipmb.Endpoint
) -> None:
    asked = [Asked(asker, number) for number in range(50)]
    messages = [worker.receiver.recv(timeout=10) for _ in asked]
    for message in reversed(messages):
        assert message.reply(message.payload * 2) == 1
    assert [one.end().payload for one in asked] == [number * 2 for number in range(50)]


def test_nobody_matches(asker: ipmb.Endpoint) -> None:
    begin = time.monotonic()
    with pytest.raises(ipmb.NoRoute):
        asker.sender.request("worker", 1)
    assert time.monotonic() - begin < 1
    with pytest.raises(ipmb.NoRoute):
        asker.sender.request("worker", 1, ttl=0.05, timeout=10)
    assert 0.05 <= time.monotonic() - begin < 5
    with pytest.raises(ipmb.RecvTimeout, match=r"the request to 'worker' was not sent within 0\.05 s"):
        asker.sender.request("worker", 1, ttl=None, timeout=0.05)


def test_somebody_comes_while_it_waits(bus: str, asker: ipmb.Endpoint) -> None:
    asked = Asked(asker, 1, ttl=10)
    with ipmb.join(bus, "worker", timeout=10) as worker:
        worker.receiver.recv(timeout=10).reply("late, but here")
        assert asked.end().payload == "late, but here"


def test_wrong_arguments(asker: ipmb.Endpoint, worker: ipmb.Endpoint) -> None:
    wrong: Any = asker.sender
    with pytest.raises(ValueError, match="multicast"):
        wrong.request(ipmb.Selector.multicast("worker"), 1)
    with pytest.raises(TypeError, match="payload is a set"):
        wrong.request("worker", {1})
    with pytest.raises(ValueError, match="timeout is -1: give 0 or more seconds"):
        wrong.request("worker", 1, timeout=-1)
    with pytest.raises(TypeError, match="selector is a"):
        wrong.request(7, 1)


def test_a_late_reply_is_dropped_and_counted(asker: ipmb.Endpoint, worker: ipmb.Endpoint) -> None:
    with pytest.raises(ipmb.RecvTimeout):
        asker.sender.request("worker", "slow", timeout=0.05)
    slow = worker.receiver.recv(timeout=10)
    slow.reply("too late")
    slow.reply("and again")
    asked = Asked(asker, "quick")
    worker.receiver.recv(timeout=10).reply("in time")
    assert asked.end().payload == "in time"
    assert asker.stats().dropped_by_reason["late_reply"] == 2
    assert asker.stats().received == 1


def test_the_one_asked_is_gone(asker: ipmb.Endpoint, worker: ipmb.Endpoint) -> None:
    unread, read = Asked(asker, 1), Asked(asker, 2)
    worker.receiver.recv(timeout=10)
    worker.close()
    for asked in (unread, read):
        error = asked.end()
        assert isinstance(error, ipmb.PeerLost), error
        assert "worker" in str(error)
        assert str(os.getpid()) in str(error)


def test_the_asker_is_gone(asker: ipmb.Endpoint, worker: ipmb.Endpoint) -> None:
    Asked(asker, 1)
    message = worker.receiver.recv(timeout=10)
    asker.close()
    assert message.reply(2) == 0


@pytest.mark.parametrize("half", ["sender", "endpoint"])
def test_closing_ends_all_that_wait(asker: ipmb.Endpoint, worker: ipmb.Endpoint, half: str) -> None:
    asked = [Asked(asker, number, timeout=None) for number in range(10)]
    for _ in asked:
        worker.receiver.recv(timeout=10)
    (asker.sender if half == "sender" else asker).close()
    assert all(isinstance(one.end(), ipmb.Closed) for one in asked)
    with pytest.raises(ipmb.Closed):
        asker.sender.request("worker", 1)


def test_it_works_when_the_receiver_is_closed(asker: ipmb.Endpoint, worker: ipmb.Endpoint) -> None:
    asker.receiver.close()
    asked = Asked(asker, 1)
    worker.receiver.recv(timeout=10).reply(2)
    assert asked.end().payload == 2


def test_a_reply_of_a_type_that_the_receiver_does_not_take(bus: str, worker: ipmb.Endpoint) -> None:
    with ipmb.join(bus, "asker", timeout=10, payloads=str) as asker:
        asked = Asked(asker, 1)
        worker.receiver.recv(timeout=10).reply(b"bytes")
        assert asked.end().payload == b"bytes"


def test_attachments_go_both_ways(asker: ipmb.Endpoint, worker: ipmb.Endpoint) -> None:
    region = ipmb.MemoryRegion(16)
    with open("/dev/null") as file:
        asked = Asked(asker, 1, objects=[file], memory_regions=[region])
        with worker.receiver.recv(timeout=10) as message:
            assert (len(message.objects), len(message.memory_regions)) == (1, 1)
            message.reply(b"x" * 100_000, objects=message.objects, memory_regions=message.memory_regions)
    with asked.end() as reply:
        assert (len(reply.objects), len(reply.memory_regions), len(reply.payload)) == (1, 1, 100_000)


def test_no_room_for_requests(asker: ipmb.Endpoint, worker: ipmb.Endpoint) -> None:
    """More requests than a ring holds: those behind wait for room, and their timeout counts from the start."""
    asked = [Asked(asker, [number, b"x" * 1000], timeout=20) for number in range(200)]
    with pytest.raises(ipmb.RecvTimeout, match=r"was not sent|no reply"):
        asker.sender.request("worker", b"x" * 1000, timeout=0.05)
    for _ in asked:
        message = worker.receiver.recv(timeout=10)
        while not isinstance(message.payload, list):
            message = worker.receiver.recv(timeout=10)
        message.reply(message.payload[0])
    assert [one.end().payload for one in asked] == list(range(200))


def test_a_forked_child_is_told(asker: ipmb.Endpoint, worker: ipmb.Endpoint) -> None:
    asked = Asked(asker, 1)
    message = worker.receiver.recv(timeout=10)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            asker.sender.request("worker", 1, timeout=5)
        except ipmb.Forked:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    message.reply(2)
    assert asked.end().payload == 2


def asked_side_by_side(
    asker: ipmb.Endpoint, worker: ipmb.Endpoint, count: int
) -> tuple[Table, list[int], list[Waiter], list[ipmb.Message]]:
    """Requests without threads: the table, their numbers, who waits, and what the worker has got."""
    made = Table(_core.Asking(asker.sender))
    waiters = [Waiter(lambda: None) for _ in range(count)]
    numbers = [made.asking.begin() for _ in waiters]
    for number, waiter in zip(numbers, waiters, strict=True):
        made.enter(number, waiter)
        assert made.asking.ask(number, "worker", number) is None
    return made, numbers, waiters, [worker.receiver.recv(timeout=10) for _ in waiters]


def collect_until(made: Table, probe: Callable[[], object]) -> None:
    def look() -> object:
        made.collect()
        return probe()

    until(look, "outcomes")


def test_one_leads_and_hands_the_lead_on(asker: ipmb.Endpoint, worker: ipmb.Endpoint) -> None:
    made, numbers, waiters, messages = asked_side_by_side(asker, worker, 3)
    woken: list[int] = []
    for at, waiter in enumerate(waiters):
        waiter.wake = lambda at=at: woken.append(at)  # type: ignore[misc]
    assert made.leads(waiters[0])
    assert made.leads(waiters[0])
    assert not made.leads(waiters[1])
    assert not made.leads(waiters[2])
    messages[1].reply("one")
    made.asking.wait(10)
    made.collect()
    assert isinstance(waiters[1].outcome, ipmb.Message)
    assert woken == [1]
    made.leave(numbers[1], waiters[1])
    made.leave(numbers[0], waiters[0])
    assert woken == [1, 2]
    assert made.leads(waiters[2])
    messages[0].reply("nobody waits")
    messages[2].reply("two")
    collect_until(made, lambda: waiters[2].outcome)
    assert asker.stats().dropped_by_reason["late_reply"] == 1


def test_an_interrupted_leader_strands_nobody(asker: ipmb.Endpoint, worker: ipmb.Endpoint) -> None:
    """Ctrl-C while outcomes are handed out: the next one who leads hands out the rest."""
    made, numbers, waiters, messages = asked_side_by_side(asker, worker, 4)
    interrupts = iter([KeyboardInterrupt])

    def interrupted() -> None:
        for one in interrupts:
            raise one

    for waiter in waiters:
        waiter.wake = interrupted
    for message in messages[1:]:
        message.reply("reply")
    assert made.leads(waiters[0])
    with pytest.raises(KeyboardInterrupt):
        until(made.collect, "outcomes")
    with pytest.raises(StopIteration):
        next(interrupts)
    made.leave(numbers[0], waiters[0])
    assert made.leads(waiters[2])
    collect_until(made, lambda: all(waiter.outcome for waiter in waiters[1:]))
    assert waiters[0].outcome is None


def test_many_threads_on_one_sender(asker: ipmb.Endpoint, worker: ipmb.Endpoint) -> None:
    service = threading.Thread(
        target=ipmb.serve, args=(worker.receiver, lambda message: message.payload * 2), daemon=True
    )
    service.start()
    wrong: list[object] = []

    def ask(first: int) -> None:
        for number in range(first, first + 200):
            reply = asker.sender.request("worker", number, timeout=20)
            if reply.payload != number * 2:
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(at * 1000,), daemon=True) for at in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    worker.close()
    service.join(10)
    assert not service.is_alive()


def test_a_request_that_was_not_sent_says_so(asker: ipmb.Endpoint) -> None:
    with pytest.raises(
        ipmb.RecvTimeout, match=r"the request to 'worker' was not sent within 0\.05 s: nobody matches"
    ):
        asker.sender.request("worker", 1, ttl=5, timeout=0.05)
