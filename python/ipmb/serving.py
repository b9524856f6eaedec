"""`serve`: answers messages with a function, in threads, and lets no failure of it end the service.

The threads take turns: the one whose turn it is waits for a message, takes it, gives the turn away and works. So nobody
takes a message that he has no time for (it stays where another process may still get it), and no message passes from
thread to thread. Who waits watches a second descriptor as well, by which the service is ended: what must not happen is
that a thread which is left behind takes a message that nobody asked it to take.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from ipmb import _core, timeouts
from ipmb.errors import Closed, DecodeError, Forked, RecvTimeout, SendTimeout, TooManyOpenFiles
from ipmb.registrations import a_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipmb._core import Message, Receiver
    from ipmb.failures import Failure

_T = TypeVar("_T")
_H = TypeVar("_H", bound="Callable[..., object]")

logger: logging.Logger = logging.getLogger("ipmb")

#: Seconds that native code looks out for the next message before the thread sleeps on two descriptors.
_SPIN: Final = 0.00002

#: Seconds until it is tried again to receive a message whose descriptors did not fit.
STARVED: Final = 0.05

#: Askers that are remembered as not reading their replies.
_SLOW: Final = 1024


def serve(
    receiver: Receiver[_T],
    handler: Callable[[Message[_T]], object],
    *,
    workers: int = 8,
    reply_timeout: float | None = 5.0,
) -> None:
    """Calls a handler for every message, and sends what it returns back to whoever asked.

    Returns when the receiver is closed, after the handlers that run then. Ctrl-C ends it at once with
    `KeyboardInterrupt`; handlers that run in threads then go on to their end, or that of the process.

    What the handler returns is the reply to a request, unless it has replied itself; for other messages it is not
    looked at. An exception of the handler costs that one message: whoever asked gets it as `RemoteError`, and it is
    logged under "ipmb". So it is with a result that cannot be sent. `SystemExit` is told the asker too, and then ends
    the service: `serve` raises it after the handlers that run then.

    Args:
        receiver: What to receive from; nobody else should.
        handler: Gets the message. It runs in several threads at once, unless `workers` is 1.
        workers: How many messages are worked on at once, 1 to 1000. With 1 the handler runs in the calling thread. No
            more messages are taken than there are free workers.
        reply_timeout: Seconds to wait for room for a reply, 0 or more; None waits for ever. A reply is dropped and
            logged when its asker reads nothing for so long, and from then on the worker does not wait for that asker
            until it reads again.

    Raises:
        TypeError, ValueError: An argument is of the wrong type or out of its bounds.
        Forked: The endpoint belongs to the parent process.

    Example:
        >>> import ipmb, threading
        >>> def double(message):
        ...     return message.payload * 2
        >>> with (
        ...     ipmb.join("com.example.serve", "doubler") as (_, receiver),
        ...     ipmb.join("com.example.serve") as asker,
        ... ):
        ...     service = threading.Thread(target=ipmb.serve, args=(receiver, double))
        ...     service.start()
        ...     asker.sender.request("doubler", 21, timeout=5).payload
        ...     try:
        ...         asker.sender.request("doubler", {}, timeout=5)
        ...     except ipmb.RemoteError as error:
        ...         print(error.type)
        ...     receiver.close()
        ...     service.join()
        42
        TypeError
    """
    checked(receiver, handler, workers, _core.Receiver, asynchronous=False)
    timeouts.seconds(reply_timeout)
    service = _Service(receiver, handler, reply_timeout)
    if workers == 1:
        service.alone()
    else:
        _Threads(service, workers).run()


def checked(receiver: Any, handler: Any, workers: Any, kind: type, *, asynchronous: bool) -> None:
    """Checks the arguments that both faces have.

    Raises:
        TypeError, ValueError: One is wrong.
    """
    import inspect  # noqa: PLC0415 # a tenth of the time of `import ipmb`

    if not isinstance(receiver, kind):
        where = "ipmb.aio.join" if asynchronous else "ipmb.join"
        msg = f"receiver is {a_type(type(receiver))}: give the receiver of what {where} returned"
        raise TypeError(msg)
    if not callable(handler):
        msg = f"handler is {a_type(type(handler))}: give a function that takes a message"
        raise TypeError(msg)
    is_async = inspect.iscoroutinefunction(handler)
    if is_async and not asynchronous:
        msg = "handler is an async function: give a plain one, or use ipmb.aio.serve"
        raise TypeError(msg)
    # Any other callable may still return an awaitable.
    if asynchronous and inspect.isfunction(handler) and not is_async:
        msg = "handler is a plain function: give an async one, or use ipmb.serve"
        raise TypeError(msg)
    if isinstance(workers, bool) or not isinstance(workers, int):
        msg = f"workers is {a_type(type(workers))}: give an int, 1 to 1000"
        raise TypeError(msg)
    if not 1 <= workers <= 1000:
        msg = f"workers is {workers}: give 1 to 1000"
        raise ValueError(msg)


class Service(Generic[_H]):
    """What both faces of `serve` do about a message: all but waiting."""

    def __init__(self, handler: _H, reply_timeout: float | None) -> None:
        self.handler = handler
        self._reply_timeout = reply_timeout
        self._slow: set[int] = set()

    def wants(self, message: Message[Any]) -> bool:
        """Whether somebody still waits for a reply to this message."""
        return message.is_request and not message._replied

    def patience(self, message: Message[Any]) -> float | None:
        """Seconds that a reply may wait for room."""
        return 0.0 if message.sender.id in self._slow else self._reply_timeout

    def failed(self, message: Message[Any], error: BaseException) -> Failure:
        """Logs what the handler raised, and says what to reply."""
        from ipmb.failures import Failure  # noqa: PLC0415 # loads the encoder

        logger.error("the handler failed on a message of %s", _whom(message), exc_info=error)
        return Failure.of(error)

    def sent(self, message: Message[Any]) -> None:
        """A reply went out."""
        self._slow.discard(message.sender.id)

    def unsent(self, message: Message[Any], error: Exception, *, is_failure: bool) -> Failure | None:
        """A reply did not go out: what to reply instead; None: nothing.

        Raises:
            Forked: The service is another process's.
        """
        if isinstance(error, Forked):
            raise error
        if isinstance(error, SendTimeout):
            first = message.sender.id not in self._slow
            logger.log(
                logging.WARNING if first else logging.DEBUG,
                "a reply to %s was dropped: %s",
                _whom(message),
                error,
            )
            if len(self._slow) >= _SLOW:
                self._slow.clear()
            self._slow.add(message.sender.id)
            return None
        if isinstance(error, Closed):
            logger.debug("a reply to %s was dropped: %s", _whom(message), error)
            return None
        if is_failure:
            logger.error("an error could not be sent to %s", _whom(message), exc_info=error)
            return None
        told = type(error) if type(error) in (TypeError, ValueError, OSError) else ValueError
        unfit = told(f"what the handler returned cannot be sent: {error}")
        unfit.__cause__ = error
        return self.failed(message, unfit)


def _whom(message: Message[Any]) -> str:
    return f"{message.sender.label!r} (process {message.sender.pid})"


def not_received(error: Exception) -> None:
    """Logs that a message could not be received. Whoever asked has been told by native code."""
    logger.warning("a message could not be received: %s", error)


class _Service(Service["Callable[[Message[Any]], object]"]):
    """The face that waits in threads."""

    def __init__(
        self, receiver: Receiver[_T], handler: Callable[[Message[_T]], object], reply_timeout: float | None
    ) -> None:
        super().__init__(handler, reply_timeout)
        self.receiver: Receiver[Any] = receiver

    def alone(self) -> None:
        """Serves in the calling thread until the receiver is closed."""
        while True:
            try:
                message = self.receiver.recv()
            except Closed:
                return
            except DecodeError as error:
                not_received(error)
            except TooManyOpenFiles as error:
                not_received(error)
                threading.Event().wait(STARVED)
            else:
                self.handle(message)

    def handle(self, message: Message[Any]) -> None:
        """Calls the handler and replies."""
        try:
            result = self.handler(message)
        except Exception as error:  # noqa: BLE001 # whatever a handler does costs its message only
            self._reply(message, self.failed(message, error), self.patience(message), is_failure=True)
        except BaseException as error:
            # It ends the service, which must not wait: the process is asked to go.
            self._reply(message, self.failed(message, error), 0.0, is_failure=True)
            raise
        else:
            self._reply(message, result, self.patience(message), is_failure=False)

    def _reply(
        self, message: Message[Any], result: object, patience: float | None, *, is_failure: bool
    ) -> None:
        while self.wants(message):
            try:
                message.reply(result, timeout=patience)
            except Exception as error:  # noqa: BLE001 # the same
                result = self.unsent(message, error, is_failure=is_failure)
                if result is None:
                    return
                is_failure = True
            else:
                self.sent(message)


class _Threads:
    """A service in several threads, started when they are needed."""

    def __init__(self, service: _Service, workers: int) -> None:
        self._service = service
        self._workers = workers
        self._turn = threading.Lock()  # whoever waits for the next message
        self._books = threading.Lock()
        self._alive = 0
        self._busy = 0
        self._over = threading.Event()  # nobody is alive
        self._error: BaseException | None = None
        self._stopping = False
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def run(self) -> None:
        try:
            self._begin()
            self._over.wait()
        finally:
            # Also at Ctrl-C: from here on nobody takes a message, and those who work are not waited for.
            self._stop(None)
            with self._turn:
                os.close(self._bell)
        if self._error is not None:
            raise self._error

    def _begin(self) -> None:
        thread = threading.Thread(target=self._work, name=f"ipmb-serve-{self._alive}", daemon=True)
        self._alive += 1
        try:
            thread.start()
        except RuntimeError as error:
            self._alive -= 1
            if not self._alive:
                raise
            logger.warning("%d workers instead of %d: %s", self._alive, self._workers, error)
            self._workers = self._alive

    def _work(self) -> None:
        try:
            while (message := self._next()) is not None:
                try:
                    self._service.handle(message)
                finally:
                    with self._books:
                        self._busy -= 1
                del message  # what it holds is not kept until the next one comes
        except BaseException as error:  # noqa: BLE001 # `run` raises it
            self._stop(error)
        finally:
            with self._books:
                self._alive -= 1
                if self._alive == 0:
                    self._over.set()

    def _next(self) -> Message[Any] | None:
        """The next message, when it is this thread's turn. None: the service is over."""
        with self._turn:
            message = self._take()
            if message is not None:
                with self._books:
                    self._busy += 1
                    if self._busy == self._alive < self._workers:
                        self._begin()
            return message

    def _take(self) -> Message[Any] | None:
        import select  # noqa: PLC0415 # only where there is a service

        receiver = self._service.receiver
        poll = select.poll()
        try:
            while not self._stopping:
                try:
                    return receiver.recv(_SPIN)
                except RecvTimeout:
                    poll.register(receiver.fileno(), select.POLLIN)
                    poll.register(self._bell, select.POLLIN)
                    poll.poll()
                except DecodeError as error:
                    not_received(error)
                except TooManyOpenFiles as error:
                    not_received(error)
                    select.select([self._bell], [], [], STARVED)
        except Closed:
            self._stop(None)
        return None

    def _stop(self, error: BaseException | None) -> None:
        with self._books:
            self._error = self._error or error
            if not self._stopping:
                self._stopping = True
                os.eventfd_write(self._bell, 1)
