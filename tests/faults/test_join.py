"""Joining when the bus is absent, stopped, closed to us, or not a bus at all."""

from __future__ import annotations

import os
import socket
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support import proc, roles, stranger
from tests.support.marks import as_root
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Spawn


def test_a_stopped_controller_is_a_timeout(spawn: Spawn, bus: str) -> None:
    """`join` ends with `JoinTimeout` at its timeout, and works once the controller goes on."""
    controller = spawn.member(bus, "controller")
    child = spawn.child("joiner")
    child.call(roles.version)  # the imports are done before the clock is started
    controller.stop()
    begin = time.monotonic()
    error = child.post(roles.join, bus, ("late",), timeout=0.5).fails("JoinTimeout")
    took = time.monotonic() - begin
    assert error.is_a("TimeoutError")
    assert 0.5 <= took < 1.5
    controller.resume()
    child.call(roles.join, bus, ("late",))
    assert child.call(roles.send, "controller", b"here") == 1


def test_a_join_that_waits_gets_in_when_the_controller_goes_on(spawn: Spawn, bus: str) -> None:
    controller = spawn.member(bus, "controller")
    child = spawn.child("joiner")
    controller.stop()
    joining = child.begin(roles.join, bus, ("late",), timeout=None)
    proc.wait_asleep(child.pid)
    assert not joining.ready()
    controller.resume()
    assert joining.result()[1] is False


def test_a_join_that_waits_gets_in_when_the_controller_dies(spawn: Spawn, bus: str) -> None:
    """Whoever takes over admits it; the name is never free in between."""
    controller, earth = spawn.members(bus, "controller", "earth")
    child = spawn.child("joiner")
    controller.stop()
    joining = child.begin(roles.join, bus, ("late",), timeout=20.0)
    proc.wait_asleep(child.pid)
    controller.kill()
    joining.result()
    assert child.call(roles.send, "earth", b"here") == 1
    assert earth.recv().payload == b"here"


def test_without_affinity_it_waits_for_a_bus(spawn: Spawn, bus: str) -> None:
    """`controller_affinity=False` never makes a bus; it waits, and joins when there is one."""
    child = spawn.child("waiting")
    child.post(roles.join, bus, ("waiting",), affinity=False, timeout=0.3).fails("JoinTimeout")
    child.post(roles.join, bus, ("waiting",), affinity=False, timeout=0).fails("JoinTimeout")
    joining = child.begin(roles.join, bus, ("waiting",), affinity=False, timeout=20.0)
    until(lambda: proc.state(child.pid) == "S", "it waits")
    assert not joining.ready()
    controller = spawn.member(bus, "controller")
    assert controller.was_controller
    assert joining.result()[1] is False
    assert controller.send("waiting", b"hello") == 1


def test_without_affinity_nobody_takes_over_and_a_newcomer_finds_the_old(spawn: Spawn, bus: str) -> None:
    """The last possible controller dies; the next one that comes gathers the members that were left."""
    controller = spawn.member(bus, "controller")
    earth = spawn.member(bus, "earth", affinity=False)
    moon = spawn.member(bus, "moon", affinity=False)
    assert moon.send("earth", b"before") == 1
    controller.kill()
    newcomer = spawn.member(bus, "newcomer")
    assert newcomer.was_controller
    until(lambda: newcomer.peer_ids() == {earth.id, moon.id}, "the old members are back")
    until(lambda: newcomer.id in moon.peer_ids(), "they see the newcomer")
    assert moon.send("newcomer", b"hello") == 1
    assert newcomer.send("earth", b"hello") == 1
    assert not earth.is_controller()
    assert not moon.is_controller()


@pytest.mark.parametrize(("theirs", "ours"), [("secret", "wrong"), ("secret", ""), ("", "secret")])
def test_a_token_that_differs_is_refused(spawn: Spawn, bus: str, theirs: str, ours: str) -> None:
    """Both ways round, also where only one side has a token at all; and those inside notice nothing."""
    controller = spawn.member(bus, "controller", token=theirs)
    child = spawn.child("joiner")
    for _ in range(3):
        child.post(roles.join, bus, ("late",), token=ours).fails("TokenMismatch")
    assert controller.peers() == []
    child.call(roles.join, bus, ("late",), token=theirs)
    assert child.call(roles.send, "controller", b"here") == 1
    assert controller.recv().payload == b"here"


def test_the_token_survives_a_takeover(spawn: Spawn, bus: str) -> None:
    """The next controller asks for the same token, and its members still trust each other."""
    first, second, third = spawn.members(bus, "first", "second", "third", token="secret")
    first.kill()
    spawn.child("liar").post(roles.join, bus, (), token="wrong", timeout=20.0).fails("TokenMismatch", 30.0)
    late = spawn.member(bus, "late", token="secret")
    for member in (second, third):
        assert late.send(member.label[0], b"hello") == 1
        assert member.recv().payload == b"hello"


@as_root
def test_another_user_is_refused(spawn: Spawn, bus: str) -> None:
    """Before anything it says is parsed; and root's bus goes on."""
    controller = spawn.member(bus, "controller")
    error = spawn.plain_child("nobody").post(roles.join, bus, ("nobody",)).fails("PermissionDenied")
    assert error.is_a("PermissionError")
    assert error.is_a("JoinError")
    assert controller.peers() == []


@as_root
def test_a_name_that_another_user_holds_is_not_trusted(spawn: Spawn, bus: str) -> None:
    """Any user can squat a name; whoever finds it held by another one does not talk to the holder."""
    squatter = spawn.plain_child("squatter")
    squatter.call(roles.join, bus, ("squatter",))
    spawn.child("joiner").post(roles.join, bus, ("victim",)).fails("PermissionDenied")
    assert squatter.call(roles.peers) == []


@as_root
def test_one_plain_user_is_one_bus(spawn: Spawn, bus: str) -> None:
    """Two processes of the same plain user meet as two of root do."""
    earth, moon = spawn.plain_child("earth"), spawn.plain_child("moon")
    earth.call(roles.join, bus, ("earth",))
    moon.call(roles.join, bus, ("moon",))
    assert moon.call(roles.send, "earth", b"hello") == 1
    assert earth.call(roles.recv)[0] == b"hello"


@contextmanager
def held_name(spawn: Spawn, bus: str) -> Iterator[socket.socket]:
    """Hold the name of a bus without being one: learnt from a real one that has gone."""
    child = spawn.child("before")
    child.call(roles.join, bus)
    name = proc.rendezvous_name(child.pid)
    spawn.forget(child)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as holder:
        holder.bind(b"\0" + name)
        holder.listen()
        holder.settimeout(10.0)
        yield holder


def test_a_silent_holder_of_the_name_is_a_timeout(spawn: Spawn, bus: str) -> None:
    """Something holds the name and says nothing: a clear error at the timeout, not a guess."""
    with held_name(spawn, bus):
        spawn.child("joiner").post(roles.join, bus, timeout=0.5).fails("JoinTimeout")


@pytest.mark.parametrize("answer", stranger.garbage(8, seed=1)[1:], ids=lambda answer: f"{len(answer)} bytes")
def test_a_holder_that_talks_garbage_is_an_error(spawn: Spawn, bus: str, answer: bytes) -> None:
    """A wrong protocol ends in a `JoinError`, never in a crash or past the timeout."""
    with held_name(spawn, bus) as holder:
        joining = spawn.child("joiner").begin(roles.join, bus, timeout=1.0)
        one, _ = holder.accept()
        with one:
            assert stranger.say(one, answer)
            joining.fails("JoinError")


def test_another_version_is_named(spawn: Spawn, bus: str) -> None:
    """A holder of another protocol version is a `VersionMismatch`, whatever else it says."""
    with held_name(spawn, bus) as holder:
        joining = spawn.child("joiner").begin(roles.join, bus, timeout=10.0)
        one, _ = holder.accept()
        with one:
            one.recv(1 << 16)
            assert stranger.say(one, stranger.packet(b"what the future brings", version=999))
            error = joining.fails("VersionMismatch")
    assert "999" in error.text


def test_a_holder_that_cannot_prove_the_token_is_not_joined(spawn: Spawn, bus: str) -> None:
    """The proof is mutual: a squatter that admits everybody gets nobody."""
    with held_name(spawn, bus) as holder:
        joining = spawn.child("joiner").begin(roles.join, bus, token="secret", timeout=3.0)
        one, _ = holder.accept()
        with one:
            hello = one.recv(1 << 16)
            assert hello.startswith(stranger.MAGIC)
            assert stranger.say(one, stranger.packet(b"\x00" + bytes(32)))  # a challenge
            request = one.recv(1 << 16)
            assert b"secret" not in hello + request, "the token is never shown"
            descriptors = [os.memfd_create("lie") for _ in range(4)]
            stranger.say(
                one, stranger.packet(b"\x01\x01\x01" + bytes(32) + b"\x05"), descriptors
            )  # a welcome
            joining.fails("JoinError")
            for descriptor in descriptors:
                os.close(descriptor)


@pytest.mark.parametrize("identifier", ["x" * 243, "ä" * 121, " a b/c\n\t", "/..", ".com.solar"])
def test_any_identifier_is_a_bus_of_its_own(spawn: Spawn, identifier: str) -> None:
    """Length and content of an identifier are no matter of the socket's name, and no two ever meet."""
    unique = uuid.uuid4().hex[:12] + identifier
    earth, moon = spawn.members(unique, "earth", "moon")
    assert moon.send("earth", b"hello") == 1
    assert spawn.member(unique[:-1] + "?", "other").peers() == []
    assert earth.peer_ids() == {moon.id}
