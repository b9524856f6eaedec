"""Those who send more than a receiver wants hold up neither its calls, nor its other threads, nor other senders."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support import floods

if TYPE_CHECKING:
    from tests.conftest import Spawn

#: No call, no thread and no other sender's message may be held up for longer.
SECONDS = 1.0


@pytest.mark.timeout(90, method="signal")
def test_what_is_not_taken_holds_nobody_up(spawn: Spawn, bus: str) -> None:
    """Three senders flood a receiver with a type that it does not take; a fourth has something for it."""
    sink = spawn.child("sink")
    sink.call(floods.join_for_text, bus)
    pressing = []
    for number in range(3):
        flooder = spawn.child(f"flooder-{number}")
        flooder.call(floods.join, bus, f"flooder-{number}")
        pressing.append((flooder, flooder.begin(floods.press, "sink", b"")))
    moon = spawn.member(bus, "moon")
    taking = sink.begin(floods.take_until_called)
    begin = time.monotonic()
    while time.monotonic() - begin < 4:
        assert moon.send("sink", str(time.monotonic()), timeout=5.0) == 1
        time.sleep(0.2)
    done = sink.post(floods.nothing)
    found = taking.result(20)
    done.result()
    for flooder, flood in pressing:
        end = flooder.post(floods.nothing)
        assert flood.result(20) > 1000, "it was a flood"
        end.result()
    assert len(found["late"]) >= 10, "the wanted ones came"
    assert max(found["late"]) < SECONDS, "another sender's message"
    assert found["longest call"] < SECONDS, "a call of 0.1 s"
    assert found["longest pause"] < SECONDS, "another thread of the receiver"


@pytest.mark.timeout(90, method="signal")
def test_a_burst_taken_at_once_holds_up_nobody_else(spawn: Spawn, bus: str) -> None:
    """A receiver takes 256 at a time from one who floods it, and works on each: newcomers are soon among them."""
    sink, flooder = spawn.child("sink"), spawn.child("flooder")
    sink.call(floods.join, bus, "sink")
    flooder.call(floods.join, bus, "flooder")
    newcomers = spawn.members(bus, *(f"moon-{number}" for number in range(4)))
    pressing = flooder.begin(floods.press, "sink", b"")
    working = sink.begin(floods.work_until_called, 256, 0.0004)
    for newcomer in newcomers:
        time.sleep(0.7)  # the flood alone is at it again
        assert newcomer.send("sink", time.monotonic(), timeout=5.0) == 1
    time.sleep(SECONDS)  # the last one has as long as it may take
    ends = sink.post(floods.nothing), flooder.post(floods.nothing)
    late = working.result(20)
    pressing.result(20)
    for end in ends:
        end.result()
    assert len(late) == len(newcomers)
    assert max(late) < SECONDS, late


@pytest.mark.timeout(90, method="signal")
def test_all_that_is_there_is_taken_without_stopping_the_other_threads(spawn: Spawn, bus: str) -> None:
    """One call for ten million messages, while three senders keep up with it for two seconds."""
    sink = spawn.child("sink")
    sink.call(floods.join, bus, "sink")
    pressing = []
    for number in range(3):
        flooder = spawn.child(f"flooder-{number}")
        flooder.call(floods.join, bus, f"flooder-{number}")
        pressing.append((flooder, flooder.begin(floods.press, "sink", b"")))
    taking = sink.begin(floods.take_all, 10_000_000, 2.0)
    time.sleep(2.5)
    for flooder, flood in pressing:
        end = flooder.post(floods.nothing)
        assert flood.result(20) > 1000, "it was a flood"
        end.result()
    count, pause = taking.result(30)
    assert count > 1000
    assert pause < SECONDS
