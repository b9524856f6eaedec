"""A stranger's bytes cost the stranger its connection and nobody anything else.

Abstract names are open to every process of the machine. These connect to the name where the bus is met, and
to the name of a single endpoint, and are silent, talk garbage, lie about lengths, or bring descriptors
nobody wants.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import proc, roles, scarce, stranger, streams
from tests.support.wait import until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tests.conftest import Spawn
    from tests.support.child import Pending
    from tests.support.member import Member

#: Connections at once: more than the bus takes in at a time, so that it has to choose.
CROWD = 200

targets = pytest.mark.parametrize("target", [proc.rendezvous_name, proc.own_name], ids=["bus", "endpoint"])


@pytest.fixture
def crowd() -> Iterator[list[socket.socket]]:
    """Connections of a test, closed after it."""
    found: list[socket.socket] = []
    yield found
    for one in found:
        one.close()


def fill(name: bytes, crowd: list[socket.socket], count: int = CROWD) -> None:
    """Connect until there are enough, or nobody more is let in for a moment."""
    while len(crowd) < count:
        try:
            crowd.append(stranger.connect(name, bound=0.2))
        except AssertionError:
            return


def received(member: Member, receiving: Pending[list[Any]]) -> list[Any]:
    """End the receiving of a member and take what it has got."""
    ended = member.child.post(roles.version)
    payloads: list[Any] = receiving.result()
    ended.result()
    return payloads


@targets
def test_silent_connections_keep_no_friend_out(
    spawn: Spawn, bus: str, crowd: list[socket.socket], target: Callable[[int], bytes]
) -> None:
    """A crowd that connects and says nothing: friends join and open channels meanwhile, the crowd is
    dropped.
    """
    controller, moon = spawn.members(bus, "controller", "moon")
    late = spawn.child("late")
    late.call(roles.version)
    receiving = controller.child.begin(streams.collect)
    fill(target(controller.pid), crowd)
    begin = time.monotonic()
    late.call(roles.join, bus, ("late",))
    assert late.call(roles.send, "controller", b"late") == 1
    assert moon.send("controller", b"moon") == 1
    took = time.monotonic() - begin
    assert took < 3.0, "friends wait no longer than strangers are borne"
    for one in crowd:
        stranger.answers_until_closed(one, bound=5.0)
    assert sorted(received(controller, receiving)) == [b"late", b"moon"]


@targets
def test_friends_join_while_strangers_keep_coming(
    spawn: Spawn, bus: str, target: Callable[[int], bytes]
) -> None:
    """Silent strangers that come again whenever they are dropped, for two seconds; 20 friends get in."""
    controller, moon = spawn.members(bus, "controller", "moon")
    name = target(controller.pid)
    flood = spawn.child("flood")
    receiving = controller.child.begin(streams.collect)
    flooding = flood.begin(stranger.flood, name, 2.0)
    joiner = spawn.child("joiner")
    for number in range(20):
        joiner.call(roles.join, bus, (f"late-{number}",), name=str(number))
        assert moon.send(f"late-{number}", number) == 1
        assert joiner.call(roles.send, "controller", number, name=str(number)) == 1
    assert flooding.result() > 20
    assert sorted(received(controller, receiving)) == list(range(20))


def test_friends_join_while_the_queue_is_full_of_strangers(spawn: Spawn, bus: str) -> None:
    """Silent strangers fill all places and the queue behind them; nobody waits for them.

    (Each kept its place for 100 ms, 128 at a time, so a friend waited for up to ten seconds.)
    """
    controller = spawn.member(bus, "controller")
    crowd = spawn.child("crowd")
    pressing = crowd.begin(stranger.crowd, proc.rendezvous_name(controller.pid), 6000)
    crowd.wait_event("pressing")
    until(lambda: controller.stats()["refused_by_reason"]["join_crowded"] > 200, "it is crowded")
    joiner = spawn.child("joiner")
    took = []
    for number in range(5):
        begin = time.monotonic()
        joiner.call(roles.join, bus, ("late",), name=str(number), affinity=False)
        took.append(time.monotonic() - begin)
    ended = crowd.post(roles.version)
    assert pressing.result(20.0) > 0
    ended.result()
    assert sorted(took)[2] < 1.5, took


@targets
def test_garbage_costs_only_its_sender(spawn: Spawn, bus: str, target: Callable[[int], bytes]) -> None:
    """Every kind of wrong packet: the sender is thrown out, and a pair that talks does not notice."""
    controller, earth, moon = spawn.members(bus, "controller", "earth", "moon")
    name = target(controller.pid)
    assert moon.send("controller", b"before") == 1
    receiving = controller.child.begin(streams.collect)
    earth.child.begin(streams.echo)
    talk = moon.child.begin(streams.ping_until_called, "earth")
    moon.child.wait_event("talking")
    for data in stranger.garbage(150, seed=2):
        with stranger.connect(name) as one:
            said = stranger.say(one, data)
            assert said or len(data) > 65536
            stranger.answers_until_closed(one, bound=5.0)
    done = moon.child.post(roles.is_controller)
    rounds, longest, _ = talk.result()
    done.result()
    assert rounds > 0
    assert longest < 1.0
    earth.child.call(roles.peers)
    assert moon.send("controller", b"after") == 1
    assert received(controller, receiving) == [b"before", b"after"]
    assert spawn.member(bus, "late").peer_ids() == {controller.id, earth.id, moon.id}


@targets
def test_unwanted_descriptors_are_closed(spawn: Spawn, bus: str, target: Callable[[int], bytes]) -> None:
    """Descriptors that come with garbage, up to 253 a packet, do not stay behind."""
    controller = spawn.member(bus, "controller")
    name = target(controller.pid)
    controller.child.begin(streams.collect)
    before = len(proc.descriptors(controller.pid))
    spare = stranger.spare_descriptors(stranger.MAX_DESCRIPTORS)
    try:
        for count in (1, 2, 17, stranger.MAX_DESCRIPTORS):
            for data in (b"x", stranger.packet(b"\x00" * 41), stranger.packet(b"\x00" + bytes(40))):
                with stranger.connect(name) as one:
                    stranger.say(one, data, spare[:count])
                    if data == b"x":
                        stranger.answers_until_closed(one, bound=5.0)
    finally:
        for descriptor in spare:
            os.close(descriptor)
    until(lambda: len(proc.descriptors(controller.pid)) <= before, "as many descriptors as before")
    assert spawn.member(bus, "late").peer_ids() == {controller.id}


@targets
def test_descriptor_bombs_do_not_exhaust_a_small_process(
    spawn: Spawn, bus: str, target: Callable[[int], bytes]
) -> None:
    """A victim that may have only 64 descriptors is sent thousands; it stays a member and serves its
    friends.
    """
    child = spawn.limited_child(64, "victim")
    child.call(roles.join, bus, ("victim",))
    name = target(child.pid)
    moon = spawn.member(bus, "moon")
    assert moon.send("victim", b"before") == 1
    receiving = child.begin(streams.collect)
    spare = stranger.spare_descriptors(stranger.MAX_DESCRIPTORS)
    try:
        for number in range(40):
            with contextlib.closing(stranger.connect(name)) as one:
                stranger.say(one, b"x" if number % 2 else stranger.packet(b"\x00" + bytes(40)), spare)
    finally:
        for descriptor in spare:
            os.close(descriptor)
    assert moon.send("victim", b"after") == 1
    late = spawn.member(bus, "late")
    assert late.send("victim", b"late") == 1
    ended = child.post(roles.send, "moon", b"back")
    assert receiving.result() == [b"before", b"after", b"late"]
    assert ended.result() == 1
    assert moon.recv().payload == b"back"


@targets
def test_a_crowd_leaves_a_small_process_its_descriptors(
    spawn: Spawn, bus: str, crowd: list[socket.socket], target: Callable[[int], bytes]
) -> None:
    """Silent strangers that all come at once, to a process of 64 descriptors: it can go on opening files."""
    child = spawn.limited_child(64, "victim")
    child.call(roles.join, bus, ("victim",))
    child.call(scarce.open_again_and_again, 12, 0.0)
    child.stop()
    fill(target(child.pid), crowd)
    assert len(crowd) > 64
    # Both at once: the crowd is let in while the files are opened.
    opening = child.post(scarce.open_again_and_again, 12, 1.5)
    child.resume()
    assert opening.result() > 10


def test_a_wrong_version_is_told_ours(spawn: Spawn, bus: str) -> None:
    """Whoever speaks another version is told so in the form that all versions share, then thrown out."""
    controller = spawn.member(bus, "controller")
    ours, _ = controller.child.call(roles.version)
    with stranger.connect(proc.rendezvous_name(controller.pid)) as one:
        assert stranger.say(one, stranger.packet(b"from the future", version=999))
        (answer,) = stranger.answers_until_closed(one, bound=5.0)
    assert answer.startswith(stranger.packet(b"", version=ours))


def test_a_stranger_cannot_send(spawn: Spawn, bus: str) -> None:
    """Knowing an endpoint's name is not enough to open a channel: no message of a stranger is ever
    received.
    """
    controller, earth = spawn.members(bus, "controller", "earth", token="secret")
    name = proc.own_name(earth.pid)
    receiving = earth.child.begin(streams.collect)
    for data in stranger.opening_lies(controller.id, earth.id):
        memory = os.memfd_create("ring", os.MFD_ALLOW_SEALING)
        os.ftruncate(memory, 1 << 17)
        with stranger.connect(name) as one:
            assert stranger.say(one, data, [memory])
            stranger.say(one, b"D")
            stranger.answers_until_closed(one, bound=5.0)
        os.close(memory)
    assert controller.send("earth", b"a friend's") == 1
    assert received(earth, receiving) == [b"a friend's"]


def test_a_liar_that_comes_again_under_a_new_id_is_cut_off_again(spawn: Spawn, bus: str) -> None:
    """A member that lies on all its connections, leaves, and joins anew: who was lied to has forgotten it, and is none
    the worse for it, the fifth time as the first.
    """
    controller, earth, moon = spawn.members(bus, "controller", "earth", "moon")
    liar = spawn.child("liar")

    def lies() -> list[int]:
        return [one.stats()["refused_by_reason"]["lie"] for one in (controller, earth)]

    def descriptors() -> list[int]:
        return [len(proc.descriptors(one.pid)) for one in (controller, earth)]

    ids: set[Any] = set()
    before = lies()

    def live() -> None:
        ids.add(liar.call(roles.join, bus, ("liar",), affinity=False)[0])
        assert liar.call(roles.send, "earth", b"believed") == 1
        assert earth.recv().payload == b"believed"
        receiving = earth.child.begin(streams.collect)
        liar.call(streams.scribble, 0.1, len(ids))
        assert moon.send("earth", b"a friend's") == 1
        assert received(earth, receiving) == [b"a friend's"]
        until(
            lambda: all(now - then >= len(ids) for now, then in zip(lies(), before, strict=True)),
            "both have cut it off once more",
        )
        liar.call(roles.leave)
        until(lambda: earth.peer_ids() == {controller.id, moon.id}, "it has left")

    live()
    held = descriptors()
    for _ in range(4):
        live()
    assert len(ids) == 5
    until(
        lambda: all(now <= then for now, then in zip(descriptors(), held, strict=True)),
        "nothing is left over",
    )
