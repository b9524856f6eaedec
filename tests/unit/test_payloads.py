"""What goes in comes out: every built-in payload, through the codec and through the bus."""

from __future__ import annotations

import array
import collections
import ctypes
import enum
import math
import mmap
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ipmb
from ipmb import _core, codec, errors

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[2] / "docs"

TEXT = st.text(st.characters(codec="utf-8"))
NUMBERS = st.integers(-(2**63), 2**64 - 1)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.floats(allow_nan=False), TEXT, st.binary())
KEYS = st.one_of(st.none(), st.booleans(), NUMBERS, st.floats(allow_nan=False), TEXT, st.binary())
PAYLOADS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    if isinstance(one, float):
        return math.copysign(1, one) == math.copysign(1, other) and (
            one == other or (math.isnan(one) and math.isnan(other))
        )
    return bool(one == other)


def through_codec(payload: Any) -> Any:
    kind, head, bulk = _core.encode(payload)
    if bulk is None:
        return _core.decode(kind, head)
    memory, offset, length = bulk
    return _core.decode(kind, head, memoryview(memory).toreadonly()[offset : offset + length])


@given(PAYLOADS)
def test_every_payload_comes_back_equal(payload: Any) -> None:
    assert same(through_codec(payload), payload)


@given(PAYLOADS)
def test_the_bytes_are_plain_messagepack(payload: Any) -> None:
    kind, data, _ = _core.encode(payload)
    name = {raw: name for name, raw in _core.BUILTIN_TYPES.items()}[kind]
    if name == "str":
        assert data == payload.encode()
    elif name == "bytes":
        assert data == payload
    else:
        assert same(msgspec.msgpack.decode(data), payload)


@pytest.mark.parametrize(
    "number",
    [
        0,
        1,
        -1,
        127,
        128,
        255,
        256,
        -32,
        -33,
        -128,
        -129,
        2**31,
        2**32,
        2**53,
        2**63 - 1,
        2**63,
        2**64 - 1,
        -(2**63),
    ],
)
def test_ints_are_exact_at_every_boundary(number: int) -> None:
    assert same(through_codec(number), number)
    assert same(through_codec([number, {number: -1}]), [number, {number: -1}])


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan, -0.0, 5e-324, 1.7976931348623157e308])
def test_floats_are_exact(number: float) -> None:
    assert same(through_codec(number), number)
    assert same(through_codec([number]), [number])


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("payload", "arrives"),
    [
        (Colour.RED, 1),
        (Text("x"), "x"),
        (type("Bytes", (bytes,), {})(b"x"), b"x"),
        (type("Number", (float,), {})(1.5), 1.5),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(list, a=[Text("y")]), {"a": ["y"]}),
        (type("Row", (list,), {})([1]), [1]),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        (memoryview(bytearray(b"abcd")).cast("B", (2, 2)), b"abcd"),
        (array.array("H", [1, 2]), array.array("H", [1, 2]).tobytes()),
        (array.array("d"), b""),
        ((ctypes.c_uint8 * 3)(1, 2, 3), b"\1\2\3"),
        (
            [bytearray(b"x"), {"a": memoryview(b"y"), "b": array.array("B", b"z")}],
            [b"x", {"a": b"y", "b": b"z"}],
        ),
    ],
    ids=str,
)
def test_what_arrives_as_a_plain_type(payload: Any, arrives: Any) -> None:
    assert same(through_codec(payload), arrives)


def test_a_mapped_file_is_a_buffer() -> None:
    with mmap.mmap(-1, 4096) as mapped:
        mapped[:3] = b"abc"
        assert through_codec(mapped) == b"abc" + bytes(4093)
        mapped.resize(4096)  # no view is left behind


def test_bool_is_no_int() -> None:
    assert _core.encode(True)[0] != _core.encode(1)[0]
    assert through_codec([True, 1]) == [True, 1]
    assert through_codec(True) is True


def test_depth_at_the_bound_and_past_it() -> None:
    def nested(depth: int) -> Any:
        payload: Any = 1
        for level in range(depth):
            payload = [payload] if level % 2 else {"a": payload}
        return payload

    assert through_codec(nested(200)) == nested(200)
    with pytest.raises(ValueError, match=r"^payload is nested more than 200 deep"):
        _core.encode(nested(201))


def test_a_buffer_that_changes_the_dict_around_it() -> None:
    """Code that runs inside the encoder cannot pull the container away under it."""
    payload: dict[str, Any] = {"a": array.array("B", b"x"), "b": 1}
    assert through_codec(payload) == {"a": b"x", "b": 1}

    class Meddling:
        def __buffer__(self, flags: int) -> memoryview:  # Python 3.12 and later
            payload.clear()
            return memoryview(b"meddled")

    payload["c"] = Meddling()
    try:
        assert through_codec(payload)["a"] == b"x"
    except TypeError as error:
        assert "payload['c'] is a Meddling" in str(error)  # noqa: PT017 # depends on the version of Python


LIBRARIES = {
    "ndarray": "numpy",
    "generic": "numpy",
    "Table": "pyarrow",
    "RecordBatch": "pyarrow",
    "Tensor": "torch",
}

GARBAGE = [
    ("None", b""),
    ("None", b"\xc0\xc0"),
    ("bool", b"\x01"),
    ("int", b""),
    ("int", b"\xcb" + bytes(8)),
    ("int", b"\xd3\x00"),
    ("int", b"\x01\x01"),
    ("float", b"\x01"),
    ("float", b"\xcb\x00"),
    ("str", b"\xff\xfe"),
    ("str", b"\xed\xa0\x80"),
    ("list", b""),
    ("list", b"\x80"),
    ("list", b"\xdd\xff\xff\xff\xff"),
    ("list", b"\x91" * 100_000 + b"\xc0"),
    ("list", b"\x90\x00"),
    ("list", b"\x91\xa1\xff"),
    ("list", b"\x91\xd4\x05\x00"),
    ("dict", b"\x90"),
    ("dict", b"\x81\x80\x01"),
    ("dict", b"\xdf\xff\xff\xff\xff"),
]


@pytest.mark.parametrize(("name", "data"), GARBAGE)
def test_garbage_is_a_decode_error(name: str, data: bytes) -> None:
    with pytest.raises(errors.DecodeError, match=f"is no {name}"):
        _core.decode(_core.BUILTIN_TYPES[name], data)


@given(st.sampled_from(sorted(_core.BUILTIN_TYPES)), st.binary(max_size=64))
def test_any_bytes_decode_to_the_type_or_fail_cleanly(name: str, data: bytes) -> None:
    try:
        value = _core.decode(_core.BUILTIN_TYPES[name], data)
    except errors.DecodeError:
        return
    made = type(value).__name__.removesuffix("Type")
    assert made == name or type(value).__module__.partition(".")[0] in LIBRARIES.get(name, "")


@pytest.fixture(scope="module")
def pair() -> Iterator[ipmb.Endpoint]:
    with ipmb.join("test.payloads", "self", timeout=10) as endpoint:
        yield endpoint


@settings(max_examples=200, deadline=None)
@given(PAYLOADS)
def test_every_payload_travels(pair: ipmb.Endpoint, payload: Any) -> None:
    assert pair.sender.send("self", payload) == 1
    message = pair.receiver.recv(timeout=10)
    assert same(message.payload, payload)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 16_000, 16_384, 65_536, 1_000_003])
def test_every_size_travels(pair: ipmb.Endpoint, size: int) -> None:
    for payload in (b"x" * size, "ü" * size, [b"y" * size], {"k": "z" * size}):
        assert pair.sender.send("self", payload) == 1
        assert same(pair.receiver.recv(timeout=10).payload, payload)


def test_the_payload_is_as_it_was_when_sent(pair: ipmb.Endpoint) -> None:
    payload = bytearray(b"before")
    pair.sender.send("self", payload)
    payload[:] = b"after!"
    assert pair.receiver.recv(timeout=10).payload == b"before"


def test_the_documented_table_is_the_real_one() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| `([0-9a-f-]{36})` \|", (DOCS / "payloads.md").read_text(), re.MULTILINE
    )
    assert {name: UUID(number) for name, number in rows} == codec.BUILTINS
