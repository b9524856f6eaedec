"""Bad input to join, send and recv: the right exception, naming argument, value and bound, and nothing sent."""

from __future__ import annotations

import gc
import itertools
import math
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import ipmb
from ipmb import LabelOp, Message, Options, Selector, errors

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def earth(bus: str) -> Iterator[ipmb.Endpoint]:
    with ipmb.join(bus, "earth", timeout=10) as endpoint:
        yield endpoint


def until_gone(endpoint: ipmb.Endpoint, who: int) -> None:
    deadline = time.monotonic() + 10
    while any(peer.id == who for peer in endpoint.peers()):
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"identifier": ""}, ValueError, "identifier is empty: give 1 to 255 bytes without NUL"),
        (
            {"identifier": "a\0b"},
            ValueError,
            "identifier is text with a NUL at byte 1: give 1 to 255 bytes without NUL",
        ),
        (
            {"identifier": "ä" * 128},
            ValueError,
            "identifier is 256 bytes long: give 1 to 255 bytes without NUL",
        ),
        (
            {"identifier": "\udc80"},
            ValueError,
            "identifier is a str with half a surrogate pair: give valid Unicode",
        ),
        ({"identifier": b"com.solar"}, TypeError, "identifier is a bytes: give a str"),
        ({"identifier": None}, TypeError, "identifier is None: give a str"),
        ({"label": 3}, TypeError, "label is an int: give a Label, a str, or an iterable of strings"),
        ({"label": [b"a"]}, TypeError, "label element is a bytes: give strings"),
        ({"label": ["a", ""]}, ValueError, "label element is empty: give 1 to 255 bytes"),
        ({"label": "x" * 256}, ValueError, "label element is 256 bytes long: give 1 to 255 bytes"),
        ({"token": 3}, TypeError, "token is an int: give a str or bytes"),
        ({"token": "x" * 1025}, ValueError, "token is 1025 bytes long: give at most 1024 bytes"),
        ({"controller_affinity": 1}, TypeError, "controller_affinity is an int: give True or False"),
        ({"users": 1.5}, TypeError, "users is a float: give names or ids of users of this machine"),
        ({"users": b"root"}, TypeError, "users is a bytes: give names or ids of users of this machine"),
        ({"users": bytearray(b"root")}, TypeError, "users is a bytearray: give names or ids of users"),
        ({"users": itertools.count(1)}, ValueError, "users has more than 1024 entries: give names or ids"),
        ({"users": [None]}, TypeError, "users has a NoneType: give names or ids of users of this machine"),
        ({"users": [True]}, TypeError, "users has a bool: give names or ids of users of this machine"),
        ({"users": -1}, ValueError, "users has -1, which is no id of a user: give names or ids"),
        ({"users": [2**32 - 1]}, ValueError, "users has 4294967295, which is no id of a user: give names"),
        (
            {"users": "no such user"},
            ValueError,
            "users has 'no such user', which is no user of this machine: give",
        ),
        ({"users": "a\0b"}, ValueError, "users has 'a\\x00b', which is no user of this machine: give"),
        ({"timeout": -1}, ValueError, "timeout is -1: give 0 or more seconds, or None for ever"),
        ({"timeout": math.nan}, ValueError, "timeout is NaN: give 0 or more seconds, or None for ever"),
        ({"timeout": "1"}, TypeError, "timeout is a str: give 0 or more seconds, or None for ever"),
        ({"payloads": 3}, TypeError, "payloads is or holds 3: give one of None, bool, int"),
        ({"payloads": str | set}, TypeError, "payloads is or holds set: give one of None"),
    ],
)
def test_join(bus: str, arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    given: dict[str, Any] = {"identifier": bus, "timeout": 5} | arguments
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        ipmb.join(**given)


def test_join_with_options_takes_nothing_beside_them(bus: str) -> None:
    with ipmb.join(Options(bus, ["a", "b"], token="t"), timeout=5) as endpoint:
        assert endpoint.label == {"a", "b"}
        assert endpoint.identifier == bus
    for more in ({"label": "x"}, {"token": "x"}, {"controller_affinity": False}, {"users": 1}):
        with pytest.raises(TypeError, match="belong into the Options"):
            ipmb.join(Options(bus), **more)


def test_a_token_may_be_text_or_bytes(bus: str) -> None:
    with ipmb.join(bus, token="geheim", timeout=5), ipmb.join(bus, token=b"geheim", timeout=5):
        pass


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "text"),
    [
        ((3, b""), {}, TypeError, "selector is an int: give a Selector, a LabelOp or a str"),
        ((None,), {}, TypeError, "selector is None: give a Selector, a LabelOp or a str"),
        (("",), {"payload": b""}, ValueError, "label element is empty: give 1 to 255 bytes"),
        (
            ("earth",),
            {},
            TypeError,
            "payload is missing: give a payload after the selector, or a Message alone",
        ),
        ((Message("earth", 1), 2), {}, TypeError, "payload is given beside a Message"),
        ((Message("earth", 1),), {"ttl": 2}, TypeError, "ttl is given beside a Message"),
        (
            ("earth", 1),
            {"timeout": -0.5},
            ValueError,
            "timeout is -0.5: give 0 or more seconds, or None for ever",
        ),
        (
            ("earth", 1),
            {"timeout": [1]},
            TypeError,
            "timeout is a list: give 0 or more seconds, or None for ever",
        ),
        (("earth", 1), {"ttl": -1}, ValueError, "ttl is -1: give 0 or more seconds, or None for ever"),
        (("earth", 1), {"ttl": "x"}, TypeError, "ttl is a str: give 0 or more seconds, or None for ever"),
        (
            ("earth", 1),
            {"overflow": "wait"},
            ValueError,
            'overflow is \'wait\': give "block", "error" or "drop"',
        ),
        (("earth", 1), {"overflow": 1}, TypeError, 'overflow is an int: give "block", "error" or "drop"'),
        (("earth", 1), {"objects": ["3"]}, TypeError, "objects[0] is a str: give an Object"),
        (("earth", 1), {"objects": [-3]}, ValueError, "objects[0] is -3: give 0 or more"),
        (("earth", 1), {"objects": 3}, TypeError, "objects is an int: give a list"),
        (("earth", 1), {"memory_regions": (b"",)}, TypeError, "memory_regions[0] is a bytes"),
        (("earth", {1, 2}), {}, TypeError, "payload is a set: give a list, or"),
        (("earth", ...), {}, TypeError, "payload is an ellipsis: convert it: give None, bool, int"),
        (("earth", [1, {"a": (2,)}]), {}, TypeError, "payload[1]['a'] is a tuple: give a list, or"),
        (("earth", {(1, 2): 3}), {}, TypeError, "payload is a dict with a tuple as a key"),
        (("earth", 2**64), {}, ValueError, "payload is an int out of range: give -2**63 to 2**64-1"),
        (
            ("earth", [-(2**63) - 1]),
            {},
            ValueError,
            "payload[0] is an int out of range: give -2**63 to 2**64-1",
        ),
        (
            ("earth", "\ud800"),
            {},
            ValueError,
            "payload is a str with half a surrogate pair: give valid Unicode",
        ),
        (
            ("earth", memoryview(b"abcd")[::2]),
            {},
            TypeError,
            "payload is a memoryview that is not contiguous",
        ),
    ],
)
def test_send(
    earth: ipmb.Endpoint,
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    error: type[Exception],
    text: str,
) -> None:
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        earth.sender.send(*arguments, **keywords)
    with pytest.raises(errors.RecvTimeout):
        earth.receiver.recv(0)
    stats = earth.stats()
    assert stats.sent == stats.dropped == stats.waiting == 0


def test_a_list_that_holds_itself_is_refused(earth: ipmb.Endpoint) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match=r"^payload is nested more than 200 deep"):
        earth.sender.send("earth", endless)


@pytest.mark.parametrize(
    "target", ["earth", LabelOp("earth"), Selector.unicast("earth"), Message("earth", b"x")]
)
def test_every_way_to_name_a_target(earth: ipmb.Endpoint, target: Any) -> None:
    payload = () if isinstance(target, Message) else (b"x",)
    for _ in range(3):
        assert earth.sender.send(target, *payload) == 1
        message = earth.receiver.recv(timeout=5)
        assert message.payload == b"x"
        assert message.selector == Selector.unicast("earth")


def test_ttl_beside_a_selector_takes_its_place(earth: ipmb.Endpoint) -> None:
    assert earth.sender.send(Selector.multicast("earth", ttl=9), 1, ttl=2.5) == 1
    assert earth.receiver.recv(timeout=5).selector == Selector.multicast("earth", ttl=2.5)
    assert earth.sender.send("nobody", 1, ttl=None) == 0
    assert earth.sender.send("nobody", 1, ttl=0) == 0
    assert (earth.stats().waiting, earth.stats().dropped_by_reason["no_route"]) == (1, 1)


@pytest.mark.parametrize("call", ["recv", "recv_many"])
def test_recv_timeouts(earth: ipmb.Endpoint, call: str) -> None:
    recv = earth.receiver.recv if call == "recv" else lambda timeout: earth.receiver.recv_many(3, timeout)
    for timeout, text in [(-1, "timeout is -1: give 0"), (math.nan, "timeout is NaN: give 0")]:
        with pytest.raises(ValueError, match=text):
            recv(timeout)
    with pytest.raises(TypeError, match="timeout is a str: give 0"):
        recv("1")  # type: ignore[arg-type]
    for timeout in (0, 0.0, 0.01):
        with pytest.raises(errors.RecvTimeout) as caught:
            recv(timeout)
        assert isinstance(caught.value, TimeoutError)


def test_recv_many(earth: ipmb.Endpoint) -> None:
    for limit in (0, -1, -(10**30)):
        with pytest.raises(ValueError, match=rf"^limit is {limit}: give 1 or more$"):
            earth.receiver.recv_many(limit)
    with pytest.raises(TypeError, match=r"^limit is a float: give an int, 1 or more$"):
        earth.receiver.recv_many(1.0)  # type: ignore[arg-type]
    for number in range(5):
        earth.sender.send("earth", number)
    assert [message.payload for message in earth.receiver.recv_many(3, timeout=5)] == [0, 1, 2]
    assert [message.payload for message in earth.receiver.recv_many(10**30, timeout=5)] == [3, 4]


def test_a_huge_timeout_is_for_ever(earth: ipmb.Endpoint) -> None:
    earth.sender.send("earth", 1, timeout=1e300)
    assert earth.receiver.recv(timeout=math.inf).payload == 1


def test_halves_close_on_their_own(bus: str) -> None:
    sender, receiver = ipmb.join(bus, "earth", timeout=5)
    with sender:
        sender.send("earth", 1)
    with pytest.raises(errors.Closed):
        sender.send("earth", 1)
    assert receiver.recv(timeout=5).payload == 1
    with receiver as same:
        assert same is receiver
    for call in (receiver.recv, receiver.fileno, lambda: receiver.recv_many(1)):
        with pytest.raises(errors.Closed):
            call()
    assert list(receiver) == []
    sender.close()
    receiver.close()


def test_close_wakes_a_waiting_recv_and_ends_iteration(earth: ipmb.Endpoint) -> None:
    outcome: list[object] = []

    def wait() -> None:
        try:
            earth.receiver.recv()
        except errors.IpmbError as error:
            outcome.append(type(error))

    threads = [
        threading.Thread(target=wait),
        threading.Thread(target=lambda: outcome.append(list(earth.receiver))),
    ]
    for thread in threads:
        thread.start()
    earth.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert sorted(map(str, outcome)) == sorted(map(str, [errors.Closed, []]))


def test_a_reply_goes_to_the_sender_alone(bus: str, earth: ipmb.Endpoint) -> None:
    with ipmb.join(bus, "moon", timeout=5) as moon, ipmb.join(bus, "moon", timeout=5) as other:
        moon.sender.send("earth", "ping")
        message = earth.receiver.recv(timeout=5)
        assert (message.sender.id, set(message.sender.label)) == (moon.id, {"moon"})
        assert message.reply("pong") == 1
        assert moon.receiver.recv(timeout=5).payload == "pong"
        with pytest.raises(errors.RecvTimeout):
            other.receiver.recv(0)
        with pytest.raises(TypeError, match="payload is a set"):
            message.reply({1})
        with pytest.raises(ValueError, match="timeout is -1"):
            message.reply(1, timeout=-1)
        moon.close()
        until_gone(earth, moon.id)
        assert message.reply("too late") == 0


def test_what_a_receiver_does_not_take_is_skipped_and_counted(bus: str, earth: ipmb.Endpoint) -> None:
    with ipmb.join(bus, "picky", timeout=5, payloads=str | None) as picky:
        for payload in (b"bytes", 1, "text", [1], None, True):
            assert earth.sender.send("picky", payload) == 1
        assert picky.receiver.recv(timeout=5).payload == "text"
        assert picky.receiver.recv(timeout=5).payload is None
        with pytest.raises(errors.RecvTimeout):
            picky.receiver.recv(0)
        assert (picky.stats().received, picky.stats().skipped) == (2, 4)
        with pytest.raises(ipmb.RecvTimeout, match="4 so far were of types that this receiver does not take"):
            picky.receiver.recv(timeout=0)


def test_stats_are_frozen_and_complete(earth: ipmb.Endpoint) -> None:
    earth.sender.send("earth", b"12345")
    earth.receiver.recv(timeout=5)
    earth.sender.send("nobody", b"123")
    stats = earth.stats()
    assert (stats.sent, stats.received, stats.bytes_sent, stats.bytes_received) == (1, 1, 5, 5)
    assert stats.dropped == sum(stats.dropped_by_reason.values()) == stats.dropped_by_reason["no_route"] == 1
    with pytest.raises(AttributeError):
        stats.sent = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        stats.dropped_by_reason["no_route"] = 2  # type: ignore[index]


def test_an_endpoint_is_its_two_halves(bus: str) -> None:
    with ipmb.join(bus, ipmb.label("earth"), timeout=5) as endpoint:
        sender, receiver = endpoint
        assert (sender, receiver) == (endpoint.sender, endpoint.receiver)
        assert endpoint.label == {"earth"}
        assert endpoint.is_controller
        assert endpoint.peers() == []
        assert f"{endpoint.id:#x}" in repr(endpoint)
        assert f"{endpoint.id:#x}" in repr(sender)
        assert f"{endpoint.id:#x}" in repr(receiver)


def test_an_endpoint_that_nobody_holds_leaves(bus: str, earth: ipmb.Endpoint) -> None:
    """Also one that has received: what it keeps of its messages must not keep it."""
    sender, receiver = ipmb.join(bus, "moon", timeout=5)
    earth.sender.send("moon", 1)
    assert receiver.recv(timeout=5).payload == 1
    (moon,) = [peer.id for peer in earth.peers()]
    del sender
    assert len(earth.peers()) == 1
    del receiver
    gc.collect()
    until_gone(earth, moon)


def test_a_list_of_payload_types_is_told_how_to_say_it(bus: str) -> None:
    wrong: Any = [str]
    with pytest.raises(TypeError, match=r"payloads is or holds .*joined by \|"):
        ipmb.join(bus, payloads=wrong)


def test_one_who_has_left_has_no_peers(bus: str) -> None:
    endpoint = ipmb.join(bus)
    endpoint.close()
    with pytest.raises(ipmb.Closed):
        endpoint.peers()
