"""Arrow tables and record batches as payloads.

They travel as Arrow's own IPC stream, written straight into the bulk, and are read where they lie. The sender could
still change that memory, so nothing that steers reading stays in it: the stream's metadata, and the buffers that say
which values are missing, where each begins, or which entry of a dictionary it is, are copied out and then checked. The
values themselves, nearly all of the bytes, are viewed.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pyarrow as pa  # type: ignore[import-untyped] # it has no stubs
from pyarrow import types as kinds

from ipmb.buffers import part
from ipmb.registrations import a_type

if TYPE_CHECKING:
    from ipmb.buffers import Packer

CODE: Final = 6

#: Older ones run code that a schema names (CVE-2023-47248).
_OLDEST: Final = 15

if int(pa.__version__.split(".")[0]) < _OLDEST:
    _TOO_OLD = f"pyarrow is {pa.__version__}: version {_OLDEST} or later is needed"
    raise ImportError(_TOO_OLD)


class _Stream(msgspec.Struct, array_like=True, frozen=True):
    """A stream: whether it is one record batch, its length, and its bytes or where in the bulk they begin."""

    is_batch: bool
    size: int
    data: memoryview | int


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(_Stream).decode


def pack(value: Any, packer: Packer) -> bytes:
    """Describes a table or a record batch."""

    def write(sink: Any) -> None:
        with pa.ipc.new_stream(sink, value.schema) as writer:
            writer.write(value)

    # The size first: this stream counts what it is given, and copies nothing.
    measure = pa.MockOutputStream()
    write(measure)
    size = measure.size()
    is_batch = isinstance(value, pa.RecordBatch)
    if packer.goes_out(size):

        def fill(room: memoryview) -> None:
            with pa.FixedSizeBufferWriter(pa.py_buffer(room)) as sink:
                write(sink)

        return _ENCODE(_Stream(is_batch, size, packer.add(size, None, fill)))
    memory = pa.BufferOutputStream()
    write(memory)
    return _ENCODE(_Stream(is_batch, size, memoryview(memory.getvalue())))


def unpack(data: bytes | memoryview, bulk: memoryview | None) -> object:
    """The table or record batch that was described so.

    Raises:
        ValueError: The bytes describe none.
    """
    head = _DECODE(data)
    try:
        if not isinstance(head.data, int):
            return _read_copy(head.data, head.is_batch)
        room = part(bulk, head.data, head.size)
        try:
            return _read(pa.PythonFile(_Parts(room), mode="r"), head.is_batch, settle=True)
        except _UnsettledError:
            return _read_copy(room, head.is_batch)
    except (pa.ArrowException, OSError, LookupError, SystemError, struct.error) as error:
        # Arrow's errors are of many kinds, according to what it stumbled over.
        msg = f"{head.size} bytes are no Arrow stream: {error}"
        raise ValueError(msg) from error


def convert(kind: Any, value: object) -> object:
    """A received value as a field of type `kind`.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, kind):
        msg = f"it is {a_type(type(value))}, not {a_type(kind)}"
        raise TypeError(msg)
    return value


def _read_copy(data: Any, is_batch: bool) -> object:
    memory = _copy(data)
    for message in pa.ipc.MessageReader.open_stream(memory):
        _refuse_compressed(memoryview(message.metadata))
    return _read(pa.BufferReader(memory), is_batch, settle=False)


def _read(stream: Any, is_batch: bool, *, settle: bool) -> object:
    with pa.ipc.open_stream(stream) as reader:
        schema = reader.schema
        _ = schema.names  # raises for names that are no text
        batches = [_settled_batch(batch) if settle else batch for batch in reader]
    for batch in batches:
        batch.validate(full=True)
    if not is_batch:
        return pa.Table.from_batches(batches, schema)
    if len(batches) != 1:
        msg = f"a record batch has come as {len(batches)}"
        raise ValueError(msg)
    return batches[0]


class _Parts:
    """A stream over memory that may change: gives Arrow the metadata as copies, and what they describe in place.

    A message is read as a mark and a length, 4 bytes each, then so many bytes of metadata, then the body. Whatever is
    read in another way is copied, too.
    """

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._place = 0
        self._small = 0
        self.closed = False

    def _take(self, size: int) -> memoryview:
        taken = self._memory[self._place : self._place + max(size, 0)]
        self._place += taken.nbytes
        return taken

    def read(self, size: int) -> bytes:
        self._small += 1
        return bytes(self._take(size))

    def read_buffer(self, size: int) -> Any:
        is_body, self._small = self._small == 0, 0
        taken = self._take(size)
        if is_body:
            return pa.py_buffer(taken)
        metadata = _copy(taken)
        _refuse_compressed(memoryview(metadata))
        return metadata

    def tell(self) -> int:
        return self._place

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


def _copy(data: Any) -> Any:
    """A buffer of Arrow's own, at a multiple of 64."""
    source = pa.py_buffer(data)
    memory = pa.allocate_buffer(source.size)
    memoryview(memory).cast("B")[:] = memoryview(source).cast("B")
    return memory


# Types of header in a message, and fields of its tables: format/Message.fbs of Apache Arrow, columnar format 1.5.
_DICTIONARY: Final = 2
_RECORD_BATCH: Final = 3
_HEADER_TYPE, _HEADER = 1, 2
_BATCH_OF_DICTIONARY: Final = 1
_COMPRESSION: Final = 3


def _refuse_compressed(metadata: memoryview) -> None:
    """Raises ValueError when a message says that its body is compressed: a few bytes could become any number of them.

    Nobody here sends it so. The metadata is a FlatBuffer, of which this reads three offsets; Arrow checks it all.
    """
    data = metadata.cast("B")
    message = _follow(data, 0)
    kind_at, header = _field(data, message, _HEADER_TYPE), _field(data, message, _HEADER)
    if kind_at is None or header is None:
        return
    kind, batch = data[kind_at], _follow(data, header)
    if kind == _DICTIONARY:
        inner = _field(data, batch, _BATCH_OF_DICTIONARY)
        if inner is None:
            return
        batch = _follow(data, inner)
    elif kind != _RECORD_BATCH:
        return
    if _field(data, batch, _COMPRESSION) is not None:
        msg = "an Arrow stream is compressed: its sender has to write it without"
        raise ValueError(msg)


def _follow(data: memoryview, place: int) -> int:
    offset: int = struct.unpack_from("<I", data, place)[0]
    return place + offset


def _field(data: memoryview, table: int, number: int) -> int | None:
    """Where the field of a FlatBuffer's table is, if it is there."""
    offsets: int = table - struct.unpack_from("<i", data, table)[0]
    if offsets < 0 or struct.unpack_from("<H", data, offsets)[0] <= 4 + 2 * number:
        return None
    offset: int = struct.unpack_from("<H", data, offsets + 4 + 2 * number)[0]
    return table + offset if offset else None


class _UnsettledError(Exception):
    """An array whose buffers nearly all steer reading."""


def _settled_batch(batch: Any) -> Any:
    batch.validate()  # lengths: to ask an array of less than none for its values ends the process
    if batch.num_columns == 0:
        return batch
    return pa.RecordBatch.from_arrays([_settled(column) for column in batch.columns], schema=batch.schema)


def _settled(array: Any) -> Any:
    """The same array, with copies of the buffers that steer reading."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, _settled(array.storage))
    children = None
    if kinds.is_struct(kind):
        children, steering = [_settled(array.field(number)) for number in range(kind.num_fields)], 1
    elif kinds.is_fixed_size_list(kind):
        children, steering = [_settled(array.values)], 1
    elif kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_map(kind):
        children, steering = [_settled(array.values)], 2
    elif kinds.is_dictionary(kind) or _is_text(kind):
        steering = 2
    elif (
        kinds.is_primitive(kind)
        or kinds.is_fixed_size_binary(kind)
        or kinds.is_decimal(kind)
        or kinds.is_null(kind)
    ):
        steering = 1
    else:
        raise _UnsettledError
    # The children's own follow.
    buffers = array.buffers()[: kind.num_buffers]
    for number in range(steering):
        if buffers[number] is not None:
            buffers[number] = _copy(buffers[number])
    if kinds.is_dictionary(kind):
        entries = _settled(array.dictionary)
        return pa.DictionaryArray.from_buffers(kind, len(array), buffers, entries, -1, array.offset)
    return pa.Array.from_buffers(kind, len(array), buffers, -1, array.offset, children)


def _is_text(kind: Any) -> bool:
    return bool(
        kinds.is_string(kind)
        or kinds.is_binary(kind)
        or kinds.is_large_string(kind)
        or kinds.is_large_binary(kind)
    )
