"""What `payloads` may name: which UUID each class of a library has, and what is no type of a payload."""

from __future__ import annotations

import datetime as dt
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped] # it has no stubs
import pytest

import ipmb
from ipmb import _core

T = TypeVar("T")


@ipmb.message_type("00000001-7e57-4000-8000-0000000001e0")
class Box(msgspec.Struct, Generic[T]):
    value: T


SENT: dict[str, Any] = {
    "ndarray": np.zeros(3),
    "generic": np.int16(3),
    "Table": pa.table({"a": [1]}),
    "RecordBatch": pa.record_batch({"a": [1]}),
    "float": np.float64(1.5),
    "str": np.str_("text"),
    "bytes": np.bytes_(b"bytes"),
}


@pytest.mark.parametrize(
    ("payloads", "name"),
    [
        (np.ndarray, "ndarray"),
        (npt.NDArray[np.float32], "ndarray"),
        (np.generic, "generic"),
        (pa.Table, "Table"),
        (pa.RecordBatch, "RecordBatch"),
        (float, "float"),
        (str, "str"),
        (bytes, "bytes"),
    ],
    ids=str,
)
def test_nothing_but_what_was_named_arrives(bus: str, payloads: Any, name: str) -> None:
    end: ipmb.Endpoint[Any]
    with ipmb.join(bus, "self", timeout=10, payloads=payloads) as end:
        for sent in SENT.values():
            assert end.sender.send("self", sent) == 1
        (message,) = end.receiver.recv_many(len(SENT), timeout=5)
        plain = {"float": float, "str": str, "bytes": bytes}
        assert type(message.payload) is plain.get(name, type(SENT[name]))
        payload: Any = message.payload
        assert payload.tolist() == [0.0] * 3 if name == "ndarray" else payload == SENT[name]
        assert end.stats().skipped == len(SENT) - 1


@pytest.mark.parametrize(("name", "other"), [("ndarray", "generic"), ("Table", "RecordBatch")])
def test_one_under_the_uuid_of_the_other_is_a_decode_error(name: str, other: str) -> None:
    for wrong, right in ((name, other), (other, name)):
        _, head, _ = _core.encode(SENT[right])
        with pytest.raises(ipmb.DecodeError, match=f"is no {wrong}: it is an? "):
            _core.decode(_core.BUILTIN_TYPES[wrong], head)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (np.float32, "holds float32, .*: give numpy.generic"),
        (np.floating[Any], r"holds numpy.floating\[typing.Any\], .*: give numpy.generic"),
        (np.float64, "holds float64, .*: give float"),
        (np.str_, "holds str_, .*: give str"),
        (np.bytes_, "holds bytes_, .*: give bytes"),
        (np.matrix, "holds matrix, .*: give numpy.ndarray"),
        (Box[int], r"holds .*Box\[int\]: give Box, its fields"),
        (pa.ChunkedArray, "holds ChunkedArray: give one of"),
        (dt.date, "holds date: give one of"),
        (ipmb.Label, "holds Label: give one of"),
        ([int, str], r"holds \[.*\]: give MessageBox\(\*types\)"),
        ({int}, r"holds \{.*\}: give MessageBox\(\*types\)"),
    ],
    ids=str,
)
def test_what_is_no_type_of_a_payload_is_named(wrong: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        ipmb.MessageBox(wrong)
    with pytest.raises(TypeError, match=text):
        ipmb.join("test.choosing", payloads=wrong)


def test_boxes_of_the_same_types_are_equal() -> None:
    assert ipmb.MessageBox(int, str) == ipmb.MessageBox(str | int)
    assert hash(ipmb.MessageBox(int, str)) == hash(ipmb.MessageBox(str | int))
    assert ipmb.MessageBox(int) != ipmb.MessageBox(int, str)
    assert ipmb.MessageBox(int) != (int,)
