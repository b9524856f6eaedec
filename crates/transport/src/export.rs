//! Python's buffer protocol over regions: the one thing a binding cannot do without unsafe code.
//!
//! A buffer that is handed out owns a [`View`]: it keeps the memory mapped and held, whatever becomes of the object it
//! came from. So closing a region while an array looks at it is safe, and counting exports needs no counter.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyMemoryView;

use crate::region::View;

/// Where the memory of an [`Exporter`] comes from.
pub trait Source: Send + Sync {
    /// The memory as it is now; an error when it was closed.
    fn view(&self, py: Python<'_>) -> PyResult<View>;

    /// Whether it may be written through the buffer, if the memory allows it at all.
    fn writable(&self) -> bool {
        true
    }
}

/// Memory that processes share, as any consumer of buffers takes it: `memoryview`, `numpy.frombuffer`, `bytes`.
#[pyclass(subclass, frozen, name = "Buffer", module = "ipmb._core")]
pub struct Exporter {
    source: Box<dyn Source>,
}

impl Exporter {
    /// Hands out what `source` gives.
    pub fn new(source: impl Source + 'static) -> Exporter {
        Exporter { source: Box::new(source) }
    }
}

/// Memory that is there already.
struct Kept(View);

impl Source for Kept {
    fn view(&self, _py: Python<'_>) -> PyResult<View> {
        Ok(self.0.clone())
    }
}

#[pymethods]
impl Exporter {
    // Python 3.12 gives this method to whatever has a buffer; type checkers look for it with every version.
    fn __buffer__<'py>(slf: &Bound<'py, Self>, flags: c_int) -> PyResult<Bound<'py, PyMemoryView>> {
        let _ = flags;
        PyMemoryView::from(slf.as_any())
    }

    /// A writable copy that nobody else sees, made page by page where it is written to.
    ///
    /// Returns:
    ///     A memoryview of bytes. Where it was not written, later changes of the memory may or may not show.
    ///
    /// Raises:
    ///     ValueError: The memory was closed.
    ///     OSError: There is no room for it among the addresses of this process.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> region = ipmb.MemoryRegion(4)
    ///     >>> with memoryview(region) as view:
    ///     ...     view[:] = b"ours"
    ///     >>> copy = region.private()
    ///     >>> copy[:] = b"mine"
    ///     >>> bytes(copy), bytes(region)
    ///     (b'mine', b'ours')
    fn private<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyMemoryView>> {
        let view = self.source.view(py)?;
        let copy = view.region().map_private(view.offset(), view.len())?;
        PyMemoryView::from(Bound::new(py, Exporter::new(Kept(copy)))?.as_any())
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, out: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if out.is_null() {
            return Err(PyBufferError::new_err("no place for the buffer is given"));
        }
        // SAFETY: the interpreter passes a structure of its caller, which is not null. A null owner marks failure.
        unsafe { (*out).obj = ptr::null_mut() };
        let view = slf.get().source.view(slf.py())?;
        let writable = view.is_writable() && slf.get().source.writable();
        if flags & ffi::PyBUF_WRITABLE != 0 && !writable {
            return Err(PyBufferError::new_err("this memory is read-only: ask for a read-only buffer, or copy it"));
        }
        let len = ffi::Py_ssize_t::try_from(view.len()).map_err(|_| PyBufferError::new_err("too long"))?;
        let start = view.as_ptr().cast::<c_void>();
        // SAFETY: `out` is as above. `view` keeps `len` bytes mapped at `start`, and moves into the structure below.
        let result = unsafe { ffi::PyBuffer_FillInfo(out, slf.as_ptr(), start, len, c_int::from(!writable), flags) };
        if result != 0 {
            return Err(PyErr::fetch(slf.py()));
        }
        // SAFETY: the field is the exporter's, and comes back to it in `__releasebuffer__`.
        unsafe { (*out).internal = Box::into_raw(Box::new(view)).cast() };
        Ok(())
    }

    unsafe fn __releasebuffer__(&self, released: *mut ffi::Py_buffer) {
        // SAFETY: the interpreter gives back a structure that `__getbuffer__` filled.
        let view = unsafe { (*released).internal }.cast::<View>();
        // SAFETY: the pointer is that of a box made there, and a buffer is released once.
        drop(unsafe { Box::from_raw(view) });
    }
}

/// The bytes of somebody's buffer, in one piece. They may change while they are looked at: other code writes them.
pub struct Contiguous {
    buffer: PyUntypedBuffer,
}

impl Contiguous {
    /// The buffer of an object, whatever its items are.
    ///
    /// # Errors
    /// TypeError when it has none, or not in one piece. `argument` names it.
    pub fn of(argument: &str, object: &Bound<'_, PyAny>) -> PyResult<Contiguous> {
        let kind = object.get_type().name()?;
        let wrong = |what: &str| PyTypeError::new_err(format!("{argument} is of type {kind}: {what}"));
        let buffer = PyUntypedBuffer::get(object).map_err(|error| {
            let told = wrong("give an object with a buffer, such as bytes");
            told.set_cause(object.py(), Some(error));
            told
        })?;
        if !buffer.is_c_contiguous() && !buffer.is_fortran_contiguous() {
            return Err(wrong("its buffer has gaps, give a contiguous copy"));
        }
        Ok(Contiguous { buffer })
    }

    /// Where its first byte is.
    pub fn address(&self) -> usize {
        self.buffer.buf_ptr().addr()
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.buffer.len_bytes()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies all of it into `view` from `offset` on. Needs no interpreter lock.
    ///
    /// # Panics
    /// When it does not fit, or the memory is read-only: the caller has checked.
    pub fn copy_to(&self, view: &View, offset: usize) {
        assert!(view.is_writable(), "read-only memory");
        assert!(offset <= view.len() && self.len() <= view.len() - offset, "beyond the end of the memory");
        // SAFETY: `offset` is within the view.
        let target = unsafe { view.as_ptr().add(offset) };
        let from = self.buffer.buf_ptr().cast::<u8>();
        // SAFETY: both ranges are mapped while `self` and `view` live; they may overlap, for which this call is made.
        // Whoever writes either of them meanwhile gets a mixture of bytes, as with every shared buffer in Python.
        unsafe { ptr::copy(from, target, self.len()) };
    }
}
