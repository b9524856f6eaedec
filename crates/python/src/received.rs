//! From the bytes of a message to its payload.
//!
//! What is flat (numbers, text, bytes) is made while the ring is held; it runs no Python code. The bytes of the rest are
//! copied out there and decoded afterwards: registered classes by their own decoder, lists, dicts and what comes with a
//! bulk by `ipmb/codec.py`. Whatever a peer sends, the only error that comes of it is `DecodeError`.

use ipmb_binding::types::{BOOL, BYTES, BYTES_MESSAGE, FLOAT, INT, LAST, NONE, STR, TABLE, Type, VIEW};
use pyo3::exceptions::{PyException, PyMemoryError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyMemoryView, PyString};
use rmp::decode;

use crate::errors;
use crate::imported::Imported;
use crate::registry;
use crate::waiting::Inside;

/// Which types a receiver takes, and as what it takes buffers.
pub(crate) struct Takes {
    /// `None`: all that this process knows.
    types: Option<Vec<Type>>,
    bytes_as_views: bool,
    views_as_bytes: bool,
}

impl Takes {
    /// Who takes `bytes` alone gets large buffers as well, as bytes; who takes `memoryview` alone gets all as views.
    pub(crate) fn new(types: Option<Vec<[u8; 16]>>) -> Takes {
        let Some(types) = types else { return Takes { types: None, bytes_as_views: false, views_as_bytes: false } };
        let mut types: Vec<_> = types.into_iter().map(Type::from_be_bytes).collect();
        let (bytes, views) = (types.contains(&BYTES), types.contains(&VIEW));
        if bytes != views {
            types.push(if bytes { VIEW } else { BYTES });
        }
        types.sort_unstable();
        Takes { types: Some(types), bytes_as_views: views && !bytes, views_as_bytes: bytes && !views }
    }

    /// Runs no Python code.
    #[inline]
    pub(crate) fn has(&self, type_id: Type) -> bool {
        match &self.types {
            None => is_known(type_id),
            Some(types) if types.len() <= 8 => types.contains(&type_id),
            Some(types) => types.binary_search(&type_id).is_ok(),
        }
    }

    /// Whether a large payload of this type is taken as a view of the memory it came in.
    pub(crate) fn as_view(&self, type_id: Type) -> bool {
        match type_id {
            BYTES => self.bytes_as_views,
            VIEW => !self.views_as_bytes,
            _ => false,
        }
    }

    fn buffer<'py>(&self, type_id: Type, bytes: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
        if self.bytes_as_views || type_id == VIEW && !self.views_as_bytes {
            return Ok(PyMemoryView::from(bytes)?.into_any());
        }
        Ok(bytes.clone().into_any())
    }
}

/// Whether this process knows the type.
#[inline]
pub(crate) fn is_known(type_id: Type) -> bool {
    (NONE..=LAST).contains(&type_id) || registry::knows(type_id)
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

/// Makes a value of a payload that `copy` brings. Runs no Python code, not even by way of an exception or a collection
/// of garbage: the objects made here are bytes, text and numbers.
#[inline(always)]
pub(crate) fn receive(py: Python<'_>, type_id: Type, takes: &Takes, len: usize, copy: impl Fn(&mut [u8])) -> Received {
    if !(NONE..BYTES).contains(&type_id) {
        let filled = PyBytes::new_with(py, len, |into| {
            copy(into);
            Ok(())
        });
        return match filled {
            Ok(bytes) if type_id == BYTES && !takes.bytes_as_views => Received::Value(bytes.into_any().unbind()),
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
    pub(crate) fn value(self, py: Python<'_>, takes: &Takes) -> PyResult<Py<PyAny>> {
        match self {
            Received::Value(value) => Ok(value),
            Received::Encoded(type_id, bytes) => decode(py, type_id, bytes.bind(py), takes),
            Received::Garbage(type_id, len) => Err(garbage(py, type_id, len, None)),
            Received::Failed(error) => Err(error),
        }
    }
}

/// Decodes bytes in memory, whatever the type.
pub(crate) fn decode(py: Python<'_>, type_id: Type, bytes: &Bound<'_, PyBytes>, takes: &Takes) -> PyResult<Py<PyAny>> {
    match type_id {
        BYTES | VIEW => takes.buffer(type_id, bytes).map(Bound::unbind),
        NONE..BYTES => decode_flat(py, type_id, bytes.as_bytes())
            .map(Bound::unbind)
            .ok_or_else(|| garbage(py, type_id, bytes.as_bytes().len(), None)),
        BYTES_MESSAGE => match bytes.as_bytes().split_first_chunk() {
            Some((&format, data)) => {
                let filled = PyBytes::new_with(py, data.len(), |into| {
                    into.copy_from_slice(data);
                    Ok(())
                });
                bytes_message(py, format, filled?)
            }
            None => Err(garbage(py, type_id, bytes.as_bytes().len(), None)),
        },
        _ => match registry::by_type(py, type_id) {
            Some(registered) => {
                // Python code under our frames: a thread that the interpreter ends in there would take the process along.
                let _inside = Inside::enter(py);
                let value = registered.get().decode.bind(py).call1((bytes,));
                value.map(Bound::unbind).map_err(|error| judged(py, type_id, bytes.as_bytes().len(), error))
            }
            None => with_codec(py, type_id, bytes, None),
        },
    }
}

/// What stands before the data of a `BytesMessage`: its format.
pub(crate) const FORMAT_BYTES: usize = 2;

/// A `BytesMessage` of data that was copied once: two copies of a large payload are more than the allocator keeps, and their
/// pages would be faulted in for each message.
pub(crate) fn bytes_message(
    py: Python<'_>,
    format: [u8; FORMAT_BYTES],
    data: Bound<'_, PyBytes>,
) -> PyResult<Py<PyAny>> {
    static CLASS: Imported = Imported::new("ipmb.values", "BytesMessage");
    let _inside = Inside::enter(py);
    CLASS.get(py)?.call1((u16::from_le_bytes(format), data)).map(Bound::unbind)
}

static DECODE: Imported = Imported::new("ipmb.codec", "decode");

/// Lists, dicts, and all that comes with a bulk, which is a read-only memoryview.
pub(crate) fn with_codec(
    py: Python<'_>,
    type_id: Type,
    head: &Bound<'_, PyBytes>,
    bulk: Option<&Bound<'_, PyAny>>,
) -> PyResult<Py<PyAny>> {
    let _inside = Inside::enter(py);
    let uuid = PyBytes::new(py, &type_id.to_be_bytes());
    let value = DECODE.get(py)?.call1((uuid, head, bulk));
    value.map(Bound::unbind).map_err(|error| judged(py, type_id, head.as_bytes().len(), error))
}

/// What a decoder raises is the message's fault, unless this process has no memory left or somebody wants it to stop.
#[cold]
fn judged(py: Python<'_>, type_id: Type, len: usize, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyException>(py) || error.is_instance_of::<PyMemoryError>(py) {
        return error;
    }
    garbage(py, type_id, len, Some(error))
}

#[cold]
fn garbage(py: Python<'_>, type_id: Type, len: usize, cause: Option<PyErr>) -> PyErr {
    let registered = registry::by_type(py, type_id);
    let name = match (&registered, TABLE.iter().find(|(_, known)| *known == type_id)) {
        (_, Some((name, _))) => name,
        (Some(registered), None) => registered.get().name.as_str(),
        (None, None) => "known payload",
    };
    let why = match &cause {
        Some(cause) => cause.value(py).str().map_or_else(|_| "?".to_owned(), |text| text.to_string()),
        None => "its sender encodes it wrongly".to_owned(),
    };
    let error = errors::decode(py, format!("a message of {len} bytes is no {name}: {why}"));
    error.set_cause(py, cause);
    error
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
