"""Requests from tasks: the table of `ipmb.requests`, where one task waits on the descriptor for all."""

from __future__ import annotations

from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any

import anyio

from ipmb import _core
from ipmb.aio.readiness import only_one_loop, readable
from ipmb.requests import Table, Waiter, answer, no_reply

if TYPE_CHECKING:
    from ipmb.aio.readiness import Lines


class Requests:
    """The requests of one endpoint that asks."""

    __slots__ = ("_lines", "_table", "_thread")

    def __init__(self, sender: _core.Sender, lines: Lines) -> None:
        self._table = Table(_core.Asking(sender))
        self._lines = lines
        self._thread = 0

    async def request(
        self, selector: Any, payload: object, how: dict[str, Any], seconds: float | None
    ) -> _core.Message[Any]:
        """Asks, and waits for the reply; see `Sender.request`."""
        table = self._table
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
            raise no_reply(seconds, selector, sent=waiter.sent)
        return answer(waiter.outcome)

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
                self._thread = get_ident()
                await readable(table.asking)
                table.collect()
            else:
                only_one_loop(self._thread)
                event = anyio.Event()
                waiter.wake = event.set
                await event.wait()


def _nobody() -> None:
    """Who does not sleep needs not be woken."""
