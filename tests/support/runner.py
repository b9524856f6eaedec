"""The main loop of a child interpreter.

A child reads calls from its standard input, one Python literal a line, runs them one after another in its
main thread, and writes results and events to a pipe of their own, so that prints and crashes cannot garble
them. Literals keep ``bytes`` and tuples as they are and a human can read them. The child dies with its
parent.

The line protocol:

    to the child      (number, "module:function", args, kwargs)
    from the child    ("started", number)
                      ("done", number, value)
                      ("failed", number, names of the exception and its bases, text, attributes, traceback)
                      ("event", name, value)
"""

from __future__ import annotations

import ctypes
import importlib
import os
import select
import signal
import sys
import threading
from typing import Any

PR_SET_PDEATHSIG = 1

#: Attributes of an exception that tests look at.
ATTRIBUTES = ("delivered", "errno")

_pipe: list[int] = []
_writing = threading.Lock()


def report(*record: Any) -> None:
    """Write one line to the parent, whole even when several threads report."""
    line = (repr(record) + "\n").encode()
    with _writing:
        while line:
            line = line[os.write(_pipe[0], line) :]


def event(name: str, value: Any = None) -> None:
    """Tell the parent that something happened; it waits for it by name."""
    report("event", name, value)


def called_again() -> bool:
    """Whether the next call has come: the sign for a role that runs "until told otherwise" to end."""
    return bool(select.select([0], [], [], 0)[0])


def wait_for_call() -> None:
    """Sleep until the next call has come."""
    select.select([0], [], [])


def _failed(number: int, error: BaseException) -> None:
    import traceback

    names = [kind.__name__ for kind in type(error).__mro__]
    attributes = {name: getattr(error, name) for name in ATTRIBUTES if hasattr(error, name)}
    report(
        "failed",
        number,
        names,
        str(error),
        attributes,
        "".join(traceback.format_exception(error)),
    )


def _lines() -> Any:
    """Lines of standard input without buffering ahead, so that :func:`called_again` sees what is not yet
    read.
    """
    rest = b""
    while True:
        line, newline, after = rest.partition(b"\n")
        if newline:
            rest = after
            yield line
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            return
        rest += chunk


def main() -> None:
    _pipe.append(int(sys.argv[1]))
    parent = int(sys.argv[2])
    os.set_inheritable(_pipe[0], False)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return  # it died before we asked to follow it
    for line in _lines():
        number, reference, args, kwargs = eval(line, {})  # literals, from the parent that started us
        try:
            report("started", number)
            module, _, name = reference.partition(":")
            value = getattr(importlib.import_module(module), name)(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - the parent decides what it means, Ctrl-C included
            _failed(number, error)
        else:
            report("done", number, value)


if __name__ == "__main__":
    # Roles import this module by its name and must find the same pipe there, not a second copy.
    from tests.support import runner  # noqa: PLW0406

    runner.main()
