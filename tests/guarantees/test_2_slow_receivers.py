"""Guarantee 2: a receiver that is slow, stopped or hostile delays nobody but those who send to it."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from tests.support import proc, roles, streams
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn

#: See test_1: the machine's own hiccups.
HICCUP = 0.15


def test_a_stopped_receiver_delays_no_other_pair(spawn: Spawn, bus: str) -> None:
    """Guarantee 2: a pair talks as before while a third stands still and its sender waits for room."""
    _, earth, moon, sun, stopped = spawn.members(bus, "controller", "earth", "moon", "sun", "stopped")
    earth.child.begin(streams.echo)
    before = moon.child.call(streams.ping, "earth", 0, seconds=0.5)
    stopped.stop()
    blocked = sun.child.begin(roles.send_until_error, "stopped", 1000, timeout=20.0)
    proc.wait_asleep(sun.pid)
    times = moon.child.call(streams.ping, "earth", 0, seconds=1.0)
    assert statistics.median(times) < 2 * statistics.median(before) + 0.002
    assert max(times) < max(before) + HICCUP
    assert not blocked.ready(), "the sender waits for the one that stands"
    stopped.kill()
    sent, error = blocked.result()
    assert sent > 1
    assert error == "", "its death frees the sender, which then finds no match"


def test_one_sender_serves_others_while_one_of_its_receivers_stands(spawn: Spawn, bus: str) -> None:
    """Guarantee 2: with `error` and `drop` not even the sender waits for the one that stands."""
    earth, moon, stopped = spawn.members(bus, "earth", "moon", "stopped")
    stopped.stop()
    _, error = moon.child.call(roles.send_until_error, "stopped", 1000, overflow="error")
    assert error == "Full"
    assert moon.send("stopped", bytes(1000), overflow="drop") == 0
    assert moon.send_numbers("earth", 0, 500) == [1] * 500
    assert earth.recv_numbers(500) == list(range(500))


def test_a_multicast_reaches_the_others(spawn: Spawn, bus: str) -> None:
    """Guarantee 2: one of three receivers stands; with `drop` the two others get every copy."""
    one, two, three, moon = spawn.members(bus, "planet", "planet", "planet", "moon")
    three.stop()
    bursts = 40
    reached: list[int] = []
    for burst in range(
        bursts
    ):  # short ones, so that the healthy rings never fill and every miss is the stopped one's
        arriving = [member.child.begin(roles.recv_numbers, 100) for member in (one, two)]
        reached += moon.send_numbers("planet", 100 * burst, 100, size=64, mode="multicast", overflow="drop")
        for pending in arriving:
            numbers = [number for number, _ in pending.result()]
            assert numbers == list(range(100 * burst, 100 * burst + 100))
    assert set(reached) == {2, 3}, "three until the ring of the one that stands is full, then two"
    assert moon.stats()["dropped"] == reached.count(2)
    three.resume()
    assert len(three.recv_numbers(len(reached), timeout=0.5)) == reached.count(3)


def test_a_multicast_that_waited_reaches_the_others(spawn: Spawn, bus: str) -> None:
    """Guarantee 2: two match what waited, one of them stands; the other gets all of it, and what is for it alone.

    Seen: the other got no more than the ring of the one that stood could take, and no unicast at all.
    """
    spawn.member(bus, "controller")
    moon = spawn.member(bus, "moon", affinity=False)
    count = 300  # four rings of one who stands
    moon.send_numbers("planet", 0, count, size=1000, mode="multicast", ttl=60.0)
    assert moon.stats()["waiting"] == count
    # It finds both at once.
    moon.stop()
    one = spawn.member(bus, "planet", "one")
    stopped = spawn.member(bus, "planet", "stopped")
    stopped.stop()
    moon.resume()
    assert one.recv_numbers(count) == list(range(count))
    assert moon.send("one", b"alone") == 1
    assert one.recv().payload == b"alone"
    # What is owed to the one that stands goes before what is sent to it now, and nobody else gets it.
    spawn.member(bus, "planet").nothing_comes()
    assert moon.send("stopped", count, overflow="drop") == 0
    stopped.resume()
    assert stopped.recv_numbers(count) == list(range(count))
    until(lambda: moon.stats()["waiting"] == 0, "nothing is owed any more")
    assert moon.stats()["sent"] == 2 * count + 1
    assert moon.stats()["dropped_by_reason"]["full"] == moon.stats()["dropped"] == 1
    one.nothing_comes()


def test_what_waited_for_one_that_dies_is_over(spawn: Spawn, bus: str) -> None:
    """The same, and the one that stood is killed: it is counted what that one did not get, and nothing waits on."""
    spawn.member(bus, "controller")
    moon = spawn.member(bus, "moon", affinity=False)
    count = 300
    moon.send_numbers("planet", 0, count, size=1000, mode="multicast", ttl=60.0)
    moon.stop()
    one, stopped = spawn.members(bus, "planet", "planet")
    stopped.stop()
    moon.resume()
    assert one.recv_numbers(count) == list(range(count))
    assert moon.stats()["waiting"] > 0
    stopped.kill()
    until(lambda: moon.stats()["waiting"] == 0, "nothing is owed any more")
    stats = moon.stats()
    assert stats["dropped_by_reason"]["receiver_gone"] == count
    assert stats["expired"] == 0
    one.nothing_comes()


def test_what_waited_for_one_that_stands_survives_its_sender(spawn: Spawn, bus: str) -> None:
    """The same, and the sender is killed: the controller delivers the rest, and whoever has a message gets it once."""
    spawn.member(bus, "controller")
    moon = spawn.member(bus, "moon", affinity=False)
    count = 300
    moon.send_numbers("planet", 0, count, size=1000, mode="multicast", ttl=60.0)
    moon.stop()
    one, stopped = spawn.members(bus, "planet", "planet")
    stopped.stop()
    moon.resume()
    assert one.recv_numbers(count) == list(range(count))
    moon.kill()
    stopped.resume()
    # The controller's channel is another one than the dead sender's: which is read first is open.
    assert sorted(stopped.recv_numbers(count)) == list(range(count))
    one.nothing_comes()


def test_a_slow_reader_slows_only_its_own_sender(spawn: Spawn, bus: str) -> None:
    """Guarantee 2: somebody reads one message every 20 ms; others do not feel it."""
    _, earth, moon, sun, slow = spawn.members(bus, "controller", "earth", "moon", "sun", "slow")
    earth.child.begin(streams.echo)
    before = moon.child.call(streams.ping, "earth", 0, seconds=0.5)
    reading = slow.child.begin(streams.recv_slowly, 0.02)
    sending = sun.child.begin(streams.send_until_called, "slow", 4000)
    times = moon.child.call(streams.ping, "earth", 0, seconds=1.0)
    sun.child.post(roles.is_controller)
    sent = sending.result()
    slow.child.post(roles.is_controller)
    read = reading.result()
    assert sent > read > 10
    assert statistics.median(times) < 2 * statistics.median(before) + 0.002
    assert max(times) < max(before) + HICCUP


def test_a_peer_that_scribbles_on_its_sockets_harms_only_itself(spawn: Spawn, bus: str) -> None:
    """Guarantee 2: a member sends garbage on every connection it has; the others go on."""
    controller, earth, moon, hostile = spawn.members(bus, "controller", "earth", "moon", "hostile")
    for other in (controller, earth, moon):
        assert hostile.send(other.label[0], b"before") == 1
        assert other.recv().payload == b"before"
        assert other.send("hostile", b"before") == 1
    earth.child.begin(streams.echo)
    scribbling = hostile.child.begin(streams.scribble, 2.0, 7)
    times = moon.child.call(streams.ping, "earth", 0, seconds=1.5)
    assert max(times) < 1.0
    assert scribbling.result() > 10
    earth.child.call(roles.peers)  # ends the echo
    hostile.kill()
    assert moon.send("controller", b"after") == 1
    assert controller.recv().payload == b"after"
    assert spawn.member(bus, "late").send("earth", b"late") == 1
    assert earth.recv().payload == b"late"
