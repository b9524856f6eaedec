"""What type checkers know of requests, presence, serving and queues; the values are what it says."""

from __future__ import annotations

import threading
from typing import Any, Literal, assert_type

import ipmb


def double(message: ipmb.Message[int]) -> int:
    return assert_type(message.payload, int) * 2


def test_requests_and_serving(bus: str) -> None:
    with ipmb.join(bus, "doubler", timeout=10, payloads=int) as earth, ipmb.join(bus, timeout=10) as moon:
        server = threading.Thread(target=lambda: ipmb.serve(earth.receiver, double, workers=1))
        server.start()
        reply = moon.sender.request("doubler", 21, timeout=5)
        assert_type(reply, ipmb.Message[Any])
        assert reply.payload == 42
        try:
            moon.sender.request("doubler", "three", timeout=5)
        except ipmb.NoRoute as error:
            assert_type(error, ipmb.NoRoute)
        earth.receiver.close()
        server.join()


def test_a_reply_says_how_many_have_it(bus: str) -> None:
    with ipmb.join(bus, "earth", timeout=10) as earth:
        assert_type(earth.sender.send_many("earth", ["a", "b"]), int)
        message = earth.receiver.recv(timeout=5)
        assert isinstance(assert_type(message.is_request, bool), bool)
        assert isinstance(assert_type(message.reply("back"), int), int)


def test_presence(bus: str) -> None:
    with ipmb.join(bus, "earth", timeout=10) as earth, assert_type(earth.watch(), ipmb.Watch) as watch:
        with ipmb.join(bus, "moon", timeout=10):
            event = assert_type(watch.get(5), ipmb.PeerEvent)
        assert isinstance(assert_type(event.peer, ipmb.EndpointInfo), ipmb.EndpointInfo)
        assert isinstance(assert_type(event.label, ipmb.Label), ipmb.Label)
        assert_type(event.kind, Literal["joined", "left"])
        assert_type(event.reason, Literal["closed", "died", "expelled", "vanished", "unknown"] | None)
        assert_type(watch.peers, list[ipmb.EndpointInfo])
        for one in watch:
            assert isinstance(assert_type(one, ipmb.PeerEvent), ipmb.PeerEvent)
            break
        assert_type(watch.poll(), ipmb.PeerEvent | None)


def test_queues_know_their_items() -> None:
    numbers: ipmb.Queue[int] = ipmb.Queue(2)
    numbers.put(1)
    numbers.put_nowait(2)
    assert isinstance(assert_type(numbers.get(), int), int)
    assert isinstance(assert_type(numbers.get(timeout=1), int), int)
    assert isinstance(assert_type(numbers.qsize(), int), int)
    assert isinstance(assert_type(numbers.empty(), bool), bool)
    numbers.close()
