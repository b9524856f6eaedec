"""`send_many`: several messages in their order, all or none of what cannot be sent, and a true account of what went."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import ipmb


def payloads(receiver: ipmb.Receiver[Any]) -> list[Any]:
    got: list[Any] = []
    while True:
        try:
            got += [message.payload for message in receiver.recv_many(1000, 0)]
        except ipmb.RecvTimeout:
            return got


def test_everything_arrives_in_order(bus: str) -> None:
    with ipmb.join(bus, "earth") as (sender, receiver):
        sent = [1, "two", b"three", [4, {"five": 6}], None, 7.0]
        assert sender.send_many("earth", sent) == 6
        assert payloads(receiver) == sent
        assert sender.send_many("earth", (number for number in range(3))) == 3
        assert payloads(receiver) == [0, 1, 2]
        assert sender.send_many("earth", []) == 0
        assert sender.send_many("nobody", [1, 2]) == 0


def test_large_ones_and_arrays_too(bus: str) -> None:
    with ipmb.join(bus, "earth") as (sender, receiver):
        array = np.arange(50_000)
        assert sender.send_many("earth", [b"x" * 100_000, array]) == 2
        large, same = payloads(receiver)
        assert large == b"x" * 100_000
        assert np.array_equal(same, array)


def test_a_multicast_counts_copies_and_a_ttl_waits(bus: str) -> None:
    with ipmb.join(bus, "a") as a, ipmb.join(bus, "b") as b:
        everybody = ipmb.Selector.multicast(ipmb.LabelOp.TRUE)
        assert a.sender.send_many(everybody, [1, 2]) == 4
        assert payloads(b.receiver) == [1, 2]
        assert a.sender.send_many("later", [3, 4], ttl=30) == 0
        with ipmb.join(bus, "later") as later:
            assert [later.receiver.recv(5).payload, later.receiver.recv(5).payload] == [3, 4]


def test_what_cannot_be_sent_shows_before_anything_is(bus: str) -> None:
    with ipmb.join(bus, "earth") as (sender, receiver):
        with pytest.raises(TypeError, match="payload is an object") as raised:
            sender.send_many("earth", [1, 2, object()])
        assert raised.value.__notes__ == ["it is payloads[2]; none was sent"]
        assert payloads(receiver) == []
        for wrong in ("text", b"bytes", 3, None):
            with pytest.raises(TypeError, match="payloads is"):
                sender.send_many("earth", wrong)  # type: ignore[arg-type]


def test_an_error_on_the_way_tells_how_many_went(bus: str) -> None:
    with ipmb.join(bus, "earth") as (_, receiver), ipmb.join(bus, "moon") as (sender, _):
        with pytest.raises(ipmb.SendTimeout) as late:
            sender.send_many("earth", [bytes([n % 256]) * 1000 for n in range(500)], timeout=0.05)
        assert 0 < late.value.delivered < 500
        assert payloads(receiver) == [bytes([n % 256]) * 1000 for n in range(late.value.delivered)]
        with pytest.raises(ipmb.Full) as full:
            sender.send_many("earth", [b"y" * 1000] * 500, overflow="error")
        assert len(payloads(receiver)) == full.value.delivered > 0
        sent = sender.send_many("earth", [b"z" * 1000] * 500, overflow="drop")
        assert len(payloads(receiver)) == sent < 500
        assert sender.send_many("earth", [b"last"]) == 1


def test_it_waits_for_room_and_goes_on(bus: str) -> None:
    with ipmb.join(bus, "earth") as (_, receiver), ipmb.join(bus, "moon") as (sender, _):
        sent: list[int] = []
        thread = threading.Thread(target=lambda: sent.append(sender.send_many("earth", list(range(20_000)))))
        thread.start()
        got = [receiver.recv(10).payload for _ in range(20_000)]
        thread.join(10)
        assert got == list(range(20_000))
        assert sent == [20_000]
