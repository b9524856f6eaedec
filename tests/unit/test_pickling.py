"""Handles pickle as an address: whoever unpickles one joins the same bus anew, in whatever process."""

from __future__ import annotations

import multiprocessing
import pickle
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import ipmb
from tests.support.wait import until

if TYPE_CHECKING:
    from multiprocessing.context import SpawnContext, SpawnProcess


@ipmb.message_type("00000001-7e57-4000-8000-0000000004a0")
class Position(msgspec.Struct):
    x: int


def test_an_endpoint_becomes_another_one_with_the_same_label(bus: str) -> None:
    label = ipmb.label("earth", "blue")
    with ipmb.join(bus, iter(label), token="secret", payloads=str | Position) as first:
        with pickle.loads(pickle.dumps(first)) as second:
            assert type(second) is ipmb.Endpoint
            assert second.id != first.id
            assert (second.label, second.identifier) == (label, bus)
            assert [peer.id for peer in first.peers()] == [second.id]
            with ipmb.join(bus, "moon", token="secret") as moon:
                everybody = ipmb.Selector.multicast("earth")
                assert moon.sender.send_many(everybody, [b"not taken", Position(3)]) == 4
                assert second.receiver.recv(5).payload == Position(3)
        until(lambda: first.peers() == [], "the others to be gone")


def test_the_users_of_a_bus_travel_along(bus: str) -> None:
    """Also where they were given as something that can be read only once."""
    with (
        ipmb.join(bus, "earth", users=iter([0, 4242])) as first,
        pickle.loads(pickle.dumps(first)) as second,
    ):
        assert [peer.id for peer in first.peers()] == [second.id]
        with pytest.raises(ipmb.TokenMismatch, match="same token and users"):
            ipmb.join(bus, timeout=5)


def test_a_sender_only_sends_and_a_receiver_replies(bus: str) -> None:
    with ipmb.join(bus, "earth") as earth, ipmb.join(bus, "moon") as moon:
        sender = pickle.loads(pickle.dumps(moon.sender))
        assert sender.send("earth", "hello") == 1
        message = earth.receiver.recv(5)
        assert (message.payload, message.sender.label) == ("hello", ipmb.label("moon"))
        # It takes nothing: the message goes to the moon that reads.
        assert [earth.sender.send("moon", number) for number in range(4)] == [1] * 4
        assert [moon.receiver.recv(5).payload for _ in range(4)] == [0, 1, 2, 3]
        receiver = pickle.loads(pickle.dumps(moon.receiver))
        assert earth.sender.send(ipmb.Selector.multicast("moon"), "ping") == 2
        receiver.recv(5).reply("pong")
        assert earth.receiver.recv(5).payload == "pong"


def test_nobody_there_is_an_error_in_time(bus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with ipmb.join(bus, "founder") as founder, ipmb.join(bus, "guest", controller_affinity=False) as guest:
        pickled = pickle.dumps(guest)
        assert founder.is_controller
    monkeypatch.setattr("ipmb.endpoint.REJOIN_SECONDS", 0.05)
    with pytest.raises(ipmb.JoinTimeout, match="nobody is on this bus"):
        pickle.loads(pickled)


def test_no_secret_in_what_is_shown(bus: str) -> None:
    with ipmb.join(bus, "earth", token="very secret") as earth:
        assert "very secret" not in f"{earth!r} {earth.sender!r} {earth.receiver!r}"


def at_work(receiver: ipmb.Receiver[Any], sender: ipmb.Sender) -> None:
    """What a worker of `multiprocessing` does with handles it was given."""
    sender.send("boss", "ready")
    sender.send("boss", receiver.recv(10).payload * 2)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_handles_are_arguments_of_processes(bus: str, method: str) -> None:
    context: SpawnContext = multiprocessing.get_context(method)  # type: ignore[assignment]
    with ipmb.join(bus, "boss") as boss, ipmb.join(bus, "worker") as worker:
        process: SpawnProcess = context.Process(target=at_work, args=(worker.receiver, worker.sender))
        process.start()
        assert boss.receiver.recv(20).payload == "ready"
        worker.close()
        until(lambda: len(boss.peers()) == 2, "the worker's own endpoints alone")
        assert boss.sender.send("worker", 21) == 1
        assert boss.receiver.recv(5).payload == 42
        process.join(10)
        assert process.exitcode == 0
