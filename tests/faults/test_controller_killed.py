"""The controller is killed over and over while many endpoints are on the bus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.torture import trial
from tests.faults.torture.trials.controllers import EACH, ENDPOINTS, PROCESSES, Controllers
from tests.support import proc, roles, streams, successions
from tests.support.limits import bound
from tests.support.member import controller_among
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn


@pytest.mark.timeout(180, method="signal")
def test_with_200_endpoints_and_a_pair_that_talks() -> None:
    """Each has the directory of each next controller soon, nobody is lost from it, and the pair does not pause.

    The figures of a busy machine are its own; the trial sees to it that half of the takeovers take no second, and that
    half of the pair's pauses are as long as without, but for a tenth of one.
    """
    trial.in_ci(Controllers())


def test_members_do_not_push_each_other_out(spawn: Spawn, bus: str) -> None:
    """All that are on a bus come at once to its next controller, more of them than it bears strangers: each has its
    turn. (They were sent away, and tried again and again with longer pauses: half a second for 200 endpoints.)
    """
    controller, heir = spawn.members(bus, "controller", "heir")
    hosts = [spawn.child("host") for _ in range(PROCESSES)]
    for number, host in enumerate(hosts):
        host.call(successions.join_many, bus, number * EACH, EACH, bound=60.0)
    controller.kill()
    for number, host in enumerate(hosts):
        host.call(successions.wait_for_succession, number * EACH, EACH)
    assert bound("PENDING_JOINS") < ENDPOINTS
    assert heir.stats()["refused_by_reason"]["join_crowded"] == 0
    assert len(heir.peers()) == ENDPOINTS
    for number in range(0, ENDPOINTS, 7):
        assert heir.send(f"end-{number}", number) == 1
        got = hosts[number // EACH].call(roles.recv, name=str(number))
        assert (got[0], got[1]) == (number, heir.id)


def test_a_join_meanwhile_is_admitted_quickly(spawn: Spawn, bus: str) -> None:
    """Joins that come while the controller is dying get in: the name is never free, the backlog waits."""
    controllers = spawn.members(bus, *["controller"] * 4)
    joiner = spawn.child("joiner")
    joiner.call(roles.version)
    took = []
    for number in range(3):
        controller = controller_among(controllers)
        controllers.remove(controller)
        controller.kill()
        begin = time.monotonic()
        _, made = joiner.call(roles.join, bus, (f"late-{number}",), name=str(number), affinity=False)
        took.append(time.monotonic() - begin)
        assert not made
        # Who has not yet noticed the takeover does not yet see the newcomer either.
        until(lambda: controllers[0].send(f"late-{number}", number) == 1, "a sender knows the newcomer")  # noqa: B023
        assert joiner.call(roles.recv, name=str(number))[0] == number
    assert sorted(took)[1] < 0.5, took


def test_no_split_when_the_controller_is_only_stopped(spawn: Spawn, bus: str) -> None:
    """A stopped controller keeps its role: nobody takes over, and all is well when it goes on."""
    first, second = spawn.members(bus, "first", "second")
    first.stop()
    spawn.child("joiner").post(roles.join, bus, ("late",), timeout=0.7).fails("JoinTimeout")
    assert not second.is_controller()
    first.resume()
    late = spawn.member(bus, "late")
    assert first.is_controller()
    assert late.peer_ids() == {first.id, second.id}


def test_the_controller_leaves_by_itself(spawn: Spawn, bus: str) -> None:
    """A clean leave of the controller hands the role over as its death does."""
    first, second, third = spawn.members(bus, "first", "second", "third")
    first.leave()
    until(lambda: second.is_controller() != third.is_controller(), "exactly one controller")
    until(lambda: first.id not in third.peer_ids(), "it has left")
    late = spawn.member(bus, "late")
    assert late.peer_ids() == {second.id, third.id}


def test_members_that_died_with_the_controller_go_too(spawn: Spawn, bus: str) -> None:
    """Who does not register again and does not listen any more is taken off the list."""
    controller, second, dead, alive = spawn.members(bus, "controller", "second", "dead", "alive")
    alive.stop()  # cannot register again, but is no dead man
    controller.stop()
    dead.kill()
    controller.kill()
    late = spawn.member(bus, "late")
    until(lambda: late.peer_ids() == {second.id, alive.id}, "the dead are gone, the stopped one is not")
    assert late.send("alive", b"wake up") == 1
    alive.resume()
    assert alive.recv().payload == b"wake up"
    assert late.send("dead", b"x") == 0


def test_waiting_messages_survive_takeovers(spawn: Spawn, bus: str) -> None:
    """Messages with a ttl wait in their sender, whoever is controller."""
    controllers = spawn.members(bus, *["controller"] * 3)
    moon = spawn.member(bus, "moon")
    assert moon.send_numbers("late", 0, 50, ttl=60) == [0] * 50
    controllers[0].kill()
    assert moon.send_numbers("late", 50, 50, ttl=60) == [0] * 50
    controller_among([*controllers[1:], moon])
    late = spawn.member(bus, "late")
    assert late.recv_numbers(100) == list(range(100))
    late.nothing_comes()


def test_a_stream_to_many_while_controllers_die(spawn: Spawn, bus: str) -> None:
    """Multicast through two takeovers: every planet gets every number."""
    controllers = spawn.members(bus, "controller", "controller", "controller")
    planets = spawn.members(bus, "planet", "planet", affinity=False)
    moon = spawn.member(bus, "moon", affinity=False)
    arriving = [planet.child.begin(streams.recv_plain_numbers, 4000) for planet in planets]
    for burst in range(8):
        assert moon.send_numbers("planet", 500 * burst, 500, mode="multicast", timeout=20.0) == [2] * 500
        if burst in (2, 5):
            (one,) = [one for one in controllers if one.child.alive and one.is_controller()]
            one.kill()
            until(
                lambda: any(one.child.alive and one.is_controller() for one in controllers),
                "a new controller",
            )
    for pending in arriving:
        assert pending.result(30) == list(range(4000))
    proc.wait_asleep(moon.pid)
