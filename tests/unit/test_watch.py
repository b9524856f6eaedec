"""Presence: a watch tells of everybody who comes and goes, each once, and agrees with the directory."""

from __future__ import annotations

import select
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import ipmb
import ipmb.aio
from tests.support.churn import come_and_go
from tests.support.nursery import Nursery
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn


def test_events_name_who_and_why(bus: str, spawn: Spawn) -> None:
    with ipmb.join(bus, "earth") as earth, earth.watch() as watch:
        assert watch.peers == []
        with ipmb.join(bus, ipmb.label("moon", "grey")) as moon:
            joined = watch.get(timeout=5)
            assert joined == ipmb.PeerEvent("joined", ipmb.EndpointInfo(moon.id, moon.label, joined.pid))
            assert (joined.id, joined.label, joined.reason) == (moon.id, ipmb.label("moon", "grey"), None)
            assert [peer.id for peer in watch.peers] == [moon.id]
            other = spawn.member(bus, "comet")
            assert (watch.get(5).pid, other.pid) == (other.pid, other.pid)
        left = watch.get(timeout=5)
        assert (left.kind, left.id, left.reason) == ("left", moon.id, "closed")
        other.kill()
        died = watch.get(timeout=5)
        assert (died.kind, died.id, died.label, died.reason) == (
            "left",
            other.id,
            ipmb.label("comet"),
            "died",
        )
        assert watch.poll() is None


def test_who_came_and_went_while_nobody_looked_is_told(bus: str) -> None:
    with ipmb.join(bus, "earth") as earth, ipmb.join(bus, "there already"), earth.watch() as watch:
        passers = []
        for _ in range(20):
            with ipmb.join(bus, "passer") as passer:
                passers.append(passer.id)
        last = ipmb.join(bus, "last")
        until(lambda: [peer.id for peer in earth.peers()].count(last.id), "the last one in the directory")
        told = []
        while (event := watch.get(5)).id != last.id:
            told.append(event)
        rest = (
            until(lambda: (event := watch.poll()) and event, "the last passer's leaving")
            if len(told) < 40
            else None
        )
        told.extend([rest] if rest is not None else [])
        assert [event.id for event in told if event.kind == "joined"] == passers
        assert [event.id for event in told if event.kind == "left"] == passers
        for event in told:
            if event.kind == "left":
                assert told.index(event) > told.index(ipmb.PeerEvent("joined", event.peer))
        last.close()


def test_nothing_is_missed_or_told_twice_under_churn(bus: str, spawn: Spawn) -> None:
    """Members come, leave and are killed, the controller among them, while several watch from different moments on."""
    nursery = Nursery(spawn.child("nursery"))
    members = [nursery.bear(come_and_go, bus, seed) for seed in range(2)]
    with ipmb.join(bus, "observer") as observer:
        watches = [observer.watch()]
        for seed in range(2, 12):
            for _ in range(10):
                watches[0].get(timeout=10)
            watches.append(observer.watch())
            nursery.kill(members.pop(0))
            members.append(nursery.bear(come_and_go, bus, seed))
        for pid in members:
            nursery.kill(pid)
        until(lambda: observer.peers() == [], "everybody to be gone", bound=20)
        told: dict[int, list[str]] = {}
        for watch in watches[1:]:
            present = {peer.id for peer in watch.peers}
            seen = set(present)
            while (event := watch.poll()) is not None:
                if event.kind == "joined":
                    assert event.id not in seen, f"{event} was told before"
                    seen.add(event.id)
                    present.add(event.id)
                else:
                    assert event.id in present, f"{event} of one who was not there"
                    present.remove(event.id)
                told.setdefault(event.id, []).append(event.kind)
            assert present == set()
        assert len(told) > 20, "there was no churn"


def test_it_ends_with_the_endpoint_after_what_had_happened(bus: str) -> None:
    earth = ipmb.join(bus, "earth")
    watch = earth.watch()
    moon = ipmb.join(bus, "moon")
    until(earth.peers, "the moon")
    earth.close()
    assert [(event.kind, event.id) for event in watch] == [("joined", moon.id)]
    assert list(watch) == []
    with pytest.raises(ipmb.Closed):
        watch.get()
    with pytest.raises(ipmb.Closed, match="closed"):
        earth.watch()


@pytest.mark.parametrize("what", ["watch", "endpoint"])
def test_closing_in_another_thread_ends_the_iteration(bus: str, what: str) -> None:
    earth = ipmb.join(bus, "earth")
    watch = earth.watch()
    told: list[Any] = []
    thread = threading.Thread(target=lambda: told.extend(watch))
    thread.start()
    moon = ipmb.join(bus, "moon")
    until(lambda: told, "the first event")
    (watch if what == "watch" else earth).close()
    thread.join(5)
    assert not thread.is_alive()
    assert [event.id for event in told] == [moon.id]


def test_a_closed_watch_tells_nothing_and_the_endpoint_goes_on(bus: str) -> None:
    with ipmb.join(bus, "earth") as earth:
        watch = earth.watch()
        watch.close()
        watch.close()
        assert repr(watch) == "<Watch, closed>"
        with pytest.raises(ipmb.Closed, match="this watch is closed"):
            watch.poll()
        assert earth.sender.send("earth", 1) == 1


def test_the_descriptor_is_readable_when_there_is_something(bus: str) -> None:
    with ipmb.join(bus, "earth") as earth, earth.watch() as watch:
        assert watch.poll() is None
        assert select.select([watch], [], [], 0)[0] == []
        with ipmb.join(bus, "a"), ipmb.join(bus, "b"):
            for _ in range(2):
                assert select.select([watch], [], [], 5)[0] == [watch]
                assert watch.get(5).kind == "joined"
        for _ in range(2):
            assert select.select([watch], [], [], 5)[0] == [watch]
            assert watch.get(5).kind == "left"
        assert watch.poll() is None
        assert select.select([watch], [], [], 0)[0] == []
        earth.close()
        assert select.select([watch], [], [], 0)[0] == [watch]


@pytest.mark.parametrize("wrong", [-1, float("nan")])
def test_a_wrong_timeout_is_refused(bus: str, wrong: float) -> None:
    with ipmb.join(bus, "earth") as earth, earth.watch() as watch:
        with pytest.raises(ValueError, match="timeout is"):
            watch.get(wrong)
        with pytest.raises(TypeError, match="timeout is a str"):
            watch.get("1")  # type: ignore[arg-type]


def test_get_waits_as_long_as_it_is_told(bus: str) -> None:
    with ipmb.join(bus, "earth") as earth, earth.watch() as watch:
        started = time.monotonic()
        with pytest.raises(ipmb.RecvTimeout):
            watch.get(0.05)
        assert 0.05 <= time.monotonic() - started < 2
        with pytest.raises(TimeoutError):
            watch.get(0)


def test_a_watch_keeps_its_endpoint_on_the_bus(bus: str) -> None:
    watch = ipmb.join(bus, "earth").watch()
    with ipmb.join(bus, "moon") as moon:
        assert watch.get(5).id == moon.id
        assert [peer.label for peer in moon.peers()] == [ipmb.label("earth")]
        watch.close()
        del watch
        until(lambda: moon.peers() == [], "the endpoint to go with its watch")


@pytest.mark.anyio
async def test_a_watch_with_much_to_tell_lets_others_run(bus: str) -> None:
    async with await ipmb.aio.join(bus, "observer") as observer:
        watch = observer.watch()
        for _ in range(300):
            ipmb.join(bus, "passer").close()
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await anyio.sleep(0)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(count)
                told = 0
                async for _ in watch:
                    told += 1
                    if told == 600:
                        break
                group.cancel_scope.cancel()
        assert turns >= 2, "one at the start, one while it is told"
        # Also a cancellation is noticed while there is something to tell.
        for _ in range(300):
            ipmb.join(bus, "passer").close()
        told = 0
        with anyio.CancelScope() as scope:
            scope.cancel()
            async for _ in watch:
                told += 1
        assert told == 0
