"""Reaching the descriptor limit is an ordinary error for the one who did, and ends when descriptors are
free again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import attacks, proc, replies, roles, scarce
from tests.support.nursery import Nursery
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn

LIMIT = 60
MANY = 80


def test_joining_until_it_is_reached(spawn: Spawn, bus: str) -> None:
    """`join` fails with an ordinary error, what has joined works on, and after leaving one can join again."""
    earth = spawn.member(bus, "earth")
    child = spawn.limited_child(LIMIT)
    joined, error = child.call(scarce.join_until_error, bus, MANY, bound=60)
    assert 2 <= joined < MANY
    assert "JoinError" in error or "OSError" in error
    for name in (0, joined - 1):
        assert child.call(roles.send, "earth", name, name=str(name)) == 1
        assert earth.recv().payload == name
    for name in range(joined // 2, joined):
        child.call(roles.leave, str(name))
    assert child.call(scarce.join_until_error, bus, 1, first=1000) == (1, [])
    assert child.call(roles.send, "earth", b"again", name="1000") == 1
    assert earth.recv().payload == b"again"


def test_sending_to_more_than_fit(spawn: Spawn, bus: str) -> None:
    """A sender runs out of descriptors for channels: `send` says so, and the open channels work on."""
    host = spawn.child("host")
    for number in range(MANY):
        host.call(roles.join, bus, (f"end-{number}",), name=str(number))
    child = spawn.limited_child(LIMIT)
    child.call(roles.join, bus, ("limited",), affinity=False)
    reached, error = child.call(scarce.send_to_each, MANY, bound=60)
    assert 2 <= reached < MANY
    assert "IpmbError" in error or "OSError" in error
    for _ in range(3):
        for number in (0, reached - 1):
            assert child.call(roles.send, f"end-{number}", b"still") == 1
    assert host.call(roles.send, "limited", b"back", name="0") == 1
    child.post(roles.recv).fails("TooManyOpenFiles")
    for number in range(reached // 2):
        host.call(roles.leave, str(number))
    got, _ = child.call(scarce.recv_despite_errors, 1.0, bound=30)
    assert got == [b"back"], "it waited until there was room"


def test_a_multicast_without_descriptors_reaches_nobody(spawn: Spawn, bus: str) -> None:
    """Seen: the first receivers had a message whose `send` said that nothing was sent."""
    receivers = spawn.members(bus, "all", "all", "all", "all")
    child = spawn.limited_child(LIMIT)
    child.call(roles.join, bus, ("limited",), affinity=False)
    # Each round gets further, with the channels that the one before could open.
    for free in (1, 2, 3):
        child.call(attacks.take_all_but, free)
        child.post(roles.send, "all", free, mode="multicast").fails("OSError")
        child.call(attacks.give_back)
    assert child.call(roles.send, "all", b"again", mode="multicast") == len(receivers)
    for receiver in receivers:
        assert receiver.recv().payload == b"again"


def test_a_multicast_that_waited_finds_descriptors_for_one_of_two(spawn: Spawn, bus: str) -> None:
    """The other gets it when there are descriptors again.

    Seen: it never did, and nobody counted it.
    """
    spawn.member(bus, "controller")
    child = spawn.limited_child(LIMIT)
    child.call(roles.join, bus, ("limited",), affinity=False)
    assert child.call(roles.send, "planet", b"waited", mode="multicast", ttl=60.0) == 0
    # Room for one channel, and not for two.
    child.call(attacks.take_all_but, 2)
    child.stop()
    receivers = spawn.members(bus, "planet", "planet", affinity=False)
    child.resume()
    until(lambda: child.call(roles.stats)["shortages_by_kind"]["open_files"], "it has tried")
    assert child.call(roles.stats)["waiting"] == 1
    child.call(attacks.give_back)
    for receiver in receivers:
        assert receiver.recv().payload == b"waited"
        receiver.nothing_comes()
    assert child.call(roles.stats)["waiting"] == 0


def test_receiving_from_more_than_fit(spawn: Spawn, bus: str) -> None:
    """More senders than a receiver can connect to: as some go, the others' messages come; none is lost."""
    host = spawn.child("host")
    for number in range(MANY):
        host.call(roles.join, bus, (f"end-{number}",), name=str(number))
    child = spawn.limited_child(LIMIT)
    child.call(roles.join, bus, ("limited",), affinity=False)
    for number in range(MANY):
        assert host.call(roles.send, "limited", number, name=str(number), timeout=2.0) == 1
    for number in range(MANY):
        host.call(roles.leave, str(number))
    got, errors = child.call(scarce.recv_despite_errors, 1.0, bound=30)
    assert sorted(got) == list(range(MANY))
    assert errors <= MANY


def test_a_controller_that_cannot_take_more(spawn: Spawn, bus: str) -> None:
    """Joiners beyond the controller's limit get a clear error; members talk on; when some leave, others get
    in.
    """
    controller = spawn.limited_child(LIMIT, "controller")
    controller.call(roles.join, bus, ("controller",))
    child = spawn.child("joiner")
    joined, error = child.call(scarce.join_until_error, bus, MANY, timeout=1.0, affinity=False, bound=60)
    assert 2 <= joined < MANY
    assert "JoinError" in error
    assert child.call(roles.send, "end-1", b"x", name="0") == 1
    assert child.call(roles.recv, name="1")[0] == b"x"
    for name in range(4, joined):
        child.call(roles.leave, str(name))
    assert child.call(scarce.join_until_error, bus, 1, first=1000, affinity=False) == (1, [])
    assert child.call(roles.send, "controller", b"hello", name="1000") == 1
    assert controller.call(roles.recv)[0] == b"hello"
    proc.wait_asleep(controller.pid)
    until(lambda: proc.state(controller.pid) == "S", "the controller rests")


def test_a_process_with_no_descriptor_left(spawn: Spawn, bus: str) -> None:
    """The application itself has used up every descriptor: sends in the ring go on, a large one is an
    error.
    """
    earth = spawn.member(bus, "earth")
    child = spawn.limited_child(LIMIT)
    child.call(roles.join, bus, ("limited",), affinity=False)
    assert child.call(roles.send, "earth", b"before") == 1
    assert earth.send("limited", b"before") == 1
    assert child.call(roles.recv)[0] == b"before"
    in_ring, large, after = child.call(scarce.with_no_descriptor_left, "earth")
    assert in_ring == 1
    assert "SendError" in large or "OSError" in large
    assert after == 1
    assert [earth.recv().payload for _ in range(2)] == [b"before", b"in the ring"]
    assert len(earth.recv().payload) == 100_000


def test_a_reply_waits_for_descriptors(spawn: Spawn, bus: str) -> None:
    """The channel of a reply finds no room: the one who asks waits for it, as long as it waits for the reply.

    Seen: `request` raised at once, with the advice to receive again, which nobody can do with a request; the reply was
    counted as late.
    """
    names = ("moon", "earth", "mars")
    answering = [spawn.child(name) for name in names]
    for name, one in zip(names, answering, strict=True):
        one.call(roles.join, bus, (name,))
    child = spawn.limited_child(LIMIT)
    child.call(roles.join, bus, ("limited",), affinity=False)

    def asks(whom: int, timeout: float, free_after: float | None) -> tuple[object, str]:
        assert child.call(roles.send, names[whom], b"the way there is open") == 1
        assert answering[whom].call(roles.recv)[0] == b"the way there is open"
        call = child.post(scarce.ask_with_no_descriptor_left, names[whom], timeout, free_after)
        answering[whom].call(replies.reply_once)
        found: tuple[object, str] = call.result()
        return found

    # The first request opens what replies come through.
    first = child.post(roles.request, "moon", b"?", 20.0)
    answering[0].call(replies.reply_once)
    first.result()
    assert asks(1, 20.0, 0.5) == (b"?", "")
    reply, error = asks(2, 0.5, None)
    assert reply is None
    assert error.startswith("TooManyOpenFiles")
    assert "ask again" in error
    assert "receive again" not in error


def test_descriptors_run_out_while_something_is_loaded(spawn: Spawn, bus: str) -> None:
    """At each step of what a process loads with its first messages: an exception, which goes when there are some again.

    Seen: SIGSEGV in the core of msgspec, which was loaded with the first request.
    """
    spawn.member(bus, "earth")
    nursery = Nursery(spawn.limited_child(LIMIT))
    for at in range(1, 120):
        nursery.buried(nursery.bear(scarce.load_late, bus, at))


def test_a_receiver_dies_whose_last_word_finds_no_descriptors(spawn: Spawn, bus: str) -> None:
    """What it had not read goes to another match once there are descriptors, and what it had read does not.

    Seen: its end stood behind a word that could not be read, the kernel had told of it, and nobody looked again.
    """
    spawn.member(bus, "controller")
    sender = spawn.limited_child(LIMIT, "sender")
    sender.call(roles.join, bus, ("sender",), affinity=False)
    worker = spawn.member(bus, "worker", affinity=False)
    assert sender.call(roles.send_numbers, "worker", 0, 3) == [1] * 3
    heir = spawn.member(bus, "worker", affinity=False)
    sender.call(scarce.use_up)
    assert worker.recv_numbers(1) == [0]
    worker.kill()
    until(lambda: sender.call(roles.stats)["shortages_by_kind"]["open_files"], "the sender has looked")
    sender.call(scarce.give_back)
    assert heir.recv_marked(2) == [(1, True), (2, True)]


@pytest.mark.parametrize("free", [0, 1, 2])
def test_a_takeover_finds_no_descriptors_free(spawn: Spawn, bus: str, free: int) -> None:
    """Who cannot take the new controller's welcome in stays a member, and takes it in when there is room.

    Seen (by the soak): it hung up, which to a controller that has registered it is a leave; so those who talked with it
    gave its unread messages to others, while it read them.
    """
    controller, moon = spawn.members(bus, "controller", "moon")
    earth = spawn.limited_child(LIMIT)
    earth.call(roles.join, bus, ("earth",), affinity=False)
    assert moon.send("earth", 0) == 1
    assert earth.call(roles.recv)[0] == 0
    with_all = moon.peer_ids()
    # The connection to the controller that ends gives one descriptor back, with which it connects to the next one.
    earth.call(attacks.take_all_but, free)
    controller.kill()
    until(lambda: len(moon.peer_ids()) < len(with_all), "the controller is gone")

    def short() -> int:
        stats = earth.call(roles.stats)
        return int(stats["shortages_by_kind"]["open_files"] + stats["refused_by_reason"]["rejoin"])

    if free < 2:
        until(short, "the welcome did not fit")
    known = moon.peer_ids()
    assert len(known) == 1
    for number in range(1, 100):
        assert moon.send("earth", number) == 1
        assert moon.peer_ids() == known
    earth.call(attacks.give_back)
    assert [earth.call(roles.recv)[0] for _ in range(1, 100)] == list(range(1, 100))
    until(lambda: earth.call(roles.stats)["takeovers"] == 1, "it has registered")
    spawn.member(bus, "newcomer")
    assert len(earth.call(roles.peers)) == 2
