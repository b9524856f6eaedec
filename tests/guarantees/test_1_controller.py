"""Guarantee 1: a talking pair does not need the controller.

Two endpoints that talk keep talking, without a pause and without loss, while the controller is dead, stopped,
or being replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support import roles, streams
from tests.support.member import controller_among
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn
    from tests.support.child import Child, Pending
    from tests.support.member import Member

#: How much longer than in the undisturbed conversation one round trip may take. The machine's own hiccups
#: are of this order (a few time slices); a bus that waited for a controller would take far longer.
HICCUP = 0.15


def converse(spawn: Spawn, bus: str, *, affinity: bool) -> tuple[Member, Member, Member]:
    """A controller that takes no part, an endpoint that echoes, and one that will ask."""
    controller, earth = spawn.members(bus, "controller", "earth")
    moon = spawn.member(bus, "moon", affinity=affinity)
    assert controller.was_controller
    assert not earth.was_controller
    earth.child.begin(streams.echo)
    moon.child.call(streams.ping, "earth", 200)
    return controller, earth, moon


def undisturbed(moon: Member) -> float:
    """The longest round trip while nothing happens to the controller."""
    return max(moon.child.call(streams.ping, "earth", 0, seconds=0.5))


def test_while_the_controller_is_stopped(spawn: Spawn, bus: str) -> None:
    """Guarantee 1: the controller stands still for a second, the conversation does not."""
    controller, _, moon = converse(spawn, bus, affinity=True)
    usual = undisturbed(moon)
    controller.stop()
    times = moon.child.call(streams.ping, "earth", 0, seconds=1.0)
    controller.resume()
    assert len(times) > 20
    assert max(times) < usual + HICCUP


def test_while_the_controller_is_replaced(spawn: Spawn, bus: str) -> None:
    """Guarantee 1: the controller is killed in mid-conversation and another takes over."""
    controller, earth, moon = converse(spawn, bus, affinity=True)
    usual = undisturbed(moon)
    talk = moon.child.begin(streams.ping_until_called, "earth")
    moon.child.wait_event("talking")
    controller.kill()
    late = spawn.member(bus, "late")  # is admitted by whoever has taken over
    rounds, longest, _ = _end(moon, talk)
    assert rounds > 20
    assert longest < usual + HICCUP
    earth.child.call(roles.peers)  # ends the echo
    controller_among([earth, moon, late])
    assert sum(one.is_controller() for one in (earth, moon, late)) == 1
    assert late.peer_ids() == {earth.id, moon.id}


def test_while_there_is_no_controller_at_all(spawn: Spawn, bus: str) -> None:
    """Guarantee 1: nobody may take over, and the two go on without."""
    controller = spawn.member(bus, "controller")
    earth = spawn.member(bus, "earth", affinity=False)
    moon = spawn.member(bus, "moon", affinity=False)
    earth.child.begin(streams.echo)
    moon.child.call(streams.ping, "earth", 200)
    usual = undisturbed(moon)
    controller.kill()
    times = moon.child.call(streams.ping, "earth", 0, seconds=1.0)
    assert len(times) > 20
    assert max(times) < usual + HICCUP
    assert not moon.is_controller()


def test_while_a_newcomer_becomes_controller(spawn: Spawn, bus: str) -> None:
    """Guarantee 1: nobody could take over, until somebody joins who makes the bus anew: they talk through
    it.
    """
    controller = spawn.member(bus, "controller")
    earth = spawn.member(bus, "earth", affinity=False)
    moon = spawn.member(bus, "moon", affinity=False)
    newcomer = spawn.child("newcomer")
    newcomer.call(roles.version)
    earth.child.begin(streams.echo)
    usual = undisturbed(moon)
    talk = moon.child.begin(streams.ping_until_called, "earth")
    moon.child.wait_event("talking")
    controller.kill()
    joined, made = newcomer.call(roles.join, bus, ("newcomer",))
    assert made
    until(lambda: {earth.id, moon.id} <= _ids(newcomer), "the old members are back")
    rounds, longest, _ = _end(moon, talk)
    assert rounds > 20
    assert longest < usual + HICCUP
    until(lambda: joined in moon.peer_ids(), "and see the newcomer")


def _ids(child: Child) -> set[int]:
    return {peer[0] for peer in child.call(roles.peers)}


def test_no_loss_in_a_stream_across_takeovers(spawn: Spawn, bus: str) -> None:
    """Guarantee 1: a stream of numbers is complete and in order although three controllers die during it."""
    controllers = spawn.members(bus, "first", "second", "third")
    earth = spawn.member(bus, "earth", affinity=False)
    moon = spawn.member(bus, "moon", affinity=False)
    count = 60_000
    arriving = earth.child.begin(streams.recv_in_order, count)
    stream = moon.child.begin(streams.send_in_order, "earth", count, every=10_000)
    for _ in range(3):
        moon.child.wait_event("milestone")
        controller_among(controllers).kill()
    assert stream.result(60) == count
    assert arriving.result(60) == count


def test_a_channel_is_opened_without_the_controller(spawn: Spawn, bus: str) -> None:
    """Guarantee 1: the first message between two endpoints needs only these two."""
    controller, earth, moon = spawn.members(bus, "controller", "earth", "moon")
    controller.stop()
    assert moon.send("earth", b"first") == 1
    assert earth.recv().payload == b"first"
    assert earth.send("moon", b"back") == 1
    assert moon.recv().payload == b"back"
    controller.kill()
    assert moon.send("earth & !moon", b"after") == 1
    assert earth.recv().payload == b"after"


def _end(moon: Member, talk: Pending[tuple[int, float, float]]) -> tuple[int, float, float]:
    """End an endless conversation by calling something else, and fetch what it reports."""
    call = moon.child.post(roles.is_controller)
    rounds, longest, median = talk.result()
    call.result()
    return rounds, longest, median
