"""What is closed says so: as an attribute, in its `repr`, and when somebody begins a `with` block on it."""

from __future__ import annotations

import asyncio

import pytest

import ipmb
import ipmb.aio

SECRET = "open sesame"


def test_an_endpoint_and_its_halves(bus: str) -> None:
    endpoint = ipmb.join(bus, "earth", token=SECRET)
    sender, receiver = endpoint
    for one in (endpoint, sender, receiver):
        assert not one.closed
        assert "closed" not in repr(one)
    sender.close()
    assert (sender.closed, receiver.closed, endpoint.closed) == (True, False, False)
    receiver.close()
    assert endpoint.closed
    for half in (sender, receiver):
        assert repr(half).endswith(", closed>")
        with pytest.raises(ipmb.Closed, match="join again"), half:
            raise AssertionError
    assert repr(endpoint).endswith(", closed>")
    with pytest.raises(ipmb.Closed, match=r"^the endpoint is closed: join again"), endpoint:
        raise AssertionError
    with pytest.raises(ipmb.Closed, match=r"^the endpoint is closed"):
        endpoint.peers()


def test_the_asynchronous_twins(bus: str) -> None:
    async def main() -> None:
        endpoint = await ipmb.aio.join(bus, "earth", token=SECRET)
        ends = (endpoint, *endpoint)
        assert not any(one.closed for one in ends)
        await endpoint.close()
        assert all(one.closed for one in ends)
        for one in ends:
            assert repr(one).endswith(", closed>")
            with pytest.raises(ipmb.Closed, match="join again"):
                async with one:
                    raise AssertionError

    asyncio.run(main())


def test_no_repr_is_long_or_tells_a_secret(bus: str) -> None:
    options = ipmb.Options(bus, "earth", token=SECRET)
    with ipmb.join(options) as earth, earth.watch() as watch, ipmb.MemoryRegion(4096) as region:
        earth.sender.send("earth", {"a": list(range(1000))})
        message = earth.receiver.recv(5)
        queue: ipmb.Queue[int] = ipmb.Queue(3)
        queue.put(1)
        shown = [
            *(options, earth, *earth, watch, region, ipmb.MemoryRegistry(), message, message.sender, queue),
            *(
                ipmb.Message("earth", bytes(10_000)),
                ipmb.BytesMessage(3, bytes(10_000)),
                ipmb.MessageBox(int, str),
            ),
            *(
                ipmb.LabelOp.parse("a & !b"),
                ipmb.Selector.multicast("a"),
                ipmb.label("a", "b"),
                ipmb.version(),
            ),
            ipmb.PeerEvent("left", message.sender, "died"),
        ]
        queue.close()
    for one in shown:
        text = repr(one)
        assert len(text) < 200
        assert type(one).__name__.lower() in text.lower()
        assert SECRET not in text
        assert " at 0x" not in text
