"""Typed payloads between processes: equal on arrival, other versions of a class, what is skipped, what is garbage."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ipmb
from ipmb import _core
from ipmb.registrations import BY_CLASS, BY_UUID
from tests.conftest import Spawn
from tests.support import typed
from tests.support.typed import Anything, Checked, Colour, Job, Level, Node, Point, Rights, Row, Task

if TYPE_CHECKING:
    from collections.abc import Iterator

ECHO = "test.typed.echo"

# Values of every type that can be sent, nested.

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NUMBERS = st.integers(-(2**63), 2**64 - 1)
FLOATS = st.floats(allow_nan=False)
ZONES: Any = st.one_of(
    st.none(),
    st.just(dt.UTC),
    # As the library's own: whole minutes.
    st.integers(-1439, 1439).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes))),
)
TIMES = st.datetimes(timezones=ZONES)
FLAT = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    FLOATS,
    TEXT,
    st.binary(max_size=40),
    TIMES,
    st.uuids(),
    st.builds(ipmb.BytesMessage, st.integers(0, 65535), st.binary(max_size=20)),
)
POINTS = st.builds(Point, FLOATS, FLOATS, st.lists(TEXT, max_size=3), st.none() | st.sampled_from(Colour))
TASKS = st.builds(
    Task,
    TEXT,
    st.lists(NUMBERS, max_size=3).map(tuple),
    st.sets(TEXT, max_size=3),
    st.sampled_from(["fast", "slow"]),
    st.none() | POINTS,
    # A field with a zone arrives in UTC, which is the same moment, and exists from year 1 to 9999.
    st.none() | st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), timezones=ZONES),
    st.decimals(allow_nan=False),
    st.none() | st.uuids(),
    st.dictionaries(TEXT, st.tuples(NUMBERS, TEXT), max_size=2),
    st.none() | st.builds(ipmb.BytesMessage, st.integers(0, 65535), st.binary(max_size=20)),
    st.binary(max_size=20),
)
NODES = st.recursive(
    st.builds(Node, NUMBERS),
    lambda inner: st.builds(Node, NUMBERS, st.lists(inner, max_size=3)),
    max_leaves=8,
)
TYPED = st.one_of(
    st.sampled_from(Colour),
    st.sampled_from(Level),
    st.sampled_from(Rights),
    POINTS,
    TASKS,
    st.builds(Job, TASKS, st.sampled_from(Level)),
    NODES,
    st.builds(Row, st.integers(0, 2**63), TEXT),
    st.builds(Checked, st.integers(0, 99)),
)
KEYS = st.one_of(st.none(), st.booleans(), NUMBERS, FLOATS, TEXT, st.binary(max_size=20))
NESTED = st.recursive(
    FLAT | TYPED,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
PICKLED = st.builds(Anything, st.frozensets(st.tuples(NUMBERS, TEXT), max_size=3))


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down the lists and dicts."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    if isinstance(one, float):
        return bool(one == other and math.copysign(1, one) == math.copysign(1, other))
    if isinstance(one, dt.datetime):
        return bool(one == other and one.utcoffset() == other.utcoffset())
    return bool(one == other)


@pytest.fixture(scope="module")
def echo() -> Iterator[ipmb.Endpoint]:
    """An endpoint, and another process that sends everything back."""
    spawn = Spawn()
    child = spawn.child("echo")
    with ipmb.join(ECHO, "asker", timeout=10) as endpoint:
        running = child.begin(typed.echo, ECHO)
        child.wait_event("joined")
        yield endpoint
        endpoint.sender.send("echo", typed.STOP, timeout=10)
        running.result()
    spawn.finish()


@settings(max_examples=300, deadline=None)
@given(st.one_of(NESTED, PICKLED))
def test_any_value_arrives_equal_in_another_process(echo: ipmb.Endpoint, payload: Any) -> None:
    assert echo.sender.send("echo", payload, timeout=10) == 1
    assert same(echo.receiver.recv(timeout=10).payload, payload)


@pytest.mark.parametrize(
    "moment",
    [
        dt.datetime.min,
        dt.datetime.max,
        dt.datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=dt.UTC),
        dt.datetime(1969, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=-12345, microseconds=7))),
    ],
    ids=str,
)
def test_times_at_the_ends(echo: ipmb.Endpoint, moment: dt.datetime) -> None:
    echo.sender.send("echo", [moment, {"at": moment}])
    assert same(echo.receiver.recv(timeout=10).payload, [moment, {"at": moment}])
    echo.sender.send("echo", moment)
    assert same(echo.receiver.recv(timeout=10).payload, moment)


@ipmb.message_type("00000001-7e57-4000-8000-0000000000d1")
@dataclass
class Measured:
    count: int
    height: float
    widths: list[float]
    small: np.float32
    flag: bool
    wide: np.longdouble


def test_numbers_of_numpy_arrive_as_the_fields_say() -> None:
    numbers: list[Any] = [np.int64(3), np.float32(1.5), [np.float64(2.5)], np.float32(0.1), np.bool_(True)]
    numbers.append(np.longdouble(1) / 3)
    sent = Measured(*numbers)
    arrived = _core.decode(*_core.encode(sent)[:2])
    assert arrived == sent
    kinds = [type(value) for value in vars(arrived).values()]
    assert kinds == [int, float, list, np.float32, bool, np.longdouble]
    assert type(arrived.widths[0]) is float


# Two versions of one class.

OLD = {"name": "n", "count": 2}


@pytest.mark.parametrize("kind", ["Struct", "dataclass", "attrs"])
@pytest.mark.parametrize(
    "case",
    [
        ("old", "optional", OLD, {**OLD, "note": "none"}),
        ("optional", "old", {**OLD, "note": "new"}, OLD),
        ("required", "old", {**OLD, "note": "new"}, OLD),
        ("required", "optional", {**OLD, "note": "new"}, {**OLD, "note": "new"}),
        ("old", "required", OLD, "missing required field `note`"),
    ],
    ids=["field added", "field gone", "required field gone", "now optional", "required field added"],
)
def test_versions_of_a_class(
    bus: str, spawn: Spawn, kind: str, case: tuple[str, str, dict[str, Any], Any]
) -> None:
    sent, taken, fields, arrives = case
    receiver, sender = spawn.child("receiver"), spawn.child("sender")
    running = receiver.begin(typed.serve_version, bus, kind, taken)
    receiver.wait_event("joined")
    assert sender.call(typed.send_version, bus, kind, sent, **fields) == 2
    if isinstance(arrives, str):
        assert arrives in receiver.wait_event("failed")
    else:
        assert receiver.wait_event("arrived") == arrives
    running.result()


def test_a_struct_that_forbids_unknown_fields(bus: str, spawn: Spawn) -> None:
    receiver, sender = spawn.child("receiver"), spawn.child("sender")
    running = receiver.begin(typed.serve_version, bus, "Struct", "strict")
    receiver.wait_event("joined")
    sender.call(typed.send_version, bus, "Struct", "optional", name="n", count=2)
    assert "unknown field `note`" in receiver.wait_event("failed")
    running.result()


# What is skipped.


def test_what_is_not_in_the_box_is_skipped_and_counted(bus: str) -> None:
    with (
        ipmb.join(bus, "all", timeout=10) as (sender, _),
        ipmb.join(bus, "some", timeout=10, payloads=Point | str | None) as some,
    ):
        for payload in (Task("t"), Point(1.0), 1, "text", [Point(2.0)], None, b"bytes", Colour.RED):
            assert sender.send("some", payload) == 1
        taken = [message.payload for message in some.receiver.recv_many(10, timeout=5)]
        assert taken == [Point(1.0), "text", None]
        assert some.stats().skipped == 5


def test_a_uuid_nobody_here_knows_is_skipped(bus: str, spawn: Spawn) -> None:
    with ipmb.join(bus, "self", timeout=10) as end:
        unknown = [(UUID(int=2**100 + number).bytes, b"?") for number in range(3)]
        reserved = (UUID("69706d62-0000-8000-8000-0000000000ff").bytes, b"?")
        child = spawn.child("sender")
        assert child.call(typed.send_raw, bus, "self", [*unknown, reserved]) == 4
        end.sender.send("self", "done")
        assert end.receiver.recv(timeout=10).payload == "done"
        assert end.stats().skipped == 4


def test_a_box_takes_a_class_registered_before_it_only(bus: str) -> None:
    with ipmb.join(bus, "self", timeout=10) as everything:

        @ipmb.message_type("00000001-7e57-4000-8000-0000000000d0")
        class Late(msgspec.Struct):
            x: int

        everything.sender.send("self", Late(1))
        assert everything.receiver.recv(timeout=5).payload == Late(1)


@pytest.mark.parametrize("size", [5, 65_535, 65_536, 1_000_000])
@pytest.mark.parametrize("payloads", [bytes, memoryview, bytes | memoryview, None], ids=str)
def test_buffers_arrive_as_the_box_says(bus: str, payloads: Any, size: int) -> None:
    with ipmb.join(bus, "self", timeout=10, payloads=payloads) as (sender, receiver):
        for sent in (bytes(size), bytearray(size)):
            sender.send("self", sent)
            payload: Any = receiver.recv(timeout=5).payload
            as_view = {
                bytes: False,
                memoryview: True,
            }.get(payloads, type(sent) is bytearray and size >= 65_536)
            assert type(payload) is (memoryview if as_view else bytes)
            assert memoryview(payload).readonly
            assert payload == sent


def test_views_of_any_shape_arrive_in_logical_order(echo: ipmb.Endpoint) -> None:
    cube = memoryview(bytes(range(256)) * 512).cast("B", (64, 8, 256))
    echo.sender.send("echo", cube)
    arrived = echo.receiver.recv(timeout=10).payload
    assert type(arrived) is memoryview
    assert arrived == memoryview(cube.tobytes())
    with pytest.raises(TypeError, match="payload is a memoryview that is not contiguous"):
        echo.sender.send("echo", memoryview(bytes(200_000))[::2])
    with pytest.raises(TypeError, match=r"^payload\['a'\] is a memoryview that is not contiguous"):
        echo.sender.send("echo", {"a": memoryview(bytes(200_000))[::2]})


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (Spawn, r"payloads is or holds Spawn, which is not registered: put @ipmb.message_type\(uuid\)"),
        (str | Spawn, "holds Spawn"),
        (list[int], r"holds list\[int\]: give list"),
        (str | dict[str, int], r"holds dict\[str, int\]: give dict"),
        (tuple, "holds tuple: give one of None, bool"),
        (bytearray, "holds bytearray: give one of"),
        (object, "holds object: give one of"),
        (Any, "Any: give one of"),
        ("Point", "holds 'Point': give one of"),
        ((int, str), r"holds \(<class 'int'>, <class 'str'>\): give MessageBox\(\*types\)"),
        (1, "holds 1: give one of"),
    ],
    ids=str,
)
def test_wrong_members_are_named(wrong: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        ipmb.join("test.typed.wrong", payloads=wrong)
    with pytest.raises(TypeError, match=text):
        ipmb.MessageBox(str, wrong)


def test_a_message_box_of_a_list_and_of_unions(bus: str) -> None:
    with pytest.raises(TypeError, match="MessageBox is empty"):
        ipmb.MessageBox()
    box = ipmb.MessageBox(*[Point, Colour | str, None], Point)
    assert repr(box) == "MessageBox(Point, Colour, str, NoneType)"
    assert Colour in box
    assert int not in box
    with ipmb.join(bus, "self", timeout=10, payloads=box) as end:
        for payload in (1, Colour.RED, None):
            end.sender.send("self", payload)
        assert [one.payload for one in end.receiver.recv_many(3, timeout=5)] == [Colour.RED, None]
        assert end.stats().skipped == 1


# What is garbage.

KNOWN = [*_core.BUILTIN_TYPES.values(), *(BY_CLASS[cls].uuid.bytes for cls in typed.REGISTERED)]

GARBAGE = [
    (BY_CLASS[Point].uuid.bytes, b""),
    (BY_CLASS[Point].uuid.bytes, b"\x80"),
    (BY_CLASS[Point].uuid.bytes, b"\x81\xa1x\xa1y"),
    (BY_CLASS[Task].uuid.bytes, msgspec.msgpack.encode({"name": "x", "mode": "medium"})),
    (
        BY_CLASS[Task].uuid.bytes,
        msgspec.msgpack.encode({"name": "x", "part": {"format": 70000, "data": b""}}),
    ),
    (BY_CLASS[Job].uuid.bytes, msgspec.msgpack.encode({"task": 3})),
    (BY_CLASS[Row].uuid.bytes, b"\x91\xff"),
    (BY_CLASS[Colour].uuid.bytes, b"\xa5green"),
    (BY_CLASS[Level].uuid.bytes, b"\x07"),
    (BY_CLASS[Checked].uuid.bytes, b"\x81\xa7percent\x64"),
    (BY_CLASS[Anything].uuid.bytes, b"no pickle"),
    (BY_CLASS[Anything].uuid.bytes, b"\x80\x04K\x01."),
    (BY_CLASS[Node].uuid.bytes, b"\x82\xa5value\x01\xa8children\x91" * 2000),
    (_core.BUILTIN_TYPES["datetime"], b"yesterday"),
    (_core.BUILTIN_TYPES["datetime"], b"\xff"),
    (_core.BUILTIN_TYPES["UUID"], bytes(15)),
    (_core.BUILTIN_TYPES["BytesMessage"], b"\x01"),
    (_core.BUILTIN_TYPES["ndarray"], b"\xc7\x01\x01\x00"),
    (_core.BUILTIN_TYPES["list"], b"\x91\xc7\x03\x0b123"),
    (_core.BUILTIN_TYPES["list"], b"\x91\xd4\x63\x00"),
]


def test_garbage_costs_only_that_message(bus: str, spawn: Spawn) -> None:
    with ipmb.join(bus, "self", timeout=10) as end:
        assert spawn.child("liar").call(typed.send_raw, bus, "self", GARBAGE) == len(GARBAGE)
        for kind, data in GARBAGE:
            with pytest.raises(ipmb.DecodeError, match=rf"^a message of {len(data)} bytes is no ") as caught:
                end.receiver.recv(timeout=10)
            if kind in BY_UUID:
                assert BY_UUID[kind].cls.__qualname__ in str(caught.value)
        end.sender.send("self", Point(1.0))
        assert end.receiver.recv(timeout=10).payload == Point(1.0)
        assert end.stats().skipped == 0


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from([kind for kind in KNOWN if kind != BY_CLASS[Anything].uuid.bytes]), st.binary(max_size=80)
)
def test_random_bytes_are_a_value_or_a_decode_error(kind: bytes, data: bytes) -> None:
    with contextlib.suppress(ipmb.DecodeError):
        _core.decode(kind, data)


@settings(max_examples=500, deadline=None)
@given(st.data(), NESTED)
def test_damaged_payloads_are_a_value_or_a_decode_error(data: st.DataObject, payload: Any) -> None:
    kind, head, _ = _core.encode(payload)
    damaged = bytearray(head)
    for _ in range(data.draw(st.integers(1, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    for broken in (bytes(damaged), bytes(damaged[:cut])):
        with contextlib.suppress(ipmb.DecodeError):
            _core.decode(kind, broken)


def test_decimals_are_exact() -> None:
    kind, head, _ = _core.encode(Task("d", price=Decimal("0.1000")))
    assert str(_core.decode(kind, head).price) == "0.1000"
