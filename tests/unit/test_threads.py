"""Many threads on one endpoint: nothing lost, nothing twice, nobody stuck."""

from __future__ import annotations

import collections
import gc
import threading
from typing import TYPE_CHECKING

import pytest

import ipmb

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 4
EACH = 2000


def together(*work: Callable[[], None]) -> None:
    """Runs everything at once and passes on what goes wrong."""
    wrong: list[BaseException] = []

    def guarded(one: Callable[[], None]) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001 # it is raised again in the test's thread
            wrong.append(error)

    threads = [threading.Thread(target=guarded, args=(one,), daemon=True) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong, wrong
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize(
    "payload", [b"x", "text", [1, {"a": None}], b"y" * 40_000], ids=["bytes", "str", "list", "large"]
)
def test_threads_share_both_halves(bus: str, payload: object) -> None:
    each = EACH // 10 if payload == b"y" * 40_000 else EACH
    with ipmb.join(bus, "earth", timeout=10) as earth, ipmb.join(bus, "moon", timeout=10) as moon:
        seen: collections.Counter[int] = collections.Counter()

        def send(first: int) -> None:
            for number in range(first, first + each):
                assert moon.sender.send("earth", [number, payload], timeout=30) == 1

        def receive() -> None:
            mine = [earth.receiver.recv(timeout=30).payload for _ in range(each)]
            assert all(rest == payload for _, rest in mine)
            seen.update(number for number, _ in mine)

        together(*(lambda at=at: send(at * each) for at in range(THREADS)), *([receive] * THREADS))
        assert sorted(seen) == list(range(THREADS * each))
        assert set(seen.values()) == {1}


def test_each_thread_keeps_its_order_on_a_shared_sender(bus: str) -> None:
    """Alone and in batches, to a receiver that is slower: they wait for room again and again."""
    threads = 8
    with ipmb.join(bus, "earth", timeout=10) as earth, ipmb.join(bus, "moon", timeout=10) as moon:

        def send(who: int) -> None:
            for number in range(0, EACH, 10):
                if who % 2:
                    batch = [(who, n, bytes(200)) for n in range(number, number + 10)]
                    assert moon.sender.send_many("earth", [list(one) for one in batch], timeout=30) == 10
                else:
                    for n in range(number, number + 10):
                        assert moon.sender.send("earth", [who, n, bytes(200)], timeout=30) == 1

        def receive() -> None:
            next_of = [0] * threads
            for _ in range(threads * EACH):
                who, number, _ = earth.receiver.recv(timeout=30).payload
                assert number == next_of[who]
                next_of[who] += 1

        together(receive, *(lambda who=who: send(who) for who in range(threads)))
        with pytest.raises(ipmb.RecvTimeout):
            earth.receiver.recv(0)


def test_requests_of_many_threads_find_their_askers(bus: str) -> None:
    with ipmb.join(bus, "earth", timeout=10) as earth, ipmb.join(bus, "moon", timeout=10) as moon:
        server = threading.Thread(
            target=ipmb.serve, args=(earth.receiver, lambda message: message.payload * 2)
        )
        server.start()

        def ask(who: int) -> None:
            for number in range(who, EACH, 16):
                assert moon.sender.request("earth", number, timeout=30).payload == 2 * number

        together(*(lambda who=who: ask(who) for who in range(16)))
        earth.receiver.close()
        server.join(10)
        assert not server.is_alive()


def test_garbage_collection_in_the_middle_of_recv_and_send(bus: str) -> None:
    """Code that the collector runs may use the very endpoint that a thread is inside of."""
    with ipmb.join(bus, "earth", timeout=10) as earth:
        used = 0

        class Meddler:
            def __del__(self) -> None:
                nonlocal used
                used += 1
                earth.sender.send("nobody", b"")
                earth.stats()

        def litter() -> None:
            for _ in range(EACH):
                one, two = [Meddler()], [Meddler()]
                one.append(two)  # type: ignore[arg-type]
                two.append(one)  # type: ignore[arg-type]

        def talk() -> None:
            for number in range(EACH):
                earth.sender.send("earth", [number, "x" * number], timeout=30)
                assert earth.receiver.recv(timeout=30).payload[1].strip("x") == ""

        threshold = gc.get_threshold()
        gc.set_threshold(5)
        try:
            together(litter, talk, talk)
        finally:
            gc.set_threshold(*threshold)
        gc.collect()
        assert used == 2 * EACH
