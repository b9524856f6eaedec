"""Requests at the level of the native module: one place where all of them end, and nothing that keeps the endpoint."""

from __future__ import annotations

import dataclasses
import gc
import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import ipmb
from ipmb import _core
from tests.support import replies
from tests.support.forking import in_child
from tests.support.member import Member
from tests.support.wait import BOUND, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Spawn

WRONG: Any = "no number"


@ipmb.message_type("0000000a-7e57-4000-8000-00000000a5c2")
@dataclasses.dataclass
class Strict:
    """What a program sends wrongly is noticed by the one who receives it."""

    number: int
    rest: bytes


class Pair:
    """One who asks and one who is asked, in one process."""

    def __init__(self, bus: str) -> None:
        self.asker: ipmb.Endpoint[Any] = ipmb.join(bus, "asker", timeout=10)
        self.worker: ipmb.Endpoint[Any] = ipmb.join(bus, "worker", timeout=10)
        self.asking = _core.Asking(self.asker.sender)

    def ask(self, payload: object, **options: Any) -> int:
        number = self.asking.begin()
        assert self.asking.ask(number, "worker", payload, **options) is None
        return number

    def outcomes(self, count: int) -> dict[int, Any]:
        """What becomes of so many requests."""
        found: dict[int, Any] = {}
        end = time.monotonic() + BOUND
        while len(found) < count:
            assert time.monotonic() < end, found
            self.asking.wait(1.0)
            found.update(self.asking.poll())
        return found

    def late(self) -> int:
        return self.asker.stats().dropped_by_reason["late_reply"]


@pytest.fixture
def pair(bus: str) -> Iterator[Pair]:
    pair = Pair(bus)
    yield pair
    pair.asker.close()
    pair.worker.close()


def test_a_reply_comes_with_the_number_of_its_request(pair: Pair) -> None:
    assert pair.asking.poll() == []
    numbers = [pair.ask(payload) for payload in ("one", ["two"])]
    with open(os.devnull) as null:
        for payload in ("one", ["two"]):
            message = pair.worker.receiver.recv(5)
            assert message.is_request
            assert message.payload == payload
            assert not message._replied
            assert message.reply({"reply": message.payload}, objects=[null]) == 1
            assert message._replied
    found = pair.outcomes(2)
    assert [found[number].payload for number in numbers] == [{"reply": "one"}, {"reply": ["two"]}]
    assert [found[number].sender.id for number in numbers] == [pair.worker.id] * 2
    assert [len(found[number].objects) for number in numbers] == [1, 1]
    assert not found[numbers[0]].is_request
    # A reply to a reply is a message like any other.
    assert found[numbers[0]].reply("thanks") == 1
    assert pair.worker.receiver.recv(5).payload == "thanks"


def test_the_descriptor_tells_of_replies_and_of_losses(pair: Pair) -> None:
    poll = select.poll()
    poll.register(pair.asking.fileno(), select.POLLIN)

    def ready() -> list[Any]:
        assert poll.poll(BOUND * 1000)
        return pair.asking.poll()

    one, two = pair.ask(1), pair.ask(2)
    first = pair.worker.receiver.recv(5)
    assert first.reply("r") == 1
    found: list[Any] = []
    while not found:
        found = ready()
    ((number, reply),) = found
    assert (number, reply.payload) == (one, "r")
    pair.worker.close()
    found = []
    while not found:
        found = ready()
    ((number, loss),) = found
    assert number == two
    assert isinstance(loss, ipmb.PeerLost)
    assert str(loss) == (
        f"label('worker') of process {os.getpid()} died or left before it had read the request: ask again, "
        "another match will have it"
    )


def test_a_loss_tells_whether_the_request_was_read(pair: Pair) -> None:
    number = pair.ask("x")
    pair.worker.receiver.recv(5)
    pair.worker.close()
    loss = pair.outcomes(1)[number]
    assert isinstance(loss, ipmb.PeerLost)
    assert "before it had replied: it may have done what it was asked for" in str(loss)


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_reply_that_does_not_decode_is_an_error_in_its_place(pair: Pair, size: int) -> None:
    numbers = [pair.ask(payload) for payload in ("bad", "good")]
    for payload in (Strict(WRONG, bytes(size)), "good"):
        pair.worker.receiver.recv(5).reply(payload)
    found = pair.outcomes(2)
    error = found[numbers[0]]
    assert isinstance(error, ipmb.DecodeError)
    assert error.sender is not None
    assert error.sender.id == pair.worker.id
    assert found[numbers[1]].payload == "good"


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_reply_of_a_type_that_is_not_known_here_is_an_error_too(
    spawn: Spawn, pair: Pair, bus: str, size: int
) -> None:
    stranger = spawn.member(bus, "stranger")
    replied = stranger.child.begin(replies.reply_in_a_type_of_its_own, size)
    number = pair.asking.begin()
    assert pair.asking.ask(number, "stranger", "x") is None
    error = pair.outcomes(1)[number]
    assert isinstance(error, ipmb.DecodeError)
    assert error.sender is not None
    assert error.sender.pid == stranger.pid
    assert "no known payload" in str(error)
    assert replied.result() == 1


def test_what_nobody_waits_for_any_more_is_counted(pair: Pair) -> None:
    number = pair.ask("x")
    message = pair.worker.receiver.recv(5)
    pair.asking.forget(number)
    pair.asking.forget(number)
    assert message.reply("late") == 1
    until(lambda: pair.late() == 1, "the late reply is counted, although nobody polls")
    assert pair.asking.poll() == []
    assert pair.asker.stats().received == 0


def test_a_request_waits_for_room_and_is_not_sent_when_it_is_closed(pair: Pair) -> None:
    numbers = []
    while True:
        number = pair.asking.begin()
        sending = pair.asking.ask(number, "worker", bytes(8000))
        if sending is not None:
            break
        numbers.append(number)
    assert sending.poll() is None
    pair.worker.receiver.recv_many(len(numbers), timeout=5)
    poll = select.poll()
    poll.register(sending.fileno(), select.POLLIN)
    assert poll.poll(BOUND * 1000)
    assert sending.poll() == 1
    message = pair.worker.receiver.recv(5)
    message.reply("made it")
    assert pair.outcomes(1)[number].payload == "made it"
    sending = None
    while sending is None:
        sending = pair.asking.ask(pair.asking.begin(), "worker", bytes(8000))
    sending.close()
    sent = pair.asker.stats().sent
    received = pair.worker.stats().received
    received += len(pair.worker.receiver.recv_many(100, timeout=5))
    with pytest.raises(ipmb.RecvTimeout):
        pair.worker.receiver.recv(0.05)
    assert pair.asker.stats().sent == sent == received


def test_nobody_matches_at_once_and_after_the_ttl(pair: Pair) -> None:
    with pytest.raises(ipmb.NoRoute, match="give a ttl"):
        pair.asking.ask(pair.asking.begin(), "nobody", 1)
    started = time.monotonic()
    sending = pair.asking.ask(pair.asking.begin(), "nobody", 1, ttl=0.1)
    assert sending is not None

    def wait() -> None:
        while sending.poll() is None:
            assert sending.delay is not None
            select.select([sending.fileno()], [], [], sending.delay)

    with pytest.raises(ipmb.NoRoute):
        wait()
    assert 0.1 <= time.monotonic() - started < BOUND
    with pytest.raises(ValueError, match=r"^selector is a multicast: give a unicast selector"):
        pair.asking.ask(pair.asking.begin(), ipmb.Selector.multicast("worker"), 1)


def test_one_who_joins_in_time_is_asked(pair: Pair, bus: str) -> None:
    number = pair.asking.begin()
    sending = pair.asking.ask(number, "late", "x", ttl=None)
    assert sending is not None
    with ipmb.join(bus, "late", timeout=10) as (_, receiver):
        until(lambda: sending.poll() == 1, "it is asked")
        receiver.recv(5).reply("y")
        assert pair.outcomes(1)[number].payload == "y"


def test_a_closed_sender_ends_every_wait(pair: Pair) -> None:
    pair.ask("x")
    ended = threading.Event()

    def wait() -> None:
        with suppress(ipmb.Closed):
            while True:
                pair.asking.wait()
                pair.asking.poll()
        ended.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    pair.asker.sender.close()
    assert ended.wait(BOUND)
    for call in (pair.asking.begin, pair.asking.poll, pair.asking.fileno):
        with pytest.raises(ipmb.Closed, match="the sender is closed"):
            call()
    with pytest.raises(ipmb.Closed):
        _core.Asking(pair.asker.sender)
    # The receiver of the one who asked is open, and takes messages; replies find nobody.
    message = pair.worker.receiver.recv(5)
    assert message.reply("y") == 0
    assert message._replied
    assert pair.worker.sender.send("asker", "message") == 1


def test_it_stays_with_the_parent(pair: Pair) -> None:
    pair.ask("x")

    def look() -> list[str]:
        seen = []
        for call in (pair.asking.begin, pair.asking.poll, pair.asking.fileno):
            try:
                call()
            except ipmb.Forked:
                seen.append("Forked")
        pair.asking.wait()
        pair.asking.forget(1)
        return seen

    assert in_child(os.fork, look) == ["Forked"] * 3
    pair.worker.receiver.recv(5).reply("y")
    assert len(pair.outcomes(1)) == 1


def test_nothing_that_asks_keeps_the_endpoint(pair: Pair, bus: str) -> None:
    other = ipmb.join(bus, "other", timeout=10)
    identity = other.id
    with pytest.raises(ipmb.NoRoute):
        other.sender.request("nobody", 1)
    asking = _core.Asking(other.sender)
    assert identity in [peer.id for peer in pair.asker.peers()]
    gc.disable()
    try:
        del other
        until(lambda: identity not in [peer.id for peer in pair.asker.peers()], "it has left the bus")
    finally:
        gc.enable()
    with pytest.raises(ipmb.Closed):
        asking.poll()


def test_a_reply_waits_for_room_without_a_thread(pair: Pair) -> None:
    pair.ask("x")
    message = pair.worker.receiver.recv(5)
    started: Any = 1
    while started == 1:
        started = _core.start_reply(message, bytes(8000))
    assert started.poll() is None
    assert pair.outcomes(1)
    until(lambda: (pair.asking.poll(), started.poll() == 1)[1], "the reply is out")
    until(lambda: (pair.asking.poll(), pair.late() > 1)[1], "the others are counted")
    with pytest.raises(ipmb.SendTimeout):
        all(message.reply(bytes(8000), timeout=0.01) for _ in range(100))


def test_a_reply_that_finds_no_descriptors_is_told_and_costs_only_itself(
    spawn: Spawn, pair: Pair, bus: str
) -> None:
    poor = spawn.limited_child(64)
    Member.join(poor, bus, "poor", timeout=10.0)
    asking = poor.begin(replies.ask_without_descriptors, "worker")
    with open(os.devnull) as null:
        for _ in range(3):
            message = pair.worker.receiver.recv(10)
            assert message.reply(message.payload, objects=[null] * 3) == 1
    assert asking.result() == ("TooManyOpenFiles", 3)


def test_messages_are_no_requests(pair: Pair) -> None:
    assert pair.asker.sender.send("worker", "x") == 1
    message = pair.worker.receiver.recv(5)
    assert not message.is_request
    assert message.reply("y") == 1
    assert pair.asker.receiver.recv(5).payload == "y"
    assert not ipmb.Message("worker", 1).is_request


def test_what_a_reply_shows_of_itself(bus: str) -> None:
    with ipmb.join(bus, "earth") as (sender, receiver):
        sender.send("earth", "ping")
        receiver.recv(5).reply("pong")
        assert repr(receiver.recv(5)) == "<Message 'pong' from label('earth')>"


COLD = """
import ipmb, signal, sys
a = ipmb.join(sys.argv[1], "a")
asked = []
def ask(*_):
    if not asked:
        asked.append(1)
        try:
            a.sender.request("nobody", 1, timeout=5)
        except ipmb.NoRoute:
            asked.append(2)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("ipmb."):
            ask()
sys.meta_path.insert(0, Finder())
try:
    a.sender.request("nobody", 1, timeout=5)
except ipmb.NoRoute:
    print("done", asked)
"""


def test_an_import_that_comes_back_does_not_wait_for_itself(bus: str) -> None:
    """What native code imports at its first use runs code, which may want the same."""
    done = subprocess.run(
        [sys.executable, "-c", COLD, bus], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == "done [1, 2]\n"
