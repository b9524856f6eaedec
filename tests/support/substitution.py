"""Puts another file in the place of one that a process is about to hand over.

A hostile process can send whatever it likes, but one that speaks the whole protocol by itself would be a second
implementation of it. So the real one does the talking, and its parent, by ptrace, changes one number: where a packet
is about to leave with a certain memory file of the bus, told by the name the kernel knows it under, the descriptor of
another file goes in its place.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import os
import platform
import select
import signal
import struct
import time
import traceback
from typing import TYPE_CHECKING

from tests.support import syscalls
from tests.support.runner import PR_SET_PDEATHSIG
from tests.support.wait import BOUND, NeverError

if TYPE_CHECKING:
    from collections.abc import Callable

SENDMSG = {"x86_64": 46, "aarch64": 211}[platform.machine()]
PIDFD_GETFD = 438

#: The head of a control message with descriptors: length, SOL_SOCKET, SCM_RIGHTS.
CONTROL = struct.Struct("=QII")
SOL_SOCKET, SCM_RIGHTS = 1, 1

_libc = ctypes.CDLL(None, use_errno=True)


class Substitution:
    """A forked worker whose packets are looked at, and changed, from the moment at which it calls its ``arm``.

    ``name`` is that of the memory file that is replaced, ``put`` is called with a path to it and gives the descriptor
    that takes its place (the worker must have inherited it), ``times`` says how often; with ``freeze`` the thread that
    has sent it goes no further.
    """

    def __init__(
        self,
        worker: Callable[[Callable[[], None]], None],
        name: str,
        put: Callable[[str], int],
        times: int,
        *,
        freeze: bool = False,
    ) -> None:
        self.handed = 0  #: how many times the other file was put in
        self.link: int | None = None  #: the socket that the first one left by
        self._name = f"/memfd:{name} "
        self._put = put
        self._left = times
        self._freeze = freeze
        self._armed, armed = os.pipe()
        proceed, self._proceed = os.pipe()
        begin, self._begin = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _work(worker, armed, proceed, begin)
        for one in (armed, proceed, begin):
            os.close(one)
        self._active = False
        self.exited: int | None = None
        options = syscalls.PTRACE_O_TRACESYSGOOD | syscalls.PTRACE_O_TRACECLONE
        syscalls.ptrace(syscalls.PTRACE_SEIZE, self.pid, 0, options)
        syscalls.ptrace(syscalls.PTRACE_INTERRUPT, self.pid)
        self._changed: dict[int, int] = {}  # the socket of each thread that is inside a changed call
        os.write(self._begin, b".")

    def step(self) -> None:
        """Do what the worker's threads wait for; return when none does."""
        if not self._active and select.select([self._armed], [], [], 0)[0] and os.read(self._armed, 1):
            self._active = True
            os.write(self._proceed, b".")
        while self.exited is None:
            with contextlib.suppress(ChildProcessError):
                tid, status = os.waitpid(-1, syscalls.WALL | os.WNOHANG | WNOTHREAD)
                if tid == 0:
                    return
                self._handle(tid, status)

    def armed(self) -> bool:
        return self._active

    def is_cut_off(self) -> bool:
        """Whether the other side has closed the socket by which the other file left."""
        if self.link is None:
            return False
        poller = select.poll()
        poller.register(self.link, select.POLLRDHUP)
        return bool(poller.poll(0))

    def end(self) -> None:
        """Kill the worker and wait for its end."""
        deadline = time.monotonic() + BOUND
        while self.exited is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.step()
            if time.monotonic() > deadline:
                raise NeverError(f"worker {self.pid} does not die")
        for one in (self._armed, self._proceed, self._begin, *([] if self.link is None else [self.link])):
            os.close(one)

    def _handle(self, tid: int, status: int) -> None:
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            if tid == self.pid:
                self.exited = os.waitstatus_to_exitcode(status)
            return
        stop = os.WSTOPSIG(status)
        with contextlib.suppress(ProcessLookupError):  # it was killed meanwhile
            if stop == syscalls.SYSCALL_STOP and self._look(tid) and self._freeze:
                return
            passed_on = 0 if stop in (syscalls.SYSCALL_STOP, signal.SIGTRAP) or status >> 16 else stop
            syscalls.ptrace(syscalls.PTRACE_SYSCALL, tid, 0, passed_on)

    def _look(self, tid: int) -> bool:
        """At the entry of a ``sendmsg``: change what it sends. At its end: whether it has left so."""
        call = syscalls.call_and_arguments(tid)
        if call is None:
            if tid not in self._changed:
                return False
            self._left_by(self._changed.pop(tid))
            return True
        if self._active and call[0] == SENDMSG:
            self._change(tid, *call[1:3])
        return False

    def _change(self, tid: int, socket: int, message: int) -> None:
        with open(f"/proc/{tid}/mem", "r+b", buffering=0) as memory:
            memory.seek(message)
            control, length = struct.unpack_from("=QQ", memory.read(56), 32)
            if length < CONTROL.size:
                return
            memory.seek(control)
            taken, level, kind = CONTROL.unpack(memory.read(CONTROL.size))
            if (level, kind) != (SOL_SOCKET, SCM_RIGHTS):
                return
            numbers = array.array("i", memory.read(taken - CONTROL.size))
            for place, number in enumerate(numbers):
                if self._left == 0 or not os.readlink(f"/proc/{tid}/fd/{number}").startswith(self._name):
                    continue
                self._left -= 1
                self.handed += 1
                numbers[place] = self._put(f"/proc/{tid}/fd/{number}")
                memory.seek(control + CONTROL.size)
                memory.write(numbers.tobytes())
                self._changed[tid] = socket

    def _left_by(self, socket: int) -> None:
        if self.link is None:
            pidfd = os.pidfd_open(self.pid)
            self.link = int(_libc.syscall(PIDFD_GETFD, pidfd, socket, 0))
            os.close(pidfd)
            assert self.link >= 0, os.strerror(ctypes.get_errno())


#: waitpid looks only at those that this thread follows.
WNOTHREAD = 0x20000000


def _work(worker: Callable[[Callable[[], None]], None], armed: int, proceed: int, begin: int) -> None:
    def arm() -> None:
        os.write(armed, b".")
        os.read(proceed, 1)

    try:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.read(begin, 1)
        worker(arm)
    except BaseException:  # noqa: BLE001 - a forked worker must never get back into the runner's loop
        traceback.print_exc()
    finally:
        os._exit(7)
