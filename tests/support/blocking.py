"""Every call of the package that waits, set up so that it waits for ever: for what must end it.

`Blocked(what, bus)` makes the endpoints in one process, the one that waits and the ones that let it wait (a receiver
that reads nothing, an asker that takes no replies); `call` then waits, and `close` is what another thread may do
about it. The same table serves Ctrl-C, closing, the interpreter lock and the end of the interpreter, so that a new
call is tried in all of them by being written down once.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import ipmb
from tests.support import proc, runner

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE: Final = 4000

#: Requests that are enough for their replies of this size to fill a ring.
ASKED: Final = 1000

#: Calls on the receiving side, the sending side, requests and presence; `Queue` has no close that ends a wait.
CLOSABLE: Final = (
    *("recv", "recv_many", "iteration"),
    *("send", "send_many", "multicast", "request", "request for room", "reply"),
    *("watch", "watch iteration", "serve", "serve in threads"),
)
QUEUES: Final = ("queue get", "queue put")
ALL: Final = (*CLOSABLE, "join", *QUEUES)


class Blocked:
    """One waiting call.

    Attributes:
        call: Waits for ever.
        close: Ends it from another thread, where there is a way.
    """

    call: Callable[[], object]
    close: Callable[[], object]

    def __init__(self, what: str, bus: str) -> None:
        self._bus = bus
        self.close = lambda: None
        self._kept: list[Any] = []
        name, *more = what.split()
        getattr(self, f"_{name}")(*more)

    def _join_bus(self, label: str) -> ipmb.Endpoint:
        endpoint = ipmb.join(self._bus, label, timeout=10.0)
        self._kept.append(endpoint)
        return endpoint

    # -- the receiving half

    def _receiving(self) -> ipmb.Receiver:
        receiver = self._join_bus("earth").receiver
        self.close = receiver.close
        return receiver

    def _recv(self) -> None:
        self.call = self._receiving().recv

    def _recv_many(self) -> None:
        self.call = partial(self._receiving().recv_many, 10)

    def _iteration(self) -> None:
        self.call = partial(list, self._receiving())

    # -- the sending half, towards a receiver that never reads

    def _sending(self) -> ipmb.Sender:
        self._join_bus("earth")
        sender = self._join_bus("moon").sender
        self.close = sender.close
        with contextlib.suppress(ipmb.Full):
            while True:
                sender.send("earth", bytes(SIZE), overflow="error")
        return sender

    def _send(self) -> None:
        self.call = partial(self._sending().send, "earth", bytes(SIZE))

    def _send_many(self) -> None:
        self.call = partial(self._sending().send_many, "earth", [bytes(SIZE)] * 10)

    def _multicast(self) -> None:
        self.call = partial(self._sending().send, ipmb.Selector.multicast("earth"), bytes(SIZE))

    # -- requests, to one who never replies; to one with no room; and a reply to one with no room for it

    def _request(self, *what: str) -> None:
        if what:
            sender = self._sending()
        else:
            self._join_bus("earth")
            sender = self._join_bus("moon").sender
            self.close = sender.close
        self.call = partial(sender.request, "earth", bytes(SIZE))

    def _reply(self) -> None:
        server = self._join_bus("earth")
        self.close = server.close
        code = f"from tests.support import blocking; blocking.ask_and_stop({self._bus!r})"
        asker = os.posix_spawn(sys.executable, [sys.executable, "-c", code], os.environ)
        requests = [server.receiver.recv(10.0) for _ in range(ASKED)]
        proc.wait_stopped(asker)
        with contextlib.suppress(ipmb.SendTimeout):
            while requests[-1].reply(bytes(SIZE), timeout=0):
                requests.pop()
        self.call = partial(requests[-1].reply, bytes(SIZE))

    # -- presence, serving, joining, queues

    def _watch(self, *iterated: str) -> None:
        watch = self._join_bus("earth").watch()
        self.close = watch.close
        self.call = partial(list, watch) if iterated else watch.get

    def _serve(self, *in_threads: str) -> None:
        self.call = partial(ipmb.serve, self._receiving(), _nothing, workers=8 if in_threads else 1)

    def _join(self) -> None:
        self.call = partial(ipmb.join, self._bus + ".nobody", controller_affinity=False)

    def _queue(self, what: str) -> None:
        queue: ipmb.Queue[int] = ipmb.Queue(1)
        self._kept.append(queue)
        if what == "put":
            queue.put(1)
            self.call = partial(queue.put, 2)
        else:
            self.call = queue.get


def ask_and_stop(bus: str) -> None:
    """The process of an asker who takes no replies, until whoever started it ends."""
    ctypes.CDLL(None).prctl(runner.PR_SET_PDEATHSIG, signal.SIGKILL)
    with ipmb.join(bus, "moon", timeout=10.0) as (sender, _):
        for _ in range(ASKED):
            with contextlib.suppress(ipmb.RecvTimeout):
                sender.request("earth", b"?", timeout=0)
        os.kill(os.getpid(), signal.SIGSTOP)


def _nothing(_: object) -> None:
    """A handler that is never called."""


# -- what the processes of the tests do with one


def until_interrupted(what: str, bus: str) -> float | str:
    """Wait until Ctrl-C; the monotonic time at which it was raised."""
    blocked = Blocked(what, bus)
    runner.event("waiting")
    try:
        blocked.call()
    except KeyboardInterrupt:
        return time.monotonic()
    return "returned"


def counted(what: str, bus: str, seconds: float) -> int:
    """How far this thread counts in that time while another waits."""
    blocked = Blocked(what, bus)
    threading.Thread(target=blocked.call, daemon=True).start()
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        count += 1
    return count


def closed(what: str, bus: str) -> str:
    """What a waiting call does when another thread closes what it waits for: an exception's name, or "returned"."""
    blocked = Blocked(what, bus)
    runner.event("waiting")
    ended: list[str] = []

    def wait() -> None:
        try:
            blocked.call()
        except Exception as error:  # noqa: BLE001 - which one it is, is the question
            ended.append(type(error).__name__)
        else:
            ended.append("returned")

    thread = threading.Thread(target=wait)
    thread.start()
    runner.wait_for_call()
    blocked.close()
    thread.join(10.0)
    return ended[0] if ended else "never ended"


def _wait(blocked: Blocked) -> None:
    blocked.call()


def main() -> None:
    """A program of its own that ends while daemon threads wait; it says when it begins to end."""
    bus, *waits = sys.argv[1:]
    for number, what in enumerate(waits):
        # The thread keeps the other ends too: let go of with this function they would end its wait.
        threading.Thread(target=_wait, args=(Blocked(what, f"{bus}.{number}"),), daemon=True).start()
    print("waiting", flush=True)
    sys.stdin.readline()
    print(time.monotonic(), flush=True)


if __name__ == "__main__":
    main()
