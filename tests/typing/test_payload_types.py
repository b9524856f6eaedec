"""What type checkers know of payloads: mypy and pyright read this file, and the values are what it says."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, assert_type

import ipmb


@ipmb.message_type("7c1f3f0a-9a43-4a6e-8f3c-0f7f1b1e2a01")
@dataclass
class Apple:
    weight: float


@ipmb.message_type(uuid.UUID("7c1f3f0a-9a43-4a6e-8f3c-0f7f1b1e2a02"))
@dataclass
class Pear:
    weight: float


def test_a_registered_class_stays_what_it_is() -> None:
    assert_type(Apple, type[Apple])
    assert isinstance(assert_type(Apple(1.5), Apple).weight, float)


def test_payloads_say_what_is_received(bus: str) -> None:
    with ipmb.join(bus, "basket", timeout=10, payloads=Apple | Pear | str | None) as endpoint:
        assert_type(endpoint, ipmb.Endpoint[Apple | Pear | str | None])
        sender, receiver = endpoint
        assert_type(receiver, ipmb.Receiver[Apple | Pear | str | None])
        assert_type(endpoint.receiver, ipmb.Receiver[Apple | Pear | str | None])
        sender.send("basket", Apple(1.5))
        message = receiver.recv(timeout=5)
        assert_type(message, ipmb.Message[Apple | Pear | str | None])
        match assert_type(message.payload, Apple | Pear | str | None):
            case Apple(weight):
                assert weight == 1.5
            case other:
                assert_type(other, Pear | str | None)
                raise AssertionError
        sender.send("basket", None)
        assert_type(receiver.recv_many(1, timeout=5), list[ipmb.Message[Apple | Pear | str | None]])
        sender.send("basket", "pit")
        for one in receiver:
            assert_type(one.payload, Apple | Pear | str | None)
            break


def test_a_single_type_and_options(bus: str) -> None:
    with ipmb.join(ipmb.Options(bus, "basket"), timeout=10, payloads=Apple) as endpoint:
        assert_type(endpoint, ipmb.Endpoint[Apple])
        endpoint.sender.send("basket", Apple(2.0))
        assert assert_type(endpoint.receiver.recv(timeout=5).payload.weight, float) == 2.0


def test_a_message_box_says_it_too(bus: str) -> None:
    assert_type(ipmb.MessageBox(Apple), ipmb.MessageBox[Apple])
    box = ipmb.MessageBox(Apple, Pear, str)
    assert_type(box, ipmb.MessageBox[Apple | Pear | str])
    with ipmb.join(bus, timeout=10, payloads=box) as endpoint:
        assert_type(endpoint, ipmb.Endpoint[Apple | Pear | str])
    eight = ipmb.MessageBox(Apple, Pear, str, int, float, bytes, bool, list)
    assert_type(eight, ipmb.MessageBox[Apple | Pear | str | int | float | bytes | bool | list[Any]])
    assert_type(ipmb.MessageBox(*[Apple, Pear]), ipmb.MessageBox[Any])


def test_types_of_an_endpoint(bus: str) -> None:
    with ipmb.join(bus, "earth", timeout=10) as endpoint:
        assert_type(endpoint, ipmb.Endpoint[Any])
        plain: ipmb.Endpoint = endpoint  # no parameter needed
        assert_type(plain, ipmb.Endpoint[Any])
        sender, receiver = endpoint
        assert isinstance(assert_type(sender, ipmb.Sender), ipmb.Sender)
        assert isinstance(assert_type(receiver, ipmb.Receiver), ipmb.Receiver)
        assert_type(sender.send("earth", [1]), int)
        assert_type(sender.send(ipmb.Message("earth", 2)), int)
        message = receiver.recv(timeout=5)
        assert_type(message, ipmb.Message)
        assert isinstance(assert_type(message.sender, ipmb.EndpointInfo).label, ipmb.Label)
        assert isinstance(assert_type(message.selector, ipmb.Selector).mode, ipmb.SelectorMode)
        assert_type(receiver.recv_many(1, timeout=5), list[ipmb.Message])
        assert isinstance(assert_type(endpoint.stats(), ipmb.Stats), ipmb.Stats)
        assert_type(endpoint.peers(), list[ipmb.EndpointInfo])


def test_types_of_the_halves(bus: str) -> None:
    with ipmb.join(ipmb.Options(bus, ipmb.label("earth")), timeout=10) as (sender, receiver):
        assert_type(sender, ipmb.Sender)
        assert_type(receiver, ipmb.Receiver)
        assert isinstance(assert_type("a" | ipmb.LabelOp("b"), ipmb.LabelOp), ipmb.LabelOp)
        assert isinstance(assert_type({"a"} | ipmb.label("b"), ipmb.Label), ipmb.Label)
