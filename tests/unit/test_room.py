"""Whether there is room: asked before a multicast with `overflow="error"`, and the same answer as sending gives."""

from __future__ import annotations

import pytest

import ipmb


@pytest.mark.parametrize("length", [16_000, 16_200, 16_300, 16_310, 16_312, 16_313])
@pytest.mark.parametrize("overflow", ["error", "block"])
def test_the_longest_that_travel_in_a_ring_find_room_in_an_empty_one(
    bus: str, length: int, overflow: str
) -> None:
    """Also the first, before which the selector's definition goes, however long that is."""
    with ipmb.join(bus, "me") as (sender, receiver):
        selector = ipmb.Selector.multicast(ipmb.LabelOp("me") | ipmb.LabelOp("z" * 200))
        for _ in range(2):
            assert sender.send(selector, bytes(length), timeout=5, overflow=overflow) == 1  # type: ignore[call-overload]
            assert receiver.recv(5).payload == bytes(length)
