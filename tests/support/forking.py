"""What a child of an endpoint's process finds, after fork and after exec.

A forked child reports through a pipe of its own and leaves by ``_exit``, so that it never runs the parent's
loop.
"""

from __future__ import annotations

import ast
import ctypes
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import ipmb
from tests.support import proc, roles

if TYPE_CHECKING:
    from collections.abc import Callable


#: Kept, so that nobody waits for them or warns that they still run.
_processes: list[subprocess.Popen[bytes]] = []


def _raw_fork() -> int:
    """fork(2) through the C library, without Python's hooks, holding the interpreter lock."""
    return int(ctypes.PyDLL(None).fork())


def in_child(fork: Callable[[], int], look: Callable[[], Any]) -> Any:
    """Fork, let the child look, and return what it saw."""
    read_end, write_end = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            value = look()
        except BaseException as error:  # noqa: BLE001 - reported to the parent, which fails
            value = ("raised", type(error).__name__, str(error))
        os.write(write_end, repr(value).encode())
        os._exit(0)
    os.close(write_end)
    chunks = []
    while chunk := os.read(read_end, 65536):
        chunks.append(chunk)
    os.close(read_end)
    os.waitpid(pid, 0)
    return ast.literal_eval(b"".join(chunks).decode())


def _outcome(call: Callable[[], object]) -> str:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        return type(error).__name__
    return "nothing"


def _look() -> dict[str, Any]:
    """What every use of a handle does here, and what of the bus this process holds."""
    end = roles.ends[roles.MAIN]
    return {
        "send": _outcome(lambda: end.sender.send("earth", b"from the child")),
        "recv": _outcome(lambda: end.receiver.recv(0)),
        "peers": _outcome(end.peers),
        "stats": _outcome(end.stats),
        "descriptors": [
            target for target in proc.descriptors(os.getpid()).values() if proc.is_bus_handle(target)
        ],
        "mappings": [line for line in proc.mappings(os.getpid()) if "/memfd:" in line],
    }


def look_after_fork(*, raw: bool = False) -> Any:
    return in_child(_raw_fork if raw else os.fork, _look)


def close_after_fork() -> Any:
    """Close everything in the child: that must not close the parent's."""

    def close() -> str:
        end = roles.ends[roles.MAIN]
        return _outcome(end.close)

    return in_child(os.fork, close)


def join_after_fork(bus: str, to: str) -> Any:
    """A forked child is free to join for itself."""

    def join() -> int:
        with ipmb.join(bus, "child", timeout=10.0) as (sender, _):
            return sender.send(to, b"from the child", timeout=5.0)

    return in_child(os.fork, join)


def fork_and_stay() -> int:
    """Fork a child that does nothing and lives until its test kills it; its pid."""
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    return pid


def exec_and_stay() -> int:
    """Start a program that lives until its test kills it, with every inheritable descriptor; its pid."""
    child = subprocess.Popen(["sleep", "600"], close_fds=False, stdin=subprocess.DEVNULL)
    _processes.append(child)
    return child.pid


def look_after_exec() -> list[str]:
    """What another program, started with every inheritable descriptor, holds of the bus."""
    code = "import os; print([os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')[:-1]])"
    output = subprocess.run([sys.executable, "-c", code], close_fds=False, check=True, capture_output=True)
    return [target for target in ast.literal_eval(output.stdout.decode()) if proc.is_bus_handle(target)]


def fork_while_busy(to: str, count: int, payload: int) -> tuple[int, list[Any]]:
    """Fork over and over while another thread sends; (how many messages went, what was odd in the
    children).
    """
    sender = roles.ends[roles.MAIN].sender
    stop = threading.Event()
    sent = [0]

    def work() -> None:
        while not stop.is_set():
            sent[0] += sender.send(to, bytes(payload), timeout=5.0)

    thread = threading.Thread(target=work)
    thread.start()
    odd = []
    for _ in range(count):
        found = in_child(os.fork, _look)
        if not (isinstance(found, dict) and found["send"] == "Forked" and not found["descriptors"]):
            odd.append(found)
    stop.set()
    thread.join()
    return sent[0], odd
