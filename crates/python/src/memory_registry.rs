//! `MemoryRegistry`: regions whose memory is used again once nobody holds them.
//!
//! The pool below says which regions came back, each once; their callbacks are called here, in the thread that asked,
//! with no lock held: a callback may do anything, allocating from the same registry included.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipmb_transport::region::{Access, Pool};
use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::arguments;
use crate::errors::wrong_type;
use crate::region::{MemoryRegion, new_size, out_of};
use crate::waiting::detached;

/// How long `maintain` keeps memory that nobody holds, in nanoseconds: longer than any pause of a steady stream.
const KEPT: u64 = 10_000_000_000;

/// A pool of regions: memory that nobody holds any more is handed out again, still mapped.
///
/// The first touch of new memory costs 20 to 50 times a rewrite, so allocate what is sent over and over from here. Many
/// threads may share a registry.
///
/// `free` callbacks are called by `alloc` and `maintain`, in their thread, after everybody has let go of the region, in
/// all processes, and never before: closed or collected it, released all views of it, or died. An exception in one goes
/// to `sys.unraisablehook` and does not concern the others. When the registry itself goes away, callbacks that are due
/// are called; those of regions that are still held never are, so keep the registry as long as they matter. Regions
/// outlive it. Callbacks are not called either when the registry is collected as part of a reference cycle (a callback
/// that refers to what holds the registry makes one), nor for regions that were sent where `/proc` is not mounted: who
/// holds those cannot be counted.
///
/// Example:
///     >>> import ipmb
///     >>> registry = ipmb.MemoryRegistry()
///     >>> region = registry.alloc(1000, tag="frames", free=lambda: print("free again"))
///     >>> region.close()
///     >>> registry.maintain()
///     free again
#[pyclass(frozen, weakref, module = "ipmb")]
pub(crate) struct MemoryRegistry {
    pool: Pool<Option<u64>>,
    /// What is to be called for the regions that are held.
    callbacks: Mutex<HashMap<u64, Py<PyAny>>>,
    next: AtomicU64,
}

impl MemoryRegistry {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Py<PyAny>>> {
        self.callbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the callbacks that are due, all of them. What is no `Exception`, such as Ctrl-C, is raised after that.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let mut interrupted = Ok(());
        let freed = detached(py, || self.pool.collect());
        for number in freed.into_iter().flatten() {
            let callback = self.lock().remove(&number);
            if let Some(callback) = callback
                && let Err(error) = callback.call0(py)
            {
                if error.is_instance_of::<PyException>(py) {
                    error.write_unraisable(py, Some(callback.bind(py)));
                } else {
                    interrupted = Err(error);
                }
            }
        }
        interrupted
    }
}

impl Drop for MemoryRegistry {
    fn drop(&mut self) {
        if self.lock().is_empty() {
            return;
        }
        // It may go while an exception is on its way, which the callbacks must not meet.
        let _ = Python::try_attach(|py| {
            let raised = PyErr::take(py);
            if let Err(error) = self.release(py) {
                error.write_unraisable(py, None);
            }
            if let Some(raised) = raised {
                raised.restore(py);
            }
        });
    }
}

#[pymethods]
impl MemoryRegistry {
    #[new]
    fn new() -> Self {
        Self { pool: Pool::new("ipmb-region", Access::Shared), callbacks: Mutex::default(), next: AtomicU64::new(0) }
    }

    /// A region of at least `min_size` bytes. It first calls the callbacks that are due.
    ///
    /// Args:
    ///     min_size: Bytes, 1 or more. The region may have more: a new one is rounded up (to whole pages, large ones by
    ///         an eighth at most), one that was used before has up to twice as many. `alloc(10).size` is 4096.
    ///     tag: Memory is used again only under the tag it was allocated with; None is a tag of its own.
    ///     free: Called without arguments once nobody holds the region any more.
    ///
    /// Returns:
    ///     A `MemoryRegion` that nobody else holds. What stood in it before may still stand there. Tell numpy how many
    ///     items you mean: `numpy.frombuffer(region, dtype, count=items)` on both sides.
    ///
    /// Raises:
    ///     TypeError, ValueError: An argument is of the wrong type or out of its bounds.
    ///     MemoryError: There is not so much memory.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> registry = ipmb.MemoryRegistry()
    ///     >>> with registry.alloc(1000) as region:
    ///     ...     region.size >= 1000
    ///     True
    #[pyo3(signature = (min_size, tag = None, free = None))]
    fn alloc(
        &self,
        min_size: &Bound<'_, PyAny>,
        tag: Option<&Bound<'_, PyAny>>,
        free: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<MemoryRegion>> {
        let py = min_size.py();
        let size = new_size("min_size", min_size)?;
        let tag = tag
            .map(|tag| match tag.cast::<PyString>() {
                Ok(text) => arguments::text("tag", text),
                Err(_) => Err(wrong_type("tag", tag, "give a str, or None")),
            })
            .transpose()?;
        if let Some(free) = free.as_ref().filter(|free| !free.is_callable()) {
            return Err(wrong_type("free", free, "give something to call without arguments, or None"));
        }
        self.release(py)?;
        let number = free.map(|free| {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.lock().insert(number, free.unbind());
            number
        });
        // No text can be the same as none.
        let tag = tag.map_or_else(String::new, |tag| format!("={tag}"));
        let taken = detached(py, || self.pool.take(size, &tag, number));
        let region = taken.map_err(|error| {
            let unused = number.and_then(|number| self.lock().remove(&number));
            drop(unused);
            out_of("min_size", &error)
        })?;
        MemoryRegion::of(py, region)
    }

    /// Calls the callbacks of regions that everybody has let go of, so that they need not wait for the next `alloc`.
    ///
    /// What was sent counts as held until its sender's own share of it is gone too, at its next `send` or some
    /// milliseconds after the receiver has let go.
    ///
    /// Memory that nobody has held for ten seconds goes back to the system.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> registry = ipmb.MemoryRegistry()
    ///     >>> done = []
    ///     >>> region = registry.alloc(10, free=lambda: done.append("freed"))
    ///     >>> with memoryview(region) as view:
    ///     ...     region.close()
    ///     ...     registry.maintain()
    ///     ...     done
    ///     []
    ///     >>> registry.maintain()
    ///     >>> done
    ///     ['freed']
    fn maintain(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || self.pool.trim(ipmb_transport::sys::now().saturating_sub(KEPT)));
        self.release(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // A lock that is taken belongs to a thread that uses the registry: then it is no garbage.
        let Ok(callbacks) = self.callbacks.try_lock() else { return Ok(()) };
        callbacks.values().try_for_each(|callback| visit.call(callback))
    }

    fn __clear__(&self) {
        let callbacks = std::mem::take(&mut *self.lock());
        drop(callbacks);
    }

    fn __repr__(&self) -> String {
        format!("<MemoryRegistry, {} callbacks to come>", self.lock().len())
    }
}
