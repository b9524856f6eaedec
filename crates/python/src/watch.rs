//! Who joins and leaves, as an event loop or a thread asks for it; `ipmb/presence.py` makes an iterator of it.

use std::os::fd::AsRawFd;
use std::sync::Arc;

use ipmb_bus::directory::Departure;
use ipmb_bus::{PeerEvent, Watch as CoreWatch};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::arguments::Timeout;
use crate::endpoint::Anchor;
use crate::errors::{closed, forked, from_send};
use crate::peer::EndpointInfo;
use crate::waiting::{detached, interruptible};

/// What happened, to whom, and why.
type Event = (&'static str, Py<EndpointInfo>, Option<&'static str>);

/// The native part of a watch.
#[pyclass(frozen, module = "ipmb._core")]
pub(crate) struct Watch {
    core: CoreWatch,
    /// Somebody who watches stays on the bus.
    _anchor: Arc<Anchor>,
}

impl Watch {
    pub(crate) fn new(py: Python<'_>, anchor: Arc<Anchor>) -> PyResult<Watch> {
        let core = detached(py, || anchor.endpoint.watch()).map_err(|error| from_send(py, &error))?;
        if core.ended() {
            return Err(closed(py, "the endpoint is closed: join again to watch"));
        }
        Ok(Watch { core, _anchor: anchor })
    }

    fn check(&self, py: Python<'_>) -> PyResult<()> {
        if !self.core.forked() {
            return Ok(());
        }
        Err(forked(py, "this watch belongs to the parent process: join again after fork"))
    }
}

#[pymethods]
impl Watch {
    /// The next event, if there is one: "joined" or "left", who, and for those who left the reason.
    fn poll(&self, py: Python<'_>) -> PyResult<Option<Event>> {
        self.check(py)?;
        let Some(event) = detached(py, || self.core.poll()) else { return Ok(None) };
        Ok(Some(match event {
            PeerEvent::Joined(peer) => ("joined", EndpointInfo::of(py, &peer)?, None),
            PeerEvent::Left(peer, why) => ("left", EndpointInfo::of(py, &peer)?, Some(reason(why))),
        }))
    }

    /// Sleeps until there may be an event, or the end; at most `timeout` seconds.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.check(py)?;
        let deadline = timeout.map_or(Ok(Timeout::Never), Timeout::parse)?.deadline();
        interruptible(py, || self.core.park(deadline)).map(drop)
    }

    /// A descriptor that is readable when `poll` would give an event, or there will be no more.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.check(py)?;
        Ok(self.core.fd().as_raw_fd())
    }

    /// Ends it, also for those who wait. Closing twice is fine.
    fn close(&self, py: Python<'_>) {
        detached(py, || self.core.close());
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.core.is_closed()
    }

    /// It is closed, or the endpoint has left the bus: nothing new will happen.
    #[getter]
    fn ended(&self) -> bool {
        self.core.ended()
    }

    /// Who was there when the watch was made, with every event told so far applied.
    #[getter]
    fn peers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.check(py)?;
        let present = detached(py, || self.core.present());
        let infos: PyResult<Vec<_>> = present.iter().map(|peer| EndpointInfo::of(py, peer)).collect();
        PyList::new(py, infos?)
    }
}

fn reason(why: Option<Departure>) -> &'static str {
    match why {
        Some(Departure::Left) => "closed",
        Some(Departure::Died) => "died",
        Some(Departure::Expelled) => "expelled",
        Some(Departure::Vanished) => "vanished",
        None => "unknown",
    }
}
