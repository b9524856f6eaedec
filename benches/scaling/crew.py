"""Processes that obey: each runs one study's ``Worker`` and does what it is told over a pipe.

A study of a thousand members or of 64 receivers needs many processes, and a fresh interpreter takes a quarter of a
second to import the bus. So they are forked from one that has imported it and joined nothing (multiprocessing's
forkserver). Each ends on the end of its pipe, which is also what the death of the parent is to it.
"""

from __future__ import annotations

import importlib
import itertools
import multiprocessing
import os
import signal
import traceback
from typing import TYPE_CHECKING, Any, Self

from benches.pair import BenchError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerProcess

#: No measurement takes longer than this beyond what it was told to take; one that does is a failed one.
BOUND = 60.0

CONTEXT = multiprocessing.get_context("forkserver")

_numbers = itertools.count()


def bus() -> str:
    """An identifier that nobody else uses."""
    return f"bench.scaling.{os.getpid()}.{next(_numbers)}"


def obey(module: str, pipe: Connection) -> None:
    """The process: a worker, and one answer for each thing it is told."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    worker = importlib.import_module(module).Worker()
    while True:
        try:
            do, what = pipe.recv()
            try:
                answer = (True, getattr(worker, do)(**what))
            except Exception:  # noqa: BLE001 # whatever it was, the study fails with it
                answer = (False, traceback.format_exc())
            pipe.send(answer)
        except (EOFError, ConnectionError):
            return


class Hand:
    """One such process."""

    def __init__(self, module: str) -> None:
        self._pipe, other = CONTEXT.Pipe()
        self.process: ForkServerProcess = CONTEXT.Process(target=obey, args=(module, other), daemon=True)
        self.process.start()
        other.close()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def tell(self, do: str, **what: Any) -> None:
        """Have it do something; `answer` waits for the end of that."""
        try:
            self._pipe.send((do, what))
        except BrokenPipeError:
            raise BenchError(f"a process ended before it could {do}") from None

    def answer(self, bound: float = BOUND) -> Any:
        """What the oldest order without an answer came to."""
        if not self._pipe.poll(bound):
            raise BenchError(f"nothing within {bound:g} s")
        try:
            good, value = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            raise BenchError(f"a process ended with {self.process.exitcode}") from None
        if not good:
            raise BenchError(value)
        return value

    def call(self, do: str, **what: Any) -> Any:
        self.tell(do, **what)
        return self.answer()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.close()

    def close(self) -> None:
        """It ends on the end of its pipe; one that is busy for long is killed."""
        self._pipe.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


class Crew:
    """The processes of one study, and their end."""

    def __init__(self, module: str) -> None:
        CONTEXT.set_forkserver_preload(["ipmb", __name__])
        self._module = module
        self._hands: list[Hand] = []

    def hire(self, count: int) -> list[Hand]:
        """So many more of them, ready."""
        hired = [Hand(self._module) for _ in range(count)]
        self._hands += hired
        return hired

    def lose(self, hand: Hand) -> None:
        """One is killed."""
        self._hands.remove(hand)
        hand.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for hand in self._hands:
            hand.close()
        self._hands.clear()


def all_do(hands: list[Hand], do: str, **what: Any) -> list[Any]:
    """The same for several at once; their answers in order."""
    for hand in hands:
        hand.tell(do, **what)
    return [hand.answer() for hand in hands]
