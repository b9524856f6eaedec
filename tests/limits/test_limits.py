"""Every bound: accepted at the bound, an ordinary error one past it, and nothing sent by the call that
fails.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

import ipmb
from tests.support import bounds, growth_deaths, proc, roles, stranger, streams
from tests.support.limits import bound
from tests.support.wait import until

if TYPE_CHECKING:
    from tests.conftest import Spawn


def refused(error: pytest.ExceptionInfo[Exception], argument: str, limit: int) -> None:
    """A good error names the argument and the bound."""
    assert argument in str(error.value), error.value
    assert str(limit) in str(error.value), error.value


def test_identifier_bytes(spawn: Spawn, bus: str) -> None:
    limit = bound("IDENTIFIER_BYTES")
    spawn.member(bus.ljust(limit, "x"), "earth")
    for bad in (bus.ljust(limit + 1, "x"), "ä" * (limit // 2 + 1), "", "a\0b"):
        with pytest.raises(ValueError, match="identifier") as error:
            ipmb.join(bad, timeout=0)
        refused(error, "identifier", limit)


def test_label_element_bytes(spawn: Spawn, bus: str) -> None:
    limit = bound("LABEL_ELEMENT_BYTES")
    longest = "e" * limit
    earth = spawn.member(bus, longest)
    assert spawn.member(bus, "moon").send(longest, b"x") == 1
    assert earth.recv().payload == b"x"
    for bad in ("e" * (limit + 1), "ä" * (limit // 2 + 1), ""):
        for call in (ipmb.label, ipmb.LabelOp):
            with pytest.raises(ValueError, match="label element") as error:
                call(bad)
            refused(error, "label element", limit)
        with pytest.raises(ValueError, match="label element"):
            ipmb.join(bus, [bad], timeout=0)


def test_label_elements(spawn: Spawn, bus: str) -> None:
    limit = bound("LABEL_ELEMENTS")
    many = [f"e{number}" for number in range(limit)]
    earth = spawn.member(bus, *many)
    assert spawn.member(bus, "moon").send(f"e{limit - 1} & e0", b"x") == 1
    assert set(earth.recv().label) == {"moon"}
    with pytest.raises(ValueError, match="label") as error:
        ipmb.label(*many, "one more")
    refused(error, "label", limit)
    with pytest.raises(ValueError, match="label"):
        _ = ipmb.label(*many) | ipmb.label("one more")


def test_label_bytes(spawn: Spawn, bus: str) -> None:
    limit = bound("LABEL_BYTES")
    part = bound("LABEL_ELEMENT_BYTES") - 3
    full = [f"{number:02}".ljust(part, "x") for number in range(limit // part)]
    rest = limit - len(full) * part
    full += ["r" * rest] if rest else []
    assert sum(map(len, full)) == limit
    earth = spawn.member(bus, *full)
    assert spawn.member(bus, "moon").peers() == [(earth.id, tuple(sorted(full)), earth.pid)]
    with pytest.raises(ValueError, match="label") as error:
        ipmb.label(*full, "x")
    refused(error, "label", limit)


def test_label_op_depth(spawn: Spawn, bus: str) -> None:
    limit = bound("LABEL_OP_DEPTH")
    moon = spawn.member(bus, "moon")
    deepest = "!" * (limit - 1) + "moon"
    assert str(ipmb.LabelOp.parse(deepest)) == deepest
    assert moon.send(deepest, b"x") == (limit - 1) % 2 ^ 1
    with pytest.raises(ValueError, match="label op") as error:
        ipmb.LabelOp.parse("!" + deepest)
    assert str(limit) in str(error.value)
    op = ipmb.LabelOp.parse(deepest)
    with pytest.raises(ValueError, match=str(limit)):
        _ = ~op
    with pytest.raises(ValueError, match=r"."):
        ipmb.LabelOp.parse("(" * 100_000 + "a" + ")" * 100_000)


def test_label_op_nodes(spawn: Spawn, bus: str) -> None:
    limit = bound("LABEL_OP_NODES")
    moon = spawn.member(bus, "moon")
    assert moon.send(bounds.chain(limit - 1), b"x") == 1
    with pytest.raises(ValueError, match=str(limit)):
        ipmb.LabelOp.parse(bounds.chain(limit))


def test_label_op_bytes(spawn: Spawn, bus: str) -> None:
    limit = bound("LABEL_OP_BYTES")
    element = bound("LABEL_ELEMENT_BYTES")
    moon = spawn.member(bus, "moon")
    longest = bounds.chain_of_bytes(limit, element)
    assert moon.send(longest, b"x") == 0
    with pytest.raises(ValueError, match=str(limit)):
        ipmb.LabelOp.parse(bounds.chain_of_bytes(limit + 1, element))
    with pytest.raises(ValueError, match=str(limit)):
        _ = ipmb.LabelOp.parse(longest) | "e"


def test_token_bytes(spawn: Spawn, bus: str) -> None:
    limit = bound("TOKEN_BYTES")
    longest = "t" * limit
    first, second = spawn.members(bus, "first", "second", token=longest)
    assert first.peer_ids() == {second.id}
    spawn.child("other").post(roles.join, bus, (), token=longest[:-1] + "u").fails("TokenMismatch")
    with pytest.raises(ValueError, match="token") as error:
        ipmb.join(bus, token=longest + "t", timeout=0)
    refused(error, "token", limit)


def test_users(bus: str) -> None:
    limit = bound("USERS")
    others = [uid for uid in range(1, limit + 2) if uid != os.getuid()][
        : limit if os.getuid() == 0 else limit - 1
    ]
    with (
        ipmb.join(bus, users=others, timeout=10),
        ipmb.join(bus, users=[*others, 0, os.getuid()], timeout=10),
    ):
        pass
    with pytest.raises(ValueError, match="users") as error:
        ipmb.join(bus, users=[*others, 9999], timeout=0)
    refused(error, "users", limit)


def test_payload_at_the_border_of_a_record(spawn: Spawn, bus: str) -> None:
    """Payloads around the size from which they travel in memory of their own all arrive."""
    border = bound("RECORD_BYTES")
    assert border == bound("RING_BYTES") // 4
    earth, moon = spawn.members(bus, "earth", "moon")
    sizes = [*range(border - 200, border + 40, 3), border - 1, border, border + 1]
    for size in sizes:
        assert moon.child.call(roles.send_pattern, "earth", size, size) == 1
        assert earth.child.call(roles.recv_is_pattern, size, size)


def test_payload_at_the_border_of_a_grown_ring(spawn: Spawn, bus: str) -> None:
    """A pair that sends many payloads which a larger ring would take gets one, and goes on with regions beyond that."""
    border = bound("LONG_INLINE_BYTES")
    earth, moon = spawn.members(bus, "earth", "moon")
    count = bound("REGION_PAYLOADS_BEFORE_GROWTH")
    for first in range(0, 2 * count, 64):
        sending = moon.child.begin(roles.send_numbers, "earth", first, 64, size=border // 2)
        assert earth.recv_numbers(64) == list(range(first, first + 64))
        assert sending.result() == [1] * 64
    assert moon.child.call(growth_deaths.larger_rings, "rw-s") == 1
    assert earth.child.call(growth_deaths.larger_rings, "r--s") == 1
    for size in [*range(border - 4, border + 4), bound("RECORD_BYTES"), border // 2, border + 4096]:
        assert moon.child.call(roles.send_pattern, "earth", size, size) == 1
        assert earth.child.call(roles.recv_is_pattern, size, size)


def test_payload_of_a_gibibyte_arrives(spawn: Spawn, bus: str) -> None:
    earth, moon = spawn.members(bus, "earth", "moon")
    sending = moon.child.begin(bounds.send_gibibyte, "earth")
    assert earth.child.call(bounds.recv_gibibyte, bound=50)
    assert sending.result(50) == 1


def test_payload_bytes(spawn: Spawn, bus: str) -> None:
    """At the bound a payload is tried, and fails only because this process may not make such a file."""
    limit = bound("PAYLOAD_BYTES")
    _, moon = spawn.members(bus, "earth", "moon")
    tried = moon.child.post(bounds.send_vast, "earth", limit).fails("Exception", 30)
    assert not tried.is_a("TooLarge")
    assert tried.is_a("SendError") or tried.is_a("OSError")
    error = moon.child.post(bounds.send_vast, "earth", limit + 1).fails("TooLarge", 30)
    assert error.is_a("SendError")
    assert str(limit) in error.text
    assert moon.stats()["sent"] == 0


def test_parked_messages(spawn: Spawn, bus: str) -> None:
    limit = bound("PARKED_MESSAGES")
    moon = spawn.member(bus, "moon")
    assert moon.child.call(streams.park_until_error, "late", 8, bound=30) == (limit, "Full")
    assert moon.stats()["waiting"] == limit
    late = spawn.member(bus, "late")
    assert late.recv_numbers(limit) == list(range(limit))
    late.nothing_comes()
    assert moon.send("later", b"room again", ttl=60) == 0


def test_parked_bytes(spawn: Spawn, bus: str) -> None:
    limit = bound("PARKED_BYTES")
    moon = spawn.member(bus, "moon")
    size = 15_000
    parked, error = moon.child.call(streams.park_until_error, "late", size, bound=30)
    assert error == "Full"
    assert 0.9 * limit < parked * size <= limit
    late = spawn.member(bus, "late")
    assert late.recv_numbers(parked) == list(range(parked))
    assert moon.send("later", b"room again", ttl=60) == 0


@pytest.mark.parametrize("ttl", [0, None], ids=["no ttl", "any ttl"])
def test_ring_bytes(spawn: Spawn, bus: str, ttl: float | None) -> None:
    """A full ring is a timeout, an error, or a counted drop, as the caller chose; and room again is room
    again.
    """
    earth, moon = spawn.members(bus, "earth", "moon")
    sent, error = moon.child.call(roles.send_until_error, "earth", 1000, overflow="error", ttl=ttl)
    assert error == "Full"
    assert bound("RING_BYTES") * 0.8 < sent * 1000 < bound("RING_BYTES")
    timeout = moon.child.post(roles.send, "earth", bytes(1000), timeout=0.2, ttl=ttl).fails("SendTimeout")
    assert timeout.is_a("TimeoutError")
    assert timeout.attributes["delivered"] == 0
    moon.child.post(roles.send, "earth", bytes(1000), timeout=0, ttl=ttl).fails("SendTimeout")
    for _ in range(3):
        assert moon.send("earth", bytes(1000), overflow="drop", ttl=ttl) == 0
    stats = moon.stats()
    assert (stats["dropped"], stats["dropped_by_reason"]["full"]) == (3, 3)
    waiting = moon.child.begin(roles.send_numbers, "earth", sent, 1, size=1000, timeout=20.0, ttl=ttl)
    proc.wait_asleep(moon.pid)
    assert earth.recv_numbers(sent + 1) == list(range(sent + 1))
    assert waiting.result() == [1]


def test_ring_full_for_some_of_many(spawn: Spawn, bus: str) -> None:
    """A multicast to a full and an empty ring: `error` reaches nobody, a timeout says whom it reached."""
    full, empty, moon = spawn.members(bus, "planet", "planet", "moon")
    sent, _ = moon.child.call(roles.send_until_error, "planet", 1000, mode="multicast", overflow="error")
    assert empty.recv_numbers(sent) == list(range(sent))
    for overflow, name, delivered in (("error", "Full", 0), ("block", "SendTimeout", 1)):
        pending = moon.child.post(
            roles.send, "planet", bytes(1000), mode="multicast", overflow=overflow, timeout=0.2
        )
        assert pending.fails(name).attributes.get("delivered") == delivered
    assert moon.send("planet", bytes(1000), mode="multicast", overflow="drop") == 1
    assert len(empty.recv_all(0.1)) == 2, "the one of the timeout and the one beside the drop"
    assert full.recv_numbers(sent) == list(range(sent))
    full.nothing_comes()


def test_ring_to_oneself(spawn: Spawn, bus: str) -> None:
    """A full ring to oneself is `Full` at once, not a deadlock, even without a timeout."""
    moon = spawn.member(bus, "moon")
    sent, error = moon.child.call(roles.send_until_error, "moon", 1000, timeout=None)
    assert error == "Full"
    assert moon.recv_numbers(sent) == list(range(sent))
    assert moon.send("moon", b"again") == 1


def test_routes(spawn: Spawn, bus: str) -> None:
    """More selectors than are kept resolved: all of them work, the first ones too when they come again."""
    limit = bound("ROUTES")
    earth, moon = spawn.members(bus, "earth", "moon")
    for _ in range(2):
        arriving = earth.child.begin(streams.recv_in_order, limit + 50)
        assert moon.child.call(bounds.send_by_many_selectors, "earth", limit + 50, bound=30) == limit + 50
        assert arriving.result(30) == limit + 50


def test_descriptors_in_flight_share(spawn: Spawn, bus: str) -> None:
    """A sender of few descriptors: those under way to all receivers together are a part of them, and no more."""
    nofile = 128
    share = nofile // bound("DESCRIPTORS_IN_FLIGHT_SHARE")
    receivers = spawn.members(bus, "earth", "mars")
    child = spawn.limited_child(nofile)
    child.call(roles.join, bus, ("moon",), affinity=False)
    assert child.call(bounds.send_in_turn_until_error, ["earth", "mars"]) == (share, "Full")
    got = [one.recv_all() for one in receivers]
    assert got == [list(range(0, share, 2)), list(range(1, share, 2))]
    assert child.call(bounds.send_in_turn_until_error, ["mars"]) == (share, "Full"), "all of it is free again"


def test_known_regions_share(spawn: Spawn, bus: str) -> None:
    """What the receivers of a process of few descriptors keep, of one who could have more kept by each of them."""
    nofile, size = 128, 20_000
    share = nofile // bound("KNOWN_REGIONS_SHARE")
    count, names = share * 3 // 4, ["earth", "mars"]
    moon = spawn.member(bus, "moon")
    child = spawn.limited_child(nofile)
    for name in names:
        child.call(roles.join, bus, (name,), name=name, affinity=False)

    def kept() -> int:
        """All come, known or not. On a machine that is slow enough the first are let go before the last come."""
        for name in names:
            assert moon.send_numbers(name, 0, count, size=size) == [1] * count
        found = len(child.call(bounds.recv_and_weigh, count, names, size))
        assert found <= share
        return found

    until(lambda: kept() == share, "as many are kept as may be")


def test_known_region_bytes_in_all(spawn: Spawn, bus: str) -> None:
    """One receiver more than all bytes of a process are enough for, each with as many as one sender's may be."""
    limit, each = bound("KNOWN_REGION_BYTES_IN_ALL"), bound("KNOWN_REGION_BYTES")
    names = [f"e{number}" for number in range(limit // each + 1)]
    earth, moon = spawn.child("earth"), spawn.member(bus, "moon")
    for name in names:
        earth.call(roles.join, bus, (name,), name=name, affinity=False)

    def kept() -> int:
        for name in names:
            assert moon.send_numbers(name, 0, 1, size=each) == [1]
            found = sum(earth.call(bounds.recv_and_weigh, 1, [name], each))
            assert found <= limit
        return found

    until(lambda: kept() == limit, "as many bytes are kept as may be", bound=40)


def test_pending_strangers(spawn: Spawn, bus: str) -> None:
    """The bus bears only so many strangers at a time, each only so long."""
    controller = spawn.member(bus, "controller")
    crowds = {
        proc.rendezvous_name(controller.pid): bound("PENDING_JOINS"),
        proc.own_name(controller.pid): bound("PENDING_CHANNELS"),
    }
    controller.child.begin(streams.collect)
    for name, limit in crowds.items():
        before = len(proc.descriptors(controller.pid))
        waited = spawn.child("crowd").call(bounds.crowd_until_dropped, name, 2 * limit, bound=30)
        assert max(waited) < 3 * bound("HANDSHAKE_MILLIS") / 1000
        assert bounds.peak(controller.pid, name, 2 * limit) <= before + limit + 8


def test_packet_bytes(spawn: Spawn, bus: str) -> None:
    """A packet of another version may hold anything behind its head: as long as it may be it is understood and told our
    version; of one byte more nothing is.
    """
    limit = bound("PACKET_BYTES")
    controller = spawn.member(bus, "controller")
    name = proc.rendezvous_name(controller.pid)
    counts = {limit: (1, 0), limit + 1: (1, 1), 4 * limit: (1, 2)}
    for size, count in counts.items():
        with stranger.connect(name) as one:
            assert stranger.say(one, stranger.packet(b"", version=999).ljust(size, b"\xff"))
            stranger.answers_until_closed(one, bound=5.0)
        refused = controller.stats()["refused_by_reason"]
        assert (refused["join_version"], refused["join_malformed"]) == count, size
    assert spawn.member(bus, "late").peer_ids() == {controller.id}


def test_peer_packet_bytes(spawn: Spawn, bus: str) -> None:
    """No frame between two ends comes near the bound, so one that does is none: what follows an opening ends it,
    within the bound and beyond it, where it is cut off. Without that the opening is read, and its proof refused.
    """
    limit = bound("PEER_PACKET_BYTES")
    controller, earth = spawn.members(bus, "controller", "earth")
    opening = stranger.opening_lies(controller.id, earth.id)[0]
    counts = {
        len(opening): (1, 0),
        len(opening) + 1: (1, 1),
        limit: (1, 2),
        limit + 1: (1, 3),
        4 * limit: (1, 4),
    }
    assert len(opening) < limit / 2
    name = proc.own_name(earth.pid)
    for size, count in counts.items():
        receiving = earth.child.begin(streams.collect)
        with open(os.devnull) as memory, stranger.connect(name) as one:
            assert stranger.say(one, opening.ljust(size, b"\0"), [memory.fileno()])
            stranger.answers_until_closed(one, bound=5.0)
        done = earth.child.post(roles.stats)
        assert receiving.result() == []
        refused = done.result()["refused_by_reason"]
        assert (refused["channel_proof"], refused["channel_malformed"]) == count, size
    assert controller.send("earth", b"a friend's") == 1


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan"), "1", [1]])
def test_bad_timeouts(timeout: Any) -> None:
    """Negative, not a number, or no number at all: named at the call, before anything happens."""
    kind = TypeError if isinstance(timeout, str | list) else ValueError
    with pytest.raises(kind, match="timeout"):
        ipmb.join("test.never", timeout=timeout)


def test_bad_arguments_of_a_call(spawn: Spawn, bus: str) -> None:
    """Each names its argument, and nothing has been sent by any of them."""
    earth, moon = spawn.members(bus, "earth", "moon")
    for argument, names in moon.child.call(bounds.bad_calls, "earth"):
        assert {"ValueError", "TypeError"} & set(names[:-1]), (argument, names)
        assert argument in names[-1], (argument, names)
    earth.nothing_comes()
    assert moon.stats()["sent"] == 0


def test_payload_depth(bus: str) -> None:
    limit = bound("PAYLOAD_DEPTH")

    def nested(depth: int) -> object:
        payload: object = 1
        for _ in range(depth):
            payload = [payload]
        return payload

    with ipmb.join(bus, "earth", timeout=10) as (sender, receiver):
        assert sender.send("earth", nested(limit)) == 1
        assert receiver.recv(timeout=5).payload == nested(limit)
        with pytest.raises(ValueError, match="payload is nested") as error:
            sender.send("earth", nested(limit + 1))
        refused(error, "payload", limit)


def test_objects_per_message(bus: str) -> None:
    limit = bound("OBJECTS_PER_MESSAGE")
    with ipmb.join(bus, "earth") as (sender, receiver), open("/dev/null") as null:
        assert sender.send("earth", b"x", objects=[null] * limit) == 1
        with receiver.recv(10) as message:
            assert len(message.objects) == limit
        for attempt in (
            lambda: sender.send("earth", b"x", objects=[null] * (limit + 1)),
            lambda: ipmb.Message("earth", b"x", iter([null] * (limit + 1))),
        ):
            with pytest.raises(ValueError, match="objects") as error:
                attempt()
            refused(error, "objects", limit)
        with pytest.raises(ipmb.RecvTimeout):
            receiver.recv(0)


def test_regions_per_message(bus: str) -> None:
    limit = bound("REGIONS_PER_MESSAGE")
    with ipmb.join(bus, "earth") as (sender, receiver), ipmb.MemoryRegion(1) as region:
        assert sender.send("earth", b"x", memory_regions=[region] * limit) == 1
        with receiver.recv(10) as message:
            assert len(message.memory_regions) == limit
        with pytest.raises(ValueError, match="memory_regions") as error:
            sender.send("earth", b"x", memory_regions=[region] * (limit + 1))
        refused(error, "memory_regions", limit)
        with pytest.raises(ipmb.RecvTimeout):
            receiver.recv(0)
