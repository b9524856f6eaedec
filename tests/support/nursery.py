"""A warm interpreter that forks: for tests in which many processes are born only to be killed.

A fresh interpreter takes a quarter of a second to import what a role needs. The nursery imports it once, joins
nothing and has one thread, so forking it is safe, and a child of it is at work within milliseconds. Such a child
reports events over the nursery's pipe, and dies with the nursery.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import traceback
from typing import TYPE_CHECKING, Any

from tests.support.runner import PR_SET_PDEATHSIG

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.child import Child


def bear(reference: str, *args: Any) -> int:
    """Fork a child that calls ``module:function`` with ``args`` and ends; its pid."""
    module, _, name = reference.partition(":")
    return fork(getattr(importlib.import_module(module), name), *args)


def fork(role: Callable[..., object], *args: Any) -> int:
    """Fork a child that plays ``role`` and ends, with this process at the latest; its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        role(*args)
        code = 0
    except BaseException:  # noqa: BLE001 - a forked child must never get back into the runner's loop
        traceback.print_exc()
    finally:
        os._exit(code)


def bury(pid: int) -> int:
    """Wait for a child's end; its exit code, negative for the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Nursery:
    """The test's side: gives birth in ``child``, kills, and looks how each died."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def bear(self, role: Callable[..., object], *args: Any) -> int:
        return self._child.call(bear, f"{role.__module__}:{role.__qualname__}", *args)

    def wait_event(self, name: str, bound: float = 30.0) -> Any:
        return self._child.wait_event(name, bound)

    def kill(self, pid: int) -> None:
        """SIGKILL, and the process must have died of that and of nothing earlier (a SIGBUS, an exception)."""
        os.kill(pid, signal.SIGKILL)
        self.buried(pid, -signal.SIGKILL)

    def buried(self, pid: int, code: int = 0) -> None:
        found = self._child.call(bury, pid, bound=30.0)
        assert found == code, f"ended with {found} instead of {code}\n{self._child.stderr()}"
