"""What cannot be sent is refused before anything is sent, with its place and what to do instead."""

from __future__ import annotations

import datetime as dt
import os
import threading
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import attrs
import msgspec
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped] # it has no stubs
import pytest

import ipmb
from ipmb import _core


class Pair(NamedTuple):
    a: int


@ipmb.message_type("00000001-7e57-4000-8000-0000000001f0")
@dataclass
class Data:
    x: Any


@ipmb.message_type("00000001-7e57-4000-8000-0000000001f1")
@attrs.define
class Attrs:
    x: Any


@ipmb.message_type("00000001-7e57-4000-8000-0000000001f2")
class Struct(msgspec.Struct):
    x: Any


CONVERT = "convert it: give None, bool, int, float, str, bytes or another buffer, datetime, UUID"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (dt.date(2026, 1, 2), r"a date: give its isoformat\(\), or put it in a field"),
        (dt.timedelta(1), r"a timedelta: give its total_seconds\(\), or put it in a field"),
        (Decimal(1), "a Decimal: give a str of it, or put it in a field"),
        (Pair(1), "a Pair: give a list, or put it in a field"),
        ((1,), "a tuple: give a list, or put it in a field"),
        (frozenset(), "a frozenset: give a list, or put it in a field"),
        (Path("/"), f"a PosixPath: {CONVERT}"),
        (os.getcwd, "a builtin_function_or_method: convert it"),
        (lambda: 1, f"a function: {CONVERT}"),
        ((one for one in [1]), f"a generator: {CONVERT}"),
        (threading.Lock(), "a lock: convert it"),
        (pa.chunked_array([[1]]), f"a ChunkedArray: {CONVERT}"),
        (1j, "a complex: give None"),
        (ipmb.Label("one"), f"a Label: {CONVERT}"),
        (ipmb.MemoryRegistry(), r"a MemoryRegistry: send a region of it, as memory_regions=\[region\]"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_to_do_instead_is_said(value: Any, text: str) -> None:
    for payload, place in ((value, ""), ({"a": [value]}, r"\['a'\]\[0\]")):
        with pytest.raises(TypeError, match=f"^payload{place} is {text}") as caught:
            _core.encode(payload)
        assert "@ipmb.message_type" not in str(caught.value)


def test_a_class_defined_where_nothing_has_a_name_can_be_decorated() -> None:
    space: dict[str, Any] = {}
    exec("class Unknown: pass", space)
    with pytest.raises(
        TypeError, match=r"^payload is an Unknown: .* is not registered: put @ipmb.message_type"
    ):
        _core.encode(space["Unknown"]())


def test_descriptors_and_closed_regions() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    thing = ipmb.Object(reader)
    with pytest.raises(TypeError, match=r"^payload is an Object: send it as objects=\[it\]"):
        _core.encode(thing)
    thing.close()
    region = ipmb.MemoryRegistry().alloc(64)
    region.close()
    with pytest.raises(ValueError, match=r"^payload is a MemoryRegion that cannot be read: region is closed"):
        _core.encode(region)
    with pytest.raises(ValueError, match=r"^payload\[0\]\.x is a MemoryRegion that cannot be read: .*closed"):
        _core.encode([Data(region)])


@pytest.mark.parametrize("cls", [Data, Attrs, Struct])
@pytest.mark.parametrize(
    ("value", "error", "place", "text"),
    [
        ({"a": [2**64]}, ValueError, r"\.x\['a'\]\[0\]", "an int out of range: give -2"),
        ("\ud800", ValueError, r"\.x", "a str with half a surrogate pair: give valid Unicode"),
        ({"\ud800": 1}, ValueError, r"\.x\['.ud800'\]", "a str with half a surrogate pair"),
        ([memoryview(b"abcd")[::2]], TypeError, r"\.x\[0\]", "a memoryview that is not contiguous: give a c"),
        ((1, Path("/")), TypeError, r"\.x\[1\]", "a PosixPath: convert it"),
        ({2**64}, ValueError, r"\.x\[\.\.\.\]", "an int out of range"),
        (Data(Struct([Attrs(2**64)])), ValueError, r"\.x\.x\.x\[0\]\.x", "an int out of range"),
        ({"x" * 90: 2**64}, ValueError, r"\.x\['x{36}\.\.\.\]", "an int out of range"),
        (np.array([{}]), TypeError, r"\.x", "a numpy array of dtype object: give numbers"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_the_place_in_an_object_is_said(
    cls: Any, value: Any, error: type[Exception], place: str, text: str
) -> None:
    for payload, before in ((cls(value), ""), ([{"k": cls(value)}], r"\[0\]\['k'\]")):
        with pytest.raises(error, match=f"^payload{before}{place} is {text}") as caught:
            _core.encode(payload)
        assert str(caught.value).count("payload") == 1
    large = cls([np.zeros(1 << 16), value])  # by the encoder that collects large buffers
    with pytest.raises(error, match=r"^payload\.x\[1\]"):
        _core.encode(large)


def test_what_a_class_raises_itself_is_raised_as_it_is() -> None:
    class Broken(dt.tzinfo):
        def utcoffset(self, _: Any) -> Any:
            raise ZeroDivisionError

    broken: Any = Broken  # its stub asks for more methods than it has to have
    broken = broken()
    with pytest.raises(ZeroDivisionError):
        _core.encode(Data(dt.datetime(2026, 1, 2, tzinfo=broken)))


@pytest.mark.parametrize("group", [np.generic, np.number, np.floating, np.floating[Any], list[np.integer]])
def test_a_field_that_no_value_fits_is_refused_at_the_class(group: Any) -> None:
    made: Any = dataclass(type("Made", (), {"__annotations__": {"level": group}}))
    with pytest.raises(
        TypeError, match=r"Made\.level is an? \w+, which no value is: give one such as float64"
    ):
        ipmb.message_type(uuid4())(made)


def test_values_of_a_subclass_in_fields_arrive_as_the_plain_type() -> None:
    @ipmb.message_type(uuid4())
    @dataclass
    class Plain:
        number: float
        text: str
        data: bytes
        keys: dict[float, str]
        width: np.float64
        name: np.str_

    wide = np.float64(1.5)
    sent = Plain(wide, np.str_("t\0"), np.bytes_(b"b\0"), {wide: np.str_("v")}, wide, np.str_("n"))
    got = _core.decode(*_core.encode(sent)[:2])
    assert got == sent
    kinds = [type(one) for one in vars(got).values()]
    assert kinds == [float, str, bytes, dict, np.float64, np.str_]
    assert [type(one) for one in (*got.keys, *got.keys.values())] == [float, str]
