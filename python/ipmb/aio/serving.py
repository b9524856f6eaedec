"""`serve` for event loops: a task for each message, no more of them than was asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from ipmb import _core, timeouts
from ipmb.aio.receiver import Receiver
from ipmb.errors import Closed, DecodeError, TooManyOpenFiles
from ipmb.serving import STARVED, Service, checked, not_received

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ipmb.aio.messages import Message

_T = TypeVar("_T")


async def serve(
    receiver: Receiver[_T],
    handler: Callable[[Message[_T]], Awaitable[object]],
    *,
    workers: int = 100,
    reply_timeout: float | None = 5.0,
) -> None:
    """Calls an async handler for every message, and sends what it returns back to whoever asked.

    Returns when the receiver is closed, after the handlers that run then. Cancelled, it cancels them, and whoever asked
    gets a `RemoteError` of that.

    What becomes of results and errors is as for `ipmb.serve`.

    Args:
        receiver: What to receive from; nobody else should.
        handler: Gets the message, in a task of its own.
        workers: How many messages are worked on at once, 1 to 1000. No more are taken from the bus.
        reply_timeout: Seconds to wait for room for a reply, 0 or more; None waits for ever. See `ipmb.serve`.

    Raises:
        TypeError, ValueError: An argument is of the wrong type or out of its bounds.
        Forked: The endpoint belongs to the parent process.

    Example:
        >>> import anyio, ipmb.aio
        >>> async def double(message):
        ...     return message.payload * 2
        >>> async def main():
        ...     name = "com.example.aio.serve"
        ...     async with (
        ...         await ipmb.aio.join(name, "doubler") as doubler,
        ...         await ipmb.aio.join(name) as asker,
        ...     ):
        ...         async with anyio.create_task_group() as group:
        ...             group.start_soon(ipmb.aio.serve, doubler.receiver, double)
        ...             print((await asker.sender.request("doubler", 21, timeout=5)).payload)
        ...             doubler.receiver.close()
        >>> anyio.run(main)
        42
    """
    checked(receiver, handler, workers, Receiver, asynchronous=True)
    timeouts.seconds(reply_timeout)
    await _Service(handler, reply_timeout, workers).run(receiver)


class _Service(Service["Callable[[Message[Any]], Awaitable[object]]"]):
    """The face that waits in tasks."""

    def __init__(
        self, handler: Callable[[Message[Any]], Awaitable[object]], reply_timeout: float | None, workers: int
    ) -> None:
        super().__init__(handler, reply_timeout)
        self._free = anyio.Semaphore(workers)
        self._taking = anyio.CancelScope()
        self._error: BaseException | None = None

    async def run(self, receiver: Receiver[Any]) -> None:
        """Serves until the receiver is closed."""
        async with anyio.create_task_group() as group:
            with self._taking:
                try:
                    while (message := await self._take(receiver)) is not None:
                        group.start_soon(self._handle, message)
                        del message
                except KeyboardInterrupt as error:
                    # trio raises it in a task. Outside of the group it is raised as it is, not in a group of one.
                    self._error = error
                    group.cancel_scope.cancel()
        if self._error is not None:
            raise self._error

    async def _take(self, receiver: Receiver[Any]) -> Message[Any] | None:
        """The next message when there is a task for it. None: the service is over."""
        await self._free.acquire()
        while True:
            try:
                return await receiver.recv()
            except Closed:
                return None
            except DecodeError as error:
                not_received(error)
            except TooManyOpenFiles as error:
                not_received(error)
                await anyio.sleep(STARVED)
            except Exception as error:  # noqa: BLE001 # such as Forked; outside of the group it is raised as it is
                self._error = error
                return None

    async def _handle(self, message: Message[Any]) -> None:
        native = message._native
        try:
            await self._answer(message, native)
        except anyio.get_cancelled_exc_class() as error:
            self._tell(native, error)
            raise
        except BaseException as error:  # noqa: BLE001 # `run` raises it, when those that run have ended
            self._tell(native, error)
            self._error = self._error or error
            self._taking.cancel()
        finally:
            self._free.release()

    async def _answer(self, message: Message[Any], native: _core.Message[Any]) -> None:
        is_failure = False
        result: object
        try:
            result = await self.handler(message)
        except Exception as error:  # noqa: BLE001 # whatever a handler does costs its message only
            result, is_failure = self.failed(native, error), True
        except anyio.get_cancelled_exc_class() as error:
            if anyio.current_effective_deadline() == -math.inf:
                raise  # we are cancelled
            # Something that the handler waited for was.
            result, is_failure = self.failed(native, error), True
        while self.wants(native):
            try:
                await message.reply(result, timeout=self.patience(native))
            except Exception as error:  # noqa: BLE001 # the same
                result = self.unsent(native, error, is_failure=is_failure)
                if result is None:
                    return
                is_failure = True
            else:
                self.sent(native)

    def _tell(self, native: _core.Message[Any], error: BaseException) -> None:
        """Replies with an error where nothing may be awaited any more."""
        if not self.wants(native):
            return
        try:
            started = _core.start_reply(native, self.failed(native, error))
        except Exception as wrong:  # noqa: BLE001 # the service ends all the same
            self.unsent(native, wrong, is_failure=True)
        else:
            if isinstance(started, _core.Sending):
                started.close()
