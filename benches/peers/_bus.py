"""Two endpoints of this bus that know each other by label; everything is on: routing, checks, identity."""

from __future__ import annotations

import functools
import uuid
from typing import Any

import ipmb
from benches.peers import Setup


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


def join(address: dict[str, Any], **options: Any) -> tuple[ipmb.Endpoint, Any]:
    """The endpoint of one end, and how it sends to the other."""
    endpoint = ipmb.join(address["identifier"], address["me"], timeout=20.0, **options)
    return endpoint, functools.partial(endpoint.sender.send, other(address))


def other(address: dict[str, Any]) -> ipmb.Selector:
    """Who is at the other end."""
    return ipmb.Selector.unicast(ipmb.LabelOp(address["other"]))
