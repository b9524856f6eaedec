"""This bus, through its public interface, with everything on: routing, checks, sender identity."""

from __future__ import annotations

import functools
import operator
import uuid
from typing import Any

import ipmb
from benches.peers import Link, Setup


class Bus:
    """One endpoint at each end; every message is a unicast by label."""

    name = "ipmb"

    def version(self) -> str:
        return ipmb.version().package

    def prepare(self, _folder: str) -> Setup:
        identifier = f"bench.{uuid.uuid4().hex}"
        return Setup(
            {"identifier": identifier, "me": "near", "other": "far"},
            {"identifier": identifier, "me": "far", "other": "near"},
        )

    def connect(self, address: dict[str, Any]) -> Link:
        endpoint = ipmb.join(address["identifier"], address["me"], timeout=20.0)
        selector = ipmb.Selector.unicast(ipmb.LabelOp(address["other"]))
        return Link(
            functools.partial(endpoint.sender.send, selector),
            map(operator.attrgetter("payload"), endpoint.receiver),
            endpoint.close,
        )


peer = Bus()
