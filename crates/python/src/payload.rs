//! What a payload travels as: 16 bytes that name its type, and its own bytes.
//!
//! The frequent built-in types are encoded natively, and recognised by a comparison of pointers each; a class that a
//! program registered is found by one look into a table and its encoder called. The rest (numpy arrays, large buffers, what cannot be sent) is left to `ipmb/codec.py`.

use ipmb_binding::types::{BOOL, BYTES, DICT, FLOAT, INT, LIST, NONE, STR, Type, VIEW_BYTES};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::errors;
use crate::imported::Imported;
use crate::msgpack;
use crate::registry::{self, Registered};
use crate::waiting::Inside;

pub(crate) const INT_RANGE: &str = "give -2**63 to 2**64-1";

/// A payload ready to be sent.
pub(crate) struct Encoded<'a> {
    pub(crate) type_id: Type,
    bytes: Bytes<'a>,
    /// What follows the bytes, in memory that is shared already.
    pub(crate) bulk: Option<OutOfBand<'a>>,
}

/// A range of a `Bulk`.
pub(crate) struct OutOfBand<'a> {
    pub(crate) memory: Bound<'a, PyAny>,
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

enum Bytes<'a> {
    Borrowed(&'a [u8]),
    Small([u8; 9], usize),
    Owned(Vec<u8>),
    Object(Bound<'a, PyBytes>),
}

impl<'a> Encoded<'a> {
    #[inline]
    fn new(type_id: Type, bytes: Bytes<'a>) -> Self {
        Encoded { type_id, bytes, bulk: None }
    }

    /// All of the payload, or what stands before the bulk.
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

/// What is most often sent: bytes that are there, or those of a number.
pub(crate) enum Flat<'a> {
    Borrowed(Type, &'a [u8]),
    Small(Type, [u8; 9], usize),
}

impl<'a> Flat<'a> {
    /// `None`: [`encode`] knows.
    #[inline(always)]
    pub(crate) fn of(payload: &'a Bound<'_, PyAny>) -> Option<Flat<'a>> {
        if let Ok(bytes) = payload.cast_exact::<PyBytes>() {
            return Some(Flat::Borrowed(BYTES, bytes.as_bytes()));
        }
        if let Ok(string) = payload.cast_exact::<PyString>() {
            return Some(Flat::Borrowed(STR, string.to_str().ok()?.as_bytes()));
        }
        let number = payload.cast_exact::<PyInt>().ok()?.extract::<i64>().ok()?;
        let mut bytes = [0; 9];
        let mut rest = &mut bytes[..];
        rmp::encode::write_sint(&mut rest, number).ok()?;
        let len = 9 - rest.len();
        Some(Flat::Small(INT, bytes, len))
    }

    /// Its type and its bytes.
    #[inline(always)]
    pub(crate) fn parts(&self) -> (Type, &[u8]) {
        match self {
            Flat::Borrowed(type_id, bytes) => (*type_id, bytes),
            Flat::Small(type_id, bytes, len) => (*type_id, &bytes[..*len]),
        }
    }
}

/// Encodes a payload. The bytes of `bytes` and `str` are borrowed.
#[inline]
pub(crate) fn encode<'a>(payload: &'a Bound<'a, PyAny>) -> PyResult<Encoded<'a>> {
    if let Ok(bytes) = payload.cast_exact::<PyBytes>() {
        return Ok(Encoded::new(BYTES, Bytes::Borrowed(bytes.as_bytes())));
    }
    if let Ok(string) = payload.cast_exact::<PyString>() {
        return encode_str(string);
    }
    if let Ok(number) = payload.cast_exact::<PyInt>() {
        return encode_int(number);
    }
    encode_other(payload)
}

fn encode_str<'a>(string: &'a Bound<'a, PyString>) -> PyResult<Encoded<'a>> {
    let text = crate::arguments::text("payload", string)?;
    Ok(Encoded::new(STR, Bytes::Borrowed(text.as_bytes())))
}

fn small(type_id: Type, write: impl FnOnce(&mut &mut [u8])) -> Encoded<'static> {
    let mut bytes = [0; 9];
    let mut rest = &mut bytes[..];
    write(&mut rest);
    let len = 9 - rest.len();
    Encoded::new(type_id, Bytes::Small(bytes, len))
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

fn encode_other<'a>(payload: &'a Bound<'a, PyAny>) -> PyResult<Encoded<'a>> {
    if payload.is_none() {
        return Ok(small(NONE, |out| drop(rmp::encode::write_nil(out))));
    }
    if let Ok(flag) = payload.cast::<PyBool>() {
        return Ok(small(BOOL, |out| drop(rmp::encode::write_bool(out, flag.is_true()))));
    }
    if let Ok(number) = payload.cast_exact::<PyFloat>() {
        return Ok(encode_float(number));
    }
    if payload.cast_exact::<PyList>().is_ok() {
        return encode_nested(LIST, payload);
    }
    if payload.cast_exact::<PyDict>().is_ok() {
        return encode_nested(DICT, payload);
    }
    match registry::by_class(&payload.get_type()) {
        Some(registered) => encode_registered(payload, registered.get()),
        None => encode_subclass(payload),
    }
}

fn encode_float(number: &Bound<'_, PyFloat>) -> Encoded<'static> {
    small(FLOAT, |out| drop(rmp::encode::write_f64(out, number.value())))
}

fn encode_nested<'a>(type_id: Type, payload: &'a Bound<'a, PyAny>) -> PyResult<Encoded<'a>> {
    match msgpack::encode(payload)? {
        msgpack::Done::Whole(bytes) => Ok(Encoded::new(type_id, Bytes::Owned(bytes))),
        msgpack::Done::Parted(parts) => parted(type_id, parts),
    }
}

/// Values of a subclass arrive as the plain type; those of numpy (`float64`, `str_`, `bytes_`) too.
fn encode_subclass<'a>(payload: &'a Bound<'a, PyAny>) -> PyResult<Encoded<'a>> {
    if let Ok(number) = payload.cast::<PyFloat>() {
        return Ok(encode_float(number));
    }
    if let Ok(number) = payload.cast::<PyInt>() {
        return encode_int(number);
    }
    if let Ok(string) = payload.cast::<PyString>() {
        return encode_str(string);
    }
    if payload.is_instance_of::<PyList>() {
        return encode_nested(LIST, payload);
    }
    if payload.is_instance_of::<PyDict>() {
        return encode_nested(DICT, payload);
    }
    if let Ok(bytes) = payload.cast::<PyBytes>() {
        return Ok(Encoded::new(BYTES, Bytes::Borrowed(bytes.as_bytes())));
    }
    if let Ok(bytes) = payload.cast::<PyByteArray>()
        && bytes.len() < VIEW_BYTES
    {
        return Ok(Encoded::new(BYTES, Bytes::Owned(bytes.to_vec())));
    }
    encode_with_codec(payload)
}

fn encode_with_codec<'a>(payload: &'a Bound<'a, PyAny>) -> PyResult<Encoded<'a>> {
    // Python code may run under our frames: a thread that the interpreter ends there would take the process along.
    let _inside = Inside::enter(payload.py());
    typed(ENCODE.get(payload.py())?.call1((payload,))?)
}

/// Calls the encoder of a registered class. What it cannot do (a field with an array, a value out of range) the codec
/// does, or says why not.
fn encode_registered<'a>(payload: &'a Bound<'a, PyAny>, registered: &Registered) -> PyResult<Encoded<'a>> {
    let py = payload.py();
    let _inside = Inside::enter(py);
    match registered.encode.bind(py).call1((payload,)) {
        Ok(bytes) => parted(registered.type_id, bytes),
        Err(error) => {
            let again = ENCODE_AGAIN.get(py)?;
            parted(registered.type_id, again.call1((payload, error.into_value(py)))?)
        }
    }
}

/// What the codec gives: the UUID before the rest.
fn typed<'a>(given: Bound<'a, PyAny>) -> PyResult<Encoded<'a>> {
    let (type_id, rest): ([u8; 16], Bound<'a, PyAny>) = given.extract().map_err(|_| contract("a UUID and bytes"))?;
    parted(Type::from_be_bytes(type_id), rest)
}

/// What an encoder gives: bytes, or `(head, bulk, offset, length)`.
fn parted<'a>(type_id: Type, given: Bound<'a, PyAny>) -> PyResult<Encoded<'a>> {
    match given.cast_into::<PyBytes>() {
        Ok(bytes) => Ok(Encoded::new(type_id, Bytes::Object(bytes))),
        Err(given) => {
            let given = given.into_inner();
            let parts = given.cast::<PyTuple>().map_err(|_| contract("bytes, or bytes and a bulk"))?;
            let (head, memory, offset, len): (Bound<'a, PyBytes>, Bound<'a, PyAny>, usize, usize) = parts.extract()?;
            Ok(Encoded { type_id, bytes: Bytes::Object(head), bulk: Some(OutOfBand { memory, offset, len }) })
        }
    }
}

#[cold]
fn contract(wanted: &str) -> PyErr {
    pyo3::exceptions::PyTypeError::new_err(format!("an encoder of a payload type has to return {wanted}"))
}

static ENCODE: Imported = Imported::new("ipmb.codec", "encode");
static ENCODE_AGAIN: Imported = Imported::new("ipmb.codec", "encode_again");

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
