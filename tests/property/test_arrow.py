"""Arrow tables and record batches arrive equal in another process, in place; no stream of a peer breaks its reader."""

from __future__ import annotations

import decimal
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped] # it has no stubs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipmb import _core, arrow, buffers
from tests.property import absent, mirror
from tests.support import memory, roles

if TYPE_CHECKING:
    from pathlib import Path

    from tests.property.hall import Hall

#: One array of three values for each way in which Arrow lays values out, most with one missing.
COLUMNS: dict[str, Any] = {
    "numbers": pa.array([1, None, 3]),
    "floats": pa.array(np.array([1, 2, 3], np.float32)),
    "bools": pa.array([True, None, False]),
    "nothing": pa.nulls(3),
    "text": pa.array(["a", None, "äöü"]),
    "long text": pa.array(["a", None, "c"], pa.large_string()),
    "bytes": pa.array([b"a", None, b"c"]),
    "fixed bytes": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "decimals": pa.array([decimal.Decimal("1.1"), None, None]),
    "lists": pa.array([[1], None, [2, 3]]),
    "long lists": pa.array([[1], None, [2, 3]], pa.large_list(pa.int8())),
    "fixed lists": pa.array([[1, 2], None, [2, 3]], pa.list_(pa.int8(), 2)),
    "structs": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}]),
    "maps": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
    "dictionary": pa.array(["x", "y", None]).dictionary_encode(),
    "times": pa.array([datetime(2026, 11, 22, tzinfo=UTC)] * 3),
    "spans": pa.array([timedelta(1), None, timedelta(2)]),
    "intervals": pa.array([(1, 2, 3)] * 3, pa.month_day_nano_interval()),
    "views of text": pa.array(["a" * 20, None, "b"], pa.string_view()),
    "views of lists": pa.array([[1], None, [2, 3]], pa.list_view(pa.int8())),
    "runs": pa.RunEndEncodedArray.from_arrays([1, 3], [1, 2]),
    "dense union": pa.UnionArray.from_dense(
        pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()), [pa.array([1, 2]), pa.array(["x"])]
    ),
    "sparse union": pa.UnionArray.from_sparse(
        pa.array([0, 1, 0], pa.int8()), [pa.array([1, 2, 3]), pa.array(["x", "y", "z"])]
    ),
    "nested": pa.array([[{"a": ["x"]}], None, []]),
    "an extension": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"u" * 16] * 3, pa.binary(16))),
}

LARGE = _core.VIEW_BYTES


def table(columns: list[str], times: int) -> Any:
    parts = [pa.table({name: COLUMNS[name] for name in columns})] * times
    return pa.concat_tables(parts).replace_schema_metadata({"made": "here"})


def batch(columns: list[str], times: int) -> Any:
    arrays = [pa.concat_arrays([COLUMNS[name]] * times) for name in columns]
    return pa.record_batch(arrays, names=columns)


def check(hall: Hall, value: Any) -> Any:
    seen, back = hall.reflected(value)
    assert type(back) is type(value)
    assert back.schema.equals(value.schema, check_metadata=True)
    assert back.equals(value)
    assert seen == mirror.facts(value)
    return back


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(sorted(COLUMNS)), unique=True, max_size=5), st.integers(1, 4))
def test_any_table_arrives_equal(hall: Hall, columns: list[str], times: int) -> None:
    check(hall, table(columns, times))
    if columns:
        check(hall, batch(columns, times))
        check(hall, batch(columns, times).slice(1, 1))


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_large_tables_of_every_kind(hall: Hall, name: str) -> None:
    times = 3000 if name == "nothing" else 3 * LARGE // max(COLUMNS[name].nbytes, 8)
    check(hall, batch([name], min(times, 6000)))


def test_rows_without_columns(hall: Hall) -> None:
    assert check(hall, table(["numbers"], 5).select([])).num_rows == 15


def test_tables_in_any_place(hall: Hall) -> None:
    small, large = table(["text", "numbers"], 2), table(["text", "numbers"], 2000)
    _, back = hall.reflected([small, {"large": large, "array": np.ones(LARGE)}])
    assert back[0].equals(small)
    assert back[1]["large"].equals(large)
    assert (back[1]["array"] == 1).all()
    _, frame = hall.reflected(mirror.Frame(1.0, np.ones(3), rows=large, whatever=large.to_batches()[0]))
    assert frame.rows.equals(large)
    assert frame.whatever.equals(large.to_batches()[0])


def test_values_are_viewed_where_they_lie(hall: Hall) -> None:
    numbers = pa.record_batch([pa.array(np.arange(1 << 16)), pa.array(["x"] * (1 << 16))], names=["n", "t"])
    back = check(hall, numbers)
    _, values = back.column(0).buffers()
    _, offsets, text = back.column(1).buffers()
    lies_in_file = [bool(memory.mapping(buffer)[0]) for buffer in (values, offsets, text)]
    assert lies_in_file == [True, False, True]


def test_memory_goes_back(hall: Hall) -> None:
    other = hall.spawn.member(hall.end.identifier, "other")
    numbers = pa.record_batch([pa.array(np.arange(1 << 18))], names=["n"])
    pending = other.child.post(mirror.consume, 60)
    for _ in range(60):
        assert hall.end.sender.send("other", numbers, timeout=10.0) == 1
        assert hall.end.receiver.recv(10.0).payload == "seen"
    assert len(set(pending.result())) <= 3


def test_a_receiver_without_pyarrow_says_so(hall: Hall) -> None:
    plain = hall.spawn.member(hall.end.identifier, "plain")
    plain.child.call(absent.forget, "pyarrow")
    assert hall.end.sender.send("plain", table(["text"], 1)) == 1
    assert "install pyarrow" in plain.child.post(roles.recv, 5.0).fails("DecodeError").text


def test_other_values_of_arrow_are_refused() -> None:
    for value in (pa.chunked_array([COLUMNS["text"]]), pa.schema([("a", pa.int8())]), COLUMNS["text"]):
        with pytest.raises(TypeError, match="payload is a"):
            _core.encode(value)


def stream(value: Any) -> bytes:
    """The bytes of a record batch as Arrow writes them."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, value.schema) as writer:
        writer.write(value)
    return bytes(sink.getvalue())


def view(data: bytes | bytearray) -> Any:
    """What a reader makes of a stream that lies in shared memory: a record batch, its length, and where it begins."""
    return buffers.unpack(7, msgspec.msgpack.encode([True, len(data), 0]), memoryview(data).toreadonly())


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(COLUMNS)), st.data())
def test_scribbled_streams_are_errors(name: str, data: st.DataObject) -> None:
    """Whatever a peer writes into a stream: an error, or a table that can be read without harm."""
    garbled = bytearray(stream(batch([name], 1)))
    for place in data.draw(st.lists(st.integers(0, len(garbled) - 1), min_size=1, max_size=6)):
        garbled[place] = data.draw(st.sampled_from([0, 1, 127, 128, 254, 255]))
    try:
        found = view(garbled)
    except ValueError:
        return
    if found.num_rows < 100:
        mirror.read_through(found)


def test_cut_streams_are_errors() -> None:
    whole = stream(batch(["text"], 2))
    for size in range(0, len(whole) - 8, 3):
        with pytest.raises(ValueError, match=r"stream|record batch"):
            view(whole[:size])


@pytest.mark.parametrize("name", ["text", "lists", "nested", "dictionary", "views of text", "dense union"])
def test_a_stream_may_change_while_it_is_read(hall: Hall, tmp_path: Path, name: str) -> None:
    """One process scribbles over a stream at full speed, another reads it again and again, and lives."""
    path = tmp_path / "stream"
    path.write_bytes(stream(batch([name], 50)))
    scribbler, reader = hall.spawn.child("scribbler"), hall.spawn.child("reader")
    scribbling = scribbler.begin(mirror.scribble, str(path), 0.7)
    assert reader.call(mirror.read_often, str(path), 0.7) > 0
    scribbling.result()


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize("beside", [False, True])
def test_a_compressed_stream_is_refused(codec: str, beside: bool) -> None:
    """Nobody here compresses; a few bytes of a peer must not become a gigabyte."""
    table = pa.table({"zeros": pa.array([0.0] * 100_000)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write(table)
    stream = sink.getvalue().to_pybytes()
    assert len(stream) * 100 < table.nbytes
    head = msgspec.msgpack.encode([False, len(stream), 0 if beside else stream])
    with pytest.raises(ValueError, match="compressed"):
        arrow.unpack(head, memoryview(stream) if beside else None)
