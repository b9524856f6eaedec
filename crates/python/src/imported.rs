//! What native code takes from Python modules: looked up at the first use, then kept.
//!
//! No lock is held meanwhile, as one for the first use would be: an import runs code, and what runs then (a signal handler,
//! the end of an object) may come back here and would wait for itself.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Something in a module.
pub(crate) struct Imported {
    module: &'static str,
    name: &'static str,
    found: PyOnceLock<Py<PyAny>>,
}

impl Imported {
    pub(crate) const fn new(module: &'static str, name: &'static str) -> Imported {
        Imported { module, name, found: PyOnceLock::new() }
    }

    #[inline]
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        match self.found.get(py) {
            Some(found) => Ok(found.bind(py)),
            None => self.find(py),
        }
    }

    #[cold]
    fn find<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        let found = py.import(self.module)?.getattr(self.name)?;
        // Whoever was quicker has found the same.
        Ok(self.found.get_or_init(py, || found.unbind()).bind(py))
    }
}
