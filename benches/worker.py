"""The process at one end of a link.

It obeys one JSON command a line and answers with one; what it can do is the group's ``Worker``. Standard
output belongs to the answers. It ends with its parent, whatever happens to that: on the end of its input, on
SIGTERM in the middle of anything, and by the kernel's hand when the parent was killed.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from benches import peers
from benches.groups import Row

if TYPE_CHECKING:
    from benches.groups import Worker

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)


def stop(*_: object) -> None:
    raise SystemExit(0)


def say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def obey(worker: Worker, line: str) -> None:
    command = json.loads(line)
    do, row = command.pop("do"), Row(**command.pop("row"))
    worker.prepare(row, do)
    say({"started": True})
    say(getattr(worker, do)(row, **command))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, stop)
    die_with_parent()
    group, name, address = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    try:
        link = peers.load(group, name).connect(address)
        try:
            worker: Worker = importlib.import_module(f"benches.groups.{group}").Worker(link)
            say({"ready": True})
            for line in sys.stdin:
                obey(worker, line)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            link.close()
    except Exception as error:  # noqa: BLE001 # whatever it was, it belongs into the table
        say({"failed": f"{type(error).__name__}: {error}"})
        sys.exit(1)


if __name__ == "__main__":
    main()
