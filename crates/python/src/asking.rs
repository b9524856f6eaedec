//! `Asking`: the requests of one endpoint, for `ipmb.requests` and `ipmb.aio`, which wait for them in their own ways.
//!
//! Nothing here keeps the endpoint: the endpoint keeps what is here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ipmb_binding::refusal::Refusal;
use ipmb_binding::to::To;
use ipmb_binding::types::{REFUSAL, Type};
use ipmb_bus::error::{RecvError, SendError};
use ipmb_bus::{Outcome, Overflow};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::arguments::{Argument, Timeout};
use crate::attachments::Attachments;
use crate::endpoint::Anchor;
use crate::errors::{self, from_recv, from_send};
use crate::imported::Imported;
use crate::order::Order;
use crate::received::Takes;
use crate::routes::Target;
use crate::selector::{parse_selector, parse_ttl};
use crate::sender::Sender;
use crate::sending::{Sending, Started, start};
use crate::taken::Taken;
use crate::waiting::{detached, interruptible};

/// The requests of one endpoint: a number for each, and one place at which all of them end.
#[pyclass(frozen, module = "ipmb._core")]
pub(crate) struct Asking {
    core: ipmb_bus::Asking,
    anchor: Weak<Anchor>,
    takes: Takes,
    /// Outcomes that were taken when somebody wanted this thread to stop.
    left: Mutex<Vec<(u64, Py<PyAny>)>>,
    /// How often outcomes were asked for.
    polls: AtomicU64,
}

/// What has come back to an asker.
enum Answer {
    Reply(Taken),
    No(Refusal),
}

/// The Python object through which an endpoint's requests go, made at the first.
pub(crate) fn requests<'py>(sender: &Bound<'py, Sender>) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: Imported = Imported::new("ipmb.requests", "Requests");
    let py = sender.py();
    let kept = &sender.get().anchor.requests;
    if let Some(requests) = kept.get(py) {
        return Ok(requests.bind(py).clone());
    }
    let asking = Py::new(py, Asking::new(sender)?)?;
    let made = CLASS.get(py)?.call1((asking,))?;
    // Another thread may have been first: there is to be only one.
    Ok(kept.get_or_init(py, || made.unbind()).bind(py).clone())
}

impl Asking {
    fn anchor(&self, py: Python<'_>) -> PyResult<Arc<Anchor>> {
        self.anchor.upgrade().ok_or_else(|| from_send(py, &SendError::Closed))
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Py<PyAny>)>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Asking {
    #[new]
    fn new(sender: &Bound<'_, Sender>) -> PyResult<Asking> {
        let core = sender.get().core.asking().map_err(|error| from_send(sender.py(), &error))?;
        let anchor = Arc::downgrade(&sender.get().anchor);
        Ok(Asking { core, anchor, takes: Takes::new(None), left: Mutex::default(), polls: AtomicU64::new(0) })
    }

    /// A number for a request that is about to be sent.
    fn begin(&self, py: Python<'_>) -> PyResult<u64> {
        self.core.begin().map_err(|error| from_send(py, &error))
    }

    /// Sends the request of a number. None: one who matches has it; otherwise it waits for room or a match.
    #[pyo3(signature = (number, selector, payload, *, objects = None, memory_regions = None, ttl = Argument::Missing))]
    #[allow(clippy::too_many_arguments)]
    fn ask<'py>(
        &self,
        number: u64,
        selector: &Bound<'py, PyAny>,
        payload: &Bound<'py, PyAny>,
        objects: Option<&Bound<'py, PyAny>>,
        memory_regions: Option<&Bound<'py, PyAny>>,
        ttl: Argument<'py>,
    ) -> PyResult<Option<Py<Sending>>> {
        let py = selector.py();
        let mut selector = parse_selector(selector)?;
        if let Some(ttl) = ttl.given() {
            let ttl = parse_ttl(ttl)?;
            Arc::make_mut(&mut selector).ttl = ttl;
        }
        let attachments = Attachments::parse(objects, memory_regions)?;
        let order = Order { payload, attachments, target: Target::Made(py, To::Asked(selector)) };
        let sender = Bound::new(py, Sender::new(self.anchor(py)?))?;
        match start(&sender, order, Overflow::Block, Some((number, true)))? {
            Started::Done(_) => Ok(None),
            Started::Waits(sending) => Ok(Some(sending)),
        }
    }

    /// What became of requests since the last call: a number with each, then its reply or an exception.
    fn poll<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let anchor = self.anchor(py)?;
        self.polls.fetch_add(1, Ordering::Relaxed);
        let outcomes = self.core.poll(|incoming| {
            let type_id = Type::from_be_bytes(incoming.type_id());
            if type_id == REFUSAL {
                return Some(Answer::No(Refusal::take(incoming)));
            }
            let mut taken = None;
            Taken::take(py, type_id, incoming, &self.takes, &mut taken);
            taken.map(Answer::Reply)
        });
        let left = std::mem::take(&mut *self.left());
        let told = PyList::new(py, left)?;
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(_) if !told.is_empty() => return Ok(told),
            Err(RecvError::Closed) => return Err(from_send(py, &SendError::Closed)),
            Err(error) => return Err(from_recv(py, &error)),
        };
        if outcomes.is_empty() {
            return Ok(told);
        }
        let back = Py::new(py, Sender::new(anchor))?;
        let mut stop = None;
        for (number, outcome) in outcomes {
            let message = match outcome {
                Outcome::Reply(Some(Answer::Reply(taken))) => taken.message(py, &self.takes, &back),
                Outcome::Reply(Some(Answer::No(refusal))) => Err(errors::refused(py, &refusal.peer, &refusal.error)),
                Outcome::Reply(None) => continue,
                Outcome::Lost { peer, read } => Err(errors::lost(py, &peer, read)),
            };
            let outcome = match message {
                Ok(message) => message.into_any(),
                Err(error) if error.is_instance_of::<PyException>(py) => error.into_value(py).into_any(),
                Err(error) => {
                    // Somebody wants this thread to stop. The others' outcomes are theirs all the same.
                    stop = Some(error);
                    errors::decode(py, "the reply could not be decoded: this process was interrupted in it")
                        .into_value(py)
                        .into_any()
                }
            };
            told.append((number, outcome))?;
        }
        match stop {
            None => Ok(told),
            Some(error) => {
                *self.left() = told.extract()?;
                Err(error)
            }
        }
    }

    /// How often `poll` was called; for `wait`.
    #[getter]
    fn polls(&self) -> u64 {
        self.polls.load(Ordering::Relaxed)
    }

    /// Sleeps until `poll` may give something, or was called since `polls` was read. Ctrl-C interrupts it.
    ///
    /// A signal's handler that asks takes the outcomes of whom it has interrupted, who then must not sleep for them.
    #[pyo3(signature = (timeout = None, polls = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>, polls: Option<u64>) -> PyResult<()> {
        let deadline = timeout.map_or(Ok(Timeout::Never), Timeout::parse)?.deadline();
        if !self.left().is_empty() {
            return Ok(());
        }
        if detached(py, || self.core.spin()) {
            return py.check_signals();
        }
        // Handlers run before the closure does.
        let called = || polls.is_some_and(|seen| seen != self.polls.load(Ordering::Relaxed));
        interruptible(py, || if called() { Ok(true) } else { self.core.park(deadline) }).map(drop)
    }

    /// A descriptor for event loops, readable whenever `poll` would give something; it stays the endpoint's.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.core.fileno().map_err(|error| from_send(py, &error))
    }

    /// Nobody waits for this number any more: a reply that comes is dropped and counted.
    fn forget(&self, py: Python<'_>, number: u64) {
        let left = {
            let mut left = self.left();
            left.iter().position(|(known, _)| *known == number).map(|place| left.swap_remove(place))
        };
        drop(left);
        detached(py, || self.core.forget(number));
    }
}
