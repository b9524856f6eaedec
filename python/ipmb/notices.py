"""What nobody is told by an exception: lost messages, refused peers, takeovers. Logged under "ipmb", once each.

They happen in native threads, which run no Python. So one daemon thread, started with the first endpoint of a process,
sleeps in native code until there is something to log: it never wakes up of itself, holds nothing, and ends before the
interpreter does. It blocks all signals, so that each interrupts the thread it is meant for.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import threading
import traceback
from typing import Final

from ipmb import _core

logger: Final = logging.getLogger("ipmb")

#: The process whose thread was started: a forked child has none.
_started: int | None = None


def start() -> None:
    """Has what happens from now on in this process logged."""
    global _started  # noqa: PLW0603 # one for each process
    if _started == os.getpid():
        return
    _started = os.getpid()
    try:
        threading.Thread(target=_tell, name="ipmb-notices", daemon=True).start()
    except RuntimeError:
        # No thread to be had, or the interpreter ends: what there is to say is said at exit.
        _started = None


def _tell() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    while (notice := _core.next_notice(wait=True)) is not None:
        _log(notice)


def _log(notice: tuple[str, int, bool, str, str]) -> None:
    identifier, endpoint, warning, text, counter = notice
    level = logging.WARNING if warning else logging.INFO
    try:
        logger.log(
            level, "%r, endpoint %#x: %s; %s counts the next ones", identifier, endpoint, text, counter
        )
    except BaseException:  # noqa: BLE001 # whatever a program's handlers and filters raise, the next notice is told
        if logging.raiseExceptions:
            traceback.print_exc()


def _end() -> None:
    # A thread that waits in native code when the interpreter goes away could not come back into it.
    _core.close_all()
    while (notice := _core.next_notice(wait=False)) is not None:
        _log(notice)


atexit.register(_end)
