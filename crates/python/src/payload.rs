//! What a payload travels as: 16 bytes that name its type, and its own bytes.
//!
//! The table of built-in types stands here, once; `docs/payloads.md` shows it. Encoding and decoding of these is native
//! up to lists and dicts, whose bytes msgspec decodes by way of `ipmb/codec.py`, which also takes what is not built in.
//! Values of exactly a built-in type are recognised by a comparison of pointers each, the frequent ones first.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};
use rmp::decode;

use crate::errors;
use crate::msgpack;
use crate::waiting::Inside;

/// The type of a payload, as a number: the big-endian value of its UUID.
pub(crate) type Type = u128;

const fn builtin(number: u128) -> Type {
    // 69706d62 is "ipmb"; version 8 of a UUID is for private meanings.
    0x69706d62_0000_8000_8000_000000000000 | number
}

pub(crate) const NONE: Type = builtin(1);
pub(crate) const BOOL: Type = builtin(2);
pub(crate) const INT: Type = builtin(3);
pub(crate) const FLOAT: Type = builtin(4);
pub(crate) const STR: Type = builtin(5);
pub(crate) const BYTES: Type = builtin(6);
pub(crate) const LIST: Type = builtin(7);
pub(crate) const DICT: Type = builtin(8);

/// The names under which Python sees the table.
pub(crate) const TABLE: [(&str, Type); 8] = [
    ("None", NONE),
    ("bool", BOOL),
    ("int", INT),
    ("float", FLOAT),
    ("str", STR),
    ("bytes", BYTES),
    ("list", LIST),
    ("dict", DICT),
];

pub(crate) const INT_RANGE: &str = "give -2**63 to 2**64-1";

/// A payload ready to be sent.
pub(crate) struct Encoded<'a> {
    pub(crate) type_id: Type,
    bytes: Bytes<'a>,
}

enum Bytes<'a> {
    Borrowed(&'a [u8]),
    Small([u8; 9], usize),
    Owned(Vec<u8>),
    Object(Bound<'a, PyBytes>),
}

impl Encoded<'_> {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Borrowed(bytes) => bytes,
            Bytes::Small(bytes, len) => &bytes[..*len],
            Bytes::Owned(bytes) => bytes,
            Bytes::Object(bytes) => bytes.as_bytes(),
        }
    }
}

/// Encodes a payload. The bytes of `bytes` and `str` are borrowed.
#[inline]
pub(crate) fn encode<'a>(payload: &'a Bound<'_, PyAny>) -> PyResult<Encoded<'a>> {
    if let Ok(bytes) = payload.cast_exact::<PyBytes>() {
        return Ok(Encoded { type_id: BYTES, bytes: Bytes::Borrowed(bytes.as_bytes()) });
    }
    if let Ok(string) = payload.cast_exact::<PyString>() {
        return encode_str(string);
    }
    if let Ok(number) = payload.cast_exact::<PyInt>() {
        return encode_int(number);
    }
    encode_other(payload)
}

fn encode_str<'a>(string: &'a Bound<'_, PyString>) -> PyResult<Encoded<'a>> {
    let text = crate::arguments::text("payload", string)?;
    Ok(Encoded { type_id: STR, bytes: Bytes::Borrowed(text.as_bytes()) })
}

fn small(type_id: Type, write: impl FnOnce(&mut &mut [u8])) -> Encoded<'static> {
    let mut bytes = [0; 9];
    let mut rest = &mut bytes[..];
    write(&mut rest);
    let len = 9 - rest.len();
    Encoded { type_id, bytes: Bytes::Small(bytes, len) }
}

// Nine bytes hold every scalar, so the writes below cannot fail.
fn encode_int(number: &Bound<'_, PyInt>) -> PyResult<Encoded<'static>> {
    let Some(integer) = integer(number) else {
        return Err(errors::wrong_value("payload", "an int out of range", INT_RANGE));
    };
    Ok(small(INT, |out| {
        let _ = match integer {
            Integer::Signed(number) => rmp::encode::write_sint(out, number),
            Integer::Unsigned(number) => rmp::encode::write_uint(out, number),
        };
    }))
}

fn encode_other<'a>(payload: &'a Bound<'_, PyAny>) -> PyResult<Encoded<'a>> {
    let py = payload.py();
    if payload.is_none() {
        return Ok(small(NONE, |out| drop(rmp::encode::write_nil(out))));
    }
    if let Ok(flag) = payload.cast::<PyBool>() {
        return Ok(small(BOOL, |out| drop(rmp::encode::write_bool(out, flag.is_true()))));
    }
    if let Ok(number) = payload.cast::<PyFloat>() {
        return Ok(small(FLOAT, |out| drop(rmp::encode::write_f64(out, number.value()))));
    }
    // Subclasses arrive as the plain type.
    if let Ok(number) = payload.cast::<PyInt>() {
        return encode_int(number);
    }
    if let Ok(string) = payload.cast::<PyString>() {
        return encode_str(string);
    }
    let owned = |type_id, bytes| Ok(Encoded { type_id, bytes: Bytes::Owned(bytes) });
    if payload.is_instance_of::<PyList>() {
        return owned(LIST, msgpack::encode(payload)?);
    }
    if payload.is_instance_of::<PyDict>() {
        return owned(DICT, msgpack::encode(payload)?);
    }
    if let Ok(bytes) = payload.cast::<PyBytes>() {
        return Ok(Encoded { type_id: BYTES, bytes: Bytes::Borrowed(bytes.as_bytes()) });
    }
    if let Ok(bytes) = payload.cast::<PyByteArray>() {
        return owned(BYTES, bytes.to_vec());
    }
    let (type_id, bytes): (Bound<'_, PyBytes>, Bound<'_, PyBytes>) =
        codec(py, &ENCODE, "encode")?.call1((payload,))?.extract()?;
    let type_id = type_id.as_bytes().try_into().map_err(|_| {
        pyo3::exceptions::PyRuntimeError::new_err("ipmb.codec.encode did not give the 16 bytes of a UUID")
    })?;
    Ok(Encoded { type_id: Type::from_be_bytes(type_id), bytes: Bytes::Object(bytes.clone()) })
}

static ENCODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static BUFFER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static DECODE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn codec<'py>(py: Python<'py>, cell: &PyOnceLock<Py<PyAny>>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    Ok(cell.import(py, "ipmb.codec", name)?.clone())
}

/// The bytes of any object with a contiguous buffer; `None` when it has no buffer.
pub(crate) fn buffer<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let bytes = codec(value.py(), &BUFFER, "buffer")?.call1((value,))?;
    if bytes.is_none() { Ok(None) } else { Ok(Some(bytes.cast_into::<PyBytes>()?)) }
}

/// An int as the wire has it.
pub(crate) enum Integer {
    Signed(i64),
    Unsigned(u64),
}

/// `None` when it is out of range.
#[inline]
pub(crate) fn integer(number: &Bound<'_, PyInt>) -> Option<Integer> {
    if let Ok(number) = number.extract::<i64>() {
        return Some(Integer::Signed(number));
    }
    number.extract::<u64>().ok().map(Integer::Unsigned)
}

/// Whether it may be a key of a dict.
pub(crate) fn is_scalar(value: &Bound<'_, PyAny>) -> bool {
    value.is_none()
        || value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyInt>()
        || value.is_instance_of::<PyFloat>()
        || value.is_instance_of::<PyBytes>()
}

pub(crate) fn too_large(py: Python<'_>, len: u64) -> PyErr {
    let error = ipmb_bus::error::SendError::TooLarge { len, max: ipmb_bus::limits::PAYLOAD_BYTES };
    errors::from_send(py, &error)
}

/// A received payload: the value itself, or bytes whose decoding has to wait until the ring is not held any more,
/// because it runs code of the interpreter.
pub(crate) enum Received {
    Value(Py<PyAny>),
    Encoded(Type, Py<PyBytes>),
    /// So many bytes that are not what their type says.
    Garbage(Type, usize),
    Failed(PyErr),
}

/// Whether this process knows the type.
#[inline]
pub(crate) fn is_known(type_id: Type) -> bool {
    (NONE..=DICT).contains(&type_id)
}

/// Makes a value of a payload that `copy` brings. Runs no Python code, not even by way of an exception or a collection
/// of garbage: the objects made here are bytes, text and numbers.
#[inline]
pub(crate) fn receive(py: Python<'_>, type_id: Type, len: usize, copy: impl Fn(&mut [u8])) -> Received {
    if matches!(type_id, BYTES | LIST | DICT) {
        let filled = PyBytes::new_with(py, len, |into| {
            copy(into);
            Ok(())
        });
        return match filled {
            Ok(bytes) if type_id == BYTES => Received::Value(bytes.into_any().unbind()),
            Ok(bytes) => Received::Encoded(type_id, bytes.unbind()),
            Err(error) => Received::Failed(error),
        };
    }
    let value = if len <= 256 {
        let mut bytes = [0; 256];
        copy(&mut bytes[..len]);
        decode_flat(py, type_id, &bytes[..len])
    } else {
        let mut bytes = vec![0; len];
        copy(&mut bytes);
        decode_flat(py, type_id, &bytes)
    };
    value.map_or(Received::Garbage(type_id, len), |value| Received::Value(value.unbind()))
}

impl Received {
    /// The value; decodes what had to wait.
    #[inline]
    pub(crate) fn value(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Received::Value(value) => Ok(value),
            Received::Encoded(type_id, bytes) => decode_nested(py, type_id, bytes.bind(py)),
            Received::Garbage(type_id, len) => Err(garbage(py, type_id, len)),
            Received::Failed(error) => Err(error),
        }
    }
}

/// Decodes bytes in memory, whatever the type.
pub(crate) fn decode(py: Python<'_>, type_id: Type, bytes: &Bound<'_, PyBytes>) -> PyResult<Py<PyAny>> {
    match type_id {
        BYTES => Ok(bytes.clone().into_any().unbind()),
        LIST | DICT => decode_nested(py, type_id, bytes),
        _ => decode_flat(py, type_id, bytes.as_bytes())
            .map(Bound::unbind)
            .ok_or_else(|| garbage(py, type_id, bytes.as_bytes().len())),
    }
}

fn decode_nested(py: Python<'_>, type_id: Type, bytes: &Bound<'_, PyBytes>) -> PyResult<Py<PyAny>> {
    // Python code under our frames: a thread that the interpreter ends in there would take the process along.
    let _inside = Inside::enter();
    let name = if type_id == LIST { "list" } else { "dict" };
    Ok(codec(py, &DECODE, "decode")?.call1((name, bytes))?.unbind())
}

fn garbage(py: Python<'_>, type_id: Type, len: usize) -> PyErr {
    let name = TABLE.iter().find(|(_, known)| *known == type_id).map_or("known payload", |(name, _)| *name);
    errors::decode(py, format!("a message of {len} bytes is no {name}: its sender encodes it wrongly"))
}

/// `None` when the bytes are not what the type says.
fn decode_flat<'py>(py: Python<'py>, type_id: Type, bytes: &[u8]) -> Option<Bound<'py, PyAny>> {
    match type_id {
        STR => std::str::from_utf8(bytes).ok().map(|text| PyString::new(py, text).into_any()),
        INT => decode_int(py, bytes),
        FLOAT => exact(bytes, decode::read_f64).map(|number| PyFloat::new(py, number).into_any()),
        BOOL => exact(bytes, decode::read_bool).map(|flag| PyBool::new(py, flag).to_owned().into_any()),
        NONE => exact(bytes, decode::read_nil).map(|()| py.None().into_bound(py)),
        _ => None,
    }
}

/// One value and nothing after it.
fn exact<'a, T, E>(mut bytes: &'a [u8], read: impl FnOnce(&mut &'a [u8]) -> Result<T, E>) -> Option<T> {
    let value = read(&mut bytes).ok()?;
    bytes.is_empty().then_some(value)
}

fn decode_int<'py>(py: Python<'py>, bytes: &[u8]) -> Option<Bound<'py, PyAny>> {
    if let Some(number) = exact(bytes, decode::read_int::<i64, _>) {
        return Some(PyInt::new(py, number).into_any());
    }
    exact(bytes, decode::read_int::<u64, _>).map(|number| PyInt::new(py, number).into_any())
}
