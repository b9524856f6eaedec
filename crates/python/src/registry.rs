//! The payload types that programs registered with `message_type`: by class for sending, by UUID for receiving.
//!
//! A payload's class is looked up by pointer, so what a subclass travels as is never guessed. The table by UUID is asked
//! while a ring is held, so looking there runs no Python code.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ipmb_binding::types::Type;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// What `message_type` said of one class.
#[pyclass(frozen, module = "ipmb._core")]
pub(crate) struct Registered {
    pub(crate) type_id: Type,
    pub(crate) name: String,
    /// Called with the payload: bytes, or more (see `payload::encode`).
    pub(crate) encode: Py<PyAny>,
    /// Called with bytes.
    pub(crate) decode: Py<PyAny>,
    /// Kept, so that no other class can come to have the same pointer.
    _class: Py<PyType>,
}

type Table<K> = HashMap<K, Arc<Py<Registered>>, BuildHasherDefault<Spread>>;

#[derive(Default, Clone)]
struct Tables {
    by_class: Table<usize>,
    by_type: Table<Type>,
}

/// The tables change a few times at the start and are read with every message. So they are never changed in place: each
/// thread keeps those that it has seen, and looks for new ones when this number has changed.
static VERSION: AtomicUsize = AtomicUsize::new(0);
static TABLES: Mutex<Option<Arc<Tables>>> = Mutex::new(None);

thread_local! {
    static SEEN: RefCell<(usize, Option<Arc<Tables>>)> = const { RefCell::new((0, None)) };
}

/// `look` must not run Python code.
#[inline]
fn with<T>(look: impl FnOnce(&Tables) -> Option<T>) -> Option<T> {
    SEEN.with_borrow_mut(|(seen, tables)| {
        if *seen != VERSION.load(Ordering::Acquire) {
            refresh(seen, tables);
        }
        look(tables.as_deref()?)
    })
}

#[cold]
fn refresh(seen: &mut usize, tables: &mut Option<Arc<Tables>>) {
    let current = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    // What is let go here is part of the newer tables, or kept by `register`.
    *tables = current.clone();
    *seen = VERSION.load(Ordering::Acquire);
}

/// How to send an object of exactly this class; `None` when the class is not registered.
#[inline]
pub(crate) fn by_class(class: &Bound<'_, PyType>) -> Option<Py<Registered>> {
    with(|tables| tables.by_class.get(&(class.as_ptr() as usize)).map(|found| found.clone_ref(class.py())))
}

#[inline]
pub(crate) fn by_type(py: Python<'_>, type_id: Type) -> Option<Py<Registered>> {
    with(|tables| tables.by_type.get(&type_id).map(|found| found.clone_ref(py)))
}

#[inline]
pub(crate) fn knows(type_id: Type) -> bool {
    with(|tables| tables.by_type.contains_key(&type_id).then_some(())).is_some()
}

/// Makes a class known; `ipmb/message_types.py` checks whether it may. A class registered again is replaced.
#[pyfunction]
pub(crate) fn register(
    class_: Bound<'_, PyType>,
    type_id: [u8; 16],
    encode: Py<PyAny>,
    decode: Py<PyAny>,
) -> PyResult<()> {
    let py = class_.py();
    let type_id = Type::from_be_bytes(type_id);
    let pointer = class_.as_ptr() as usize;
    let name = class_.qualname()?.to_string();
    let entry = Arc::new(Py::new(py, Registered { type_id, name, encode, decode, _class: class_.unbind() })?);
    let mut current = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    let mut tables = current.as_deref().cloned().unwrap_or_default();
    let replaced = (tables.by_class.insert(pointer, entry.clone()), tables.by_type.insert(type_id, entry));
    *current = Some(Arc::new(tables));
    VERSION.fetch_add(1, Ordering::Release);
    drop(current);
    if replaced.0.is_none() && replaced.1.is_none() {
        return Ok(());
    }
    // Threads may hold tables with them, and letting go of the last reference could run code anywhere.
    REPLACED.lock().unwrap_or_else(PoisonError::into_inner).push(replaced);
    Ok(())
}

type Replaced = (Option<Arc<Py<Registered>>>, Option<Arc<Py<Registered>>>);

/// Entries of classes that were defined again.
static REPLACED: Mutex<Vec<Replaced>> = Mutex::new(Vec::new());

/// The keys are addresses and random numbers already: they only have to be spread.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u128(&mut self, number: u128) {
        self.write_u64(number as u64);
        self.write_u64((number >> 64) as u64);
    }
}
