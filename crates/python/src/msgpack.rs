//! From Python values to MessagePack, strictly: what would not arrive equal is refused, with its place in the payload.
//!
//! The general encoders turn tuples into lists and enums into numbers without a word. This one takes exactly the
//! built-in payloads (and their subclasses, which arrive as the plain type), and says `payload[3]['x'] is a set` for
//! the rest. No Python code runs while a dict is walked, so nothing can change it meanwhile: where Python code has to be
//! called (`ipmb.extensions.Packing`, for registered classes, arrays, foreign buffers), the walk starts again over copies.

use ipmb_binding::types::VIEW_BYTES;
use ipmb_bus::limits::PAYLOAD_DEPTH;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};
use rmp::encode::{self, ByteBuf, ValueWriteError};

use crate::errors::{self, a_type};
use crate::imported::Imported;
use crate::payload;
use crate::registry;
use crate::waiting::Inside;

const KEYS: &str = "give keys that are None, bool, int, float, str or bytes";

/// Why a value was not encoded, with the way to it from the inside out.
pub(crate) enum Refusal {
    Type {
        what: String,
        bound: String,
        path: Vec<String>,
    },
    Value {
        what: String,
        bound: &'static str,
        path: Vec<String>,
    },
    /// What the codec says of a value: "payload is a numpy array of dtype object: ...".
    Told {
        error: PyErr,
        path: Vec<String>,
    },
    TooLarge(u64),
    /// Something other than built-in code has to run: walk again over copies.
    Careful,
    Raised(PyErr),
}

impl From<PyErr> for Refusal {
    fn from(error: PyErr) -> Self {
        Refusal::Raised(error)
    }
}

// Writing into memory does not fail.
impl From<ValueWriteError<std::convert::Infallible>> for Refusal {
    fn from(error: ValueWriteError<std::convert::Infallible>) -> Self {
        match error {
            ValueWriteError::InvalidMarkerWrite(never) | ValueWriteError::InvalidDataWrite(never) => match never {},
        }
    }
}

impl Refusal {
    fn within(mut self, step: impl FnOnce() -> String) -> Self {
        if let Refusal::Type { path, .. } | Refusal::Value { path, .. } | Refusal::Told { path, .. } = &mut self {
            path.push(step());
        }
        self
    }

    fn raise(self, py: Python<'_>) -> PyErr {
        let place = |path: Vec<String>| path.iter().rev().fold("payload".to_owned(), |place, step| place + step);
        match self {
            Refusal::Type { what, bound, path } => PyTypeError::new_err(format!("{} is {what}: {bound}", place(path))),
            Refusal::Value { what, bound, path } => errors::wrong_value(&place(path), what, bound),
            Refusal::Told { error, path } => told(py, error, &place(path)),
            Refusal::TooLarge(len) => payload::too_large(py, len),
            Refusal::Careful => pyo3::exceptions::PyRuntimeError::new_err("payload changed while it was encoded"),
            Refusal::Raised(error) => error,
        }
    }
}

/// The same error, with the place instead of "payload".
fn told(py: Python<'_>, error: PyErr, place: &str) -> PyErr {
    let text = error.value(py).to_string();
    // "payload is ...", or "payload.field[3] is ..." of an object of a registered class.
    let Some(what) = text.strip_prefix("payload") else { return error };
    let placed = if error.is_instance_of::<PyTypeError>(py) {
        PyTypeError::new_err(format!("{place}{what}"))
    } else if error.is_instance_of::<PyValueError>(py) {
        PyValueError::new_err(format!("{place}{what}"))
    } else {
        return error;
    };
    placed.set_cause(py, error.cause(py));
    placed
}

/// An encoded list or dict.
pub(crate) enum Done<'py> {
    Whole(Vec<u8>),
    /// What `Packing.finish` gave.
    Parted(Bound<'py, PyAny>),
}

/// Encodes a list or dict.
pub(crate) fn encode<'py>(value: &Bound<'py, PyAny>) -> PyResult<Done<'py>> {
    let mut out = ByteBuf::new();
    match (Walk { out: &mut out, packing: None }).value(value, PAYLOAD_DEPTH) {
        Ok(()) => Ok(Done::Whole(out.into_vec())),
        Err(Refusal::Careful) => encode_carefully(value),
        Err(refusal) => Err(refusal.raise(value.py())),
    }
}

#[cold]
fn encode_carefully<'py>(value: &Bound<'py, PyAny>) -> PyResult<Done<'py>> {
    static PACKING: Imported = Imported::new("ipmb.extensions", "Packing");
    let py = value.py();
    // Python code under our frames: a thread that the interpreter ends in there would take the process along.
    let _inside = Inside::enter(py);
    let packing = PACKING.get(py)?.call0()?;
    let mut out = ByteBuf::new();
    Walk { out: &mut out, packing: Some(packing.clone()) }
        .value(value, PAYLOAD_DEPTH)
        .map_err(|refusal| refusal.raise(py))?;
    packing.call_method1(intern!(py, "finish"), (PyBytes::new(py, out.as_vec()),)).map(Done::Parted)
}

struct Walk<'a, 'py> {
    out: &'a mut ByteBuf,
    /// Only in a walk over copies: packs what is not encoded here.
    packing: Option<Bound<'py, PyAny>>,
}

impl Walk<'_, '_> {
    fn value(&mut self, value: &Bound<'_, PyAny>, depth: usize) -> Result<(), Refusal> {
        if let Ok(string) = value.cast_exact::<PyString>() {
            self.text(string)?;
        } else if let Ok(number) = value.cast_exact::<PyInt>() {
            self.integer(number)?;
        } else if let Ok(number) = value.cast_exact::<PyFloat>() {
            encode::write_f64(self.out, number.value())?;
        } else if let Ok(flag) = value.cast::<PyBool>() {
            encode::write_bool(self.out, flag.is_true()).unwrap_or_else(|never| match never {});
        } else if value.is_none() {
            encode::write_nil(self.out).unwrap_or_else(|never| match never {});
        } else if let Ok(bytes) = value.cast_exact::<PyBytes>() {
            self.bytes(bytes.as_bytes())?;
        } else if let Ok(list) = value.cast_exact::<PyList>() {
            self.list(list, deeper(depth)?)?;
        } else if let Ok(dict) = value.cast_exact::<PyDict>() {
            self.dict(dict, deeper(depth)?)?;
        } else if registry::by_class(&value.get_type()).is_some() {
            self.pack(value)?;
        } else {
            self.subclass(value, depth)?;
        }
        Ok(())
    }

    /// Values of a subclass arrive as the plain type.
    fn subclass(&mut self, value: &Bound<'_, PyAny>, depth: usize) -> Result<(), Refusal> {
        if let Ok(string) = value.cast::<PyString>() {
            self.text(string)
        } else if let Ok(number) = value.cast::<PyInt>() {
            self.integer(number)
        } else if let Ok(number) = value.cast::<PyFloat>() {
            Ok(encode::write_f64(self.out, number.value())?)
        } else if let Ok(bytes) = value.cast::<PyBytes>() {
            self.bytes(bytes.as_bytes())
        } else if let Ok(list) = value.cast::<PyList>() {
            self.list(list, deeper(depth)?)
        } else if let Ok(dict) = value.cast::<PyDict>() {
            self.dict(dict, deeper(depth)?)
        } else if let Ok(bytes) = value.cast::<PyByteArray>()
            && bytes.len() < VIEW_BYTES
        {
            self.bytes(&bytes.to_vec())
        } else {
            self.pack(value)
        }
    }

    /// What Python code has to pack: as an extension (a code and its bytes), as bytes, or not at all (the reason).
    fn pack(&mut self, value: &Bound<'_, PyAny>) -> Result<(), Refusal> {
        let Some(packing) = &self.packing else { return Err(Refusal::Careful) };
        let packed = packing
            .call_method1(intern!(value.py(), "pack"), (value,))
            .map_err(|error| Refusal::Told { error, path: Vec::new() })?;
        if let Ok(bytes) = packed.cast::<PyBytes>() {
            return self.bytes(bytes.as_bytes());
        }
        if let Ok(bound) = packed.extract::<String>() {
            return Err(Refusal::Type { what: a_type(value), bound, path: Vec::new() });
        }
        let (code, data): (i8, Bound<'_, PyBytes>) = packed.extract()?;
        encode::write_ext_meta(self.out, length(data.as_bytes().len())?, code)?;
        self.raw(data.as_bytes());
        Ok(())
    }

    fn text(&mut self, string: &Bound<'_, PyString>) -> Result<(), Refusal> {
        let text = string.to_str().map_err(|_| Refusal::Value {
            what: "a str with half a surrogate pair".to_owned(),
            bound: "give valid Unicode",
            path: Vec::new(),
        })?;
        encode::write_str_len(self.out, length(text.len())?)?;
        self.raw(text.as_bytes());
        Ok(())
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.out.as_mut_vec().extend_from_slice(bytes);
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        encode::write_bin_len(self.out, length(bytes.len())?)?;
        self.raw(bytes);
        Ok(())
    }

    fn integer(&mut self, number: &Bound<'_, PyInt>) -> Result<(), Refusal> {
        match payload::integer(number) {
            Some(payload::Integer::Signed(number)) => encode::write_sint(self.out, number)?,
            Some(payload::Integer::Unsigned(number)) => encode::write_uint(self.out, number)?,
            None => {
                return Err(Refusal::Value {
                    what: "an int out of range".to_owned(),
                    bound: payload::INT_RANGE,
                    path: Vec::new(),
                });
            }
        };
        Ok(())
    }

    fn list(&mut self, list: &Bound<'_, PyList>, depth: usize) -> Result<(), Refusal> {
        let copied;
        let list = if self.packing.is_some() {
            copied = list.get_slice(0, list.len());
            &copied
        } else {
            list
        };
        encode::write_array_len(self.out, length(list.len())?)?;
        for (place, item) in list.iter().enumerate() {
            self.value(&item, depth).map_err(|refusal| refusal.within(|| format!("[{place}]")))?;
        }
        Ok(())
    }

    fn dict(&mut self, dict: &Bound<'_, PyDict>, depth: usize) -> Result<(), Refusal> {
        let copied;
        let dict = if self.packing.is_some() {
            copied = dict.copy()?;
            &copied
        } else {
            dict
        };
        encode::write_map_len(self.out, length(dict.len())?)?;
        for (key, value) in dict.iter() {
            if !payload::is_scalar(&key) {
                let what = format!("a dict with {} as a key", a_type(&key));
                return Err(Refusal::Type { what, bound: KEYS.to_owned(), path: Vec::new() });
            }
            self.value(&key, depth)
                .and_then(|()| self.value(&value, depth))
                .map_err(|refusal| refusal.within(|| format!("[{}]", shown(&key))))?;
        }
        Ok(())
    }
}

fn deeper(depth: usize) -> Result<usize, Refusal> {
    depth.checked_sub(1).ok_or_else(|| {
        let what = format!("nested more than {PAYLOAD_DEPTH} deep");
        Refusal::Raised(errors::wrong_value("payload", what, "flatten it, and look for a list that holds itself"))
    })
}

fn length(len: usize) -> Result<u32, Refusal> {
    u32::try_from(len).map_err(|_| Refusal::TooLarge(len as u64))
}

fn shown(key: &Bound<'_, PyAny>) -> String {
    let text = key.repr().map_or_else(|_| "?".to_owned(), |repr| repr.to_string());
    if text.chars().count() > 40 { text.chars().take(37).collect::<String>() + "..." } else { text }
}
