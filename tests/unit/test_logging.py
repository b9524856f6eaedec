"""What is logged under "ipmb": what no exception tells. Never a message, a payload or a token."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading

import pytest

import ipmb
import ipmb.aio
from tests.support.wait import stays, until

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
    """What arrives is not logged at all; what does not is told once, without a word of what it says."""
    with ipmb.join(bus, "earth", timeout=10) as earth:
        server = threading.Thread(target=ipmb.serve, args=(earth.receiver, lambda message: message.payload))
        server.start()
        with ipmb.join(bus, timeout=10) as moon, caplog.at_level(logging.DEBUG, "ipmb"):
            for number in range(20):
                assert moon.sender.request("earth", number, timeout=5).payload == number
                moon.sender.send("earth", [number])
            assert caplog.records == []
            for _ in range(20):
                assert moon.sender.send("nobody", SECRET) == 0
            told = until(lambda: list(caplog.records), "the first one is told")
            assert moon.stats().dropped_by_reason["no_route"] == 20
            stays(lambda: len(caplog.records) == 1, "the others are only counted", for_seconds=0.2)
        earth.receiver.close()
        server.join()
    assert told[0].levelno == logging.INFO, "send has returned 0"
    text = told[0].getMessage()
    assert bus in text
    assert f"{moon.id:#x}" in text
    assert "check its labels" in text
    assert SECRET not in text


def test_what_nobody_else_tells_is_a_warning(bus: str, caplog: pytest.LogCaptureFixture) -> None:
    """A message that is lost after `send` has returned 1, and a joiner with another token."""
    with (
        ipmb.join(bus, "earth", token=SECRET, timeout=10) as earth,
        ipmb.join(bus, "moon", token=SECRET) as moon,
    ):
        with pytest.raises(ipmb.TokenMismatch):
            ipmb.join(bus, token="wrong", timeout=10)
        assert earth.sender.send("moon", "unread") == 1
        moon.close()
        until(lambda: len(caplog.records) == 2, "both are told")
        assert earth.stats().refused_by_reason["join_token"] == earth.stats().refused == 1
        assert earth.stats().dropped_by_reason["receiver_gone"] == 1
        assert earth.stats().takeovers == 0
    token, lost = sorted(
        record.getMessage() for record in caplog.records if record.levelno == logging.WARNING
    )
    if "token" not in token:
        token, lost = lost, token
    assert "give the same token" in token
    assert f"process {os.getpid()} of user {os.getuid()}" in token
    assert "start another receiver" in lost
    assert SECRET not in token + lost
    assert "unread" in lost, "the word for it, not the payload"


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_handler_that_raises_does_not_end_the_telling(
    bus: str, error: type[BaseException], capfd: pytest.CaptureFixture[str]
) -> None:
    """It is told off on stderr, as `logging` itself does; the next notice is told."""
    told: list[str] = []

    def emit(record: logging.LogRecord) -> None:
        told.append(record.getMessage())
        if len(told) == 1:
            raise error("from a handler")

    handler = logging.Handler(logging.INFO)
    handler.emit = emit  # type: ignore[method-assign]
    logger = logging.getLogger("ipmb")
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        with ipmb.join(bus, "earth", timeout=10) as earth:
            assert earth.sender.send("nobody", 1) == 0
            until(lambda: len(told) == 1, "the first is told")
            earth.sender.send("nobody", 1, ttl=0.01)
            until(lambda: len(told) == 2, "the next is told, too")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert "from a handler" in capfd.readouterr().err
    assert "check its labels" in told[0]
    assert "the ttl of a message ended" in told[1]


def test_what_happens_last_is_told_at_exit() -> None:
    """The interpreter ends at once, without a moment for the thread that logs."""
    program = (
        "import logging, ipmb; logging.basicConfig(level=logging.INFO)\n"
        "end = ipmb.join('test.logging.exit', timeout=10); end.sender.send('nobody', 1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stderr.count("check its labels") == 1, done.stderr


def test_a_forked_child_tells_its_own(bus: str) -> None:
    """The thread that logs is the parent's: the child's first join starts one of its own."""
    with ipmb.join(bus, "earth", timeout=10):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            heard = threading.Event()
            handler = logging.Handler(logging.INFO)
            handler.emit = lambda record: (os.write(write, record.getMessage().encode()), heard.set())  # type: ignore[method-assign, assignment, func-returns-value]
            logging.getLogger("ipmb").addHandler(handler)
            logging.getLogger("ipmb").setLevel(logging.INFO)
            ipmb.join(bus, "child", timeout=10).sender.send("nobody", 1)
            os._exit(0 if heard.wait(10) else 1)
        os.close(write)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with open(read, "rb") as told:
            assert b"check its labels" in told.read()


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
