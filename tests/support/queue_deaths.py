"""Deaths of a worker at every single system call of `put` and `get`, and what the others find then.

A random moment hits a gap of a microsecond once in thousands of kills. So here the worker is followed by ptrace and
killed at one stop after another, each time in a fresh queue, until it gets through.
"""

from __future__ import annotations

import ctypes
import os
import queue as stdlib
import select
import signal
import struct
import threading
from typing import NamedTuple

import ipmb
from tests.support import nursery, proc, syscalls
from tests.support.runner import PR_SET_PDEATHSIG
from tests.support.wait import until

#: Seconds for whatever must go on.
LONG = 20.0
#: No operation makes so many system calls that it would not be through by then.
MOST_STEPS = 100


class Case(NamedTuple):
    """What the worker does, and how the queue is before."""

    what: str
    bound: int
    items: tuple[int, ...]
    size: int = 0
    #: What is taken out first, so that records do not begin at the beginning.
    before: int = 0
    #: What somebody does who has found it empty, or full, and waits.
    waiter: str = ""
    #: Whether the worker has a child, which outlives it and must not keep its lock.
    child: bool = False


CASES = [
    Case("put", 0, ()),
    Case("put", 0, (), waiter="get"),
    Case("put", 0, (), size=100_000, waiter="get"),
    Case("put", 0, (1, 2)),
    Case("put", 3, (1, 2), child=True),
    Case("put", 2, (1, 2)),
    Case("get", 0, (1,)),
    Case("get", 0, (1, 2), child=True),
    Case("get", 0, (1, 2), size=100_000),
    Case("get", 0, (1, 2), size=600_000, before=2),
    Case("get", 0, (1, 2), size=800_000, before=5),  # what is left moves to the beginning
    Case("get", 0, (1,), size=3_000_000),
    Case("get", 0, ()),
    Case("get", 2, (1, 2)),
    Case("get", 2, (1, 2), waiter="put"),
    Case("get", 1, (1,), size=100_000, waiter="put"),
]

#: What is put to end a wait that the worker did not end.
NUDGE = 5

Item = tuple[int, bytes]


def _item(number: int, size: int) -> Item:
    return number, bytes([number]) * size


def _worker(queue: ipmb.Queue[Item], case: Case, gate: int, begin: int) -> None:
    """What is killed: one operation between two marks. It begins with a byte in the gate."""
    try:
        os.close(begin)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if case.child:
            _have_a_child(gate)
        os.read(gate, 1)
        syscalls.mark()
        try:
            if case.what == "put":
                queue.put(_item(9, case.size), block=False)
            else:
                queue.get(block=False)
        except (stdlib.Full, stdlib.Empty):
            pass
        syscalls.mark()
    finally:
        os._exit(7)


def _have_a_child(gate: int) -> None:
    """A process that lives until nobody can write to the gate any more."""
    told, tell = os.pipe()
    if os.fork() == 0:
        os.write(tell, b"x")
        poller = select.poll()
        poller.register(gate, 0)
        poller.poll(LONG * 5000)
        os._exit(0)
    os.read(told, 1)


def die_at_every_step(number: int) -> int:
    """How many steps there were; fails with what the others found wrong after one."""
    case = CASES[number]
    for step in range(1, MOST_STEPS):
        if not _die_at(case, step):
            return step - 1
    raise AssertionError(f"{case} is not through after {MOST_STEPS} steps")


def _die_at(case: Case, step: int) -> bool:
    queue: ipmb.Queue[Item] = ipmb.Queue(case.bound)
    for at in range(case.before):
        queue.put(_item(100 + at, case.size))
    for number in case.items:
        queue.put(_item(number, case.size))
    for at in range(case.before):
        assert queue.get() == _item(100 + at, case.size)
    waiter = Waiter(queue, case) if case.waiter else None
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _worker(queue, case, reader, writer)
    hit = syscalls.Tracer(pid).kill_at(lambda: os.write(writer, b"x"), step)
    assert nursery.bury(pid) == -signal.SIGKILL
    try:
        _look(queue, case, waiter, hit=hit)
    except BaseException as error:
        raise AssertionError(f"{case}, killed at step {step}: {error!r}") from error
    finally:
        queue.close()
        os.close(reader)
        os.close(writer)
    return hit


class Waiter:
    """A thread that waits in the other operation while the worker dies."""

    def __init__(self, queue: ipmb.Queue[Item], case: Case) -> None:
        self.found: list[int] = []
        self._thread = threading.Thread(target=self._wait, args=(queue, case.waiter, case.size), daemon=True)
        self._thread.start()
        until(lambda: proc.state(os.getpid(), self._thread.native_id) == "S", "it waits")
        # Asleep for the interpreter's lock is asleep, too: only who waits in `poll` has found the queue as it is.
        path = f"/proc/self/task/{self._thread.native_id}/syscall"
        until(lambda: _call(path) in POLLS, "it waits in poll")

    def _wait(self, queue: ipmb.Queue[Item], what: str, size: int) -> None:
        if what == "get":
            self.found.append(queue.get(timeout=10 * LONG)[0])
        else:
            queue.put(_item(8, size), timeout=10 * LONG)

    def ended(self, bound: float = 0.0) -> bool:
        self._thread.join(bound)
        return not self._thread.is_alive()


def _look(queue: ipmb.Queue[Item], case: Case, waiter: Waiter | None, *, hit: bool) -> None:
    """What the others find: the old state or the new, and all of it in order."""
    if waiter is None:
        _flags_are_up(queue)
    found = _through_waiter(queue, case, waiter) if waiter is not None else []
    while not queue.empty():
        number, body = queue.get(timeout=LONG)
        assert body == _item(number, case.size)[1]
        found.append(number)
    before, after = list(case.items), list(case.items)
    if case.what == "get":
        del after[:1]
    elif not 0 < case.bound <= len(before):
        after.append(9)
    for one in (before, after):
        if case.waiter == "put":
            one.append(8)
    found = [number for number in found if number != NUDGE]
    assert found == after or (hit and found == before), f"{found} is neither {before} nor {after}"
    # And it goes on as if nothing had been.
    bound = case.bound or 3
    for number in range(bound):
        queue.put(_item(number, case.size), timeout=LONG)
    assert queue.full() == bool(case.bound)
    assert [queue.get(timeout=LONG)[0] for _ in range(bound)] == list(range(bound))
    try:
        queue.get(timeout=0.001)
    except stdlib.Empty:
        return
    raise AssertionError("an item out of nothing")


def _flags_are_up(queue: ipmb.Queue[Item]) -> None:
    """A flag that the queue's memory says is up must be up, or who comes next would not raise it.

    The layout is that of `crates/transport/src/queue/state.rs`.
    """
    store = queue._store
    assert store is not None
    memory, *flags = store.descriptors
    slots = [struct.unpack("<5Q", os.pread(memory, 40, place)) for place in (0, 64)]
    _, _, _, count, raised = max(slots)
    for bit, flag in enumerate(flags):
        poller = select.poll()
        poller.register(flag, select.POLLIN)
        up = bool(poller.poll(0))
        assert up or not raised & 1 << bit, "a flag is down that is said to be up"
        if bit == 0:
            assert up or not count, "there are items, and the flag is down"


def _through_waiter(queue: ipmb.Queue[Item], case: Case, waiter: Waiter) -> list[int]:
    """What is known to have been in the queue once the waiter has ended.

    If the worker has done its work, that has to end it; if not, this does.
    """
    idle = 0 if case.waiter == "get" else case.bound
    until(lambda: waiter.ended() or queue.qsize() == idle, "the one who waits is woken", bound=LONG)
    taken = []
    if not waiter.ended(0.2):
        if case.waiter == "get":
            queue.put(_item(NUDGE, case.size), timeout=LONG)
        else:
            taken.append(queue.get(timeout=LONG)[0])
        assert waiter.ended(LONG), "who waits is woken by the next who comes"
    return waiter.found + taken if case.waiter == "get" else taken


def _call(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().split()[0]


def _poll_numbers() -> set[str]:
    """The numbers of poll and ppoll, from a thread that is certainly there."""
    reader, writer = os.pipe()
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    thread = threading.Thread(target=poller.poll, daemon=True)
    thread.start()
    found: set[str] = set()

    def settled() -> bool:
        if proc.state(os.getpid(), thread.native_id) == "S":
            found.add(_call(f"/proc/self/task/{thread.native_id}/syscall"))
        return bool(found - {"202", "running"})

    until(settled, "it waits in poll")
    os.write(writer, b"x")
    thread.join()
    os.close(reader)
    os.close(writer)
    return found - {"running"}


POLLS = _poll_numbers()
