"""A request that nobody will answer ends at once: its type is not taken there, or it cannot be decoded."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass

import anyio
import pytest

import ipmb
import ipmb.aio


@ipmb.message_type("00000001-7e57-4000-8000-0000000004b0")
@dataclass
class Picky:
    number: int

    def __post_init__(self) -> None:
        if self.number == 13:
            text = "thirteen is refused " + "é" * 2000
            raise ValueError(text)


def test_a_type_that_is_not_taken(bus: str) -> None:
    with (
        ipmb.join(bus, "clerk", payloads=str) as clerk,
        ipmb.join(bus) as asker,
    ):
        served = threading.Thread(
            target=ipmb.serve, args=(clerk.receiver, lambda message: message.payload.upper())
        )
        served.start()
        with pytest.raises(
            ipmb.NoRoute, match=r"label\('clerk'\) of process \d+ takes no payloads of this type"
        ):
            asker.sender.request("clerk", 7, timeout=30)
        assert asker.sender.request("clerk", "seven", timeout=30).payload == "SEVEN"
        assert clerk.stats().skipped == 1
        clerk.receiver.close()
        served.join(10)


def test_one_that_cannot_be_decoded(bus: str) -> None:
    sent = Picky(12)
    sent.number = 13
    with ipmb.join(bus, "clerk") as clerk, ipmb.join(bus) as asker:
        failed: list[BaseException] = []

        def ask() -> None:
            try:
                asker.sender.request("clerk", sent, timeout=30)
            except ipmb.IpmbError as error:
                failed.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        with pytest.raises(ipmb.DecodeError, match="thirteen is refused"):
            clerk.receiver.recv(10)
        asking.join(10)
        (error,) = failed
        assert isinstance(error, ipmb.RemoteError)
        assert (error.type, error.sender) == ("DecodeError", asker.peers()[0])
        assert "thirteen is refused" in error.text
        assert "could not decode the request" in str(error)
        assert len(error.text.encode()) <= 1000


def test_messages_that_ask_for_nothing_are_skipped_in_silence(bus: str) -> None:
    with ipmb.join(bus, "clerk", payloads=str) as clerk, ipmb.join(bus) as asker:
        asker.sender.send("clerk", 7)
        with pytest.raises(ipmb.RecvTimeout):
            clerk.receiver.recv(0.05)
        assert clerk.stats().skipped == 1
        assert clerk.stats().sent == 0


@pytest.mark.anyio
async def test_a_flood_of_them_does_not_hold_up_a_look(bus: str) -> None:
    """Each look tells a bounded number of askers; those that are left are told by the next ones. (One look told all
    that there were, 65,536 of them: an event loop stood still for 0.4 s.)
    """
    askers, each = 8, 500
    many = askers * each
    with ipmb.join(bus, "clerk", payloads=str) as clerk:
        async with contextlib.AsyncExitStack() as stack:
            ends = [await stack.enter_async_context(await ipmb.aio.join(bus)) for _ in range(askers)]
            refused = 0

            async def ask(end: ipmb.aio.Endpoint) -> None:
                nonlocal refused
                with pytest.raises(ipmb.NoRoute):
                    await end.sender.request("clerk", 7, timeout=60)
                refused += 1

            async with anyio.create_task_group() as tasks:
                for end in ends * each:
                    tasks.start_soon(ask, end)
                while sum(end.stats().sent for end in ends) < many:
                    await anyio.sleep(0.01)
                with pytest.raises(ipmb.RecvTimeout):
                    clerk.receiver.recv(0)
                assert 0 < clerk.stats().skipped < many
                while refused < many:
                    with pytest.raises(ipmb.RecvTimeout):
                        clerk.receiver.recv(0)
                    await anyio.sleep(0)
            assert clerk.stats().skipped == many
