"""`ipmb.Queue` between processes: as an argument under each start method, and in the programs people write with it.

The programs are in `tests/support/queues.py` and run in interpreters of their own, where forking is no risk for the
tests.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support import proc, queues

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Spawn
    from tests.support.child import Child

METHODS = ["fork", "spawn", "forkserver"]

#: Interpreters that start interpreters take their time on a loaded machine.
BOUND = 50.0

#: Ctrl-C: the bus promises 50 ms; the rest is what a loaded machine may take to let both processes run.
SOON = 0.05 + 0.1


@pytest.fixture
def program(spawn: Spawn) -> Child:
    return spawn.child("program")


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_of_workers(program: Child, method: str) -> None:
    found = program.call(queues.pool_of_workers, method, bound=BOUND)
    assert found == [(number, number * number) for number in range(100)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("size", "count"), [(0, 3000), (1_000_000, 20), (100_000_000, 1)])
def test_a_child_puts_and_exits_at_once(program: Child, method: str, size: int, count: int) -> None:
    assert program.call(queues.puts_and_exits, method, size, count, bound=BOUND) == [True] * count


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", ["close", "drop"])
def test_whoever_starts_a_child_may_let_go_of_the_queue(program: Child, method: str, how: str) -> None:
    assert program.call(queues.starter_lets_go, method, how, bound=BOUND) == "put before"


@pytest.mark.parametrize("method", METHODS)
def test_the_one_in_between_dies(program: Child, method: str) -> None:
    assert program.call(queues.creator_dies, method, bound=BOUND) == "from the grandchild"


@pytest.mark.parametrize("method", METHODS)
def test_initializers_of_pools(program: Child, method: str) -> None:
    assert program.call(queues.pool_initializer, method, bound=BOUND) == list(range(20))
    assert program.call(queues.executor_initializer, method, bound=BOUND) == list(range(20))


@pytest.mark.parametrize("method", METHODS)
def test_tasks_of_pools(program: Child, method: str) -> None:
    assert program.call(queues.task_argument, method, bound=BOUND) == list(range(10))


@pytest.mark.parametrize("method", METHODS)
def test_other_ways_to_another_process(program: Child, method: str) -> None:
    assert program.call(queues.through_a_pipe, method, bound=BOUND) == "by pipe"
    assert program.call(queues.through_a_queue, method, bound=BOUND) == "by queue"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bound", [0, 5])
def test_many_producers_and_consumers(program: Child, method: str, bound: int) -> None:
    assert program.call(queues.many_producers_and_consumers, method, bound, 3, 400, bound=BOUND)


@pytest.mark.parametrize("method", METHODS)
def test_a_get_whose_only_producer_is_dead_times_out(program: Child, method: str) -> None:
    took, size = program.call(queues.only_child_is_killed, method, bound=BOUND)
    assert 1.0 <= took < 1.5
    assert size == 0


def test_forks_while_threads_are_at_it(program: Child) -> None:
    assert program.call(queues.fork_with_threads, 50, bound=BOUND) == list(range(50))


@pytest.mark.timeout(120, method="signal")
def test_a_thousand_queues_leave_nothing(program: Child) -> None:
    before, after, threads = program.call(queues.many_queues, 1000, bound=100.0)
    assert after <= before
    assert threads == 0


def test_few_descriptors_are_an_ordinary_error(program: Child) -> None:
    found, error = program.call(queues.with_few_descriptors, 40, bound=BOUND)
    assert error == 24  # EMFILE
    assert found == list(range(len(found)))
    assert len(found) >= 10


@pytest.mark.parametrize("what", ["get", "put"])
@pytest.mark.parametrize("timeout", [None, 60.0])
def test_ctrl_c_ends_a_wait(program: Child, what: str, timeout: float | None) -> None:
    for _ in range(3):
        waiting = program.begin(queues.when_interrupted, what, timeout)
        program.wait_event("waiting")
        proc.wait_asleep(program.pid)
        begun = time.monotonic()
        program.signal(signal.SIGINT)
        assert waiting.result() - begun < SOON


def test_ctrl_c_at_any_moment_leaves_a_queue_that_works(program: Child) -> None:
    assert program.call(queues.interrupted_over_and_over, 300, bound=BOUND) == (300, 1)


def test_signal_handlers_may_put(program: Child) -> None:
    handled, arrived = program.call(queues.handlers_use_it_too, 300, bound=BOUND)
    assert handled == arrived >= 300


@pytest.mark.parametrize("how", [queues.exits_with_a_blocked_thread, queues.exits_while_busy])
def test_the_interpreter_exits_under_daemon_threads(spawn: Spawn, how: Callable[[], None]) -> None:
    """The child ends well and soon, or `Spawn` complains."""
    for _ in range(5):
        child = spawn.child("leaver")
        child.call(how, bound=BOUND)
        spawn.forget(child)
