"""A message that is too long to wait for a match says so, and how long it may be."""

from __future__ import annotations

import re

import pytest

import ipmb

MOST = 4_194_304


@pytest.mark.parametrize(
    "size", [MOST - 10, MOST, MOST + 1, 20_000_000], ids=["all told", "exact", "over", "far"]
)
@pytest.mark.parametrize("waiting", [False, True])
def test_too_long_to_wait(bus: str, size: int, waiting: bool) -> None:
    """Others that wait make no difference: it would not fit if it were alone."""
    with ipmb.join(bus, "moon", timeout=10) as end:
        if waiting:
            assert end.sender.send("late", b"before", ttl=60) == 0
        with pytest.raises(ipmb.TooLarge) as caught:
            end.sender.send("late", bytes(size), ttl=60)
        found = re.fullmatch(
            r"the message has (\d+) bytes, and at most 4194304 can wait while nobody matches: "
            r"send it when somebody does, or attach the bytes as a memory region, which waits in the sender's process",
            str(caught.value),
        )
        assert found
        assert max(size, MOST + 1) <= int(found[1]) <= size + 200
        assert end.stats().waiting == int(waiting)


def test_what_fits_alone_finds_no_room_now(bus: str) -> None:
    with ipmb.join(bus, "moon", timeout=10) as end:
        assert end.sender.send("late", bytes(MOST - 1000), ttl=60) == 0
        with pytest.raises(ipmb.Full, match="as much waits for a match as one sender may"):
            end.sender.send("late", bytes(MOST - 1000), ttl=60)


def test_what_the_error_advises_works(bus: str) -> None:
    region = ipmb.MemoryRegion(MOST * 2)
    region.map(0, 5)[:] = b"hello"
    with ipmb.join(bus, "moon", timeout=10) as end:
        assert end.sender.send("late", "in a region", memory_regions=[region], ttl=60) == 0
        with ipmb.join(bus, "late", timeout=10) as late:
            message = late.receiver.recv(timeout=10)
            assert bytes(message.memory_regions[0].map(0, 5)) == b"hello"
