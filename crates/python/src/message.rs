//! `Message`: one that a program makes to send it, or one that it received.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ipmb_binding::letter::Correlation;
use ipmb_binding::to::To;
use ipmb_bus::Peer;
use ipmb_bus::label_op::LabelOp as CoreOp;
use ipmb_bus::selector::Selector as CoreSelector;
use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::arguments::Timeout;
use crate::attachments::{Attachments, Held};
use crate::peer::EndpointInfo;
use crate::routes::Target;
use crate::selector::{Selector, parse_selector};
use crate::sender::Sender;

/// What is sent and what `recv` returns: where it goes, and what it carries.
///
/// Args:
///     selector: A `Selector`; a `LabelOp` or a string alone mean unicast.
///     payload: As for `Sender.send`. It is encoded when it is sent.
///     objects: Descriptors that travel with it: `Object`s, numbers, or anything with a `fileno()`; at most 1012. A
///         duplicate is made here of whatever is no `Object`.
///     memory_regions: `MemoryRegion`s that travel with it.
///
/// Attributes:
///     selector: The selector it was sent with.
///     payload: The payload.
///     sender: `EndpointInfo` of the one who sent it, as the kernel and the directory know it; only on a received one.
///     redelivered: Whether another receiver got it first and died with it unread.
///     is_request: Whether its sender waits for a reply.
///     objects: What is attached, a tuple of `Object`. What is taken from here and kept stays open; the rest is closed
///         with the message: by `close`, at the end of a `with` block, or when nobody holds the message any more.
///     memory_regions: The same for a tuple of `MemoryRegion`.
///
/// Raises:
///     TypeError, ValueError: An argument is of the wrong type or out of its bounds, or closed.
///     OSError: This process has too many open files.
///
/// Example:
///     >>> import ipmb
///     >>> message = ipmb.Message("earth", {"height": 3})
///     >>> message.selector, message.payload
///     (Selector.unicast('earth'), {'height': 3})
#[pyclass(frozen, generic, module = "ipmb")]
pub(crate) struct Message {
    pub(crate) payload: Py<PyAny>,
    origin: Py<Origin>,
    /// The way back for a received one: the sender of the endpoint that received it.
    back: Option<Py<Sender>>,
    redelivered: bool,
    /// The asker's number, of a request.
    request: Option<NonZeroU64>,
    replied: AtomicBool,
    /// `None` for most: what came or goes with the payload.
    held: Option<Box<Held>>,
}

/// Where a message goes and who sent it. Messages of one route from one peer share it, so that each is quick to make.
/// It must not lead to the endpoint: the endpoint's own channels keep it.
#[pyclass(frozen, module = "ipmb._core")]
pub(crate) struct Origin {
    selector: Py<Selector>,
    /// `None` for a message that a program made.
    pub(crate) sender: Option<Py<EndpointInfo>>,
}

impl Origin {
    pub(crate) fn received(py: Python<'_>, sender: &Arc<Peer>, selector: Arc<CoreSelector>) -> PyResult<Py<Origin>> {
        let selector = Py::new(py, Selector { core: selector })?;
        Py::new(py, Origin { selector, sender: Some(EndpointInfo::of(py, sender)?) })
    }
}

impl Message {
    #[inline]
    pub(crate) fn received(
        payload: Py<PyAny>,
        origin: Py<Origin>,
        back: Py<Sender>,
        redelivered: bool,
        request: Option<NonZeroU64>,
        held: Option<Box<Held>>,
    ) -> Message {
        Message { payload, origin, back: Some(back), redelivered, request, replied: AtomicBool::new(false), held }
    }

    /// What is sent with the payload.
    #[inline]
    pub(crate) fn attachments(&self, py: Python<'_>) -> PyResult<Option<Box<Attachments>>> {
        self.held.as_ref().map(|held| held.attachments(py)).transpose()
    }

    /// What a reply goes through, where to, and under which number of the asker's.
    pub(crate) fn way_back<'a, 'py>(
        &'a self,
        py: Python<'py>,
    ) -> PyResult<(&'a Py<Sender>, Target<'a, 'py>, Option<Correlation>)> {
        match (&self.back, &self.origin.get().sender) {
            (Some(back), Some(sender)) => Ok(match (sender.get().id(), self.request) {
                (id, None) => (back, Target::Made(py, To::Endpoint(id)), None),
                (id, Some(number)) => (back, Target::Made(py, To::Asker(id)), Some((number.get(), false))),
            }),
            _ => Err(PyTypeError::new_err("this message was not received: reply to one that recv has returned")),
        }
    }

    /// A reply to it has gone out.
    pub(crate) fn set_replied(&self) {
        self.replied.store(true, Ordering::Relaxed);
    }

    /// The selector, as an object that is always the same: it is a key of the route cache.
    pub(crate) fn selector_object(&self) -> &Py<Selector> {
        &self.origin.get().selector
    }
}

#[pymethods]
impl Message {
    #[new]
    #[pyo3(signature = (selector, payload, objects = None, memory_regions = None), text_signature = "(selector, payload, objects=(), memory_regions=())")]
    fn new(
        selector: &Bound<'_, PyAny>,
        payload: Py<PyAny>,
        objects: Option<&Bound<'_, PyAny>>,
        memory_regions: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let held = Held::made(selector.py(), objects, memory_regions)?;
        let kept = match selector.cast::<Selector>() {
            Ok(selector) => selector.clone().unbind(),
            Err(_) => Py::new(selector.py(), Selector { core: parse_selector(selector)? })?,
        };
        let origin = Py::new(selector.py(), Origin { selector: kept, sender: None })?;
        let replied = AtomicBool::new(false);
        Ok(Self { payload, origin, back: None, redelivered: false, request: None, replied, held })
    }

    #[getter]
    #[inline]
    fn payload(&self, py: Python<'_>) -> Py<PyAny> {
        self.payload.clone_ref(py)
    }

    #[getter]
    fn selector(&self, py: Python<'_>) -> Py<Selector> {
        self.selector_object().clone_ref(py)
    }

    #[getter]
    fn objects(&self, py: Python<'_>) -> PyResult<Py<PyTuple>> {
        self.held.as_ref().map_or_else(|| Ok(PyTuple::empty(py).unbind()), |held| held.objects(py))
    }

    #[getter]
    fn memory_regions(&self, py: Python<'_>) -> PyResult<Py<PyTuple>> {
        self.held.as_ref().map_or_else(|| Ok(PyTuple::empty(py).unbind()), |held| held.memory_regions(py))
    }

    #[getter]
    fn sender(&self, py: Python<'_>) -> PyResult<Py<EndpointInfo>> {
        match &self.origin.get().sender {
            Some(sender) => Ok(sender.clone_ref(py)),
            None => Err(PyAttributeError::new_err("a message that was not received has no sender")),
        }
    }

    #[getter]
    fn redelivered(&self) -> bool {
        self.redelivered
    }

    /// Whether `reply` was done with it.
    #[getter]
    fn _replied(&self) -> bool {
        self.replied.load(Ordering::Relaxed)
    }

    #[getter]
    fn is_request(&self) -> bool {
        self.request.is_some()
    }

    /// Sends a payload back to the one who sent this message.
    ///
    /// The reply to a request goes to the `request` that waits for it, and a second one to nobody. Any other message is
    /// replied to by a message to its sender.
    ///
    /// Args:
    ///     payload: As for `Sender.send`.
    ///     objects: As for `Sender.send`.
    ///     memory_regions: As for `Sender.send`.
    ///     timeout: Seconds to wait for room, 0 or more; None waits for ever.
    ///
    /// Returns:
    ///     1, or 0 when the sender has left the bus: its label does not matter, nobody else gets the reply. 1 does not
    ///     say that somebody still waits for it.
    ///
    /// Raises:
    ///     TypeError: The message was not received, or the payload cannot be sent.
    ///     SendTimeout: No room in time.
    ///     Closed: The endpoint that received the message has closed its sender.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> with ipmb.join("com.example.reply", "earth") as (sender, receiver):
    ///     ...     sender.send("earth", "ping")
    ///     ...     receiver.recv(timeout=5).reply("pong")
    ///     ...     receiver.recv(timeout=5).payload
    ///     1
    ///     1
    ///     'pong'
    #[pyo3(
        signature = (payload, *, objects = None, memory_regions = None, timeout = None),
        text_signature = "($self, payload, *, objects=(), memory_regions=(), timeout=None)"
    )]
    fn reply(
        &self,
        payload: &Bound<'_, PyAny>,
        objects: Option<&Bound<'_, PyAny>>,
        memory_regions: Option<&Bound<'_, PyAny>>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let attachments = Attachments::parse(objects, memory_regions)?;
        let timeout = timeout.map_or(Ok(Timeout::Never), Timeout::parse)?;
        let (back, target, correlation) = self.way_back(payload.py())?;
        let sent = back.get().push_reply(payload, attachments, timeout, &target, correlation)?;
        self.set_replied();
        Ok(sent)
    }

    /// Releases what is attached. The payload stays readable. Closing twice is fine.
    ///
    /// What a program has taken out of `objects` or `memory_regions` and still holds stays open; nobody can take
    /// anything after this (ValueError). A message that nobody holds any more is closed too.
    fn close(&self) {
        if let Some(held) = &self.held {
            held.close();
        }
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (kind, error, trace, /))]
    fn __exit__(&self, kind: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>, trace: &Bound<'_, PyAny>) {
        let _ = (kind, error, trace);
        self.close();
    }

    // A payload may hold the message it is in; what it holds has a way to let go, the message needs none.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.payload)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let payload = self.payload.bind(py).repr()?.to_string();
        let payload = match payload.char_indices().nth(60) {
            Some((cut, _)) => format!("{}...", &payload[..cut]),
            None => payload,
        };
        let selector = self.selector_object().bind(py);
        let shown = selector.as_any().repr()?;
        Ok(match &self.origin.get().sender {
            None => format!("Message({shown}, {payload})"),
            Some(sender) => {
                let label = sender.bind(py).getattr("label")?.repr()?.to_string();
                // A reply goes to one endpoint, whatever its label: it has a selector that nobody matches.
                let to = match selector.get().core.op == CoreOp::constant(false) {
                    true => String::new(),
                    false => format!(" to {shown}"),
                };
                format!("<Message {payload}{to} from {label}>")
            }
        })
    }
}
