"""What a peer says of an array is believed only when it is true of the bytes that came."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ipmb
from ipmb import _core, buffers

#: The bulk of the message; and the codes of an array inside the head, one in the bulk, and a buffer in the bulk.
BULK = memoryview(bytes(range(128)))
INSIDE, OUTSIDE, BUFFER = 4, 5, 10

NESTED: Any = "<i4"
for _ in range(200):
    NESTED = [4, False, [["a", 0, None, NESTED]]]

LIES = {
    "a dtype of objects": ["|O", [1], 0, bytes(8)],
    "a dtype of objects, sized": ["|O8", [1], 0, bytes(8)],
    "a field of objects": [[8, False, [["a", 0, None, "|O"]]], [1], 0, bytes(8)],
    "fields with commas": ["i4,O", [1], 0, bytes(12)],
    "code": ["__import__('os')", [1], 0, b""],
    "a dtype of 8 GiB": ["|V8589934592", [1], 0, b""],
    "a dtype that is too wide for numpy": ["<U4294967295", [0], 0, b""],
    "time in no steps": ["<M8[0s]", [1], 0, bytes(8)],
    "time divided by nothing": ["<M8[s/0]", [1], 0, bytes(8)],
    "a dtype that is a number": [5, [1], 0, bytes(8)],
    "fields 200 deep": [NESTED, [1], 0, bytes(4)],
    "a field before the first byte": [[8, False, [["a", -4, None, "<i4"]]], [1], 0, bytes(8)],
    "a field behind the last byte": [[8, False, [["a", 8, None, "<i4"]]], [1], 0, bytes(8)],
    "a field far behind": [[8, False, [["a", 2**62, None, "<i4"]]], [1], 0, bytes(8)],
    "one name for two fields": [[8, False, [["a", 0, None, "<i4"], ["a", 4, None, "<i4"]]], [1], 0, bytes(8)],
    "a negative element": [[-8, False, []], [1], 0, bytes(8)],
    "a field of many": [["<i4", [2**40]], [1], 0, bytes(8)],
    "a field of fewer than none": [[4, False, [["a", 0, None, ["<i4", [-1]]]]], [1], 0, bytes(4)],
    "fields that are none": [[4, False, [[]]], [1], 0, bytes(4)],
    "one byte less": ["<f8", [3], 0, bytes(23)],
    "one byte more": ["<f8", [3], 0, bytes(25)],
    "a negative shape": ["<f8", [-3], 0, b""],
    "two negative lengths": ["<f8", [-3, -1], 0, bytes(24)],
    "a shape that overflows": ["<f8", [2**32, 2**32], 0, b""],
    "a shape of more than a length": ["<f8", [2**63], 0, b""],
    "nothing of a vast shape": ["<f8", [0, 2**62, 2**62], 0, b""],
    "65 dimensions": ["|u1", [1] * 65, 0, b"x"],
    "text that is none, as a scalar": ["<U1", [], 2, b"\xff\xff\xff\xff"],
    "too little": ["<f8", [1], 0],
    "no array": 7,
}

FAR = {
    "before the bulk": ["|u1", [8], 0, -64],
    "behind the bulk": ["|u1", [8], 0, 128],
    "beyond the bulk": ["|u1", [65], 0, 64],
    "far away": ["|u1", [8], 0, 2**62],
    "at an odd place": ["|u1", [8], 0, 8],
    "more than all": ["<f8", [2**60], 0, 0],
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_lies_are_errors(lie: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        buffers.unpack(INSIDE, msgspec.msgpack.encode(lie), None)


@pytest.mark.parametrize("lie", FAR.values(), ids=FAR)
def test_a_place_that_is_not_there(lie: Any) -> None:
    for bulk in (BULK, None):
        with pytest.raises(ValueError, match=r"bulk|beside"):
            buffers.unpack(OUTSIDE, msgspec.msgpack.encode(lie), bulk)


@pytest.mark.parametrize("extent", [[-64, 8], [128, 1], [64, 65], [8, 8], [0, -1], [2**62, 1], [0, 2**63]])
def test_a_buffer_that_is_not_there(extent: list[int]) -> None:
    with pytest.raises(ValueError, match="bulk"):
        buffers.unpack(BUFFER, msgspec.msgpack.encode(extent), BULK)


@pytest.mark.parametrize(
    "head", [b"\xc1", b"\xc1" + bytes(17), b"\xc1" + b"\xff" * 16, b"\xc1" + bytes(8) + b"\x81" * 8]
)
def test_a_head_that_is_elsewhere(head: bytes) -> None:
    with pytest.raises(ValueError, match=r"head|bulk"):
        buffers.locate(head, BULK)


def test_a_lie_in_a_message_is_a_decode_error() -> None:
    """The same by way of whole messages; one for each type that may hold an array."""
    kinds = _core.BUILTIN_TYPES
    for lie in (["|O", [1], 0, bytes(8)], ["|u1", [8], 0, 128]):
        extension = msgspec.msgpack.Ext(OUTSIDE, msgspec.msgpack.encode(lie))
        for kind, value in (
            (kinds["ndarray"], extension),
            (kinds["list"], [extension]),
            (kinds["dict"], {"a": extension}),
        ):
            with pytest.raises(ipmb.DecodeError):
                _core.decode(kind, msgspec.msgpack.encode(value), BULK)


TREES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.binary(max_size=20),
        st.sampled_from(
            ["<f8", "|V0", "|O", "|V4294967295", "<U99999999", "<M8[7D]", "|S9999999999", "|b1", "a", "names"]
        ),
    ),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)
SHAPES = st.lists(st.one_of(st.integers(0, 9), st.integers(-(2**63), 2**64 - 1)), max_size=4)
PLACES = st.one_of(st.binary(max_size=64), st.integers(-64, 192), st.integers(-(2**63), 2**64 - 1))


@settings(max_examples=1000, deadline=None)
@given(
    st.sampled_from([INSIDE, OUTSIDE, BUFFER, 0, 11, 127]),
    st.one_of(
        st.tuples(TREES, SHAPES, st.integers(0, 3), PLACES).map(msgspec.msgpack.encode),
        TREES.map(msgspec.msgpack.encode),
        st.binary(max_size=60),
    ),
)
def test_garbage_is_an_error_or_an_array_of_what_came(code: int, data: bytes) -> None:
    try:
        value = buffers.unpack(code, data, BULK)
    except ValueError:
        return
    if isinstance(value, np.ndarray):
        assert value.nbytes <= max(len(data), BULK.nbytes)
        assert not value.dtype.hasobject
        assert not value.flags.writeable
        assert len(value.tobytes()) == value.nbytes
    else:
        assert isinstance(value, (np.generic, memoryview))
