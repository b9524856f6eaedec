//! `MemoryRegistry`: regions whose memory is used again once nobody holds them.
//!
//! What is due when a region came back is told by `ipmb_binding::registry`, each once; callbacks are called here, in the
//! thread that asked, with no lock held: a callback may do anything, allocating from the same registry included.

use ipmb_binding::registry::Registry;
use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::arguments;
use crate::errors::wrong_type;
use crate::region::{MemoryRegion, new_size, out_of};
use crate::waiting::detached;

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
    core: Registry<Py<PyAny>>,
}

impl MemoryRegistry {
    /// Calls the callbacks that are due, all of them. What is no `Exception`, such as Ctrl-C, is raised after that.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        let mut interrupted = Ok(());
        for callback in detached(py, || self.core.due()) {
            if let Err(error) = callback.call0(py) {
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
        if self.core.is_empty() {
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
        Self { core: Registry::default() }
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
        let free = free.map(Bound::unbind);
        let taken = detached(py, || self.core.alloc(size, tag, free));
        let region = taken.map_err(|(error, unused)| {
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
        detached(py, || self.core.trim());
        self.release(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // A registry that another thread uses is no garbage.
        self.core.try_each(|callback| visit.call(callback))
    }

    fn __clear__(&self) {
        drop(self.core.clear());
    }

    fn __repr__(&self) -> String {
        format!("<MemoryRegistry, {} callbacks to come>", self.core.len())
    }
}
