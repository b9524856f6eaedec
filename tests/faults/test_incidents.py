"""Each loss, refusal, shortage and takeover is counted, and the first of its kind logged with what to do.

One case for each kind: something is done to a member, a counter of one member has to rise, and that member has to
log one line that says what to do, however often it happens. Nothing else is logged at a warning's level. One kind no
process can bring about here, an id that is taken: crates/bus/src/node/tests.rs does.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import (
    attacks,
    hostile_memory,
    incidents,
    objects,
    proc,
    roles,
    scarce,
    stranger,
    streams,
)
from tests.support.limits import bound
from tests.support.marks import as_root
from tests.support.member import Member
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Spawn


class Scene:
    """A bus with a controller and a member, both of which listen to what is logged."""

    def __init__(self, spawn: Spawn, bus: str, *, nofile: int | None = None, affinity: bool = True) -> None:
        self.spawn, self.bus = spawn, bus
        child = spawn.limited_child(nofile, "controller") if nofile else spawn.child("controller")
        self.controller = self.listening(child, "controller")
        self.moon = self.listening(spawn.child("moon"), "moon", affinity=affinity)

    def listening(self, child: Any, label: str, **options: Any) -> Member:
        child.call(incidents.listen)
        return Member.join(child, self.bus, label, **options)

    def read(self, member: Member, work: Callable[[], Any]) -> None:
        """Do something while a member receives."""
        receiving = member.child.begin(streams.collect)
        work()
        member.child.post(roles.version).result()
        receiving.result()

    def check(
        self,
        member: Member,
        where: str,
        kind: str,
        what_to_do: str,
        level: str = "WARNING",
        *,
        alone: bool = True,
    ) -> None:
        """The counter has risen, its sum with it, and it was told once; `alone`: nothing else was."""

        def counted() -> int:
            found = member.stats()[where]
            return int(found[kind] if kind else found)

        until(lambda: counted() > 0, f"{where} {kind} is counted", every=0.02)
        for sums, parts in (
            ("dropped", "dropped_by_reason"),
            ("refused", "refused_by_reason"),
            ("shortages", "shortages_by_kind"),
        ):
            stats = member.stats()
            assert stats[sums] == sum(stats[parts].values())
        lines = until(
            lambda: [line for line in member.child.call(incidents.told) if what_to_do in line[1]],
            "it is told",
        )
        assert [line[0] for line in lines] == [level], lines
        assert f"{member.id:#x}" in lines[0][1]
        warnings = [line for line in member.child.call(incidents.told) if line[0] == "WARNING"]
        assert not alone or len(warnings) == (1 if level == "WARNING" else 0), warnings


@pytest.fixture
def scene(spawn: Spawn, bus: str) -> Scene:
    return Scene(spawn, bus)


def knock(name: bytes, *packets: bytes) -> None:
    """Twice, because the second is counted and not told."""
    for _ in range(2):
        with stranger.connect(name) as one:
            for data in packets:
                stranger.say(one, data)
            stranger.answers_until_closed(one)


@as_root
def test_another_user_at_the_door(scene: Scene) -> None:
    scene.spawn.plain_child().post(roles.join, scene.bus, ()).fails("PermissionDenied")
    scene.check(scene.controller, "refused_by_reason", "join_permission", "have all endpoints admit its user")


def test_another_token(scene: Scene) -> None:
    for _ in range(2):
        scene.spawn.child().post(roles.join, scene.bus, (), token="wrong").fails("TokenMismatch")
    scene.check(scene.controller, "refused_by_reason", "join_token", "give the same token")
    assert scene.controller.stats()["refused"] == 2


@pytest.mark.parametrize(
    ("kind", "packets", "what_to_do"),
    [
        ("join_version", [stranger.packet(b"", version=999)], "use the same release"),
        ("join_malformed", [b"GET / HTTP/1.1"], "look what connects to this bus"),
        ("join_silent", [], "look for a stopped process"),
    ],
)
def test_a_stranger_at_the_bus(scene: Scene, kind: str, packets: list[bytes], what_to_do: str) -> None:
    knock(proc.rendezvous_name(scene.controller.pid), *packets)
    scene.check(scene.controller, "refused_by_reason", kind, what_to_do)
    assert scene.controller.stats()["refused_by_reason"][kind] == 2


@pytest.mark.parametrize(
    ("kind", "packets", "what_to_do"),
    [
        ("channel_malformed", [b"GET / HTTP/1.1"], "look what connects to this endpoint"),
        ("channel_silent", [], "look for a stopped process"),
    ],
)
def test_a_stranger_at_an_endpoint(scene: Scene, kind: str, packets: list[bytes], what_to_do: str) -> None:
    scene.read(scene.moon, lambda: knock(proc.own_name(scene.moon.pid), *packets))
    scene.check(scene.moon, "refused_by_reason", kind, what_to_do)


def test_an_opening_without_the_proof(scene: Scene) -> None:
    def lie() -> None:
        memory = os.memfd_create("ring", os.MFD_ALLOW_SEALING)
        for data in stranger.opening_lies(scene.controller.id, scene.moon.id)[::2]:
            with stranger.connect(proc.own_name(scene.moon.pid)) as one:
                stranger.say(one, data, [memory])
                stranger.answers_until_closed(one)
        os.close(memory)

    scene.read(scene.moon, lie)
    scene.check(scene.moon, "refused_by_reason", "channel_proof", "look what connects to this endpoint")


@as_root
def test_another_user_at_an_endpoint(scene: Scene) -> None:
    other, name = scene.spawn.plain_child(), proc.own_name(scene.moon.pid)

    def open_channels() -> None:
        for _ in range(2):
            other.call(stranger.knock, name)

    scene.read(scene.moon, open_channels)
    scene.check(scene.moon, "refused_by_reason", "channel_permission", "look what connects to this endpoint")
    assert scene.moon.stats()["refused_by_reason"]["channel_permission"] == 2


def test_a_newcomer_for_whom_there_is_no_room(scene: Scene) -> None:
    """The kernel lets the controller watch no more connections. (They were dropped, and nobody counted them.)

    A bus of 4,096 members counts the same: crates/bus/src/controller/tests/mod.rs.
    """
    scene.controller.child.call(scarce.watch_nothing_more)
    scene.spawn.child().post(roles.join, scene.bus, (), timeout=1.0).fails("JoinTimeout")
    scene.check(scene.controller, "refused_by_reason", "join_full", "close some endpoints")


@pytest.mark.parametrize("kind", ["join_crowded", "channel_crowded"])
def test_too_many_at_the_door(spawn: Spawn, bus: str, kind: str) -> None:
    """A process of 64 descriptors bears eight strangers; those that come first make room."""
    scene = Scene(spawn, bus, nofile=64)
    name = (proc.rendezvous_name if kind == "join_crowded" else proc.own_name)(scene.controller.pid)

    def crowd() -> None:
        scene.controller.stop()
        many = [stranger.connect(name) for _ in range(30)]
        scene.controller.resume()
        stranger.answers_until_closed(many[0])
        for one in many:
            one.close()

    scene.read(scene.controller, crowd)
    until(lambda: scene.controller.stats()["refused_by_reason"][kind] > 0, "they are counted")
    lines = [text for _, text in scene.controller.child.call(incidents.told)]
    assert len([text for text in lines if "for a newer one" in text]) == 1, lines


def test_memory_that_is_none(scene: Scene) -> None:
    liar = scene.spawn.child("liar")
    liar.post(hostile_memory.lie, scene.bus, "region", "unsealed", "moon")
    receiving = scene.moon.child.begin(streams.collect)
    liar.wait_event("cut off")
    scene.moon.child.post(roles.version).result()
    receiving.result()
    scene.check(scene.moon, "refused_by_reason", "memory", "end that process")


def test_a_member_that_breaks_the_protocol(scene: Scene) -> None:
    """It writes garbage on all its sockets: its receiver and the controller cut it off."""
    liar = scene.spawn.member(scene.bus, "liar", affinity=False)
    assert liar.send("moon", b"ready") == 1
    assert scene.moon.recv().payload == b"ready"
    scene.read(scene.moon, lambda: liar.child.call(streams.scribble, 0.5, 1))
    scene.check(scene.moon, "refused_by_reason", "lie", "end that process")
    # The liar comes again, and writes garbage there, too.
    scene.check(scene.controller, "refused_by_reason", "lie", "end that process", alone=False)


def test_a_name_that_somebody_else_holds(scene: Scene) -> None:
    earth = scene.spawn.member(scene.bus, "earth", affinity=False)
    name = proc.own_name(earth.pid)
    scene.controller.stop()
    earth.kill()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as impostor:
        impostor.bind(b"\0" + name)
        impostor.listen()
        assert scene.moon.send("earth", b"secret") == 0
        scene.check(scene.moon, "refused_by_reason", "impostor", "end that process")
    scene.controller.resume()


@as_root
def test_a_controller_that_does_not_admit_us(spawn: Spawn, bus: str) -> None:
    """Nobody could follow the dead controller, and another user has taken the name."""
    scene = Scene(spawn, bus, affinity=False)
    squatter = spawn.plain_child("squatter")
    squatter.call(roles.version)
    scene.controller.kill()
    squatter.call(roles.join, bus, ("squatter",))
    scene.check(scene.moon, "refused_by_reason", "rejoin", "it sees no newcomers meanwhile")


def test_no_descriptor_for_a_newcomer(spawn: Spawn, bus: str) -> None:
    scene = Scene(spawn, bus, nofile=64)
    scene.controller.child.call(attacks.take_all_but, 0)
    joining = spawn.child("late").begin(roles.join, bus, ("late",), timeout=20.0)
    until(lambda: scene.controller.stats()["shortages_by_kind"]["open_files"] > 0, "it is counted")
    scene.controller.child.call(attacks.give_back)
    joining.result()
    scene.check(scene.controller, "shortages_by_kind", "open_files", "raise ulimit -n")


def test_no_descriptor_for_the_new_controller(spawn: Spawn, bus: str) -> None:
    """A member cannot even connect to it. (It said that the new controller does not admit it.)"""
    scene = Scene(spawn, bus, affinity=False)
    heir = spawn.member(bus, "heir")
    scene.moon.child.call(scarce.no_more)
    scene.controller.kill()
    until(heir.is_controller, "there is another one")
    scene.check(scene.moon, "shortages_by_kind", "open_files", "raise ulimit -n")
    assert scene.moon.stats()["refused"] == 0
    scene.moon.child.call(scarce.as_before)
    until(lambda: scene.moon.stats()["takeovers"] == 1, "it has registered")


def test_no_descriptor_for_who_takes_over_from_a_receiver(spawn: Spawn, bus: str) -> None:
    """What the dead one had not read waits for a channel to another match. (Nobody was told what for.)"""
    scene = Scene(spawn, bus, affinity=False)
    worker = spawn.member(bus, "worker", affinity=False)
    assert scene.moon.send_numbers("worker", 0, 3) == [1] * 3
    heir = spawn.member(bus, "worker", affinity=False)
    scene.moon.child.call(scarce.no_more)
    worker.kill()
    scene.check(scene.moon, "shortages_by_kind", "open_files", "raise ulimit -n")
    scene.moon.child.call(scarce.as_before)
    assert heir.recv_marked(3) == [(0, True), (1, True), (2, True)]


def test_no_room_to_wait(scene: Scene) -> None:
    assert scene.moon.child.call(streams.park_until_error, "late", 15_000, bound=30)[1] == "Full"
    scene.check(scene.moon, "shortages_by_kind", "parking", "give shorter ttls", "INFO")


def test_a_ring_that_does_not_grow(spawn: Spawn, bus: str) -> None:
    """The receiver has no descriptor for the larger memory: its sender goes on with the small ring."""
    scene = Scene(spawn, bus, nofile=64)
    assert scene.moon.send("controller", b"opens the channel") == 1
    assert scene.controller.recv().payload == b"opens the channel"
    scene.controller.child.call(attacks.take_all_but, 0)
    # Full again and again, and read each time: that is how a pair proves busy.
    for _ in range(bound("FULL_RINGS_BEFORE_GROWTH") + 3):
        count, error = scene.moon.child.call(roles.send_until_error, "controller", 4000, overflow="error")
        assert error == "Full"
        assert len(scene.controller.recv_numbers(count)) == count
    scene.controller.child.call(attacks.give_back)
    scene.check(scene.moon, "shortages_by_kind", "ring_growth", "waits more often", "INFO")


def test_a_full_ring_and_overflow_drop(scene: Scene) -> None:
    scene.moon.child.call(roles.send_until_error, "controller", 1000, overflow="drop")
    scene.check(scene.moon, "dropped_by_reason", "full", "reads too slowly", "INFO")


def test_what_waits_for_room_when_its_sender_leaves(scene: Scene) -> None:
    """Two of a group read nothing and are full; one dies, and the other has no room for what that one had not read."""
    workers = [scene.spawn.member(scene.bus, "worker", affinity=False) for _ in range(2)]
    for one in workers:
        one.stop()
    assert scene.moon.child.call(roles.send_until_error, "worker", 4000, overflow="error")[1] == "Full"
    workers[0].kill()
    until(lambda: len(scene.moon.peers()) == 2, "moon knows that it is dead")
    scene.moon.child.call(incidents.close)
    scene.check(scene.moon, "dropped_by_reason", "closed", "close it later")
    workers[1].resume()


def test_a_second_copy(scene: Scene) -> None:
    """Its sender was killed after it had sent what had waited, and before it said so: the controller sends it again."""
    sender = scene.spawn.member(scene.bus, "sender", affinity=False)
    assert [sender.send("late", number, ttl=60) for number in range(4)] == [0] * 4
    sender.child.call(incidents.remember_what_waits)
    late = scene.listening(scene.spawn.child("late"), "late", affinity=False)
    assert late.recv_all(0.3) == list(range(4))
    assert sender.child.call(incidents.put_it_back) == 1
    sender.kill()
    assert late.recv_all(0.5) == []
    scene.check(late, "duplicates", "", "nothing to do", "INFO")
    assert late.stats()["duplicates"] == 4


def test_attachments_that_die_with_their_sender(scene: Scene) -> None:
    dead = scene.spawn.member(scene.bus, "dead", affinity=False)
    assert dead.child.call(objects.send_numbered, "late", 2, ttl=600) == 0
    dead.kill()
    scene.check(scene.controller, "dropped_by_reason", "sender_gone", "send it from a process that lives on")


def test_a_reply_that_is_late(scene: Scene) -> None:
    replying = scene.controller.child.begin(incidents.reply_late)
    scene.moon.child.call(incidents.ask_and_give_up, "controller")
    replying.result()
    scene.check(scene.moon, "dropped_by_reason", "late_reply", "a longer timeout", "INFO")


def test_a_ttl_that_ends(scene: Scene) -> None:
    assert scene.moon.send("late", b"x", ttl=0.05) == 0
    scene.check(scene.moon, "expired", "", "give a longer ttl")


def test_a_redelivery(scene: Scene) -> None:
    worker, heir = (scene.spawn.member(scene.bus, "worker", affinity=False) for _ in range(2))
    assert [scene.moon.send("worker", number) for number in range(4)] == [1] * 4
    worker.kill()
    assert len(heir.recv_all(0.3)) == 4
    scene.check(scene.moon, "redelivered", "", "look why that one died", "INFO")
    assert scene.moon.stats()["dropped"] == 0


def test_a_takeover(scene: Scene) -> None:
    scene.controller.kill()
    until(scene.moon.is_controller, "moon takes over")
    scene.check(scene.moon, "takeovers", "", "look why it died", "INFO")


def test_a_payload_that_is_not_taken(scene: Scene) -> None:
    assert scene.moon.child.call(incidents.recv_only_text) == "taken"
    (line,) = until(lambda: scene.moon.child.call(incidents.told), "it is told")
    assert line[0] == "INFO"
    assert "have its receiver take the type" in line[1]
