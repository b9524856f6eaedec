"""`ipmb.Queue` within one process: what `put`, `get`, `close` and the rest promise, and their arguments.

The cases of CPython's own tests of `multiprocessing.Queue` are here and in `test_queue_processes.py`, said anew. Where
a queue of ours differs on purpose (it pickles in `put`, so that errors are raised there), the test says so.
"""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import queue as stdlib
import random
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import ipmb
from tests.support import queues
from tests.support.wait import until
from tests.unit.test_threads import together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: What a loaded machine may add to a timeout.
LATE = 0.25


@pytest.fixture
def queue() -> Iterator[ipmb.Queue[Any]]:
    made: ipmb.Queue[Any] = ipmb.Queue()
    yield made
    made.close()


def took(call: Callable[[], object], error: type[BaseException]) -> float:
    begun = time.monotonic()
    with pytest.raises(error):
        call()
    return time.monotonic() - begun


def test_put_until_it_is_full() -> None:
    queue: ipmb.Queue[int] = ipmb.Queue(maxsize=6)
    assert (queue.empty(), queue.full()) == (True, False)
    queue.put(1)
    queue.put(2, True)
    queue.put(3, True, None)
    queue.put(4, False)
    queue.put(5, False, None)
    queue.put_nowait(6)
    assert (queue.empty(), queue.full(), queue.qsize()) == (False, True, 6)
    for at_once in (
        lambda: queue.put(7, False),
        lambda: queue.put(7, False, None),
        lambda: queue.put_nowait(7),
        lambda: queue.put(7, False, 2.6),
        lambda: queue.put(7, True, 0),
        lambda: queue.put(7, True, -1),
    ):
        assert took(at_once, stdlib.Full) < LATE
    assert 0.3 <= took(lambda: queue.put(7, True, 0.3), stdlib.Full) < 0.3 + LATE
    assert 0.1 <= took(lambda: queue.put(7, timeout=0.1), stdlib.Full) < 0.1 + LATE
    assert [queue.get() for _ in range(6)] == [1, 2, 3, 4, 5, 6]
    assert (queue.empty(), queue.full(), queue.qsize()) == (True, False, 0)


def test_get_until_it_is_empty(queue: ipmb.Queue[Any]) -> None:
    for number in range(1, 6):
        queue.put(number)
    found = [queue.get(True, None), queue.get(True), queue.get(timeout=1), queue.get(False)]
    assert [*found, queue.get_nowait()] == [1, 2, 3, 4, 5]
    assert queue.empty()
    for at_once in (
        lambda: queue.get(False),
        lambda: queue.get(False, None),
        queue.get_nowait,
        lambda: queue.get(False, 2.6),
        lambda: queue.get(True, 0),
        lambda: queue.get(True, -0.5),
    ):
        assert took(at_once, stdlib.Empty) < LATE
    assert 0.3 <= took(lambda: queue.get(True, 0.3), stdlib.Empty) < 0.3 + LATE
    assert 0.1 <= took(lambda: queue.get(timeout=0.1), stdlib.Empty) < 0.1 + LATE


def test_qsize(queue: ipmb.Queue[Any]) -> None:
    sizes = []
    for step in ("put", "put", "get", "get"):
        queue.put(1) if step == "put" else queue.get()
        sizes.append(queue.qsize())
    assert sizes == [1, 2, 1, 0]


def test_what_waits_is_woken(queue: ipmb.Queue[Any]) -> None:
    """A `get` by a `put`, and a `put` by a `get`."""
    full: ipmb.Queue[int] = ipmb.Queue(1)
    full.put(0)
    found: list[Any] = []

    def wake() -> None:
        time.sleep(0.05)
        queue.put("woken")
        found.append(full.get())

    together(lambda: found.append(queue.get(timeout=30)), lambda: full.put(1, timeout=30), wake)
    assert sorted(map(str, found)) == ["0", "woken"]
    assert full.get() == 1


def test_what_cannot_be_pickled_is_an_error_of_put() -> None:
    """Not of a thread that prints it and drops the item; and the queue goes on."""

    class NotSerializable:
        def __reduce__(self) -> str:
            raise AttributeError

    queue: ipmb.Queue[Any] = ipmb.Queue(maxsize=1)
    with pytest.raises(AttributeError):
        queue.put(NotSerializable())
    assert queue.qsize() == 0
    queue.put(True)
    assert queue.qsize() == 1
    assert queue.get(timeout=5) is True
    assert queue.empty()


def test_what_cannot_be_unpickled_is_an_error_of_get(queue: ipmb.Queue[Any]) -> None:
    queue.put(_Spoiled())
    queue.put("next")
    with pytest.raises(ZeroDivisionError):
        queue.get()
    assert queue.get() == "next"


class _Spoiled:
    def __reduce__(self) -> tuple[Any, ...]:
        return _spoil, ()


def _spoil() -> None:
    raise ZeroDivisionError


def test_an_item_is_as_it_was_when_it_was_put(queue: ipmb.Queue[Any]) -> None:
    item = [1, 2]
    queue.put(item)
    item.append(3)
    assert queue.get() == [1, 2]


def test_no_import_lock_contention(tmp_path: Path) -> None:
    """A module that uses a queue while it is itself imported."""
    (tmp_path / "imported.py").write_text(
        "import ipmb\nq = ipmb.Queue()\nq.put(['knock knock'])\nassert q.get(timeout=3) == ['knock knock']\n"
        "q.close()\ndel q\n"
    )
    subprocess.run([sys.executable, "-c", "import imported"], cwd=tmp_path, check=True, timeout=30)


def test_a_closed_queue_takes_and_gives_nothing() -> None:
    queue: ipmb.Queue[Any] = ipmb.Queue()
    queue.close()
    uses: list[Callable[[], object]] = [lambda: queue.put("foo"), queue.get]
    for use in (*uses, lambda: queue.put_nowait(1), queue.get_nowait):
        with pytest.raises(ValueError, match="is closed"):
            use()
    with pytest.raises(ValueError, match="is closed"):
        pickle.dumps(queue)


def test_a_closed_queue_says_what_was_in_it() -> None:
    """As in multiprocessing, also in that `empty` does so only where nothing was put."""
    queue: ipmb.Queue[Any] = ipmb.Queue()
    queue.close()
    queue.join_thread()
    assert queue.empty()
    queue = ipmb.Queue(1)
    queue.put("foo")
    queue.close()
    queue.join_thread()
    with pytest.raises(OSError, match="is closed"):
        queue.empty()
    assert (queue.qsize(), queue.full()) == (1, True)
    queue.close()
    queue.cancel_join_thread()


def test_join_thread_wants_it_closed(queue: ipmb.Queue[Any]) -> None:
    queue.cancel_join_thread()
    with pytest.raises(AssertionError, match="not closed"):
        queue.join_thread()
    queue.close()
    queue.join_thread()
    queue.join_thread()


def test_close_ends_what_waits_in_other_threads() -> None:
    empty: ipmb.Queue[Any] = ipmb.Queue()
    full: ipmb.Queue[Any] = ipmb.Queue(1)
    full.put(0)
    errors: list[str] = []

    def wait(call: Callable[[], object]) -> None:
        with pytest.raises(ValueError, match="is closed"):
            call()
        errors.append("closed")

    def close() -> None:
        time.sleep(0.05)
        empty.close()
        full.close()

    together(
        *(
            lambda call=call: wait(call)
            for call in (empty.get, lambda: empty.get(timeout=50), lambda: full.put(1))
        ),
        close,
    )
    assert errors == ["closed"] * 3


def test_a_queue_that_is_never_empty_fits_a_limit_on_files() -> None:
    """What has been read makes room, so that only what is in it counts."""
    code = (
        "import ipmb, resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20 << 20, 20 << 20))\n"
        "q = ipmb.Queue(); q.put(bytes(10_000))\n"
        "for _ in range(5000):\n    q.put(bytes(10_000)); q.get()\n"
        "try:\n    q.put(bytes(30 << 20))\nexcept OSError as error:\n    print(error.errno, q.qsize())\n"
        "q.get(); q.put('after'); print(q.get())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert run.stdout == "27 1\nafter\n"


def test_one_object_is_closed_and_the_other_goes_on(queue: ipmb.Queue[Any]) -> None:
    other: ipmb.Queue[Any] = pickle.loads(pickle.dumps(queue))
    third: ipmb.Queue[Any] = pickle.loads(pickle.dumps(other))
    queue.put(1)
    queue.close()
    assert (other.get(), third.empty()) == (1, True)
    other.put(2)
    other.close()
    assert third.get() == 2
    third.close()


@pytest.mark.parametrize(
    ("maxsize", "error", "text"),
    [
        ("3", TypeError, "maxsize is a str: give an int, 0 for no bound"),
        (1.5, TypeError, "maxsize is a float: give an int"),
        (None, TypeError, "maxsize is None"),
        (2**63, ValueError, "maxsize is 9223372036854775808: give at most"),
    ],
)
def test_bad_sizes(maxsize: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        ipmb.Queue(maxsize)


def test_sizes_without_bound() -> None:
    for maxsize in (0, -1, -(2**70)):
        queue: ipmb.Queue[int] = ipmb.Queue(maxsize)
        for number in range(100):
            queue.put_nowait(number)
        assert not queue.full()


def test_bad_timeouts(queue: ipmb.Queue[Any]) -> None:
    with pytest.raises(TypeError, match="timeout is a str: give 0 or more seconds, or None for ever"):
        queue.get(timeout="1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="timeout is NaN"):
        queue.get(timeout=float("nan"))
    queue.put(1)
    assert queue.get(timeout=float("inf")) == 1
    queue.put(1)
    assert queue.get(timeout=1e300) == 1


def test_repr(queue: ipmb.Queue[Any]) -> None:
    queue.put(1)
    assert repr(queue).startswith("<Queue ")
    assert repr(queue).endswith(", 1 items>")
    bounded: ipmb.Queue[Any] = ipmb.Queue(10)
    assert repr(bounded).endswith(", 0 of 10 items>")
    bounded.close()
    assert repr(bounded).endswith(", closed>")
    assert queue._address.token not in repr(queue._address)


def test_items_of_all_kinds_and_sizes(queue: ipmb.Queue[Any]) -> None:
    chance = random.Random(1)
    one, two = socket.socketpair()
    items: list[Any] = [None, "", b"", {"a": [1, 2.5, {3}]}, 2**100, ipmb.BytesMessage(1, b"x"), stdlib.Empty]
    items += [
        chance.randbytes(size) for size in (1, 4070, 4080, 4090, 65_000, 66_000, 1_000_000, 100_000_000)
    ]
    for item in items:
        queue.put(item)
    assert queue.qsize() == len(items)
    for item in items:
        assert queue.get() == item
    reader, writer = multiprocessing.Pipe(duplex=False)
    with one, two, reader, writer:
        queue.put([two, writer])  # what only multiprocessing's pickler knows
        copy, end = queue.get()
        with copy, end:
            end.send("x")
            copy.send(b"y")
        assert (reader.recv(), one.recv(1)) == ("x", b"y")


def test_thousands_of_items_while_nobody_reads(queue: ipmb.Queue[Any]) -> None:
    for number in range(20_000):
        queue.put([number, "x" * 100])
    assert queue.qsize() == 20_000
    assert all(queue.get() == [number, "x" * 100] for number in range(20_000))
    assert queue.empty()


@pytest.mark.parametrize("bound", [0, 1, 7])
@pytest.mark.parametrize("size", [10, 100_000])
def test_many_threads(bound: int, size: int) -> None:
    queue: ipmb.Queue[tuple[int, int, bytes]] = ipmb.Queue(bound)
    each = 300 if size == 10 else 100
    found: list[list[tuple[int, int, bytes]]] = []

    def put(who: int) -> None:
        for number in range(each):
            queue.put((who, number, bytes([who]) * size), timeout=30)

    def get() -> None:
        found.append([queue.get(timeout=30) for _ in range(each)])

    together(*(lambda who=who: put(who) for who in range(8)), *([get] * 8))
    for one in found:
        assert all(
            [number for who, number, _ in one if who == producer]
            == sorted(number for who, number, _ in one if who == producer)
            for producer in range(8)
        )
        assert all(payload == bytes([who]) * size for who, _, payload in one)
    pairs = sorted((who, number) for one in found for who, number, _ in one)
    assert pairs == [(who, number) for who in range(8) for number in range(each)]


def test_a_queue_that_nobody_has_closes_its_descriptors() -> None:
    gc.collect()
    before = queues.held()
    held = [ipmb.Queue[int](number % 2) for number in range(50)]
    assert queues.held() > before
    held.clear()
    assert queues.held() == before


def test_what_a_dead_end_costs_is_said(queue: ipmb.Queue[Any]) -> None:
    """Unpickling when nobody holds the queue any more: a clear error, soon."""
    address = pickle.dumps(queue)
    queue.close()
    begun = time.monotonic()
    with pytest.raises(ipmb.PeerLost, match="nobody holds queue"):
        pickle.loads(address)
    assert time.monotonic() - begun < 5


def test_a_pickle_is_an_address_and_the_holder_leaves() -> None:
    until(lambda: not queues.holders(), "those of other tests have ended")
    queue: ipmb.Queue[Any] = ipmb.Queue()
    assert len(pickle.dumps(queue)) < 300
    assert queues.holders() == 1
    queue.put("x")
    del queue
    until(lambda: not queues.holders(), "the thread that hands descriptors out has ended")


def test_a_copy_is_the_same_queue(queue: ipmb.Queue[Any]) -> None:
    import copy

    for other in (copy.copy(queue), copy.deepcopy(queue)):
        other.put("x")
        assert queue.get(timeout=5) == "x"
        other.close()


def test_a_class_of_a_program_stays_what_it_is() -> None:
    queue = Named(3)
    other = pickle.loads(pickle.dumps(queue))
    assert type(other) is Named
    other.put(1)
    assert queue.get(timeout=5) == 1


class Named(ipmb.Queue[int]):
    pass


def test_pickle_is_loaded_by_the_first_queue() -> None:
    code = (
        "import sys, ipmb; before = 'pickle' in sys.modules or 'multiprocessing' in sys.modules; "
        "ipmb.Queue(); print(before, 'pickle' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    assert run.stdout == "False True\n"


def test_forked_by_hand_and_closed_there() -> None:
    """A child closes its queue; the parent's is as it was."""
    code = (
        "import os, ipmb\n"
        "q = ipmb.Queue(); q.put(1)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    q.put(2); q.close(); os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "print(q.get(), q.get(), q.qsize())\n"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    assert run.stdout == "1 2 0\n"


def test_a_close_wakes_who_is_about_to_wait() -> None:
    """However the close falls between a thread's look and its wait."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(300):
            queue: ipmb.Queue[int] = ipmb.Queue()
            ended: list[str] = []

            def wait(queue: ipmb.Queue[int] = queue, ended: list[str] = ended) -> None:
                try:
                    queue.get()
                except ValueError as error:
                    ended.append(str(error))

            thread = threading.Thread(target=wait, daemon=True)
            thread.start()
            for _ in range(number % 60):
                pass
            queue.close()
            thread.join(10)
            assert not thread.is_alive(), f"try {number} hangs"
            assert "is closed" in ended[0]
    finally:
        sys.setswitchinterval(before)
