"""A large array on its own takes a short way through the codec: it must come to the same as the long one."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from ipmb import _core, arrays, buffers, codec

NDARRAY = _core.BUILTIN_TYPES["ndarray"]

ARRAYS = [
    np.arange(1 << 16, dtype=np.float32),
    np.arange(1 << 16, dtype=">i4").reshape(64, 2, 512),
    np.zeros((1 << 17, 1), np.bool_),
    np.ones(1 << 14, np.complex128),
    np.arange(1 << 15, dtype=np.longdouble),
]

OTHERS = [
    np.arange(10),
    np.asfortranarray(np.ones((256, 256), np.float32)),
    np.ones((512, 512), np.float32)[:, ::2],
    np.zeros(1 << 14, "M8[s]"),
    np.zeros(1 << 14, [("a", "i4"), ("b", "f8")]),
    np.zeros((0, 5)),
]


@pytest.fixture
def long_way(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Only the long way is left."""
    monkeypatch.setattr(buffers, "ALONE_BY_CLASS", {})
    monkeypatch.setattr(buffers, "ALONE_BY_NAME", {})
    return monkeypatch


def alone(array: Any) -> Any:
    return buffers.ALONE_BY_CLASS[np.ndarray](array)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: array.dtype.str)
def test_both_ways_give_the_same_parts(array: Any, long_way: pytest.MonkeyPatch) -> None:
    slow = codec.encode(array)
    long_way.undo()
    fast = codec.encode(array)
    assert alone(array) is not None
    assert isinstance(slow[1], tuple)
    assert isinstance(fast[1], tuple)
    assert fast[0] == slow[0] == NDARRAY
    assert (fast[1][0], fast[1][2:]) == (slow[1][0], slow[1][2:])
    assert bytes(fast[1][1]) == bytes(slow[1][1]) == array.tobytes()


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: array.dtype.str)
def test_both_ways_give_the_same_array(array: Any, long_way: pytest.MonkeyPatch) -> None:
    _, parts = codec.encode(array)
    assert isinstance(parts, tuple)
    head, bulk = parts[0], memoryview(parts[1]).toreadonly()
    slow = codec.decode(NDARRAY, head, bulk)
    long_way.undo()
    fast = codec.decode(NDARRAY, head, bulk)
    assert buffers.ALONE_BY_NAME["ndarray"](head, bulk) is not None
    for came in (slow, fast):
        assert came.dtype == array.dtype
        assert came.shape == array.shape
        assert not came.flags.writeable
        assert came.ctypes.data % buffers.ALIGNMENT == 0
        assert np.array_equal(came, array)


@pytest.mark.parametrize("array", OTHERS, ids=lambda array: f"{array.dtype.str}-{array.shape}")
def test_others_take_the_long_way(array: Any) -> None:
    assert alone(array) is None
    _, parts = codec.encode(array)
    if isinstance(parts, tuple):
        came = codec.decode(NDARRAY, parts[0], memoryview(parts[1]).toreadonly())
        assert came.dtype == array.dtype
        assert np.array_equal(came, array)


@pytest.mark.parametrize(
    ("code", "description"),
    [
        (arrays.CODE + 1, ["<f4", [1 << 20], 0, 0]),
        (arrays.CODE + 1, ["<f4", [-4], 0, 0]),
        (arrays.CODE + 1, ["<f4", [4], 0, 3]),
        (arrays.CODE + 1, ["|O", [4], 0, 0]),
        (arrays.CODE + 1, ["<f4", [2] * 65, 0, 0]),
        (arrays.CODE + 9, ["<f4", [4], 0, 0]),
        (arrays.CODE + 1, "nothing"),
    ],
)
def test_a_head_that_describes_nothing_is_an_error_both_ways(
    code: int, description: Any, long_way: pytest.MonkeyPatch
) -> None:
    head = msgspec.msgpack.encode(msgspec.msgpack.Ext(code, msgspec.msgpack.encode(description)))
    bulk = memoryview(bytes(1 << 16))
    with pytest.raises(ValueError, match=r".") as slow:
        codec.decode(NDARRAY, head, bulk)
    long_way.undo()
    with pytest.raises(ValueError, match=r".") as fast:
        codec.decode(NDARRAY, head, bulk)
    assert str(fast.value) == str(slow.value)


def test_what_no_array_is_sent_as_is_an_error() -> None:
    """Bytes that are no MessagePack, and a head of an array that is too long to be remembered."""
    for head in (b"", b"\xff" * 10, b"\xc7" * 300):
        with pytest.raises(ValueError, match=r"."):
            codec.decode(NDARRAY, head, memoryview(bytes(64)))
