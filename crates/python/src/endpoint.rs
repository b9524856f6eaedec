//! Joining, the endpoint, and the end of the interpreter.
//!
//! The Python class `ipmb.Endpoint` stands on the native one here: what is not on the path of a message is Python.

use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ipmb_bus::error::SendError;
use ipmb_bus::incidents::{self, Level, Notice};
use ipmb_bus::stats::{DropReason, RefuseReason, Shortage};
use ipmb_bus::{Options, see_off};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyMappingProxy, PyString};

use crate::arguments::{self, Timeout};
use crate::errors::{closed, from_join, from_send, wrong_type};
use crate::imported::Imported;
use crate::label::Label;
use crate::peer::EndpointInfo;
use crate::received::Takes;
use crate::receiver::Receiver;
use crate::sender::Sender;
use crate::waiting::{away, detached, ending, let_everybody_out};
use crate::watch::Watch;

/// Shared by an endpoint and its halves, so that the exit of the interpreter finds whatever still lives.
pub(crate) struct Anchor {
    pub(crate) endpoint: ipmb_bus::Endpoint,
    /// How to join again, as `ipmb.join` gave it, all but the label: what pickling gives away in the place of a handle.
    pub(crate) address: Py<PyAny>,
    /// What `Sender.request` goes through, made at the first one. It must not lead back here.
    pub(crate) requests: PyOnceLock<Py<PyAny>>,
}

impl Drop for Anchor {
    /// The last handle may go in a collection, with the interpreter lock held.
    fn drop(&mut self) {
        self.endpoint.close_at_once(true);
    }
}

static ANCHORS: Mutex<Vec<Weak<Anchor>>> = Mutex::new(Vec::new());

fn anchors() -> std::sync::MutexGuard<'static, Vec<Weak<Anchor>>> {
    ANCHORS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The native part of an endpoint.
#[pyclass(frozen, module = "ipmb._core")]
pub(crate) struct Endpoint {
    anchor: Arc<Anchor>,
    sender: Py<Sender>,
    receiver: Py<Receiver>,
}

#[pymethods]
impl Endpoint {
    #[getter]
    fn id(&self) -> u64 {
        self.anchor.endpoint.id()
    }

    #[getter]
    fn label(&self) -> Label {
        Label { core: self.anchor.endpoint.label().clone() }
    }

    #[getter]
    fn identifier(&self) -> &str {
        self.anchor.endpoint.identifier()
    }

    #[getter]
    fn is_controller(&self, py: Python<'_>) -> bool {
        detached(py, || self.anchor.endpoint.is_controller())
    }

    #[getter]
    fn sender(&self, py: Python<'_>) -> Py<Sender> {
        self.sender.clone_ref(py)
    }

    #[getter]
    fn receiver(&self, py: Python<'_>) -> Py<Receiver> {
        self.receiver.clone_ref(py)
    }

    fn peers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let peers = detached(py, || self.anchor.endpoint.peers()).map_err(|error| match error {
            SendError::Closed => closed(py, "the endpoint is closed: join again"),
            error => from_send(py, &error),
        })?;
        let infos: PyResult<Vec<_>> = peers.iter().map(|peer| EndpointInfo::of(py, peer)).collect();
        PyList::new(py, infos?)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static CLASS: Imported = Imported::new("ipmb.values", "Stats");
        let stats = detached(py, || self.anchor.endpoint.stats()).map_err(|error| from_send(py, &error))?;
        let fields = PyDict::new(py);
        for (name, value) in [
            ("sent", stats.sent),
            ("received", stats.received),
            ("skipped", stats.skipped),
            ("dropped", stats.dropped.iter().sum()),
            ("expired", stats.expired),
            ("redelivered", stats.redelivered),
            ("waiting", stats.waiting),
            ("bytes_sent", stats.bytes_sent),
            ("bytes_received", stats.bytes_received),
            ("duplicates", stats.duplicates),
            ("refused", stats.refused.iter().sum()),
            ("shortages", stats.shortages.iter().sum()),
            ("takeovers", stats.takeovers),
        ] {
            fields.set_item(name, value)?;
        }
        fields.set_item("dropped_by_reason", by_name(py, DropReason::ALL.map(DropReason::name), stats.dropped)?)?;
        fields.set_item("refused_by_reason", by_name(py, RefuseReason::ALL.map(RefuseReason::name), stats.refused)?)?;
        fields.set_item("shortages_by_kind", by_name(py, Shortage::ALL.map(Shortage::name), stats.shortages)?)?;
        CLASS.get(py)?.call((), Some(&fields))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        reduce(py, &self.anchor, "rejoined")
    }

    /// See `Watch`.
    fn watch(&self, py: Python<'_>) -> PyResult<Watch> {
        Watch::new(py, self.anchor.clone())
    }

    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        detached(py, || self.anchor.endpoint.is_closed())
    }

    fn close(&self, py: Python<'_>) {
        detached(py, || self.anchor.endpoint.close());
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        match slf.get().closed(slf.py()) {
            true => Err(closed(slf.py(), "the endpoint is closed: join again")),
            false => Ok(slf),
        }
    }

    #[pyo3(signature = (kind, error, trace, /))]
    fn __exit__(&self, py: Python<'_>, kind: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>, trace: &Bound<'_, PyAny>) {
        let _ = (kind, error, trace);
        self.close(py);
    }
}

/// Joins a bus; the arguments are those of `ipmb.join`, with the UUIDs of the types it takes, and its address.
#[pyfunction]
#[pyo3(signature = (identifier, label, token, controller_affinity, users, timeout, takes, address, receiving = true))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn join(
    identifier: &Bound<'_, PyAny>,
    label: &Bound<'_, PyAny>,
    token: &Bound<'_, PyAny>,
    controller_affinity: &Bound<'_, PyAny>,
    users: Vec<u32>,
    timeout: &Bound<'_, PyAny>,
    takes: Option<Vec<[u8; 16]>>,
    address: Py<PyAny>,
    receiving: bool,
) -> PyResult<Endpoint> {
    let py = identifier.py();
    let options = Options { receiving, users, ..options(identifier, label, token, controller_affinity)? };
    let timeout = Timeout::parse(timeout)?;
    let endpoint = wait_for_join(py, options, timeout)?;
    Endpoint::new(py, endpoint, takes, address)
}

/// Starts to join; the arguments are those of `join`.
#[pyfunction]
#[pyo3(signature = (identifier, label, token, controller_affinity, users, takes, address))]
pub(crate) fn begin_join(
    identifier: &Bound<'_, PyAny>,
    label: &Bound<'_, PyAny>,
    token: &Bound<'_, PyAny>,
    controller_affinity: &Bound<'_, PyAny>,
    users: Vec<u32>,
    takes: Option<Vec<[u8; 16]>>,
    address: Py<PyAny>,
) -> PyResult<Joining> {
    let py = identifier.py();
    let options = Options { users, ..options(identifier, label, token, controller_affinity)? };
    let core = detached(py, || ipmb_bus::begin_join(options)).map_err(|error| from_join(py, &error))?;
    Ok(Joining { core: Some(core), takes, address })
}

/// A joining that nobody waits for in native code: what an event loop does.
#[pyclass(module = "ipmb._core")]
pub(crate) struct Joining {
    /// `None`: it is over.
    core: Option<ipmb_bus::Joining>,
    takes: Option<Vec<[u8; 16]>>,
    address: Py<PyAny>,
}

#[pymethods]
impl Joining {
    /// A descriptor that is readable when `poll` has the outcome.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        match &self.core {
            Some(core) => Ok(core.fd().as_raw_fd()),
            None => Err(closed(py, "this joining is over: join again")),
        }
    }

    /// The endpoint, or None while it is not on the bus; `last` makes that a `JoinTimeout`.
    #[pyo3(signature = (last = false))]
    fn poll(&mut self, py: Python<'_>, last: bool) -> PyResult<Option<Endpoint>> {
        let Some(core) = &mut self.core else { return Err(closed(py, "this joining is over: join again")) };
        let outcome = detached(py, || core.poll(last.then_some(0)));
        let Some(outcome) = outcome else { return Ok(None) };
        self.close(py);
        let endpoint = outcome.map_err(|error| from_join(py, &error))?;
        endpoint.close_at_once(true);
        Endpoint::new(py, endpoint, self.takes.take(), self.address.clone_ref(py)).map(Some)
    }

    /// Gives up. Closing twice is fine.
    fn close(&mut self, py: Python<'_>) {
        let core = self.core.take();
        detached(py, || drop(core));
    }
}

impl Endpoint {
    fn new(
        py: Python<'_>,
        endpoint: ipmb_bus::Endpoint,
        takes: Option<Vec<[u8; 16]>>,
        address: Py<PyAny>,
    ) -> PyResult<Endpoint> {
        let anchor = Arc::new(Anchor { endpoint, address, requests: PyOnceLock::new() });
        let mut anchors = anchors();
        anchors.retain(|anchor| anchor.strong_count() > 0);
        anchors.push(Arc::downgrade(&anchor));
        drop(anchors);
        let sender = Py::new(py, Sender::new(anchor.clone()))?;
        let receiver = Py::new(py, Receiver::new(anchor.clone(), sender.clone_ref(py), Takes::new(takes)))?;
        Ok(Endpoint { sender, receiver, anchor })
    }
}

/// Counters under the names that users see, read-only.
fn by_name<'py, const N: usize>(
    py: Python<'py>,
    names: [&'static str; N],
    counts: [u64; N],
) -> PyResult<Bound<'py, PyMappingProxy>> {
    let counters = PyDict::new(py);
    for (name, count) in names.into_iter().zip(counts) {
        counters.set_item(name, count)?;
    }
    Ok(PyMappingProxy::new(py, counters.as_mapping()))
}

/// What pickles in the place of a handle: an address under which the other side joins anew.
pub(crate) fn reduce<'py>(py: Python<'py>, anchor: &Anchor, how: &str) -> PyResult<Bound<'py, PyAny>> {
    let again = py.import("ipmb.endpoint")?.getattr(how)?;
    let label = Label { core: anchor.endpoint.label().clone() };
    Ok((again, (anchor.address.clone_ref(py), label)).into_pyobject(py)?.into_any())
}

fn options(
    identifier: &Bound<'_, PyAny>,
    label: &Bound<'_, PyAny>,
    token: &Bound<'_, PyAny>,
    controller_affinity: &Bound<'_, PyAny>,
) -> PyResult<Options> {
    let Ok(name) = identifier.cast::<PyString>() else {
        return Err(wrong_type("identifier", identifier, "give a str"));
    };
    let controller_affinity = controller_affinity
        .extract::<bool>()
        .map_err(|_| wrong_type("controller_affinity", controller_affinity, "give True or False"))?;
    Ok(Options {
        identifier: arguments::text("identifier", name)?.to_owned(),
        label: arguments::label(label)?,
        token: secret(token)?,
        controller_affinity,
        users: Vec::new(),
        receiving: true,
    })
}

fn secret(token: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(text) = token.cast::<PyString>() {
        return Ok(arguments::text("token", text)?.as_bytes().to_vec());
    }
    match token.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes().to_vec()),
        Err(_) => Err(wrong_type("token", token, "give a str or bytes")),
    }
}

fn wait_for_join(py: Python<'_>, options: Options, timeout: Timeout) -> PyResult<ipmb_bus::Endpoint> {
    let deadline = timeout.deadline();
    let mut joining = away(py, || ipmb_bus::begin_join(options)).map_err(|error| from_join(py, &error))?;
    loop {
        if let Some(outcome) = away(py, || joining.poll(deadline)) {
            return outcome.map_err(|error| from_join(py, &error));
        }
        py.check_signals()?;
        if away(py, || joining.park(deadline)).is_err() {
            py.check_signals()?;
        }
    }
}

/// What nobody was told: the bus's name, the endpoint's id, whether it is a warning, the text, the counter.
///
/// Waits for it, or takes what is there. None: there is nothing, the interpreter ends, or another thread waits already.
#[pyfunction]
pub(crate) fn next_notice(py: Python<'_>, wait: bool) -> Option<(String, u64, bool, String, String)> {
    let next = || if wait { incidents::next_notice() } else { incidents::take_notice() };
    let Notice { identifier, id, level, text, counter } = detached(py, next)?;
    let counter = match counter {
        (name, Some(key)) => format!("stats().{name}['{key}']"),
        (name, None) => format!("stats().{name}"),
    };
    Some((identifier, id, level == Level::Warning, text, counter))
}

/// Closes every endpoint of this process and lets the threads that wait on them come back: the interpreter ends.
#[pyfunction]
pub(crate) fn close_all(py: Python<'_>) {
    ending();
    let living: Vec<_> = anchors().drain(..).filter_map(|anchor| anchor.upgrade()).collect();
    detached(py, || {
        // All at once, and one wait for all.
        for anchor in &living {
            anchor.endpoint.close_at_once(true);
            anchor.endpoint.close();
        }
        see_off();
    });
    incidents::close_notices();
    let_everybody_out(py);
}
