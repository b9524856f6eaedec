"""Programs with queues, as users of `multiprocessing` write them; each runs in an interpreter of its own.

A test calls one in a child, with the start method that it is to use. What processes of it run are the functions whose
names begin with an underscore. Nothing here knows more of a queue than `multiprocessing.Queue` promises, but for
`held`, which counts descriptors.
"""

from __future__ import annotations

import functools
import gc
import multiprocessing
import os
import pickle
import queue as stdlib
import resource
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import ipmb
from tests.support import proc, runner
from tests.support.wait import until

if TYPE_CHECKING:
    from multiprocessing.context import SpawnContext
    from multiprocessing.process import BaseProcess

#: Seconds for whatever must happen: only a failing test waits that long.
LONG = 30.0


def context(method: str) -> SpawnContext:
    found: Any = multiprocessing.get_context(method)
    return found  # type: ignore[no-any-return]


def start(method: str, target: Any, *args: Any) -> BaseProcess:
    process = context(method).Process(target=target, args=args, daemon=True)
    process.start()
    return process


def ended(process: BaseProcess) -> int | None:
    process.join(LONG)
    return process.exitcode


# -- what workers do


def _square(jobs: ipmb.Queue[int | None], results: ipmb.Queue[tuple[int, int]]) -> None:
    for number in iter(jobs.get, None):
        results.put((number, number * number))


def _put(queue: ipmb.Queue[Any], *items: Any) -> None:
    for item in items:
        queue.put(item)


def _put_range(queue: ipmb.Queue[Any], first: int, count: int) -> None:
    for number in range(first, first + count):
        queue.put(number)


def _get(queue: ipmb.Queue[Any], results: ipmb.Queue[Any], count: int) -> None:
    for _ in range(count):
        results.put(queue.get(timeout=LONG))


def _hand_on(queue: ipmb.Queue[Any], method: str) -> None:
    """Starts a grandchild with the queue and leaves before that has run."""
    context(method).Process(target=_put, args=(queue, "from the grandchild")).start()
    os._exit(0)


def _get_for_ever(queue: ipmb.Queue[Any], ready: ipmb.Queue[int]) -> None:
    ready.put(os.getpid())
    queue.get()


# -- programs


def pool_of_workers(method: str) -> list[tuple[int, int]]:
    """The plainest program there is: jobs are put before any worker exists."""
    jobs: ipmb.Queue[int | None] = ipmb.Queue()
    results: ipmb.Queue[tuple[int, int]] = ipmb.Queue()
    for number in range(100):
        jobs.put(number)
    for _ in range(3):
        jobs.put(None)
    workers = [start(method, _square, jobs, results) for _ in range(3)]
    found = [results.get(timeout=LONG) for _ in range(100)]
    assert [ended(worker) for worker in workers] == [0, 0, 0]
    assert jobs.empty()
    assert results.empty()
    return sorted(found)


def puts_and_exits(method: str, size: int, count: int) -> list[bool]:
    """A child puts and is gone at once; nobody reads before that."""
    queue: ipmb.Queue[bytes] = ipmb.Queue()
    items = [bytes([number % 256]) * size for number in range(count)]
    assert ended(start(method, _put, queue, *items)) == 0
    assert queue.qsize() == count
    return [queue.get(timeout=LONG) == item for item in items]


def starter_lets_go(method: str, how: str) -> Any:
    """Whoever starts a child closes the queue, or drops it, before the child has run."""
    queue: ipmb.Queue[str] | None = ipmb.Queue()
    results: ipmb.Queue[Any] = ipmb.Queue()
    assert queue is not None
    queue.put("put before")
    child = start(method, _get, queue, results, 1)
    if how == "close":
        queue.close()
    queue = None
    gc.collect()
    found = results.get(timeout=LONG)
    assert ended(child) == 0
    return found


def creator_dies(method: str) -> Any:
    """The child that stands between is gone when the grandchild begins."""
    queue: ipmb.Queue[str] = ipmb.Queue()
    process = context(method).Process(target=_hand_on, args=(queue, method))
    process.start()
    assert ended(process) == 0
    return queue.get(timeout=LONG)


def _pooled(number: int) -> int:
    _given["queue"].put(number)
    return number


_given: dict[str, ipmb.Queue[Any]] = {}


def _give(queue: ipmb.Queue[Any]) -> None:
    _given["queue"] = queue


def pool_initializer(method: str) -> list[int]:
    queue: ipmb.Queue[int] = ipmb.Queue()
    with context(method).Pool(2, initializer=_give, initargs=(queue,)) as pool:
        assert pool.map(_pooled, range(20), chunksize=1) == list(range(20))
    return sorted(queue.get(timeout=LONG) for _ in range(20))


def executor_initializer(method: str) -> list[int]:
    queue: ipmb.Queue[int] = ipmb.Queue()
    with ProcessPoolExecutor(2, context(method), _give, (queue,)) as pool:
        assert list(pool.map(_pooled, range(20))) == list(range(20))
    return sorted(queue.get(timeout=LONG) for _ in range(20))


def task_argument(method: str) -> list[int]:
    """With a task of a pool, where multiprocessing's own queues refuse to go."""
    queue: ipmb.Queue[int] = ipmb.Queue()
    with ProcessPoolExecutor(2, context(method)) as pool:
        for future in [pool.submit(_put, queue, number) for number in range(10)]:
            future.result(LONG)
    return sorted(queue.get(timeout=LONG) for _ in range(10))


def _from_pipe(reader: Any) -> None:
    reader.recv().put("by pipe")


def through_a_pipe(method: str) -> str:
    reader, writer = context(method).Pipe(duplex=False)
    child = start(method, _from_pipe, reader)
    queue: ipmb.Queue[str] = ipmb.Queue(3)
    writer.send(queue)
    found = queue.get(timeout=LONG)
    assert ended(child) == 0
    return found


def _from_queue(carrier: ipmb.Queue[Any]) -> None:
    carrier.get(timeout=LONG).put("by queue")


def through_a_queue(method: str) -> str:
    carrier: ipmb.Queue[Any] = ipmb.Queue()
    queue: ipmb.Queue[str] = ipmb.Queue()
    carrier.put(queue)
    child = start(method, _from_queue, carrier)
    found = queue.get(timeout=LONG)
    assert ended(child) == 0
    return found


def many_producers_and_consumers(method: str, bound: int, processes: int, each: int) -> bool:
    """Every number arrives once, and those of one producer in order at each consumer."""
    queue: ipmb.Queue[tuple[int, int]] = ipmb.Queue(bound)
    results: ipmb.Queue[list[tuple[int, int]]] = ipmb.Queue()
    consumers = [start(method, _collect, queue, results, each) for _ in range(processes)]
    producers = [start(method, _produce, queue, who, each) for who in range(processes)]
    lists = [results.get(timeout=LONG) for _ in consumers]
    assert [ended(one) for one in [*producers, *consumers]] == [0] * 2 * processes
    for found in lists:
        for who in range(processes):
            mine = [number for producer, number in found if producer == who]
            assert mine == sorted(mine)
    everything = sorted(item for found in lists for item in found)
    return everything == [(who, number) for who in range(processes) for number in range(each)]


def _produce(queue: ipmb.Queue[tuple[int, int]], who: int, count: int) -> None:
    for number in range(count):
        queue.put((who, number), timeout=LONG)


def _collect(queue: ipmb.Queue[Any], results: ipmb.Queue[Any], count: int) -> None:
    results.put([queue.get(timeout=LONG) for _ in range(count)])


def only_child_is_killed(method: str) -> tuple[float, int]:
    """The one that was to put is killed while it waits; how long a `get` of a second then takes."""
    queue: ipmb.Queue[Any] = ipmb.Queue()
    other: ipmb.Queue[Any] = ipmb.Queue()
    ready: ipmb.Queue[int] = ipmb.Queue()
    child = start(method, _get_for_ever, other, ready)
    proc.wait_asleep(ready.get(timeout=LONG), bound=LONG)
    child.kill()
    assert ended(child) == -signal.SIGKILL
    begun = time.monotonic()
    try:
        queue.get(timeout=1.0)
    except stdlib.Empty:
        took = time.monotonic() - begun
    other.put("still good")
    assert other.get(timeout=LONG) == "still good"
    return took, queue.qsize()


def fork_with_threads(times: int) -> list[int]:
    """Forks while other threads are in the middle of `put` and `get`."""
    queue: ipmb.Queue[int] = ipmb.Queue()
    busy: ipmb.Queue[bytes] = ipmb.Queue()
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            busy.put(bytes(200_000))
            busy.get(timeout=LONG)

    threads = [threading.Thread(target=churn) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(times):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                busy.put(b"x")
                busy.get(timeout=LONG)
                queue.put(number)
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
    stop.set()
    for thread in threads:
        thread.join(LONG)
    return [queue.get(timeout=LONG) for _ in range(times)]


def held() -> int:
    """How many descriptors this process has."""
    return len(os.listdir("/proc/self/fd")) - 1


def holders() -> int:
    """How many threads of this process hand out descriptors."""
    return sum(thread.name.startswith("queue ") for thread in threading.enumerate())


def many_queues(count: int) -> tuple[int, int, int]:
    """Makes, uses, pickles and drops them; descriptors before and after, and threads after."""

    def one(number: int) -> None:
        queue: ipmb.Queue[int] = ipmb.Queue(number % 2)
        queue.put(number)
        if number % 10 == 0:
            other = pickle.loads(pickle.dumps(queue))
            assert other.get(timeout=LONG) == number
        else:
            assert queue.get() == number
        if number % 3 == 0:
            queue.close()

    for number in range(20):
        one(number)
    until(lambda: not holders(), "the threads of the first ones have ended")
    before = held()
    for number in range(count):
        one(number)
    until(lambda: not holders(), "the threads have ended")
    until(lambda: held() <= before, "the descriptors are closed")
    return before, held(), holders()


def with_few_descriptors(extra: int) -> tuple[list[int], int]:
    """Queues until no descriptor is left, then one of them is used; and one more when they are gone."""
    queues: list[ipmb.Queue[int]] = []
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (held() + extra, hard))
    error = 0
    try:
        for number in range(extra):
            queues.append(ipmb.Queue())
            queues[-1].put(number)
    except OSError as raised:
        error = raised.errno or 0
    found = [queue.get() for queue in queues]
    queues.clear()
    ipmb.Queue[int]().put(1)
    return found, error


def when_interrupted(what: str, timeout: float | None) -> float:
    """Waits in `get` or `put` for Ctrl-C; the time at which it was raised."""
    queue: ipmb.Queue[int] = ipmb.Queue(1)
    if what == "put":
        queue.put(0)
    try:
        runner.event("waiting")
        queue.get(timeout=timeout) if what == "get" else queue.put(1, timeout=timeout)
    except KeyboardInterrupt:
        at = time.monotonic()
    # It is as it was, for everybody.
    assert queue.qsize() == (what == "put")
    return at


def interrupted_over_and_over(count: int) -> tuple[int, int]:
    """A loop of `put` and `get` in the main thread gets Ctrl-C at any moment; how often, and that all goes on."""
    queue: ipmb.Queue[int] = ipmb.Queue()
    interrupts = 0
    done = 0
    finished = threading.Event()

    def raised(before: int) -> bool:
        return interrupts > before or finished.is_set()

    def nag() -> None:
        for _ in range(count):
            if finished.wait(0.002):
                break
            os.kill(os.getpid(), signal.SIGINT)
            until(functools.partial(raised, interrupts), "it was raised")

    thread = threading.Thread(target=nag)
    thread.start()
    while interrupts < count:
        try:
            while True:
                queue.put(done)
                queue.get(timeout=1.0)
                done += 1
        except KeyboardInterrupt:
            interrupts += 1
        except stdlib.Empty:
            pass
    finished.set()
    thread.join(LONG)
    while not queue.empty():
        queue.get()
    queue.put(1)
    return interrupts, queue.get(timeout=1.0)


def handlers_use_it_too(count: int) -> tuple[int, int]:
    """A signal handler puts into the queue that the main thread is just using; how many, and how many arrived."""
    queue: ipmb.Queue[int] = ipmb.Queue()
    handled = 0

    def handle(*_: object) -> None:
        nonlocal handled
        handled += 1
        queue.put(-1)

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    arrived = number = 0
    while handled < count:
        queue.put(number)
        arrived += queue.get() == -1
        number += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    while not queue.empty():
        arrived += queue.get() == -1
    return handled, arrived


def exits_with_a_blocked_thread() -> None:
    """The interpreter goes away under daemon threads that wait in `get` and `put`."""
    empty: ipmb.Queue[int] = ipmb.Queue()
    full: ipmb.Queue[int] = ipmb.Queue(1)
    full.put(0)
    for wait in (empty.get, lambda: full.put(1), lambda: empty.get(timeout=100)):
        threading.Thread(target=wait, daemon=True).start()
    others = [thread.native_id for thread in threading.enumerate() if thread is not threading.main_thread()]
    until(lambda: all(proc.state(os.getpid(), tid) == "S" for tid in others if tid), "they wait")


def exits_while_busy() -> None:
    """The same with daemon threads in the middle of copying large items."""
    queue: ipmb.Queue[bytes] = ipmb.Queue()

    def churn() -> None:
        while True:
            queue.put(bytes(20_000_000))
            queue.get()

    for _ in range(3):
        threading.Thread(target=churn, daemon=True).start()
    until(lambda: not queue.empty(), "they are at it")
