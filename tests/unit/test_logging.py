"""What is logged under "ipmb": what no exception tells. Never a message, a payload or a token."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

import ipmb
import ipmb.aio

SECRET = "open sesame"


def test_joining_and_leaving(bus: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with await ipmb.aio.join(bus, "moon", token=SECRET):
            pass

    with caplog.at_level(logging.DEBUG, "ipmb"):
        with ipmb.join(bus, "earth", token=SECRET) as earth:
            asyncio.run(main())
        earth.close()
    told = [record.getMessage() for record in caplog.records if record.name == "ipmb"]
    assert [text.split()[0] for text in told] == ["joined", "joined", "left", "left"]
    assert all(bus in text for text in told)
    assert f"{earth.id:#x}" in told[0]
    assert SECRET not in caplog.text


def test_nothing_is_logged_of_messages(bus: str, caplog: pytest.LogCaptureFixture) -> None:
    with ipmb.join(bus, "earth", timeout=10) as earth:
        server = threading.Thread(target=ipmb.serve, args=(earth.receiver, lambda message: message.payload))
        server.start()
        with ipmb.join(bus, timeout=10) as moon, caplog.at_level(logging.DEBUG, "ipmb"):
            for number in range(20):
                assert moon.sender.request("earth", number, timeout=5).payload == number
                moon.sender.send("earth", [number])
                moon.sender.send("nobody", number)
            assert caplog.records == []
        earth.receiver.close()
        server.join()


def test_a_failed_handler_is_an_error_with_its_traceback(bus: str, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: ipmb.Message) -> None:
        raise LookupError

    with ipmb.join(bus, "earth", timeout=10) as earth, ipmb.join(bus, "moon", timeout=10) as moon:
        server = threading.Thread(target=ipmb.serve, args=(earth.receiver, fail))
        server.start()
        with pytest.raises(ipmb.RemoteError, match="LookupError"):
            moon.sender.request("earth", 1, timeout=5)
        earth.receiver.close()
        server.join()
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert record.name == "ipmb"
    assert "label('moon')" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError
