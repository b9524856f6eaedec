//! `Sender`: from a Python object to a ring.
//!
//! The way of a small message: the arguments are told apart by pointer, the route comes from a cache by pointer, the
//! payload's bytes are borrowed from the object and copied once, into the ring. Only what has to wait, or is too long
//! for a ring, releases the interpreter lock.

use std::sync::Arc;

use ipmb_binding::letter::Correlation;
use ipmb_bus::error::SendError;
use ipmb_bus::limits::LONG_INLINE_BYTES;
use ipmb_bus::{Bulk as Span, INLINE_BYTES, Outgoing, Overflow, Payload, Progress, prepare};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::{Argument, Timeout};
use crate::asking;
use crate::attachments::Attachments;
use crate::bulk;
use crate::endpoint::{Anchor, reduce};
use crate::errors::from_send;
use crate::order::{Order, Ready, also_delivered, encode_all, gather, parse_overflow, target};
use crate::payload::{self, Encoded, Flat};
use crate::routes::{Routes, Target};
use crate::waiting::{Inside, detached, interruptible};

/// The sending half of an endpoint. Many threads may share one.
///
/// It is a context manager that closes it.
#[pyclass(frozen, module = "ipmb")]
pub(crate) struct Sender {
    pub(crate) core: ipmb_bus::Sender,
    pub(crate) routes: Routes,
    pub(crate) anchor: Arc<Anchor>,
}

impl Sender {
    pub(crate) fn new(anchor: Arc<Anchor>) -> Sender {
        Sender { core: anchor.endpoint.sender(), routes: Routes::default(), anchor }
    }

    /// The quick way of a message that has nothing in its way: a flat payload for a target that was one lately. `false`:
    /// nothing was done.
    #[inline(always)]
    fn push_plain(&self, target: &Bound<'_, PyAny>, payload: &Bound<'_, PyAny>) -> bool {
        let Some(route) = self.routes.recent(target) else { return false };
        let Some(flat) = Flat::of(payload) else { return false };
        let (type_id, bytes) = flat.parts();
        bytes.len() <= LONG_INLINE_BYTES && self.core.try_plain(route, type_id.to_be_bytes(), bytes)
    }

    /// The same for several in a row: how many went.
    pub(crate) fn push_run(&self, target: &Target<'_, '_>, ready: &[Ready<'_>]) -> PyResult<usize> {
        let route = target.route(self)?;
        Ok(self.core.try_plain_run(route, |place| ready.get(place)?.plain()))
    }

    /// Encodes, routes, pushes, and waits for room where that is wanted.
    #[inline]
    pub(crate) fn push<'py>(
        &self,
        payload: &Bound<'py, PyAny>,
        attachments: Option<Box<Attachments>>,
        timeout: Timeout,
        overflow: Overflow,
        target: &Target<'_, 'py>,
    ) -> PyResult<usize> {
        let encoded = payload::encode(payload)?;
        self.push_encoded(payload.py(), &encoded, attachments, timeout, overflow, target, None)
    }

    /// The same for what answers a message.
    pub(crate) fn push_reply<'py>(
        &self,
        payload: &Bound<'py, PyAny>,
        attachments: Option<Box<Attachments>>,
        timeout: Timeout,
        target: &Target<'_, 'py>,
        correlation: Option<Correlation>,
    ) -> PyResult<usize> {
        let encoded = payload::encode(payload)?;
        self.push_encoded(payload.py(), &encoded, attachments, timeout, Overflow::Block, target, correlation)
    }

    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    fn push_encoded(
        &self,
        py: Python<'_>,
        encoded: &Encoded<'_>,
        attachments: Option<Box<Attachments>>,
        timeout: Timeout,
        overflow: Overflow,
        target: &Target<'_, '_>,
        correlation: Option<Correlation>,
    ) -> PyResult<usize> {
        let wait = |out: Outgoing<'_>, first| self.push_on(py, out, timeout, target, first);
        self.begin(py, encoded, attachments, overflow, target, correlation, |reached| reached, wait)
    }

    /// Routes a message and tries to push it: `done` when that is all, `otherwise` when it is not.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn begin<R>(
        &self,
        py: Python<'_>,
        encoded: &Encoded<'_>,
        attachments: Option<Box<Attachments>>,
        overflow: Overflow,
        target: &Target<'_, '_>,
        correlation: Option<Correlation>,
        done: impl FnOnce(usize) -> R,
        otherwise: impl FnOnce(Outgoing<'_>, Result<Progress, SendError>) -> PyResult<R>,
    ) -> PyResult<R> {
        let number = target.route(self)?;
        let bytes = encoded.bytes();
        let plain = encoded.bulk.is_none() && attachments.is_none() && correlation.is_none();
        let plain = plain && bytes.len() <= LONG_INLINE_BYTES;
        if plain && self.core.try_plain(number, encoded.type_id.to_be_bytes(), bytes) {
            return Ok(done(1));
        }
        let body = match &encoded.bulk {
            None if bytes.len() <= INLINE_BYTES || (plain && self.core.takes_long(number)) => Payload::Inline(bytes),
            None => detached(py, || prepare(bytes)).map_err(|error| from_send(py, &error))?,
            Some(behind) => {
                let Span { region, offset, len } = bulk::span(&behind.memory, behind.offset, behind.len)?;
                Payload::Large { region, offset, len, head: bytes }
            }
        };
        let mut out = Outgoing::new(number, encoded.type_id.to_be_bytes(), body, overflow)
            .map_err(|error| from_send(py, &error))?;
        if let Some(attached) = attachments {
            out.attach(attached.regions, attached.objects).map_err(|error| from_send(py, &error))?;
        }
        if let Some((number, request)) = correlation {
            out.correlate(number, request);
        }
        match self.core.try_send(&mut out) {
            Ok(Progress::Done(reached)) => Ok(done(reached)),
            first => otherwise(out, first),
        }
    }

    /// The rest of the way for a message that did not go through at once.
    #[cold]
    fn push_on(
        &self,
        py: Python<'_>,
        mut out: Outgoing<'_>,
        timeout: Timeout,
        target: &Target<'_, '_>,
        first: Result<Progress, SendError>,
    ) -> PyResult<usize> {
        let deadline = timeout.deadline();
        let mut result = first;
        loop {
            match result {
                Ok(Progress::Done(reached)) => return Ok(reached),
                Ok(Progress::Blocked) => {
                    let over = deadline.is_some_and(|at| ipmb_transport::sys::now() >= at);
                    let waited = if over {
                        Err(from_send(py, &SendError::Timeout { delivered: out.reached() }))
                    } else {
                        interruptible(py, || out.wait(deadline))
                    };
                    if let Err(error) = waited {
                        self.core.abandon(&mut out);
                        return Err(error);
                    }
                }
                Err(SendError::StaleRoute) => {
                    out.reroute(target.find_again(self)?);
                }
                Err(error) => return Err(from_send(py, &error)),
            }
            result = self.core.try_send(&mut out);
        }
    }
}

#[pymethods]
impl Sender {
    /// Sends a message: `send(message)`, or `send(selector, payload)`.
    ///
    /// When it returns, the message is in memory that outlives this process.
    ///
    /// Args:
    ///     selector: A `Message`, and nothing but `timeout` and `overflow` beside it. Or a `Selector`; a `LabelOp` or
    ///         a string alone mean unicast.
    ///     payload: None, bool, int (-2**63 to 2**64-1), float, str, bytes, datetime, UUID, `BytesMessage`, any
    ///         contiguous buffer, a numpy array, an Arrow table or record batch, a torch tensor, an object of a class
    ///         registered with `message_type`, or lists and dicts of these; at most 4 GiB.
    ///     objects: Descriptors to send along: `Object`s, numbers, or anything with a `fileno()`; at most 1012. They
    ///         stay the caller's, who may close them as soon as this has returned; each receiver gets duplicates.
    ///     memory_regions: `MemoryRegion`s to send along, at most 253; each receiver holds them too from now on.
    ///     ttl: Seconds that the message waits while nobody matches, 0 or more; None and infinity are for ever. In the
    ///         place of the selector's own. At most 4 MiB of a sender wait, `memory_regions` not counted. What waits
    ///         outlives its sender as long as somebody else is on the bus.
    ///     timeout: Seconds to wait for room, 0 or more; None waits for ever.
    ///     overflow: What to do when a receiver has no room: "block" waits, "error" raises `Full` with nothing sent,
    ///         "drop" drops the message for that receiver and counts it. A multicast waits for its slowest receiver.
    ///         When too much waits for a match already (see docs/limits.md), `Full` is raised whatever is given here.
    ///
    /// Returns:
    ///     In how many endpoints' rings the message is. 0: nobody matched; with a ttl it now waits.
    ///
    /// Raises:
    ///     TypeError, ValueError: An argument is of the wrong type, out of its bounds or closed; nothing was sent.
    ///     OSError: This process has too many open files; nothing was sent.
    ///     SendTimeout: No room in time; its `delivered` says how many have the message.
    ///     Full: No room and `overflow="error"`, or waiting could never help.
    ///     TooLarge: The payload is over the maximum, or nobody matches and it alone is over the 4 MiB that can wait.
    ///     Closed: This sender is closed.
    ///     Forked: The endpoint belongs to the parent process.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> with ipmb.join("com.example.send", "earth") as (sender, receiver):
    ///     ...     sender.send("earth", "to one")
    ///     ...     sender.send(ipmb.Selector.multicast(ipmb.LabelOp.TRUE), "to all")
    ///     ...     sender.send("mars", "to nobody")
    ///     1
    ///     1
    ///     0
    #[pyo3(
        signature = (selector, /, payload = Argument::Missing, *, objects = None, memory_regions = None, ttl = Argument::Missing, timeout = None, overflow = Argument::Missing),
        text_signature = "($self, selector, /, payload=..., *, objects=(), memory_regions=(), ttl=..., timeout=None, overflow='block')"
    )]
    #[allow(clippy::too_many_arguments)]
    fn send<'py>(
        &self,
        selector: &Bound<'py, PyAny>,
        payload: Argument<'py>,
        objects: Option<&Bound<'py, PyAny>>,
        memory_regions: Option<&Bound<'py, PyAny>>,
        ttl: Argument<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
        overflow: Argument<'py>,
    ) -> PyResult<usize> {
        let timeout = timeout.map_or(Ok(Timeout::Never), Timeout::parse)?;
        let overflow = parse_overflow(&overflow)?;
        if objects.is_none()
            && memory_regions.is_none()
            && ttl.given().is_none()
            && payload.given().is_some_and(|payload| self.push_plain(selector, payload))
        {
            return Ok(1);
        }
        let order = Order::understand(selector, &payload, objects, memory_regions, &ttl)?;
        self.push(order.payload, order.attachments, timeout, overflow, &order.target)
    }

    /// Sends several messages to the same selector, in their order: `send` in a loop, and quicker.
    ///
    /// All payloads are looked at before the first is sent: when one cannot be, none is.
    ///
    /// Args:
    ///     selector: As for `send`.
    ///     payloads: An iterable of payloads, each as for `send`.
    ///     ttl: As for `send`.
    ///     timeout: Seconds to wait for room in all, 0 or more; None waits for ever.
    ///     overflow: As for `send`, for each message.
    ///
    /// Returns:
    ///     In how many rings messages are now, all together: with one receiver, how many were sent.
    ///
    /// Raises:
    ///     TypeError, ValueError, OSError, SendTimeout, Full, TooLarge, Closed, Forked: As for `send`. The error's
    ///         `delivered` says in how many rings messages are all the same: those before the one it is about.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> with ipmb.join("com.example.send_many", "earth") as (sender, receiver):
    ///     ...     sender.send_many("earth", ["one", "two"])
    ///     ...     [message.payload for message in receiver.recv_many(10, timeout=5)]
    ///     2
    ///     ['one', 'two']
    #[pyo3(
        signature = (selector, payloads, /, *, ttl = Argument::Missing, timeout = None, overflow = Argument::Missing),
        text_signature = "($self, selector, payloads, /, *, ttl=..., timeout=None, overflow='block')"
    )]
    fn send_many<'py>(
        &self,
        selector: &Bound<'py, PyAny>,
        payloads: &Bound<'py, PyAny>,
        ttl: Argument<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
        overflow: Argument<'py>,
    ) -> PyResult<usize> {
        /// Messages between two looks for Ctrl-C.
        const SIGNALS_EVERY: usize = 1024;
        let py = selector.py();
        let timeout = timeout.map_or(Ok(Timeout::Never), Timeout::parse)?.started();
        let overflow = parse_overflow(&overflow)?;
        let target = target(selector, &ttl)?;
        let payloads = gather(payloads)?;
        let ready = encode_all(&payloads)?;
        let (mut done, mut sent) = (0, 0);
        while done < ready.len() {
            let end = ready.len().min(done + SIGNALS_EVERY);
            let run = self.push_run(&target, &ready[done..end])?;
            done += run;
            sent += run;
            if done < end {
                let one = match &ready[done] {
                    Ready::Encoded(encoded) => self.push_encoded(py, encoded, None, timeout, overflow, &target, None),
                    Ready::Flat(_) => self.push(&payloads[done], None, timeout, overflow, &target),
                };
                sent += one.map_err(|error| also_delivered(py, error, sent))?;
                done += 1;
            }
            if done < ready.len() {
                py.check_signals()?;
            }
        }
        Ok(sent)
    }

    /// Sends a request to one of those who match, and waits for the reply. Ctrl-C interrupts it.
    ///
    /// The reply does not pass through the receiver, which may be closed, and does not wait behind messages. Whoever
    /// is asked replies with `Message.reply`. A request is never given to a second one, or what it asks for might be
    /// done twice.
    ///
    /// Args:
    ///     selector: A unicast `Selector`; a `LabelOp` or a string alone mean that.
    ///     payload: As for `send`.
    ///     objects: As for `send`.
    ///     memory_regions: As for `send`.
    ///     ttl: Seconds to wait for somebody who matches, 0 or more; None and infinity are for ever. In the place of
    ///         the selector's own.
    ///     timeout: Seconds until the reply has to be there, the wait for room and for somebody who matches included, 0
    ///         or more; None waits for ever.
    ///
    /// Returns:
    ///     The reply, a `Message`.
    ///
    /// Raises:
    ///     NoRoute: Nobody matches, and nobody did before the ttl was over. Nothing was sent.
    ///     PeerLost: The one asked died or left before it had replied. Whether it had read the request is in the text.
    ///     RecvTimeout: No reply in time; one that comes later is dropped and counted.
    ///     RemoteError: The handler of the one asked failed, where that one uses `serve`.
    ///     DecodeError: The reply's bytes are not what its type says.
    ///     TooLarge, TypeError, ValueError, OSError: As for `send`; also for a multicast selector. Nothing was sent.
    ///     Full: The ring to this very endpoint is full; receive first.
    ///     TooManyOpenFiles: A reply came whose descriptors did not fit in this process until the time was over.
    ///     Closed: This sender is closed, also when that happens in another thread meanwhile.
    ///     Forked: The endpoint belongs to the parent process.
    ///
    /// Example:
    ///     >>> import ipmb, threading
    ///     >>> worker = ipmb.join("com.example.request", "worker")
    ///     >>> def work():
    ///     ...     for message in worker.receiver:
    ///     ...         message.reply(message.payload * 2)
    ///     >>> thread = threading.Thread(target=work)
    ///     >>> thread.start()
    ///     >>> with ipmb.join("com.example.request") as (sender, receiver):
    ///     ...     sender.request("worker", 21, timeout=5).payload
    ///     42
    ///     >>> worker.close()
    ///     >>> thread.join()
    #[pyo3(
        signature = (selector, payload, *, objects = None, memory_regions = None, ttl = Argument::Missing, timeout = None),
        text_signature = "($self, selector, payload, *, objects=(), memory_regions=(), ttl=..., timeout=None)"
    )]
    #[allow(clippy::too_many_arguments)]
    fn request<'py>(
        slf: &Bound<'py, Self>,
        selector: &Bound<'py, PyAny>,
        payload: &Bound<'py, PyAny>,
        objects: Option<&Bound<'py, PyAny>>,
        memory_regions: Option<&Bound<'py, PyAny>>,
        ttl: Argument<'py>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let attached = PyDict::new(slf.py());
        let given = [("objects", objects), ("memory_regions", memory_regions), ("ttl", ttl.given())];
        for (name, value) in given.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            attached.set_item(name, value)?;
        }
        // Python code under our frames, which waits in there: see `waiting`.
        let _inside = Inside::enter(slf.py());
        asking::requests(slf)?.call_method("request", (selector, payload, timeout), Some(&attached))
    }

    /// Closes this half. What was sent stays sent, what waits for a match goes on waiting.
    ///
    /// Closing the receiver too leaves the bus. Closing twice is fine.
    fn close(&self, py: Python<'_>) {
        detached(py, || self.core.close());
    }

    /// Whether it is closed.
    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        detached(py, || self.core.is_closed())
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        match slf.get().closed(slf.py()) {
            true => Err(from_send(slf.py(), &SendError::Closed)),
            false => Ok(slf),
        }
    }

    #[pyo3(signature = (kind, error, trace, /))]
    fn __exit__(&self, py: Python<'_>, kind: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>, trace: &Bound<'_, PyAny>) {
        let _ = (kind, error, trace);
        self.close(py);
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        reduce(py, &self.anchor, "rejoined_sender")
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!("<Sender of {:#x}{}>", self.core.id(), if self.closed(py) { ", closed" } else { "" })
    }
}
