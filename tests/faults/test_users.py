"""A bus of several users, by explicit option: what one user's bus can do, it can, and nobody else is let in.

Root is one of the users here and nobody the other; a third one shows who is kept out. Who they are is the
kernel's word, so nothing that a process says of itself plays a part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support import objects, plain_user, proc, regions, replies, roles, stranger, streams
from tests.support.marks import as_root
from tests.support.member import Member
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn

pytestmark = as_root

ROOT, NOBODY, THIRD = 0, plain_user.NOBODY, 65533

#: All endpoints name the same users; root needs no naming.
USERS = (NOBODY, THIRD)

orders = pytest.mark.parametrize("order", [(ROOT, NOBODY), (NOBODY, ROOT), (NOBODY, THIRD)], ids=str)


def member(spawn: Spawn, bus: str, uid: int, label: str, **options: Any) -> Member:
    return Member.join(spawn.child_of(uid, label), bus, label, users=USERS, **options)


@orders
def test_everything_travels_between_users(spawn: Spawn, bus: str, order: tuple[int, int]) -> None:
    """Both ways, whoever founded the bus: messages, requests, large payloads, regions, objects, a grown ring."""
    earth, moon = (member(spawn, bus, uid, name) for uid, name in zip(order, ("earth", "moon"), strict=True))
    for sender, receiver, to in ((moon, earth, "earth"), (earth, moon, "moon")):
        assert sender.send(to, b"hello") == 1
        got = receiver.recv()
        assert (got.payload, got.id, got.pid) == (b"hello", sender.id, sender.pid)
        for seed in range(4):  # the second of a size is in memory that its receiver has kept
            assert sender.child.call(roles.send_pattern, to, seed, 3_000_000) == 1
            assert receiver.child.call(roles.recv_is_pattern, seed, 3_000_000)
        assert sender.child.call(regions.send_new, to, 100_000, 7) == 1
        assert receiver.child.call(regions.recv)[1] == 7
        assert receiver.child.call(regions.write, 8) == ""
        assert sender.child.call(objects.send_numbered, to, 3) == 1
        assert receiver.child.call(objects.recv_numbered)[1] == [0, 1, 2]
        arriving = receiver.child.begin(streams.recv_in_order, 100_000)
        assert sender.child.call(streams.send_in_order, to, 100_000, bound=30) == 100_000
        assert arriving.result(30) == 100_000
    earth.child.begin(streams.echo)
    assert len(moon.child.call(streams.ping, "earth", 100)) == 100
    earth.child.call(roles.version)
    replying = moon.child.begin(replies.reply_once)
    asked = earth.child.call(roles.request, "moon", b"who are you", 10.0)
    assert (asked[0], asked[1], replying.result()) == (b"who are you", moon.id, 1)
    for one in (earth, moon):
        assert one.stats()["refused"] == 0


@orders
def test_the_other_user_takes_over(spawn: Spawn, bus: str, order: tuple[int, int]) -> None:
    """The controller dies: the other user follows, delivers what the dead let wait, and admits both users."""
    controller, second = (
        member(spawn, bus, uid, name) for uid, name in zip(order, ("controller", "second"), strict=True)
    )
    pair = [member(spawn, bus, uid, f"talker{uid}", affinity=False) for uid in order]
    assert controller.send("late", b"of the dead", ttl=600) == 0
    pair[0].child.begin(streams.echo)
    talk = pair[1].child.begin(streams.ping_until_called, pair[0].label[0])
    pair[1].child.wait_event("talking")
    controller.kill()
    until(second.is_controller, "the second takes over")
    done = pair[1].child.post(roles.version)
    rounds, _, _ = talk.result()
    done.result()
    assert rounds > 20
    for uid, label in zip(order, ("late", "later"), strict=True):
        newcomer = member(spawn, bus, uid, label)
        assert newcomer.send("second", b"here") == 1
        assert second.recv().payload == b"here"
        if label == "late":
            got = newcomer.recv()
            assert (got.payload, got.id, got.pid) == (b"of the dead", controller.id, controller.pid)
    until(lambda: pair[1].stats()["takeovers"] == 1, "the takeover is noticed")


@orders
def test_either_side_is_killed(spawn: Spawn, bus: str, order: tuple[int, int]) -> None:
    """A sender's messages outlive it, and a receiver's unread ones go to the other user."""
    _, sender = member(spawn, bus, ROOT, "controller"), member(spawn, bus, order[0], "sender")
    worker = member(spawn, bus, order[1], "worker")
    assert sender.send_numbers("worker", 0, 20) == [1] * 20
    heir = member(spawn, bus, order[0], "worker")
    assert worker.recv_numbers(5) == list(range(5))
    worker.kill()
    assert heir.recv_marked(15) == [(number, True) for number in range(5, 20)]
    assert sender.send_numbers("worker", 20, 5) == [1] * 5
    sender.kill()
    assert heir.recv_numbers(5) == list(range(20, 25))


def test_who_is_not_named_is_kept_out(spawn: Spawn, bus: str) -> None:
    """By the controller, before anything it says is read; and by each endpoint at its own door."""
    controller = Member.join(spawn.child(), bus, "controller", users=[NOBODY])
    nobody = Member.join(spawn.child_of(NOBODY), bus, "nobody", users=[NOBODY])
    third = spawn.child_of(THIRD)
    for users in ((), (ROOT, NOBODY, THIRD)) * 50:
        third.post(roles.join, bus, ("third",), users=users).fails("PermissionDenied")
    # Seen: one who was refused before it had said anything did not hear so, and came again until it did.
    assert controller.stats()["refused_by_reason"]["join_permission"] == 100
    receiving = nobody.child.begin(streams.collect)
    third.call(stranger.knock, proc.own_name(nobody.pid))
    done = nobody.child.post(roles.stats)
    assert receiving.result() == []
    assert done.result()["refused_by_reason"]["channel_permission"] == 1
    assert controller.peer_ids() == {nobody.id}


def test_users_that_differ_are_no_bus(spawn: Spawn, bus: str) -> None:
    """Nobody is trusted by some of the members only: another set is refused like another token."""
    controller = Member.join(spawn.child(), bus, "controller", users=[NOBODY, THIRD])
    joiner = spawn.child_of(NOBODY)
    others: list[tuple[int | str, ...]] = [(), (NOBODY,), (THIRD, 1234)]
    for users in others:
        joiner.post(roles.join, bus, (), users=users).fails("TokenMismatch")
    same: list[tuple[int | str, ...]] = [(THIRD,), (THIRD, NOBODY), ("root", THIRD, THIRD)]
    for users in same:
        joiner.call(roles.join, bus, (), users=users)
        joiner.call(roles.leave)
    # Another process of root's that names nobody would trust fewer than the others do.
    spawn.child().post(roles.join, bus, ()).fails("TokenMismatch")
    assert controller.stats()["refused_by_reason"]["join_token"] == len(others) + 1


def test_root_says_whom_it_trusts(spawn: Spawn, bus: str) -> None:
    """Root is welcome on anybody's bus, and goes there only if it says so."""
    nobody = Member.join(spawn.child_of(NOBODY), bus, "nobody")
    child = spawn.child()
    child.post(roles.join, bus, ("root",)).fails("PermissionDenied")
    root = Member.join(child, bus, "root", users=[NOBODY])
    assert nobody.send("root", b"hello") == 1
    assert root.recv().payload == b"hello"
    nobody.kill()
    until(root.is_controller, "root takes over")
    again = Member.join(spawn.child_of(NOBODY), bus, "again")
    assert again.send("root", b"again") == 1
    assert root.recv().payload == b"again"
