"""Every call that waits: Ctrl-C ends it soon, closing ends it, and while it waits other threads run.

`tests/support/blocking.py` has the table of calls; each test takes all of them.
"""

from __future__ import annotations

import signal
import statistics
import time
from typing import TYPE_CHECKING

import pytest

from tests.support import blocking, blocking_aio, proc, streams

if TYPE_CHECKING:
    from tests.conftest import Spawn

#: The package promises 50 ms. One of several tries has to keep it; what else the machine does must not delay any other
#: by more than this.
PROMISED = 0.05
LOADED = 0.3

ITERATIONS = {"iteration", "watch iteration", "serve", "serve in threads"}


@pytest.mark.parametrize("what", blocking.ALL)
def test_ctrl_c_is_raised_soon(spawn: Spawn, bus: str, what: str) -> None:
    child = spawn.child(what)
    times = []
    for number in range(3):
        pending = child.begin(blocking.until_interrupted, what, f"{bus}.{number}")
        child.wait_event("waiting")
        proc.wait_all_asleep(child.pid)
        begin = time.monotonic()
        child.signal(signal.SIGINT)
        raised = pending.result()
        assert isinstance(raised, float), "the call ended without KeyboardInterrupt"
        times.append(raised - begin)
    assert min(times) < PROMISED
    assert statistics.median(times) < LOADED


@pytest.mark.parametrize("what", blocking.CLOSABLE)
def test_closing_in_another_thread_ends_it(spawn: Spawn, bus: str, what: str) -> None:
    """With `Closed`; loops simply end."""
    child = spawn.child(what)
    pending = child.begin(blocking.closed, what, bus)
    child.wait_event("waiting")
    proc.wait_all_asleep(child.pid)
    next_call = child.post(proc.threads, child.pid)
    assert pending.result() == ("returned" if what in ITERATIONS else "Closed")
    next_call.result()


@pytest.mark.parametrize("what", blocking.ALL)
def test_other_threads_run_while_it_waits(spawn: Spawn, bus: str, what: str) -> None:
    """The interpreter lock is free: another thread counts about as far as it does alone."""
    child = spawn.child(what)
    alone = child.call(streams.count_alone, 0.3)
    assert child.call(blocking.counted, what, bus, 0.3) > alone / 5


@pytest.mark.parametrize("loop", blocking_aio.LOOPS)
@pytest.mark.parametrize("what", blocking_aio.WAITS)
def test_ctrl_c_ends_an_asynchronous_program(spawn: Spawn, bus: str, what: str, loop: str) -> None:
    """`KeyboardInterrupt` comes out of the event loop, which has closed everything by then."""
    child = spawn.child(what)
    pending = child.begin(blocking_aio.until_interrupted, what, bus, loop)
    child.wait_event("waiting")
    proc.wait_all_asleep(child.pid)
    begin = time.monotonic()
    child.signal(signal.SIGINT)
    ended = pending.result()
    assert isinstance(ended, float), "the program ended without KeyboardInterrupt"
    assert ended - begin < LOADED
    assert child.call(len, "the process goes on") > 0
