//! `EndpointInfo`: who somebody on the bus is.

use std::sync::Arc;

use ipmb_bus::{EndpointInfo as CoreInfo, Peer};
use pyo3::prelude::*;

use crate::arguments;
use crate::label::Label;

/// Who somebody on the bus is, as the kernel and the directory know it.
///
/// Attributes:
///     id: The id of the endpoint, which nobody else has as long as the bus lives.
///     label: Its `Label`.
///     pid: The id of its process.
///
/// Example:
///     >>> import ipmb
///     >>> ipmb.EndpointInfo(7, ipmb.label("earth"), 4242)
///     EndpointInfo(id=7, label=label('earth'), pid=4242)
#[pyclass(frozen, eq, module = "ipmb")]
#[derive(PartialEq, Eq)]
pub(crate) struct EndpointInfo {
    core: CoreInfo,
}

impl EndpointInfo {
    /// The object for a peer: made once, then always the same.
    pub(crate) fn of(py: Python<'_>, peer: &Arc<Peer>) -> PyResult<Py<EndpointInfo>> {
        if let Some(info) = peer.face.get().and_then(|face| face.downcast_ref::<Py<EndpointInfo>>()) {
            return Ok(info.clone_ref(py));
        }
        let info = Py::new(py, EndpointInfo { core: peer.info.clone() })?;
        // Another thread may have been first: both are equal.
        let _ = peer.face.set(Box::new(info.clone_ref(py)));
        Ok(info)
    }
}

#[pymethods]
impl EndpointInfo {
    #[classattr]
    #[pyo3(name = "__match_args__")]
    const MATCH_ARGS: (&'static str, &'static str, &'static str) = ("id", "label", "pid");

    #[new]
    fn new(id: u64, label: &Bound<'_, PyAny>, pid: u32) -> PyResult<Self> {
        Ok(Self { core: CoreInfo { id, label: arguments::label(label)?, pid } })
    }

    #[getter]
    pub(crate) fn id(&self) -> u64 {
        self.core.id
    }

    #[getter]
    fn label(&self) -> Label {
        Label { core: self.core.label.clone() }
    }

    #[getter]
    pub(crate) fn pid(&self) -> u32 {
        self.core.pid
    }

    fn __hash__(&self) -> u64 {
        self.core.id
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let label = Py::new(py, self.label())?.into_bound(py).repr()?;
        Ok(format!("EndpointInfo(id={}, label={}, pid={})", self.core.id, label.to_str()?, self.core.pid))
    }

    fn __getnewargs__(&self) -> (u64, Label, u32) {
        (self.core.id, self.label(), self.core.pid)
    }
}
