"""`serve` in threads: what becomes of results and of errors, who is waited for, and how it ends."""

from __future__ import annotations

import dataclasses
import logging
import pickle
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest

import ipmb
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@ipmb.message_type("00000002-7e57-4000-8000-00000000a102")
@dataclasses.dataclass
class Depth:
    number: int


class SilentError(Exception):
    def __str__(self) -> str:
        raise ValueError


class Service:
    """`serve` in a thread, and how it ended."""

    def __init__(self, endpoint: ipmb.Endpoint, handler: Callable[..., object], **how: Any) -> None:
        self.endpoint = endpoint
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(handler, how), daemon=True)
        self._thread.start()

    def _run(self, handler: Callable[..., object], how: dict[str, Any]) -> None:
        try:
            ipmb.serve(self.endpoint.receiver, handler, **how)
        except BaseException as error:  # noqa: BLE001 # the test looks at it
            self.error = error

    def wait(self) -> BaseException | None:
        """Waits until it has ended by itself."""
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.error

    def end(self) -> None:
        self.endpoint.receiver.close()
        assert self.wait() is None


@pytest.fixture
def ends(bus: str) -> Iterator[tuple[ipmb.Endpoint, ipmb.Endpoint]]:
    with ipmb.join(bus, "worker", timeout=10) as worker, ipmb.join(bus, "asker", timeout=10) as asker:
        yield worker, asker


Ends = tuple[ipmb.Endpoint, ipmb.Endpoint]


def ask(asker: ipmb.Endpoint, payload: object, timeout: float = 20) -> Any:
    return asker.sender.request("worker", payload, timeout=timeout).payload


@pytest.mark.parametrize("workers", [1, 4])
def test_results_are_replies(ends: Ends, workers: int) -> None:
    worker, asker = ends
    service = Service(worker, lambda message: message.payload * 2, workers=workers)
    assert [ask(asker, number) for number in range(100)] == [number * 2 for number in range(100)]
    service.end()


@pytest.mark.parametrize("workers", [1, 4])
def test_an_error_is_carried_back_and_ends_nothing(
    ends: Ends, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    worker, asker = ends

    def handler(message: ipmb.Message) -> object:
        shelf = {"apples": 3}
        return shelf[message.payload]

    service = Service(worker, handler, workers=workers)
    with pytest.raises(ipmb.RemoteError, match="KeyError: 'pears'") as caught:
        ask(asker, "pears")
    error = caught.value
    assert (error.type, error.text) == ("KeyError", "'pears'")
    assert "return shelf[message.payload]" in error.traceback
    assert error.sender is not None
    assert error.sender.id == worker.id
    shown = "".join(traceback.format_exception(error))
    assert "return shelf[message.payload]" in shown, "the handler's traceback is in ours"
    assert shown.index("asker.sender.request") < shown.index("return shelf[message.payload]")
    again = pickle.loads(pickle.dumps(error))
    assert (again.type, again.text, again.traceback) == (error.type, error.text, error.traceback)
    assert ask(asker, "apples") == 3
    service.end()
    assert [record.levelno for record in caplog.records if record.name == "ipmb"] == [logging.ERROR]


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ValueError("half \ud800 of it"), "ValueError", r"half \ud800 of it"),
        (SilentError(), f"{__name__}.SilentError", "<its str() raised ValueError>"),
        (ipmb.NoRoute("nobody"), "ipmb.errors.NoRoute", "nobody"),
        (ExceptionGroup("two", [ValueError(1), TypeError(2)]), "ExceptionGroup", "two (2 sub-exceptions)"),
        (AssertionError(), "AssertionError", ""),
    ],
)
def test_whatever_an_error_says(ends: Ends, error: Exception, kind: str, text: str) -> None:
    worker, asker = ends

    def handler(message: ipmb.Message) -> object:
        raise error

    service = Service(worker, handler)
    with pytest.raises(ipmb.RemoteError) as caught:
        ask(asker, 1)
    assert (caught.value.type, caught.value.text) == (kind, text)
    service.end()


def test_an_endless_error_is_shortened(ends: Ends) -> None:
    worker, asker = ends

    def handler(message: ipmb.Message) -> object:
        raise ValueError("begin" + "x" * 10_000_000 + "end")

    service = Service(worker, handler)
    with pytest.raises(ipmb.RemoteError) as caught:
        ask(asker, 1)
    assert len(caught.value.text) < 10_000
    assert caught.value.text.startswith("beginxxx")
    assert caught.value.text.endswith("xxxend")
    assert "characters" in caught.value.text
    service.end()


def test_a_result_that_cannot_be_sent(ends: Ends) -> None:
    worker, asker = ends
    wrong: Any = "deep"
    results: list[Any] = [{1, 2}, 2**70, Depth(1), object()]
    service = Service(worker, lambda message: results[message.payload])
    for number, kind in enumerate(["TypeError", "ValueError"]):
        with pytest.raises(
            ipmb.RemoteError, match="what the handler returned cannot be sent: payload"
        ) as caught:
            ask(asker, number)
        assert caught.value.type == kind
    assert ask(asker, 2) == Depth(1)
    with pytest.raises(ipmb.RemoteError, match="what the handler returned cannot be sent"):
        ask(asker, 3)
    results[0] = Depth(wrong)
    with pytest.raises(ipmb.DecodeError):
        ask(asker, 0)
    service.end()


def test_a_handler_may_reply_itself(ends: Ends) -> None:
    worker, asker = ends

    def handler(message: ipmb.Message) -> object:
        message.reply("mine")
        if message.payload == "fail":
            raise ValueError
        return "not this"

    service = Service(worker, handler)
    assert ask(asker, 1) == "mine"
    assert ask(asker, "fail") == "mine"
    service.end()
    assert "late_reply" not in {key for key, count in asker.stats().dropped_by_reason.items() if count}


def test_plain_messages_are_handled_and_not_replied_to(ends: Ends) -> None:
    worker, asker = ends
    seen: list[object] = []

    def handler(message: ipmb.Message) -> object:
        seen.append(message.payload)
        if message.payload == "fail":
            raise ValueError
        return "a result"

    service = Service(worker, handler, workers=1)
    for payload in ("one", "fail", "two"):
        asker.sender.send("worker", payload)
    assert ask(asker, "three") == "a result"
    service.end()
    assert seen == ["one", "fail", "two", "three"]
    with pytest.raises(ipmb.RecvTimeout):
        asker.receiver.recv(0)


@pytest.mark.parametrize("workers", [1, 4])
def test_what_cannot_be_decoded_ends_nothing(ends: Ends, workers: int) -> None:
    worker, asker = ends
    service = Service(worker, lambda message: message.payload, workers=workers)
    wrong: Any = "deep"
    asker.sender.send("worker", Depth(wrong))
    with pytest.raises(ipmb.RemoteError) as caught:
        ask(asker, Depth(wrong))
    assert caught.value.type == "DecodeError"
    assert ask(asker, 1) == 1
    service.end()


@pytest.mark.parametrize("workers", [1, 4])
def test_a_handler_that_exits_ends_the_service(ends: Ends, workers: int) -> None:
    worker, asker = ends
    begun, go_on = threading.Event(), threading.Event()

    def handler(message: ipmb.Message) -> object:
        if message.payload == "exit":
            raise SystemExit(3)
        begun.set()
        assert go_on.wait(20)
        return "done"

    service = Service(worker, handler, workers=workers)
    slow: list[object] = []
    other = threading.Thread(target=lambda: slow.append(ask(asker, "slow")))
    if workers > 1:
        other.start()
        assert begun.wait(20)
    with pytest.raises(ipmb.RemoteError) as caught:
        ask(asker, "exit")
    assert caught.value.type == "SystemExit"
    go_on.set()
    error = service.wait()
    assert isinstance(error, SystemExit)
    assert error.code == 3
    if workers > 1:
        other.join(20)
        assert slow == ["done"], "those that run end before"
    # Nobody is left behind who takes messages.
    asker.sender.send("worker", "for nobody")
    assert worker.receiver.recv(timeout=10).payload == "for nobody"


def test_no_more_is_taken_than_there_are_workers(ends: Ends) -> None:
    worker, asker = ends
    running, most, lock, go_on = 0, 0, threading.Lock(), threading.Event()

    def handler(message: ipmb.Message) -> object:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        assert go_on.wait(20)
        with lock:
            running -= 1
        return message.payload

    service = Service(worker, handler, workers=3)
    replies: list[object] = []
    askers = [threading.Thread(target=lambda at=at: replies.append(ask(asker, at))) for at in range(10)]
    for one in askers:
        one.start()
    until(lambda: running == 3, "three handlers")
    until(lambda: asker.stats().sent == 10, "all requests sent")
    assert worker.stats().received == 3
    go_on.set()
    for one in askers:
        one.join(20)
    assert sorted(map(int, map(str, replies))) == list(range(10))
    assert most == 3
    service.end()


def test_closing_waits_for_the_handlers_that_run(ends: Ends) -> None:
    worker, asker = ends
    begun, go_on = threading.Event(), threading.Event()

    def handler(message: ipmb.Message) -> object:
        begun.set()
        assert go_on.wait(20)
        return "done"

    service = Service(worker, handler)
    replies: list[object] = []
    other = threading.Thread(target=lambda: replies.append(ask(asker, 1)))
    other.start()
    assert begun.wait(20)
    worker.receiver.close()
    time.sleep(0.05)
    assert service._thread.is_alive()
    go_on.set()
    assert service.wait() is None
    other.join(20)
    assert replies == ["done"]


def test_an_asker_that_is_gone_costs_nothing(bus: str, ends: Ends) -> None:
    worker, asker = ends
    begun, go_on = threading.Event(), threading.Event()

    def handler(message: ipmb.Message) -> object:
        if message.payload == "slow":
            begun.set()
            assert go_on.wait(20)
        return message.payload

    service = Service(worker, handler)
    with ipmb.join(bus, timeout=10) as hasty:
        with pytest.raises(ipmb.RecvTimeout):
            hasty.sender.request("worker", "slow", timeout=0.05)
        assert begun.wait(20)
    go_on.set()
    assert ask(asker, 1) == 1
    service.end()


def test_a_handler_may_close_the_endpoint(ends: Ends) -> None:
    worker, asker = ends
    service = Service(worker, lambda _: worker.close())
    with pytest.raises(ipmb.PeerLost):
        ask(asker, "stop")
    assert service.wait() is None


def test_a_handler_may_ask(bus: str, ends: Ends) -> None:
    """A chain of services; the last one's error is readable in the first asker's traceback."""
    worker, asker = ends
    with ipmb.join(bus, "second", timeout=10) as second:
        inner = Service(second, lambda message: 1 // message.payload)
        outer = Service(
            worker, lambda message: worker.sender.request("second", message.payload, timeout=20).payload
        )
        assert ask(asker, 1) == 1
        with pytest.raises(ipmb.RemoteError) as caught:
            ask(asker, 0)
        assert caught.value.type == "ipmb.errors.RemoteError"
        assert "ZeroDivisionError" in caught.value.text
        assert "1 // message.payload" in "".join(traceback.format_exception(caught.value))
        outer.end()
        inner.end()


def test_wrong_arguments(ends: Ends) -> None:
    worker, _ = ends
    wrong: Any = ipmb.serve

    async def later(message: ipmb.Message) -> None: ...

    with pytest.raises(
        TypeError, match=r"receiver is an Endpoint: give the receiver of what ipmb\.join returned"
    ):
        wrong(worker, print)
    with pytest.raises(TypeError, match="handler is a str: give a function"):
        wrong(worker.receiver, "print")
    with pytest.raises(
        TypeError, match=r"handler is an async function: give a plain one, or use ipmb\.aio\.serve"
    ):
        wrong(worker.receiver, later)
    for workers, error in [(0, ValueError), (1001, ValueError), ("8", TypeError), (True, TypeError)]:
        with pytest.raises(error, match=r"workers is .*: give (an int, )?1 to 1000"):
            wrong(worker.receiver, print, workers=workers)
    with pytest.raises(ValueError, match="timeout is -1"):
        wrong(worker.receiver, print, reply_timeout=-1)
    worker.receiver.close()
    ipmb.serve(worker.receiver, print)
    ipmb.serve(worker.receiver, print, workers=1)
