"""Any array arrives equal in another process, with its dtype, shape and order, read-only and at a multiple of 64."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import ipmb
from ipmb import _core, buffers
from tests.property import absent, mirror
from tests.property.hall import Hall, check, expected, same
from tests.support import roles
from tests.support.wait import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Spawn

Array = npt.NDArray[Any]

#: From here on an array travels beside its message.
LARGE = _core.VIEW_BYTES

#: Every kind of element: numbers of all widths and both byte orders, times, text, bytes, fields in fields.
DTYPES = st.one_of(
    hnp.scalar_dtypes(),
    hnp.byte_string_dtypes(max_len=9),
    hnp.unicode_string_dtypes(max_len=5),
    hnp.array_dtypes(max_size=3, allow_subarrays=True),
    hnp.nested_dtypes(max_itemsize=200),
)

#: Elements that are nothing but bytes, or fields with gaps, out of order, one over the other, or with titles.
LAYOUTS = st.sampled_from(
    [
        np.dtype("V5"),
        np.dtype("V0"),
        np.dtype("S0"),
        np.dtype([]),
        np.dtype("M8[25s]"),
        np.dtype(">U3"),
        np.dtype("i1,f8", align=True),
        np.dtype({"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [0, 2], "itemsize": 12}),
        np.dtype({"names": ["b", "a"], "formats": ["i4", "i2"], "offsets": [4, 0]}),
        np.dtype([(("title", "name"), "i4"), ("other", "f8")]),
        np.dtype([("pairs", [("x", "i4", (2, 3))], (2,))]),
    ]
)

PATIENT = settings(max_examples=150, deadline=None)


@st.composite
def arrays(draw: st.DrawFn, most: int = 4) -> Array:
    """An array, or a view of one: turned, with steps of both signs, stretched, or of no dimensions."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=most, min_side=0, max_side=6))
    if draw(st.booleans()):
        array = draw(hnp.arrays(draw(DTYPES), shape, fill=st.nothing()))
    else:
        dtype = draw(LAYOUTS)
        size = math.prod(shape) * dtype.itemsize
        array = np.ndarray(shape, dtype, bytes(number % 100 for number in range(size)))
    if array.ndim and draw(st.booleans()):
        array = np.asarray(array[draw(hnp.basic_indices(array.shape, allow_newaxis=True))])
    if draw(st.booleans()):
        array = array.T
    if draw(st.booleans()):
        array = np.broadcast_to(array, (draw(st.integers(0, 3)), *array.shape))
    return array


@PATIENT
@given(arrays())
def test_any_array_arrives_equal(hall: Hall, array: Array) -> None:
    check(hall, array)


@PATIENT
@given(arrays(most=2), st.integers(1, 3))
def test_any_large_array_arrives_equal(hall: Hall, array: Array, extra: int) -> None:
    if not array.nbytes:
        return
    rows = LARGE // array.nbytes + extra
    repeated = np.broadcast_to(array, (rows, *array.shape))
    check(hall, repeated)
    check(hall, repeated.T)
    check(hall, np.array(repeated))


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.one_of(arrays(most=2), st.integers(-9, 9), st.text(max_size=3)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=4)
        ),
        max_leaves=8,
    )
)
def test_arrays_in_lists_and_dicts(hall: Hall, value: Any) -> None:
    check(hall, value)


SIZES = [0, 1, 63, 64, 65, 4096, 16_000, 16_384, 16_400, 40_000, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE + 5]


@pytest.mark.parametrize("size", SIZES)
def test_sizes_around_the_bounds(hall: Hall, size: int) -> None:
    array = np.arange(size, dtype=np.uint64).astype(np.uint8)
    check(hall, array)
    check(hall, [array, array[::-1], b"between", array])
    check(hall, {"many": [array] * 9, "x" * 9000: array})


def test_many_small_arrays_are_large_together(hall: Hall) -> None:
    check(hall, [np.full((10, 10), number, np.int32) for number in range(1000)])


def test_a_dataclass_with_arrays(hall: Hall) -> None:
    small = np.arange(12, dtype=np.float32).reshape(3, 4)
    large = np.arange(LARGE, dtype=np.uint16).reshape(4, -1)
    check(hall, mirror.Frame(1.5, small))
    check(hall, mirror.Frame(1.5, large))
    check(
        hall,
        mirror.Frame(2.5, large.T, small > 3, [small, large, small.T], {"a": large[::2]}, whatever=large),
    )
    check(hall, [mirror.Frame(0.0, large), {"frame": mirror.Frame(1.0, small, large > 7)}])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image", [1, 2, 3]),
        ("image", np.float64(3)),
        ("mask", np.zeros(3)),
        ("gain", np.zeros(3)),
        ("gain", "high"),
        ("gain", "2.5"),
        ("rows", np.zeros(3)),
        ("tiles", [np.zeros(3), b"bytes"]),
    ],
)
def test_a_field_takes_nothing_but_its_type(field: str, value: Any) -> None:
    def encoded(value: Any) -> Any:
        packed = buffers.Packer().pack(value)
        return value if packed is None else msgspec.msgpack.Ext(*packed)

    kind, _, _ = _core.encode(mirror.Frame(1.0, np.zeros(3)))
    fields = {"time": 1.0, "image": np.zeros(3)}
    right = msgspec.msgpack.encode(fields, enc_hook=encoded)
    assert same(mirror.Frame(1.0, np.zeros(3)), _core.decode(kind, right))
    wrong = msgspec.msgpack.encode(fields | {field: value}, enc_hook=encoded)
    with pytest.raises(ipmb.DecodeError, match=field):
        _core.decode(kind, wrong)


def test_numbers_become_the_scalars_of_their_field() -> None:
    kind, _, _ = _core.encode(mirror.Frame(1.0, np.zeros(3)))
    image = msgspec.msgpack.Ext(*(buffers.Packer().pack(np.zeros(3)) or (0, b"")))
    frame = _core.decode(kind, msgspec.msgpack.encode({"time": 1.0, "image": image, "gain": 2.5}))
    assert same(np.float32(2.5), frame.gain)


SCALARS = [
    np.int64(3),
    np.uint8(255),
    np.float32("nan"),
    np.float16(1),
    np.longdouble(1) / 3,
    np.complex64(1 + 2j),
    np.bool_(1),
    np.datetime64("2026-11-22T21:00:00", "ns"),
    np.timedelta64("NaT"),
    np.void(b"void"),
    np.array((1, 2.5), dtype="i2,f8")[()],
]


@pytest.mark.parametrize("scalar", SCALARS, ids=lambda scalar: type(scalar).__name__)
def test_scalars_stay_scalars(hall: Hall, scalar: Any) -> None:
    for value in (scalar, [scalar, {"x": scalar}], mirror.Frame(0.0, np.zeros(3), whatever=[scalar])):
        _, back = hall.reflected(value)
        if isinstance(value, mirror.Frame) and isinstance(scalar, np.number | np.bool_):
            # A field that is declared `float` may hold one of numpy's, so numbers in fields travel as Python's.
            assert np.array_equal(back.whatever, [scalar], equal_nan=True)
        else:
            assert same(value, back)


@pytest.mark.parametrize(
    ("scalar", "arrives"),
    [
        (np.float64(2.5), 2.5),
        (np.str_("text\0"), "text\0"),
        (np.str_(""), ""),
        (np.bytes_(b"bytes\0\0"), b"bytes\0\0"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_scalars_that_are_values_of_python_arrive_as_these(hall: Hall, scalar: Any, arrives: Any) -> None:
    assert same(arrives, hall.reflected(scalar)[1])
    assert same([arrives, {arrives: arrives}], hall.reflected([scalar, {scalar: scalar}])[1])
    frame = mirror.Frame(0.0, np.zeros(3), whatever=[scalar, {scalar: scalar}])
    assert same([arrives, {arrives: arrives}], hall.reflected(frame)[1].whatever)


def test_scalars_in_a_field_that_says_so(hall: Hall) -> None:
    _, back = hall.reflected(mirror.Frame(0.0, np.zeros(3), gain=np.float32(0.1)))
    assert same(np.float32(0.1), back.gain)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_subclasses_arrive_as_plain_arrays(hall: Hall) -> None:
    records = np.rec.array([(1, 2.0), (3, 4.0)], dtype=[("a", "i4"), ("b", "f8")])
    for array in (np.matrix([[1, 2], [3, 4]]), records):
        _, back = hall.reflected(array)
        assert same(np.asarray(array), back)


@pytest.mark.parametrize(
    "array",
    [
        np.array([{}]),
        np.array([object()] * 9000),
        np.zeros(3, np.dtype([("name", "O"), ("size", "i4")])),
        np.array(["text"], dtype=np.dtypes.StringDType()),
    ],
    ids=["objects", "many objects", "objects in fields", "text of any length"],
)
def test_objects_are_refused_with_their_place(hall: Hall, array: Array) -> None:
    send = hall.end.sender.send
    with pytest.raises(TypeError, match=r"^payload is a numpy array of dtype .*: give numbers"):
        send("mirror", array)
    with pytest.raises(TypeError, match=r"^payload\['x'\]\[1\] is a numpy array of dtype .*: give numbers"):
        send("mirror", {"x": [1, array]})
    with pytest.raises(TypeError, match=r"^payload\.image is a numpy array of dtype .*: give numbers"):
        send("mirror", mirror.Frame(1.0, array))
    check(hall, np.arange(3))


def test_masked_arrays_are_refused(hall: Hall) -> None:
    masked = np.ma.array([1, 2, 3], mask=[False, True, False])
    with pytest.raises(TypeError, match="payload is a masked numpy array"):
        hall.end.sender.send("mirror", masked)


def test_buffers_in_any_place(hall: Hall) -> None:
    large = bytes(range(256)) * (LARGE // 256)
    for value in (bytearray(large), memoryview(large)):
        _, back = hall.reflected(value)
        assert isinstance(back, memoryview)
        assert back.readonly
        assert back == large
        _, (back, rest) = hall.reflected([value, {"short": value[:9]}])
        assert isinstance(back, memoryview)
        assert back == large
        assert rest == {"short": large[:9]}


@pytest.fixture
def pair(bus: str, spawn: Spawn) -> Iterator[Hall]:
    with ipmb.join(bus, "here", timeout=10.0) as end:
        yield Hall(end, spawn.member(bus, "mirror"), spawn)


@pytest.mark.parametrize("where", ["alone", "in a dict", "in a field"])
def test_the_view_is_truly_shared(pair: Hall, where: str) -> None:
    region: Any = ipmb.MemoryRegistry().alloc(1 << 20)
    array = np.frombuffer(region, np.float64)[: 1 << 16]
    array[:] = 1.0
    payload = {"alone": array, "in a dict": {"x": 1, "array": array}, "in a field": mirror.Frame(0.5, array)}[
        where
    ]
    assert pair.end.sender.send("mirror", payload) == 1
    assert pair.mirror.child.call(mirror.keep, "it") == expected(payload)
    array[::3] = 7.0
    assert pair.mirror.child.call(mirror.look, "it") == expected(payload)


def test_what_is_copied_is_not_shared(pair: Hall) -> None:
    array = np.ones(LARGE)
    before = expected(array)
    assert pair.end.sender.send("mirror", array) == 1
    array[:] = 2.0
    assert pair.mirror.child.call(mirror.keep, "it") == before


def test_a_multicast_is_one_copy(pair: Hall, spawn: Spawn) -> None:
    others = [pair.mirror, *spawn.members(pair.end.identifier, "a", "b")]
    array = np.arange(LARGE, dtype=np.int16)
    everyone = ipmb.Selector.multicast(ipmb.LabelOp("mirror") | "a" | "b")
    assert pair.end.sender.send(everyone, array) == 3
    assert [one.child.call(mirror.keep, "it") for one in others] == [expected(array)] * 3
    assert len({one.child.call(mirror.lies_in, "it") for one in others}) == 1


def test_arrays_wait_for_a_match(pair: Hall, spawn: Spawn) -> None:
    array = np.arange(LARGE, dtype=np.int16)
    assert pair.end.sender.send("late", {"large": array, "small": array[:9]}, ttl=20.0) == 0
    array[:] = 0
    late = spawn.member(pair.end.identifier, "late")
    sent = np.arange(LARGE, dtype=np.int16)
    assert late.child.call(mirror.keep, "it") == expected({"large": sent, "small": sent[:9]})


def test_a_view_of_a_view_keeps_the_memory(pair: Hall) -> None:
    array = np.arange(LARGE, dtype=np.float64)
    child = pair.mirror.child
    assert pair.end.sender.send("mirror", array) == 1
    child.call(mirror.keep, "it")
    assert child.call(mirror.keep_part, "it") == array[1:][::2].sum()
    for _ in range(5):
        assert pair.end.sender.send("mirror", np.zeros_like(array)) == 1
        child.call(mirror.keep, "other")
    assert child.call(mirror.look, "it") == [
        *expected(array[1:][::2])[:1],
        False,
        *expected(array[1:][::2])[2:],
    ]


def test_what_came_can_be_sent_on(pair: Hall, spawn: Spawn) -> None:
    """A view of another's memory is an ordinary payload: the third one does not depend on the first."""
    array = np.arange(LARGE, dtype=np.float32)
    far = spawn.member(pair.end.identifier, "far")
    assert pair.end.sender.send("mirror", array) == 1
    seen = pair.mirror.child.call(mirror.keep, "it")
    assert pair.mirror.child.call(mirror.pass_on, "it", "far") == 1
    pair.mirror.child.call(mirror.drop, "it")
    assert far.child.call(mirror.keep, "it") == seen == expected(array)


@pytest.mark.parametrize("kind", ["array", "list of arrays"])
def test_memory_goes_back_when_the_receiver_lets_go(pair: Hall, kind: str) -> None:
    size, count = (8 << 20, 200) if kind == "array" else (1 << 20, 50)
    array = np.ones(size, np.uint8)
    payload = array if kind == "array" else [array, array[::2], "text"]
    pending = pair.mirror.child.post(mirror.consume, count)
    before = 0
    for number in range(count):
        assert pair.end.sender.send("mirror", payload, timeout=10.0) == 1
        assert pair.end.receiver.recv(10.0).payload == "seen"
        if number == 5:
            before = mirror.held()
    # The receiver drops one array when it takes the next, so two take turns; a third may come in between.
    assert len(set(pending.result())) <= 3
    until(lambda: mirror.held() <= before, "what was let go to be closed")


def test_dropped_means_gone(pair: Hall) -> None:
    child = pair.mirror.child
    assert pair.end.sender.send("mirror", "the channel's own memory") == 1
    child.call(mirror.keep, "words")
    mapped = child.call(mirror.held)
    assert pair.end.sender.send("mirror", np.ones(LARGE)) == 1
    child.call(mirror.keep, "it")
    assert child.call(mirror.held) > mapped
    child.call(mirror.drop, "it")
    # A mapping without a hold may stay for the next message, for a few seconds.
    until(lambda: child.call(mirror.held) == mapped, "no memory is left", bound=20.0)


def test_a_receiver_without_numpy_says_so(pair: Hall, spawn: Spawn) -> None:
    plain = spawn.member(pair.end.identifier, "plain")
    plain.child.call(absent.forget, "numpy")
    for array in (np.arange(3), np.ones(LARGE), [np.arange(3)]):
        assert pair.end.sender.send("plain", array) == 1
        error = plain.child.post(roles.recv, 5.0).fails("DecodeError")
        assert "install numpy" in error.text
    plain.child.call(roles.send, "here", "still there")
    assert pair.end.receiver.recv(5.0).payload == "still there"


def test_optional_libraries_are_loaded_by_their_values_only(pair: Hall, spawn: Spawn) -> None:
    plain = spawn.member(pair.end.identifier, "plain")
    plain.child.call(absent.send, "here", [1, {"two": b"three"}])
    assert pair.end.receiver.recv(5.0).payload == [1, {"two": b"three"}]
    assert plain.child.call(absent.imported, "numpy", "pyarrow", "torch") == []
