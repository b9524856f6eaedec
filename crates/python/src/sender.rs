//! `Sender`: from a Python object to a ring.
//!
//! The way of a small message: the arguments are told apart by pointer, the route comes from a cache by pointer, the
//! payload's bytes are borrowed from the object and copied once, into the ring. Only what has to wait, or is too long
//! for a ring, releases the interpreter lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ipmb_bus::error::SendError;
use ipmb_bus::identity::EndpointId;
use ipmb_bus::selector::Selector as CoreSelector;
use ipmb_bus::{Bulk as Span, INLINE_BYTES, Outgoing, Overflow, Payload, Progress, RouteId, limits, prepare};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::arguments::{Argument, Timeout};
use crate::asking;
use crate::attachments::Attachments;
use crate::bulk;
use crate::endpoint::{Anchor, reduce};
use crate::errors::{from_send, wrong_type, wrong_value};
use crate::message::Message;
use crate::payload::{self, Encoded};
use crate::selector::{parse_selector, parse_ttl};
use crate::waiting::{Inside, detached, interruptible};

/// Objects whose route is found by comparing pointers. Programs mostly send to a few constant selectors.
const RECENT: usize = 4;

/// The sending half of an endpoint. Many threads may share one.
///
/// It is a context manager that closes it.
#[pyclass(frozen, module = "ipmb")]
pub(crate) struct Sender {
    pub(crate) core: ipmb_bus::Sender,
    routes: Mutex<Routes>,
    pub(crate) anchor: Arc<Anchor>,
}

#[derive(Default)]
struct Routes {
    /// Held, so that no other object can come to have the same pointer.
    recent: [Option<(Py<PyAny>, RouteId)>; RECENT],
    oldest: usize,
    texts: HashMap<Box<str>, RouteId>,
}

/// Where a message goes, as it was given.
pub(crate) enum Target<'a, 'py> {
    /// A `Selector`, or a `LabelOp` or string that alone mean unicast.
    Named(&'a Bound<'py, PyAny>),
    /// A selector that was made for this message.
    Made(Python<'py>, Arc<CoreSelector>),
    /// One endpoint, whatever its label.
    Endpoint(Python<'py>, EndpointId),
    /// One endpoint that asked, and waits for the reply.
    Asker(Python<'py>, EndpointId),
    /// One of those who match, which is asked.
    Asked(Python<'py>, Arc<CoreSelector>),
}

impl Target<'_, '_> {
    #[inline(always)]
    fn route(&self, sender: &Sender) -> PyResult<RouteId> {
        match self {
            Target::Named(target) => sender.route(target),
            Target::Made(py, selector) => sender.intern(*py, selector),
            Target::Endpoint(py, id) => sender.core.intern_endpoint(*id).map_err(|error| from_send(*py, &error)),
            Target::Asker(py, id) => sender.core.intern_reply(*id).map_err(|error| from_send(*py, &error)),
            Target::Asked(py, selector) => sender.core.intern_request(selector).map_err(|error| from_send(*py, &error)),
        }
    }

    /// The route, when the table of routes was collected and nothing known of it holds any more.
    #[cold]
    pub(crate) fn find_again(&self, sender: &Sender) -> PyResult<RouteId> {
        sender.forget_routes();
        self.route(sender)
    }
}

/// The asker's number of a request, and whether it is the request (true) or the reply.
pub(crate) type Correlation = (u64, bool);

/// What is sent and where, after the arguments of a call were understood.
pub(crate) struct Order<'a, 'py> {
    pub(crate) payload: &'a Bound<'py, PyAny>,
    pub(crate) attachments: Option<Box<Attachments>>,
    pub(crate) target: Target<'a, 'py>,
}

impl Sender {
    pub(crate) fn new(anchor: Arc<Anchor>) -> Sender {
        Sender { core: anchor.endpoint.sender(), routes: Mutex::default(), anchor }
    }

    /// The route to a target: a `Selector`, or a `LabelOp` or string that alone mean unicast.
    #[inline]
    fn route(&self, target: &Bound<'_, PyAny>) -> PyResult<RouteId> {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        for (known, route) in routes.recent.iter().flatten() {
            if known.is(target) {
                return Ok(*route);
            }
        }
        drop(routes);
        self.find_route(target)
    }

    #[cold]
    fn find_route(&self, target: &Bound<'_, PyAny>) -> PyResult<RouteId> {
        let text = target.cast_exact::<PyString>().ok().map(|string| string.to_str()).transpose().ok().flatten();
        let lock = || self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = text.and_then(|text| lock().texts.get(text).copied());
        let route = match known {
            Some(route) => route,
            None => self.intern(target.py(), &parse_selector(target)?)?,
        };
        let mut routes = lock();
        if let (Some(text), None) = (text, known) {
            if routes.texts.len() >= limits::ROUTES {
                routes.texts.clear();
            }
            routes.texts.insert(text.into(), route);
        }
        let oldest = routes.oldest;
        routes.oldest = (oldest + 1) % RECENT;
        let evicted = routes.recent[oldest].replace((target.clone().unbind(), route));
        // What drops with it may be the last reference, and its end runs code.
        drop(routes);
        drop(evicted);
        Ok(route)
    }

    fn intern(&self, py: Python<'_>, selector: &Arc<CoreSelector>) -> PyResult<RouteId> {
        self.core.intern(selector).map_err(|error| from_send(py, &error))
    }

    /// The table of routes was collected: nothing known of it holds any more.
    #[cold]
    fn forget_routes(&self) {
        let forgotten = std::mem::take(&mut *self.routes.lock().unwrap_or_else(PoisonError::into_inner));
        drop(forgotten);
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
        let body = match &encoded.bulk {
            None if bytes.len() <= INLINE_BYTES => Payload::Inline(bytes),
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

impl<'a, 'py> Order<'a, 'py> {
    /// Understands the arguments of `send`.
    #[inline(always)]
    pub(crate) fn understand(
        selector: &'a Bound<'py, PyAny>,
        payload: &'a Argument<'py>,
        objects: Option<&Bound<'py, PyAny>>,
        memory_regions: Option<&Bound<'py, PyAny>>,
        ttl: &Argument<'py>,
    ) -> PyResult<Order<'a, 'py>> {
        let py = selector.py();
        if let Ok(message) = selector.cast_exact::<Message>() {
            for (argument, given) in [
                ("payload", payload.given()),
                ("ttl", ttl.given()),
                ("objects", objects),
                ("memory_regions", memory_regions),
            ] {
                if given.is_some() {
                    return Err(not_with_a_message(argument));
                }
            }
            let message = message.get();
            let target = Target::Named(message.selector_object().bind(py).as_any());
            let attachments = message.attachments(py)?;
            return Ok(Order { payload: message.payload.bind(py), attachments, target });
        }
        let Some(payload) = payload.given() else {
            return Err(match parse_selector(selector) {
                Ok(_) => {
                    PyTypeError::new_err("payload is missing: give a payload after the selector, or a Message alone")
                }
                Err(error) => error,
            });
        };
        let attachments = Attachments::parse(objects, memory_regions)?;
        let target = target(selector, ttl)?;
        Ok(Order { payload, attachments, target })
    }
}

/// A selector as it was given, or with another ttl.
pub(crate) fn target<'a, 'py>(selector: &'a Bound<'py, PyAny>, ttl: &Argument<'py>) -> PyResult<Target<'a, 'py>> {
    let Some(ttl) = ttl.given() else { return Ok(Target::Named(selector)) };
    let mut waiting = (*parse_selector(selector)?).clone();
    waiting.ttl = parse_ttl(ttl)?;
    Ok(Target::Made(selector.py(), Arc::new(waiting)))
}

/// The payloads of `send_many`.
pub(crate) fn gather<'py>(payloads: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    const BOUND: &str = "give a list or another iterable of payloads";
    if payloads.is_instance_of::<PyString>() || payloads.is_instance_of::<PyBytes>() {
        return Err(wrong_type("payloads", payloads, BOUND));
    }
    payloads.try_iter().map_err(|_| wrong_type("payloads", payloads, BOUND))?.collect()
}

/// What cannot be sent shows before anything is.
pub(crate) fn encode_all<'a>(payloads: &'a [Bound<'a, PyAny>]) -> PyResult<Vec<Encoded<'a>>> {
    let which = |place: usize, payload: &Bound<'_, PyAny>, error: PyErr| {
        let _ =
            error.value(payload.py()).call_method1("add_note", (format!("it is payloads[{place}]; none was sent"),));
        error
    };
    let each = payloads.iter().enumerate();
    each.map(|(place, payload)| payload::encode(payload).map_err(|error| which(place, payload, error))).collect()
}

/// Tells with an error how many copies of the messages before it went out.
#[cold]
pub(crate) fn also_delivered(py: Python<'_>, error: PyErr, before: usize) -> PyErr {
    let value = error.value(py);
    let own = value.getattr("delivered").and_then(|own| own.extract::<usize>()).unwrap_or(0);
    // Only errors of the bus have it; any other one is no less true without.
    if value.hasattr("delivered").unwrap_or(false) {
        let _ = value.setattr("delivered", before + own);
    }
    error
}

pub(crate) fn parse_overflow(value: &Argument<'_>) -> PyResult<Overflow> {
    const BOUND: &str = "give \"block\", \"error\" or \"drop\"";
    let Some(value) = value.given() else { return Ok(Overflow::Block) };
    let Ok(text) = value.cast::<PyString>() else { return Err(wrong_type("overflow", value, BOUND)) };
    match text.to_str() {
        Ok("block") => Ok(Overflow::Block),
        Ok("error") => Ok(Overflow::Error),
        Ok("drop") => Ok(Overflow::Drop),
        _ => Err(wrong_value("overflow", text.repr()?, BOUND)),
    }
}

fn not_with_a_message(argument: &str) -> PyErr {
    PyTypeError::new_err(format!("{argument} is given beside a Message: it belongs into the Message"))
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
    ///         place of the selector's own. At most 4 MiB of a sender wait, `memory_regions` not counted.
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
        let encoded = encode_all(&payloads)?;
        let mut sent = 0;
        for (number, encoded) in encoded.iter().enumerate() {
            if number % SIGNALS_EVERY == SIGNALS_EVERY - 1 {
                py.check_signals()?;
            }
            match self.push_encoded(py, encoded, None, timeout, overflow, &target, None) {
                Ok(reached) => sent += reached,
                Err(error) => return Err(also_delivered(py, error, sent)),
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
    ///     TooManyOpenFiles: A reply came whose descriptors do not fit in this process.
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

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (kind, error, trace, /))]
    fn __exit__(&self, py: Python<'_>, kind: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>, trace: &Bound<'_, PyAny>) {
        let _ = (kind, error, trace);
        self.close(py);
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        reduce(py, &self.anchor, "rejoined_sender")
    }

    fn __repr__(&self) -> String {
        format!("<Sender of {:#x}>", self.core.id())
    }
}
