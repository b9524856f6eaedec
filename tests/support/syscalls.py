"""Counts the system calls, or the instructions, that a child makes between two marks.

"No system call" is a promise about the kernel's work, so the kernel must do the counting. strace and perf are
not everywhere; ptrace is, and for one's own children it needs no privilege. The child brackets what is to be
counted with a system call that nothing else makes (getppid); the tracer, which is the test itself, stops it
at every call in between and notes the number.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import signal
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.wait import BOUND, NeverError

if TYPE_CHECKING:
    from collections.abc import Callable

PTRACE_CONT = 7
PTRACE_SINGLESTEP = 9
PTRACE_DETACH = 17
PTRACE_SYSCALL = 24
PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
PTRACE_GET_SYSCALL_INFO = 0x420E
PTRACE_O_TRACESYSGOOD = 1
PTRACE_O_TRACECLONE = 8
PTRACE_EVENT_STOP = 128
SYSCALL_INFO_ENTRY = 1
WALL = 0x40000000
SYSCALL_STOP = signal.SIGTRAP | 0x80
#: The instruction that calls the kernel.
CALL = {"x86_64": b"\x0f\x05", "aarch64": b"\x01\x00\x00\xd4"}[platform.machine()]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def mark() -> None:
    """What the child calls before and after the part to be counted."""
    os.getppid()


@dataclass
class Counted:
    """The system calls between one pair of marks, by number and in order."""

    numbers: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.numbers)

    def __str__(self) -> str:
        return f"{len(self)} system calls: {self.numbers}"


def ptrace(request: int, tid: int, address: int = 0, data: int = 0) -> int:
    result = int(_libc.ptrace(request, tid, address, data))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace request {request:#x}: {os.strerror(number)}")
    return result


@functools.cache
def _learn_mark() -> int:
    """The number of getppid, from the kernel's own report of a child that calls nothing else for long."""
    ready, begun = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(begun, b".")
        while True:
            os.getppid()
    try:
        # Before that it closes, one like the other, whatever this process has on some bus.
        os.read(ready, 1)
        ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD)
        ptrace(PTRACE_INTERRUPT, child)
        seen: list[int] = []
        while len(seen) < 20 or len(set(seen[-20:])) > 1:
            _, status = os.waitpid(child, WALL)
            number = entered_call(child) if os.WSTOPSIG(status) == SYSCALL_STOP else None
            if number is not None:
                seen.append(number)
            ptrace(PTRACE_SYSCALL, child)
        return seen[-1]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, WALL)
        os.close(ready)
        os.close(begun)


def entered_call(tid: int) -> int | None:
    """The number of the call that ``tid`` is about to make, or None when it comes back from one."""
    call = call_and_arguments(tid)
    return call[0] if call else None


def call_and_arguments(tid: int) -> tuple[int, ...] | None:
    """The same with its six arguments behind the number."""
    info = ctypes.create_string_buffer(88)
    ptrace(PTRACE_GET_SYSCALL_INFO, tid, len(info), ctypes.addressof(info))
    return struct.unpack_from("=7Q", info.raw, 24) if info.raw[0] == SYSCALL_INFO_ENTRY else None


def _place(tid: int) -> int:
    """Where a stopped thread goes on: the address of its next instruction."""
    info = ctypes.create_string_buffer(88)
    ptrace(PTRACE_GET_SYSCALL_INFO, tid, len(info), ctypes.addressof(info))
    return int(struct.unpack_from("=Q", info.raw, 8)[0])


class Tracer:
    """Follows one thread of a child; to be used by the thread that made it, as ptrace demands."""

    def __init__(self, tid: int) -> None:
        self._mark = _learn_mark()
        self._tid = tid

    def count(self, start: Callable[[], object], pairs: int = 1, bound: float = BOUND) -> list[Counted]:
        """Attach, call ``start`` (which makes the child work), and count between ``pairs`` pairs of marks."""
        ptrace(PTRACE_SEIZE, self._tid, 0, PTRACE_O_TRACESYSGOOD)
        try:
            ptrace(PTRACE_INTERRUPT, self._tid)
            self._next_stop(time.monotonic() + bound)
            ptrace(PTRACE_SYSCALL, self._tid)
            start()
            return self._follow(pairs, time.monotonic() + bound)
        finally:
            self._detach()

    def kill_at(self, start: Callable[[], object], step: int, bound: float = BOUND) -> bool:
        """Attach, call ``start``, and kill the child at the ``step``-th stop after a mark; False if its next mark comes
        first. Each call is two stops: before the kernel does anything, and when it has done it.
        """
        deadline = time.monotonic() + bound
        ptrace(PTRACE_SEIZE, self._tid, 0, PTRACE_O_TRACESYSGOOD)
        ptrace(PTRACE_INTERRUPT, self._tid)
        self._next_stop(deadline)
        ptrace(PTRACE_SYSCALL, self._tid)
        start()
        marks = steps = 0
        while True:
            status = self._next_stop(deadline)
            if os.WSTOPSIG(status) == SYSCALL_STOP:
                if entered_call(self._tid) == self._mark:
                    marks += 1
                elif marks == 1:
                    steps += 1
                if marks == 2 or steps == step + 1:  # the first is the way out of the mark itself
                    os.kill(self._tid, signal.SIGKILL)
                    return marks < 2
            ptrace(PTRACE_SYSCALL, self._tid)

    def count_instructions(self, start: Callable[[], object], bound: float = BOUND) -> int:
        """Attach, call ``start``, and count the instructions of the thread between a pair of marks, one by one."""
        deadline = time.monotonic() + bound
        ptrace(PTRACE_SEIZE, self._tid, 0, PTRACE_O_TRACESYSGOOD)
        try:
            ptrace(PTRACE_INTERRUPT, self._tid)
            self._next_stop(deadline)
            ptrace(PTRACE_SYSCALL, self._tid)
            start()
            while (
                os.WSTOPSIG(self._next_stop(deadline)) != SYSCALL_STOP
                or entered_call(self._tid) != self._mark
            ):
                ptrace(PTRACE_SYSCALL, self._tid)
            mark = _place(self._tid)
            steps = 0
            while True:
                ptrace(PTRACE_SINGLESTEP, self._tid)
                self._next_stop(deadline)
                if steps and _place(self._tid) == mark:
                    return steps
                steps += 1
        finally:
            self._detach()

    def kill_within(self, start: Callable[[], object], calls: int, steps: int, bound: float = BOUND) -> int:
        """Attach, call ``start``, and kill the child so many system calls and then instructions after a mark, or before
        the next system call if that comes first; how many instructions it was.
        """
        self._to_mark(start, bound)
        for _ in range(2 * calls):
            ptrace(PTRACE_SYSCALL, self._tid)
            self._next_stop(time.monotonic() + bound)
            if entered_call(self._tid) == self._mark:  # there are fewer calls this time
                break
        done = 0
        with open(f"/proc/{self._tid}/mem", "rb", buffering=0) as memory:
            while done < steps:
                memory.seek(_place(self._tid))
                if memory.read(len(CALL)) == CALL:
                    break
                ptrace(PTRACE_SINGLESTEP, self._tid)
                _, status = os.waitpid(self._tid, WALL)
                assert os.WIFSTOPPED(status), f"the traced thread ended with status {status:#x}"
                done += 1
        os.kill(self._tid, signal.SIGKILL)
        return done

    def _to_mark(self, start: Callable[[], object], bound: float) -> None:
        """Leaves the thread stopped on the way out of the next mark."""
        deadline = time.monotonic() + bound
        ptrace(PTRACE_SEIZE, self._tid, 0, PTRACE_O_TRACESYSGOOD)
        ptrace(PTRACE_INTERRUPT, self._tid)
        self._next_stop(deadline)
        # On one processor the two take turns without waking each other up across processors, at each instruction.
        here = {min(os.sched_getaffinity(0))}
        os.sched_setaffinity(self._tid, here)
        os.sched_setaffinity(0, here)
        ptrace(PTRACE_SYSCALL, self._tid)
        start()
        entered = False
        while True:
            status = self._next_stop(deadline)
            if entered:
                return
            entered = os.WSTOPSIG(status) == SYSCALL_STOP and entered_call(self._tid) == self._mark
            ptrace(PTRACE_SYSCALL, self._tid)

    def _follow(self, pairs: int, deadline: float) -> list[Counted]:
        """Leaves the thread stopped just after the last mark was entered."""
        done: list[Counted] = []
        current: Counted | None = None
        while True:
            status = self._next_stop(deadline)
            stop = os.WSTOPSIG(status)
            number = entered_call(self._tid) if stop == SYSCALL_STOP else None
            if number == self._mark:
                if current is None:
                    current = Counted()
                else:
                    done.append(current)
                    current = None
                    if len(done) == pairs:
                        return done
            elif number is not None and current is not None:
                current.numbers.append(number)
            passed_on = 0 if stop == SYSCALL_STOP or status >> 16 == PTRACE_EVENT_STOP else stop
            ptrace(PTRACE_SYSCALL, self._tid, 0, passed_on)

    def _next_stop(self, deadline: float) -> int:
        while True:
            tid, status = os.waitpid(self._tid, WALL | os.WNOHANG)
            if tid:
                assert os.WIFSTOPPED(status), f"the traced thread ended with status {status:#x}"
                return status
            if time.monotonic() > deadline:
                raise NeverError(f"thread {self._tid} did not reach the next mark")
            time.sleep(0)

    def _detach(self) -> None:
        """Let the thread go on untraced; it must be stopped for that."""
        try:
            ptrace(PTRACE_DETACH, self._tid)
        except ProcessLookupError:  # it runs: a failure is under way, stop it first
            ptrace(PTRACE_INTERRUPT, self._tid)
            self._next_stop(time.monotonic() + BOUND)
            ptrace(PTRACE_DETACH, self._tid)
