"""A child interpreter under the control of a test.

Every test of the bus runs between real processes. This is the parent's side: start a separate interpreter,
have it call functions, wait for what it reports with a bound, stop it, kill it, and clean up exactly what
was started. A child that dies when nobody killed it, or that says "panicked", fails the test that started
it.
"""

from __future__ import annotations

import ast
import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from tests.support import proc
from tests.support.wait import BOUND, NeverError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: What a call returns crosses the pipe as it is, so the parent gets the type that the function has.
T = TypeVar("T")

ROOT = Path(__file__).parents[2]


class ChildDiedError(AssertionError):
    """The child ended while something was expected of it."""


class RemoteError(Exception):
    """A call in the child raised; ``names`` are the class and its bases, by name."""

    def __init__(self, names: list[str], text: str, attributes: dict[str, Any], trace: str) -> None:
        super().__init__(f"{names[0]}: {text}\n{trace}")
        self.names = names
        self.text = text
        self.attributes = attributes

    def is_a(self, name: str) -> bool:
        return name in self.names


class Pending(Generic[T]):
    """A call under way in a child; the parent does something else meanwhile."""

    def __init__(self, child: Child, number: int) -> None:
        self._child = child
        self._number = number

    def ready(self) -> bool:
        self._child.take_in(0.0)
        return self._number in self._child.results

    def result(self, bound: float = BOUND) -> T:
        """What the call returned; raises :class:`RemoteError` with what it raised."""
        record = self._child.await_result(self._number, bound)
        if record[0] == "done":
            value: T = record[2]
            return value
        raise RemoteError(*record[2:])

    def fails(self, name: str, bound: float = BOUND) -> RemoteError:
        """The call must raise an exception of the class called ``name``, or of one derived from it."""
        record = self._child.await_result(self._number, bound)
        assert record[0] == "failed", f"{name} expected, but the call returned {record[2]!r}"
        error = RemoteError(*record[2:])
        assert error.is_a(name), f"{name} expected, not {error}"
        return error


class Child:
    """A separate interpreter that does what it is told."""

    def __init__(
        self,
        name: str = "child",
        *,
        wrap: Sequence[str] = (),
        env: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        read_end, write_end = os.pipe()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in finish()
        self._process = subprocess.Popen(
            [
                *wrap,
                sys.executable,
                "-X",
                "faulthandler",
                "-m",
                "tests.support.runner",
                str(write_end),
                str(os.getpid()),
            ],
            stdin=subprocess.PIPE,
            stdout=self._stderr,
            stderr=self._stderr,
            pass_fds=(write_end,),
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            process_group=0,  # Ctrl-C in a terminal is for the parent, which ends its children
        )
        os.close(write_end)
        os.set_blocking(read_end, False)
        self._pipe = read_end
        self._rest = b""
        self._ended = False
        self._next = 0
        self._ended_calls = 0
        self._expected_end = False
        self.started: set[int] = set()
        self.results: dict[int, tuple[Any, ...]] = {}
        self.events: deque[tuple[str, Any]] = deque()
        self.pid = self._process.pid

    # -- calls and events

    def begin(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> Pending[T]:
        """Start a call of a module-level function in the child and return when the child has begun it."""
        pending = self.post(function, *args, **kwargs)
        number = self._next
        self._await(lambda: number in self.started, BOUND, f"start of {function.__qualname__}")
        return pending

    def post(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> Pending[T]:
        """Start a call without waiting for its beginning: for a child that is busy or stopped."""
        self._next += 1
        reference = f"{function.__module__}:{function.__qualname__}"
        line = repr((self._next, reference, args, kwargs)) + "\n"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ChildDiedError(self.describe_end()) from None
        return Pending(self, self._next)

    def call(
        self,
        function: Callable[..., T],
        *args: Any,
        bound: float = BOUND,
        **kwargs: Any,
    ) -> T:
        """Call a function in the child and return what it returned."""
        return self.post(function, *args, **kwargs).result(bound)

    def wait_event(self, name: str, bound: float = BOUND) -> Any:
        """The value of the next event called ``name``; the ones before it are forgotten."""

        def seen() -> bool:
            while self.events:
                if self.events[0][0] == name:
                    return True
                self.events.popleft()
            return False

        self._await(seen, bound, f"event {name!r}")
        return self.events.popleft()[1]

    def last_event(self, name: str, otherwise: Any = None) -> Any:
        """The value of the last event called ``name`` that an ended child reported."""
        while not self._ended:
            self.take_in(BOUND)
        values = [value for found, value in self.events if found == name]
        return values[-1] if values else otherwise

    def await_result(self, number: int, bound: float) -> tuple[Any, ...]:
        self._await(lambda: number in self.results, bound, f"the end of call {number}")
        return self.results.pop(number)

    def take_in(self, wait: float) -> None:
        """Read what the child has reported, waiting up to ``wait`` seconds for something to come."""
        if not select.select([self._pipe], [], [], wait)[0]:
            return
        chunk = os.read(self._pipe, 1 << 20)
        if not chunk:
            self._ended = True
            return
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            record = ast.literal_eval(line.decode())
            match record:
                case ("started", number):
                    self.started.add(number)
                case ("event", name, value):
                    self.events.append((name, value))
                case _:
                    self.results[record[1]] = record
                    self._ended_calls += 1

    def _await(self, probe: Callable[[], bool], bound: float, what: str) -> None:
        deadline = time.monotonic() + bound
        while not probe():
            left = deadline - time.monotonic()
            if left <= 0:
                raise NeverError(
                    f"{self.name} ({self.pid}, state {proc.state(self.pid)}) did not report {what} "
                    f"within {bound:g} s\n{self.stderr()}"
                )
            if self._ended:
                raise ChildDiedError(f"while waiting for {what}: {self.describe_end()}")
            self.take_in(left)

    # -- life and death

    def stop(self) -> None:
        """SIGSTOP, and wait until every thread of it stands."""
        os.kill(self.pid, signal.SIGSTOP)
        proc.wait_stopped(self.pid)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone. Killing twice is harmless."""
        self._expected_end = True
        self._process.kill()
        self._process.wait()

    def expect_death(self, bound: float = BOUND) -> int:
        """The child is about to end by itself: wait for it; its exit code (negative: the signal)."""
        self._expected_end = True
        return self._process.wait(bound)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def finish(self, bound: float = BOUND) -> None:
        """Let the child end in its own time, at the end of its input, and check that it ended well.

        A child that is still busy with a call nobody waits for any more is killed instead.
        """
        try:
            self.take_in(0.0)
            if not self._expected_end and not self._busy():
                self._end_well(bound)
        finally:
            self.kill()
            os.close(self._pipe)
            self._stderr.close()
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # what was left to be flushed had nobody to read it
                self._process.stdin.close()

    def _busy(self) -> bool:
        return self._ended_calls < self._next and not self._ended and self.alive

    def _end_well(self, bound: float) -> None:
        died_early = self._process.poll() is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            died_early = True
        os.kill(self.pid, signal.SIGCONT) if not died_early else None
        try:
            code = self._process.wait(bound)
        except subprocess.TimeoutExpired:
            raise NeverError(
                f"{self.name} did not end within {bound:g} s of the end of its input\n{self.stderr()}"
            ) from None
        assert not died_early, self.describe_end()
        assert code == 0, self.describe_end()
        assert "panicked" not in self.stderr(), self.stderr()

    # -- what it said

    def stderr(self) -> str:
        """Everything the child has printed so far."""
        self._stderr.seek(0)
        text = self._stderr.read().decode(errors="replace")
        return f"--- printed by {self.name}:\n{text}" if text else ""

    def describe_end(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):  # the pipe ends a moment before the process
            self._process.wait(1.0 if self._ended else 0.0)
        code = self._process.poll()
        how = (
            "is closing"
            if code is None
            else f"ended with {code}"
            if code >= 0
            else f"died of {signal.Signals(-code).name}"
        )
        return f"{self.name} ({self.pid}) {how}\n{self.stderr()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()
