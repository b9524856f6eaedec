//! Sending without waiting: what an event loop does with a message that finds no room.
//!
//! `Sending` keeps what could not be sent yet, and tells by a descriptor when to try again. It is not frozen: its methods
//! run code of payloads, and a second caller in the middle of one gets an error instead of a wait.

use std::os::fd::{AsFd, AsRawFd};

use ipmb_binding::letter::Correlation;
use ipmb_binding::sending::Sending as Waiting;
use ipmb_binding::to::To;
use ipmb_bus::error::SendError;
use ipmb_bus::{Kept, Outgoing, Overflow, Progress};
use ipmb_transport::sys::Poller;
use pyo3::prelude::*;

use crate::arguments::Argument;
use crate::attachments::Attachments;
use crate::errors::{closed, from_send};
use crate::message::Message;
use crate::order::{Order, also_delivered, encode_all, gather, parse_overflow, target};
use crate::payload::{self, Encoded};
use crate::routes::Target;
use crate::sender::Sender;

/// One message, or several in their order, on the way to where there is no room yet.
#[pyclass(module = "ipmb._core")]
pub(crate) struct Sending {
    sender: Py<Sender>,
    target: Kind,
    overflow: Overflow,
    /// The message that waits. `None`: it is done, or given up.
    waiting: Option<Waiting>,
    poller: Option<Poller>,
    /// Those behind it.
    rest: std::vec::IntoIter<Py<PyAny>>,
    reached: usize,
    /// What it replies to, to be told when it is out.
    answers: Option<Py<Message>>,
}

/// A `Target` that is kept.
enum Kind {
    Named(Py<PyAny>),
    Made(To),
}

impl Kind {
    fn of(target: &Target<'_, '_>) -> Kind {
        match target {
            Target::Named(target) => Kind::Named((*target).clone().unbind()),
            Target::Made(_, to) => Kind::Made(to.clone()),
        }
    }

    fn target<'a, 'py>(&'a self, py: Python<'py>) -> Target<'a, 'py> {
        match self {
            Kind::Named(target) => Target::Named(target.bind(py)),
            Kind::Made(to) => Target::Made(py, to.clone()),
        }
    }
}

/// What `start_send` gives: how many endpoints have it, or what still waits.
#[derive(IntoPyObject)]
pub(crate) enum Started {
    Done(usize),
    Waits(Py<Sending>),
}

/// A first try: how many have it, or the message.
pub(crate) enum Tried {
    Done(usize),
    Waits(Box<Waiting>),
}

impl Sender {
    /// Tries to push a message and keeps it where there is no room.
    pub(crate) fn try_or_keep(
        &self,
        py: Python<'_>,
        encoded: &Encoded<'_>,
        attachments: Option<Box<Attachments>>,
        overflow: Overflow,
        target: &Target<'_, '_>,
        correlation: Option<Correlation>,
    ) -> PyResult<Tried> {
        let keep = |mut out: Outgoing<'_>, mut result: Result<Progress, SendError>| loop {
            match result {
                Ok(Progress::Done(reached)) => return Ok(Tried::Done(reached)),
                Ok(Progress::Blocked) => {
                    let to = target.to().inspect_err(|_| self.core.abandon(&mut out))?;
                    return Ok(Tried::Waits(Box::new(Waiting::new(self.core.clone(), to, Kept::new(out)))));
                }
                Err(SendError::StaleRoute) => out.reroute(target.find_again(self)?),
                Err(error) => return Err(from_send(py, &error)),
            }
            result = self.core.try_send(&mut out);
        };
        self.begin(py, encoded, attachments, overflow, target, correlation, Tried::Done, keep)
    }
}

impl Sending {
    fn new(
        sender: &Bound<'_, Sender>,
        target: &Target<'_, '_>,
        overflow: Overflow,
        waiting: Option<Waiting>,
    ) -> Sending {
        Sending {
            sender: sender.clone().unbind(),
            target: Kind::of(target),
            overflow,
            waiting,
            poller: None,
            rest: Vec::new().into_iter(),
            reached: 0,
            answers: None,
        }
    }

    /// Tries the message that waits. Whether it is done.
    fn try_kept(&mut self, py: Python<'_>) -> PyResult<bool> {
        let Some(waiting) = &mut self.waiting else { return Ok(true) };
        match waiting.poll() {
            Ok(true) => {
                self.reached += waiting.reached();
                self.waiting = None;
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(error) => {
                self.give_up();
                Err(from_send(py, &error))
            }
        }
    }

    /// Sends those behind it, up to the next that has to wait. Whether all are done.
    fn go_on(&mut self, py: Python<'_>) -> PyResult<bool> {
        for payload in self.rest.by_ref() {
            let target = self.target.target(py);
            let payload = payload.bind(py);
            let encoded = payload::encode(payload)?;
            match self.sender.get().try_or_keep(py, &encoded, None, self.overflow, &target, None)? {
                Tried::Done(reached) => self.reached += reached,
                Tried::Waits(waiting) => {
                    self.waiting = Some(*waiting);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn give_up(&mut self) {
        if let Some(mut waiting) = self.waiting.take() {
            waiting.give_up();
            self.reached += waiting.reached();
        }
        self.rest = Vec::new().into_iter();
        self.poller = None;
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[pymethods]
impl Sending {
    /// Tries again. How many endpoints have it; None: no room yet, for which `last` raises `SendTimeout`.
    #[pyo3(signature = (last = false))]
    fn poll(&mut self, py: Python<'_>, last: bool) -> PyResult<Option<usize>> {
        self.poller = None;
        let done = match self.try_kept(py) {
            Ok(true) => self.go_on(py),
            waits => waits,
        };
        match done {
            Ok(true) => {
                if let Some(message) = self.answers.take() {
                    message.get().set_replied();
                }
                Ok(Some(self.reached))
            }
            Ok(false) if !last => Ok(None),
            Ok(false) => {
                self.give_up();
                Err(from_send(py, &SendError::Timeout { delivered: self.reached }))
            }
            Err(error) => {
                self.give_up();
                Err(also_delivered(py, error, self.reached))
            }
        }
    }

    /// A descriptor that is readable when `poll` may get further. Good until then.
    fn fileno(&mut self, py: Python<'_>) -> PyResult<i32> {
        let Some(waiting) = &self.waiting else { return Err(closed(py, "this message waits no more")) };
        if self.poller.is_none() {
            self.poller = waiting.descriptor().map_err(|error| from_send(py, &SendError::Io(error)))?;
        }
        Ok(self.poller.as_ref().map_or(-1, |poller| poller.as_fd().as_raw_fd()))
    }

    /// Seconds after which to `poll` although the descriptor is not readable; None: no need.
    #[getter]
    fn delay(&self) -> Option<f64> {
        self.waiting.as_ref().and_then(Waiting::delay).map(|nanos| nanos as f64 / 1e9)
    }

    /// How many copies are in receivers' rings so far.
    #[getter]
    fn delivered(&self) -> usize {
        self.reached + self.waiting.as_ref().map_or(0, Waiting::reached)
    }

    /// Gives up what still waits: it is not sent. Closing twice is fine.
    fn close(&mut self) {
        self.give_up();
    }
}

/// `Sender.send` without its wait: how many endpoints have the message, or a `Sending`.
#[pyfunction]
#[pyo3(signature = (sender, selector, /, payload = Argument::Missing, *, objects = None, memory_regions = None, ttl = Argument::Missing, overflow = Argument::Missing))]
pub(crate) fn start_send<'py>(
    sender: &Bound<'py, Sender>,
    selector: &Bound<'py, PyAny>,
    payload: Argument<'py>,
    objects: Option<&Bound<'py, PyAny>>,
    memory_regions: Option<&Bound<'py, PyAny>>,
    ttl: Argument<'py>,
    overflow: Argument<'py>,
) -> PyResult<Started> {
    let overflow = parse_overflow(&overflow)?;
    let order = Order::understand(selector, &payload, objects, memory_regions, &ttl)?;
    start(sender, order, overflow, None)
}

/// `Message.reply` without its wait.
#[pyfunction]
#[pyo3(signature = (message, payload, *, objects = None, memory_regions = None))]
pub(crate) fn start_reply<'py>(
    message: &Bound<'py, Message>,
    payload: &Bound<'py, PyAny>,
    objects: Option<&Bound<'py, PyAny>>,
    memory_regions: Option<&Bound<'py, PyAny>>,
) -> PyResult<Started> {
    let attachments = Attachments::parse(objects, memory_regions)?;
    let (back, target, correlation) = message.get().way_back(payload.py())?;
    let started = start(back.bind(payload.py()), Order { payload, attachments, target }, Overflow::Block, correlation)?;
    match &started {
        Started::Done(_) => message.get().set_replied(),
        Started::Waits(sending) => sending.bind(payload.py()).borrow_mut().answers = Some(message.clone().unbind()),
    }
    Ok(started)
}

/// `Sender.send_many` without its wait.
#[pyfunction]
#[pyo3(signature = (sender, selector, payloads, /, *, ttl = Argument::Missing, overflow = Argument::Missing))]
pub(crate) fn start_send_many<'py>(
    sender: &Bound<'py, Sender>,
    selector: &Bound<'py, PyAny>,
    payloads: &Bound<'py, PyAny>,
    ttl: Argument<'py>,
    overflow: Argument<'py>,
) -> PyResult<Started> {
    let (py, overflow) = (sender.py(), parse_overflow(&overflow)?);
    let target = target(selector, &ttl)?;
    let payloads = gather(payloads)?;
    let sent = sender.get().push_run(&target, &encode_all(&payloads)?)?;
    if sent == payloads.len() {
        return Ok(Started::Done(sent));
    }
    let rest: Vec<_> = payloads.into_iter().skip(sent).map(Bound::unbind).collect();
    let mut sending = Sending::new(sender, &target, overflow, None);
    (sending.rest, sending.reached) = (rest.into_iter(), sent);
    match sending.poll(py, false)? {
        Some(reached) => Ok(Started::Done(reached)),
        None => Ok(Started::Waits(Py::new(py, sending)?)),
    }
}

/// A first try, and what keeps the message when there is no room.
pub(crate) fn start(
    sender: &Bound<'_, Sender>,
    order: Order<'_, '_>,
    overflow: Overflow,
    correlation: Option<Correlation>,
) -> PyResult<Started> {
    let Order { payload, attachments, target } = order;
    let py = payload.py();
    let encoded = payload::encode(payload)?;
    match sender.get().try_or_keep(py, &encoded, attachments, overflow, &target, correlation)? {
        Tried::Done(reached) => Ok(Started::Done(reached)),
        Tried::Waits(waiting) => {
            Ok(Started::Waits(Py::new(py, Sending::new(sender, &target, overflow, Some(*waiting)))?))
        }
    }
}
