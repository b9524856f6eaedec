"""Requests from tasks: the table of `ipmb.requests`, where one task waits on the descriptor for all."""

from __future__ import annotations

from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any

import anyio

from ipmb import _core
from ipmb.aio.readiness import readable, running_loop
from ipmb.requests import HUNGRY, Table, Waiter, answer

if TYPE_CHECKING:
    from ipmb.aio.readiness import Lines


class Requests:
    """The requests of one endpoint that asks."""

    __slots__ = ("_lines", "_loop", "_table", "_thread")

    def __init__(self, sender: _core.Sender, lines: Lines) -> None:
        self._table = Table(_core.Asking(sender))
        self._lines = lines
        self._loop: object = None
        self._thread = 0

    async def request(
        self, selector: Any, payload: object, how: dict[str, Any], seconds: float | None
    ) -> _core.Message[Any]:
        """Asks, and waits for the reply; see `Sender.request`."""
        table = self._table
        self._settle()
        waiter = Waiter(_nobody)
        number = table.asking.begin()
        table.enter(number, waiter)
        try:
            if seconds is None:
                await self._run(number, waiter, selector, payload, how)
            else:
                with anyio.move_on_after(seconds):
                    await self._run(number, waiter, selector, payload, how)
        finally:
            table.leave(number, waiter)
        if waiter.outcome is None:
            raise table.no_reply(seconds, selector, waiter)
        return answer(waiter.outcome)

    def _settle(self) -> None:
        """Makes the loop that runs now the one whose tasks ask.

        Raises:
            RuntimeError: Tasks of a loop in another thread wait, which could not be woken from here.
        """
        loop = running_loop()
        if loop is self._loop:
            return
        if self._table.is_empty():
            pass
        elif self._thread != get_ident():
            msg = "requests of this endpoint wait in the event loop of another thread: join once in each"
            raise RuntimeError(msg)
        else:
            # Two loops do not run in one thread: the other one has ended, or been left, with tasks that waited.
            self._table.abandon(
                RuntimeError("another event loop asks through this endpoint now: join once in each")
            )
        self._loop, self._thread = loop, get_ident()

    async def _run(
        self, number: int, waiter: Waiter, selector: Any, payload: object, how: dict[str, Any]
    ) -> None:
        """Sends the request, and waits until the outcome is there."""
        table = self._table
        start = partial(table.asking.ask, number, selector, payload, **how)
        # Requests with a ttl wait for somebody who matches; those without are told at once.
        target = ("request", selector, how.get("ttl", ...))
        await self._lines.through(target, start, None)
        waiter.sent = True
        while waiter.outcome is None:
            if table.leads(waiter):
                await readable(table.asking)
                table.collect()
                if table.hungry and waiter.outcome is None:
                    await anyio.sleep(HUNGRY)
            else:
                event = anyio.Event()
                waiter.wake = event.set
                await event.wait()


def _nobody() -> None:
    """Who does not sleep needs not be woken."""
