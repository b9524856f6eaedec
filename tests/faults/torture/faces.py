"""The two faces of the bus behind one, so that a member does the same through either: as threads use it, or a loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

import ipmb
import ipmb.aio

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

#: A reply and a join come long before that, or never.
LONG = 30.0


class Plain:
    """The bus as threads use it."""

    def __init__(self, bus: str, label: Sequence[str], *, affinity: bool) -> None:
        self.end: Any = ipmb.join(bus, label, controller_affinity=affinity, timeout=LONG)
        self._asking: threading.Thread | None = None
        self._failed: BaseException | None = None

    def send(self, *args: Any, **how: Any) -> int:
        sent: int = self.end.sender.send(*args, **how)
        return sent

    def send_many(self, *args: Any, **how: Any) -> int:
        sent: int = self.end.sender.send_many(*args, **how)
        return sent

    def recv(self, limit: int, wait: float) -> list[Any]:
        if limit == 1:
            return [self.end.receiver.recv(wait)]
        return list(self.end.receiver.recv_many(limit, wait))

    def reply(self, message: Any, payload: bytes) -> None:
        message.reply(payload)

    def ask(self, questions: Generator[tuple[str, bytes], Any]) -> None:
        """Ask in a thread, one after another, until there is no further question."""

        def ask() -> None:
            with contextlib.suppress(StopIteration):
                name, payload = next(questions)
                while True:
                    try:
                        answer: Any = bytes(self.end.sender.request(name, payload, timeout=LONG).payload)
                    except (ipmb.IpmbError, OSError) as error:
                        answer = error
                    name, payload = questions.send(answer)

        def ask_or_tell() -> None:
            try:
                ask()
            except BaseException as error:  # noqa: BLE001 - raised where somebody sees it
                self._failed = error

        self._asking = threading.Thread(target=ask_or_tell)
        self._asking.start()

    def asks(self) -> bool:
        if self._failed is not None:
            raise self._failed
        return self._asking is not None and self._asking.is_alive()

    def close(self) -> None:
        self.end.close()


class Looped:
    """The same from an event loop."""

    def __init__(self, bus: str, label: Sequence[str], *, affinity: bool) -> None:
        self._loop = asyncio.new_event_loop()
        joining = ipmb.aio.join(bus, label, controller_affinity=affinity, timeout=LONG)
        self.end: Any = self._run(joining)
        self._asking: asyncio.Task[None] | None = None

    def _run(self, awaited: Any) -> Any:
        return self._loop.run_until_complete(awaited)

    def send(self, *args: Any, **how: Any) -> int:
        sent: int = self._run(self.end.sender.send(*args, **how))
        return sent

    def send_many(self, *args: Any, **how: Any) -> int:
        sent: int = self._run(self.end.sender.send_many(*args, **how))
        return sent

    def recv(self, limit: int, wait: float) -> list[Any]:
        if limit == 1:
            return [self._run(self.end.receiver.recv(wait))]
        return list(self._run(self.end.receiver.recv_many(limit, wait)))

    def reply(self, message: Any, payload: bytes) -> None:
        self._run(message.reply(payload))

    def ask(self, questions: Generator[tuple[str, bytes], Any]) -> None:
        async def ask() -> None:
            with contextlib.suppress(StopIteration):
                name, payload = next(questions)
                while True:
                    try:
                        reply = await self.end.sender.request(name, payload, timeout=LONG)
                        answer: Any = bytes(reply.payload)
                    except (ipmb.IpmbError, OSError) as error:
                        answer = error
                    name, payload = questions.send(answer)

        self._asking = self._loop.create_task(ask())

    def asks(self) -> bool:
        if self._asking is not None and self._asking.done():
            self._asking.result()
            return False
        return self._asking is not None

    def close(self) -> None:
        self.end.close()
        self._loop.close()
