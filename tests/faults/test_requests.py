"""Requests while those who were asked die, stop or are slow: each one ends, and in the right way."""

from __future__ import annotations

import collections
import signal
import time
from typing import TYPE_CHECKING

import anyio
import pytest

import ipmb
import ipmb.aio
from tests.faults.test_interrupts import SOON
from tests.support import cancelling, proc, services
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn

IN_FLIGHT = 10_000


@pytest.mark.anyio
async def test_ten_thousand_in_flight_and_one_server_dies(
    spawn: Spawn, bus: str, anyio_backend: object
) -> None:
    """Each ends in its own reply or in PeerLost; those of the server that lives are all answered."""
    mortal, steady = spawn.members(bus, "mortal", "steady")
    mortal.child.begin(services.answer_until_stuck, 0.0001, IN_FLIGHT // 6)
    # So patient that no reply is dropped while the asker is busy starting tasks.
    steady.child.begin(services.answer, 4, 60.0)
    steady.child.wait_event("serving")
    ended: dict[str, collections.Counter[str]] = {
        "mortal": collections.Counter(),
        "steady": collections.Counter(),
    }

    async with await ipmb.aio.join(bus, "asker", timeout=10) as (sender, _):

        async def ask(to: str, number: int) -> None:
            try:
                reply = (await sender.request(to, number, timeout=50)).payload
            except ipmb.PeerLost:
                ended[to]["lost"] += 1
            except ipmb.NoRoute:
                ended[to]["no route"] += 1
            else:
                assert reply == number * 2
                ended[to]["reply"] += 1

        async def kill() -> None:
            await anyio.to_thread.run_sync(mortal.child.wait_event, "stuck", 40.0)
            mortal.kill()

        async with anyio.create_task_group() as group:
            group.start_soon(kill)
            for number in range(IN_FLIGHT // 2):
                group.start_soon(ask, "mortal", number)
                group.start_soon(ask, "steady", number)
    assert ended["steady"] == {"reply": IN_FLIGHT // 2}
    assert ended["mortal"].total() == IN_FLIGHT // 2
    assert ended["mortal"]["lost"] > 0
    assert 0 < ended["mortal"]["reply"] < IN_FLIGHT // 6


def test_hundreds_of_threads_and_the_server_dies(spawn: Spawn, bus: str) -> None:
    asker, worker = spawn.members(bus, "asker", "worker")
    worker.child.begin(services.answer_until_stuck, 0.002, 50)
    asking = asker.child.begin(services.ask_in_threads, "worker", 400, 50.0)
    worker.child.wait_event("stuck")
    worker.kill()
    counts = asking.result(60.0)
    assert sum(counts.values()) == 400
    assert counts.keys() <= {"reply", "PeerLost", "NoRoute"}
    assert counts["PeerLost"] > 0


def test_threads_that_ask_a_stopped_server_end_at_their_timeout(spawn: Spawn, bus: str) -> None:
    asker, worker = spawn.members(bus, "asker", "worker")
    worker.stop()
    begin = time.monotonic()
    assert asker.child.call(services.ask_in_threads, "worker", 300, 1.0, bound=30.0) == {"RecvTimeout": 300}
    assert time.monotonic() - begin < 20
    worker.resume()


@pytest.mark.parametrize("workers", [1, 4])
def test_a_stopped_asker_does_not_hold_up_the_others(spawn: Spawn, bus: str, workers: int) -> None:
    worker, stopped = spawn.members(bus, "worker", "stopped")
    worker.child.begin(services.answer, workers)
    worker.child.wait_event("serving")
    stopped.child.begin(services.ask_and_read_nothing, "worker", 3000, 100)
    until(lambda: stopped.child.alive, "the asker")
    stopped.stop()
    with ipmb.join(bus, timeout=10) as other:
        for number in range(50):
            assert other.sender.request("worker", number, timeout=30).payload == number * 2
    stopped.resume()


def test_a_server_with_one_stuck_handler_goes_on(spawn: Spawn, bus: str) -> None:
    worker = spawn.member(bus, "worker")
    worker.child.begin(services.answer, 2)
    with ipmb.join(bus, timeout=10) as asker:
        with pytest.raises(ipmb.RecvTimeout):
            asker.sender.request("worker", services.NEVER, timeout=0.5)
        for number in range(200):
            assert asker.sender.request("worker", number, timeout=10).payload == number * 2


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_ctrl_c_ends_a_request(spawn: Spawn, bus: str, timeout: float | None) -> None:
    asker, _ = spawn.members(bus, "asker", "worker")
    for _ in range(5):
        asking = asker.child.begin(services.ask_until_interrupted, "worker", 1, timeout)
        proc.wait_asleep(asker.pid)
        begin = time.monotonic()
        asker.child.signal(signal.SIGINT)
        ended = asking.result()
        assert isinstance(ended, float)
        assert ended - begin < SOON


@pytest.mark.parametrize("workers", [1, 4])
def test_ctrl_c_ends_a_service(spawn: Spawn, bus: str, workers: int) -> None:
    """At once, although a handler is stuck where there are several."""
    worker = spawn.member(bus, "worker")
    serving = worker.child.begin(services.answer, workers)
    worker.child.wait_event("serving")
    with ipmb.join(bus, timeout=10) as asker:
        assert asker.sender.request("worker", 1, timeout=10).payload == 2
        with pytest.raises(ipmb.RecvTimeout):
            asker.sender.request("worker", services.NEVER, timeout=0.1)
        worker.child.wait_event("stuck")
        proc.wait_asleep(worker.pid)
        begin = time.monotonic()
        worker.child.signal(signal.SIGINT)
        ended = serving.result()
        assert ended.startswith("KeyboardInterrupt ")
        assert float(ended.split()[1]) - begin < SOON
        asker.sender.send("worker", "for nobody")
    assert worker.recv().payload == "for nobody", "no thread is left behind that takes messages"
    worker.kill()


def test_a_storm_of_ctrl_c_strands_no_other_thread(spawn: Spawn, bus: str) -> None:
    asker, worker = spawn.members(bus, "asker", "worker")
    worker.child.begin(services.answer, 2)
    asking = asker.child.begin(services.ask_through_interrupts, "worker", 300, 6)
    asker.child.wait_event("ready")
    while not asking.ready():
        asker.child.signal(signal.SIGINT)
        time.sleep(0.002)
    answered, interrupted, least = asking.result(60.0)
    assert interrupted == 300
    assert answered + least > 0


@pytest.mark.anyio
async def test_cancelled_requests(spawn: Spawn, bus: str, anyio_backend: object) -> None:
    """Ten thousand are cancelled at random moments: replies go to whom they belong, or are counted as late."""
    worker = spawn.member(bus, "worker")
    worker.child.begin(services.answer, 1)
    worker.child.wait_event("serving")
    answered: list[int] = []
    numbers = iter(range(10**9))
    async with await ipmb.aio.join(bus, "asker", timeout=10) as asker:

        async def ask() -> None:
            number = next(numbers)
            assert (await asker.sender.request("worker", number)).payload == number * 2
            answered.append(number)

        finished = await cancelling.cancel_often(ask, 10_000, side_by_side=20)
        assert (await asker.sender.request("worker", 1, timeout=10)).payload == 2
        stats = asker.stats()
    assert finished == len(answered) == len(set(answered))
    # Late is what nobody waited for when it came; some were cancelled after it had come.
    assert 0 < stats.dropped_by_reason["late_reply"] <= stats.sent - len(answered) - 1


def test_late_replies_block_nobody(spawn: Spawn, bus: str) -> None:
    """Who has given up on many requests, and whoever answers them all with all patience, do not stop each other."""
    asker, worker = spawn.members(bus, "asker", "worker")
    worker.child.begin(services.answer_patiently)
    for _ in range(3):
        gone = asker.child.call(services.ask_and_give_up, "worker", 3000, 500, bound=30.0)
        assert gone == 3000
        assert asker.child.call(services.ask, "worker", 21, 30.0, bound=40.0) == 42
    sent = asker.stats()["sent"]

    def counted() -> bool:
        stats = asker.stats()
        return bool(stats["dropped_by_reason"]["late_reply"] + stats["received"] == sent)

    until(counted, "all replies counted")
