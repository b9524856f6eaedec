"""The instruments are checked before what they measure.

A test can only fail if its helper can see the failure: these show that a dead, silent or raising child is
noticed, and that the counters count.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.support import instruments, plain_user, proc
from tests.support.child import ChildDiedError, RemoteError
from tests.support.syscalls import Tracer
from tests.support.wait import NeverError, until

if TYPE_CHECKING:
    from tests.conftest import Spawn


def test_a_call_returns_its_value(spawn: Spawn) -> None:
    assert spawn.child().call(instruments.double, b"\x00\n'\"") == b"\x00\n'\"" * 2


def test_an_exception_comes_back_with_its_bases(spawn: Spawn) -> None:
    error = spawn.child().post(instruments.double, None).fails("TypeError")
    assert error.is_a("Exception")
    with pytest.raises(RemoteError, match="unsupported operand"):
        spawn.child().call(instruments.double, None)


def test_a_death_is_noticed(spawn: Spawn) -> None:
    child = spawn.child()
    with pytest.raises(ChildDiedError, match="SIGKILL"):
        child.call(instruments.kill_oneself)
    child.kill()


def test_a_crash_nobody_asked_for_fails_the_test(spawn: Spawn) -> None:
    child = spawn.child()
    pending = child.begin(time.sleep, 60)
    os.kill(child.pid, signal.SIGSEGV)
    with pytest.raises(ChildDiedError):
        pending.result()
    with pytest.raises(AssertionError, match="SIGSEGV"):
        child.finish()
    spawn._children.remove(child)


def test_silence_is_bounded(spawn: Spawn) -> None:
    pending = spawn.child().begin(time.sleep, 0.5)
    with pytest.raises(NeverError, match="did not report"):
        pending.result(0.05)


def test_a_stopped_child_stands_and_goes_on(spawn: Spawn) -> None:
    child = spawn.child()
    child.stop()
    pending = child.post(instruments.double, 2)
    with pytest.raises(NeverError):
        pending.result(0.05)
    child.resume()
    assert pending.result() == 4


def test_sleep_is_told_from_work(spawn: Spawn) -> None:
    child = spawn.child()
    child.begin(instruments.work, 1.0)
    with pytest.raises(NeverError):
        proc.wait_asleep(child.pid, bound=0.2)
    child.begin(time.sleep, 0.3)
    proc.wait_asleep(child.pid)
    before = proc.switches(child.pid)
    child.call(instruments.double, 1)
    assert proc.switches(child.pid) > before


def test_system_calls_are_counted(spawn: Spawn) -> None:
    child = spawn.child()
    child.call(instruments.marked_calls, 1, 1)
    counted = Tracer(child.pid).count(lambda: child.post(instruments.marked_calls, 3, 5), pairs=3)
    assert [len(one) for one in counted] == [5, 5, 5], [str(one) for one in counted]
    assert child.call(instruments.double, 3) == 6, "the child goes on untraced"


def test_a_plain_child_is_plain(spawn: Spawn) -> None:
    child = spawn.plain_child(nofile=100)
    uid, limit, privileges = child.call(instruments.who)
    assert uid == (plain_user.NOBODY if os.getuid() == 0 else os.getuid())
    assert limit == (100, 100)
    assert not privileges, "a plain user may at most read files"


def test_listening_sockets_are_found(spawn: Spawn) -> None:
    child = spawn.child()
    name = f"ipmb-test-{os.getpid()}".encode()
    child.call(instruments.listen, name)
    assert until(lambda: proc.listening_names(child.pid), "the name") == [name]
