"""What type checkers make of the interface: mypy reads this file, and the values are what it says."""

from __future__ import annotations

from typing import assert_type

import ipmb


def test_types_of_an_endpoint(bus: str) -> None:
    with ipmb.join(bus, "earth", timeout=10) as endpoint:
        assert_type(endpoint, ipmb.Endpoint)
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
