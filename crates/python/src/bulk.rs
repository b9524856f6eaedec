//! `Bulk`: memory that a large payload travels in, as the package's encoders and decoders see it.
//!
//! Encoders put arrays and buffers into memory from `alloc`, or find that a buffer lies in a region already, and is
//! sent as it is. Decoders get a read-only view of what came. Programs never meet a `Bulk`.

use ipmb_bus::error::SendError;
use ipmb_bus::{Bulk as Span, limits};
use ipmb_transport::export::{Contiguous, Exporter};
use ipmb_transport::region::{self, Region};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};

use crate::errors::{self, from_send, wrong_type, wrong_value};
use crate::region::{Range, bytes, new_size, view};
use crate::waiting::detached;

/// Every bulk starts at a multiple of this, in memory and in its region.
const ALIGNMENT: usize = 64;

/// A range of shared memory that can be sent as a payload, or as a part of one.
#[pyclass(extends = Exporter, frozen, weakref, module = "ipmb._core")]
pub(crate) struct Bulk {
    region: Region,
    offset: usize,
    len: usize,
}

impl Bulk {
    fn of(py: Python<'_>, region: Region, offset: usize, len: usize) -> PyResult<Py<Bulk>> {
        let exporter = Exporter::new(Range { region: region.clone(), offset, len, writable: true });
        Py::new(py, PyClassInitializer::from(exporter).add_subclass(Bulk { region, offset, len }))
    }

    fn span(&self, offset: usize, len: usize) -> PyResult<Span> {
        if !offset.is_multiple_of(ALIGNMENT) || offset > self.len || len > self.len - offset {
            let given = format!("{offset} with length {len}");
            return Err(wrong_value("offset", given, &format!("give a multiple of 64 within {} bytes", self.len)));
        }
        Ok(Span { region: self.region.clone(), offset: self.offset + offset, len })
    }
}

/// A part of a bulk that starts at a multiple of 64; encoders name it.
pub(crate) fn span(memory: &Bound<'_, PyAny>, offset: usize, len: usize) -> PyResult<Span> {
    match memory.cast_exact::<Bulk>() {
        Ok(bulk) => bulk.get().span(offset, len),
        Err(_) => Err(wrong_type("bulk", memory, "give one from alloc or find")),
    }
}

#[pymethods]
impl Bulk {
    #[getter]
    fn size(&self) -> usize {
        self.len
    }

    fn __len__(&self) -> usize {
        self.len
    }

    /// Copies a buffer into it, with the interpreter lock released.
    ///
    /// Args:
    ///     offset: Where it goes, 0 or more.
    ///     source: An object with a contiguous buffer that fits from there; it may overlap.
    ///
    /// Raises:
    ///     TypeError, ValueError: An argument is of the wrong type, or does not fit; or the bulk is read-only.
    fn write(&self, offset: &Bound<'_, PyAny>, source: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = offset.py();
        let at = bytes("offset", offset, 0, self.len, &format!("give 0 to {}", self.len))?;
        let source = Contiguous::of("source", source)?;
        if source.len() > self.len - at {
            let bound = format!("give at most {}, what is left from offset {at}", self.len - at);
            return Err(wrong_value("source", format!("{} bytes", source.len()), &bound));
        }
        let target = view(py, &self.region, self.offset, self.len)?;
        if !target.is_writable() {
            return Err(wrong_value("bulk", "read-only", "write to one from alloc"));
        }
        detached(py, || source.copy_to(&target, at));
        Ok(())
    }

    fn __repr__(&self) -> String {
        format!("<Bulk of {} bytes>", self.len)
    }
}

/// New memory for a payload: writable here, read-only for everybody else, starting at a multiple of 64.
///
/// Args:
///     size: Bytes, 1 or more; at most 4 GiB.
///
/// Raises:
///     TooLarge: It is more than a payload may have.
///     MemoryError: There is not so much memory.
#[pyfunction]
pub(crate) fn alloc(size: &Bound<'_, PyAny>) -> PyResult<Py<Bulk>> {
    let py = size.py();
    let len = new_size("size", size)?;
    if len as u64 > limits::PAYLOAD_BYTES {
        return Err(from_send(py, &SendError::TooLarge { len: len as u64, max: limits::PAYLOAD_BYTES }));
    }
    let region = detached(py, || ipmb_bus::bulk::alloc(len)).map_err(|error| crate::region::out_of("size", &error))?;
    Bulk::of(py, region, 0, len)
}

/// The shared memory a buffer lies in, so that it can be sent without a copy.
///
/// Args:
///     buffer: An object with a contiguous buffer.
///
/// Returns:
///     A `Bulk` of exactly these bytes; None when they lie elsewhere, or not at a multiple of 64.
///
/// Raises:
///     TypeError: `buffer` has no contiguous buffer.
#[pyfunction]
pub(crate) fn find(buffer: &Bound<'_, PyAny>) -> PyResult<Option<Py<Bulk>>> {
    let source = Contiguous::of("buffer", buffer)?;
    if source.is_empty() || !source.address().is_multiple_of(ALIGNMENT) {
        return Ok(None);
    }
    // The buffer is held until the region is, so that the memory cannot become another's in between.
    match region::containing(source.address(), source.len()) {
        Some((region, offset)) if offset.is_multiple_of(ALIGNMENT) => {
            Bulk::of(buffer.py(), region, offset, source.len()).map(Some)
        }
        _ => Ok(None),
    }
}

/// A copy of a bulk that came, from one of its bytes on, made with the interpreter lock released. Nothing is mapped for it.
pub(crate) fn copied_out<'py>(py: Python<'py>, bulk: &Span, from: usize) -> PyResult<Bound<'py, PyBytes>> {
    let len = bulk.len.saturating_sub(from);
    PyBytes::new_with(py, len, |into| Ok(detached(py, || bulk.region.read(bulk.offset + from, into))?))
}

/// A read-only view of a bulk that came, which keeps it held.
pub(crate) fn viewed(py: Python<'_>, bulk: Span) -> PyResult<Bound<'_, PyMemoryView>> {
    if !bulk.offset.is_multiple_of(ALIGNMENT) {
        let text =
            format!("a large payload starts at byte {} of its region: its sender does not align it", bulk.offset);
        return Err(errors::decode(py, text));
    }
    Range { region: bulk.region, offset: bulk.offset, len: bulk.len, writable: false }.memoryview(py)
}
