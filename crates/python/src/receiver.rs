//! `Receiver`: from a ring to a Python object.
//!
//! With the interpreter lock held it looks for a message and builds the payload straight from the ring; nothing that
//! runs Python code may happen there, since the core's lock is held too. Spinning, sleeping and the copying of large
//! payloads release the lock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ipmb_binding::arrival;
use ipmb_binding::refusal::Refused;
use ipmb_binding::types::Type;
use ipmb_bus::error::RecvError;
use ipmb_bus::{Build, Incoming, Visit};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList};

use crate::arguments::Timeout;
use crate::endpoint::{Anchor, reduce};
use crate::errors::{self, from_recv, wrong_type, wrong_value};
use crate::message::Message;
use crate::received::Takes;
use crate::sender::Sender;
use crate::taken::Taken;
use crate::waiting::{detached, interruptible};

/// Visits in a row of which nothing is taken that a look for one message makes at most: how long a flood of what is not
/// for this receiver can keep a call from its deadline.
const VISITS: usize = 64;

/// The receiving half of an endpoint. Many threads may share one.
///
/// Iterating over it gives messages until it is closed. It is a context manager that closes it.
///
/// A message that cannot be decoded is a `DecodeError` of that one step. It ends the `for`, not the receiver: another
/// `for` goes on with the next message. A loop that survives what others send:
///
///     while True:
///         try:
///             for message in receiver:
///                 work(message.payload)
///             break  # closed
///         except ipmb.DecodeError as error:
///             log(error, error.sender)
#[pyclass(frozen, generic, module = "ipmb")]
pub(crate) struct Receiver {
    core: ipmb_bus::Receiver,
    takes: Takes,
    anchor: Arc<Anchor>,
    /// What replies go through.
    back: Py<Sender>,
    /// What the next calls give first.
    aside: Mutex<VecDeque<Aside>>,
    is_aside: AtomicBool,
}

/// And askers that it tells before it makes no other visit: each costs more than many messages that are passed over.
const TOLD: usize = 256;

/// What a call could not give any more.
enum Aside {
    Made(Py<Message>),
    Taken(Taken),
    Failed(PyErr),
}

impl Receiver {
    pub(crate) fn new(anchor: Arc<Anchor>, back: Py<Sender>, takes: Takes) -> Receiver {
        Receiver {
            core: anchor.endpoint.receiver(),
            takes,
            anchor,
            back,
            aside: Mutex::default(),
            is_aside: AtomicBool::new(false),
        }
    }

    /// The next message, if one is there.
    #[inline]
    fn poll(slf: &Bound<'_, Self>) -> PyResult<Option<Py<Message>>> {
        let (py, this) = (slf.py(), slf.get());
        // Filled in place: handing it through the layers of results would copy it at each.
        let mut taken = None;
        let mut refused = Vec::new();
        let mut visited = this.core.try_drain(1, |incoming| this.build(py, incoming, &mut taken, &mut refused));
        let mut told = 0;
        for _ in 0..VISITS {
            if !refused.is_empty() {
                told += refused.len();
                this.refuse(std::mem::take(&mut refused));
            }
            if told >= TOLD || !matches!(visited, Ok(Visit::Unfinished)) {
                break;
            }
            // Nothing but messages that are not for this receiver, and more of them: others run first.
            detached(py, || ());
            py.check_signals()?;
            visited = this.core.try_drain(1, |incoming| this.build(py, incoming, &mut taken, &mut refused));
        }
        match taken {
            Some(taken) => this.message(py, taken).map(Some),
            None => visited.map(|_| None).map_err(|error| from_recv(py, &error)),
        }
    }

    /// Adds messages that are there, up to `limit` in all. One that may fail ends a visit, so that hardly anything stands
    /// behind an error; what does is put aside.
    fn drain(&self, py: Python<'_>, messages: &Bound<'_, PyList>, limit: usize) -> PyResult<()> {
        /// Messages in one visit: what is taken and not made yet is held beside the ring.
        const VISIT: usize = 256;
        /// Visits between which others have the interpreter, and signals are heard.
        const VISITS: usize = 16;
        let mut visit = Vec::new();
        let mut visits = 0;
        while messages.len() < limit {
            let mut refused = Vec::new();
            let most = (limit - messages.len()).min(VISIT);
            let visited = self.core.try_drain(most, |incoming| {
                let mut taken = None;
                let built = self.build(py, incoming, &mut taken, &mut refused);
                visit.extend(taken);
                built
            });
            self.refuse(refused);
            let mut taken = visit.drain(..);
            while let Some(next) = taken.next() {
                if let Err(error) = self.message(py, next).and_then(|message| messages.append(message)) {
                    self.put_aside(taken.map(Aside::Taken));
                    return Err(error);
                }
            }
            drop(taken);
            let visited = visited.map_err(|error| from_recv(py, &error))?;
            if !matches!(visited, Visit::Took(_)) {
                break;
            }
            visits += 1;
            if visits % VISITS == 0 {
                detached(py, || ());
                py.check_signals()?;
            }
        }
        Ok(())
    }

    /// The messages before an error are given, and the error by the next call: a broken message must not take the good
    /// ones along. Who is told to stop is told at once, and finds them afterwards.
    #[cold]
    fn cut_short<'py>(
        &self,
        py: Python<'py>,
        messages: Bound<'py, PyList>,
        error: PyErr,
    ) -> PyResult<Bound<'py, PyList>> {
        let behind = std::mem::take(&mut *self.aside.lock().unwrap_or_else(PoisonError::into_inner));
        if error.is_instance_of::<PyException>(py) {
            self.put_aside(std::iter::once(Aside::Failed(error)).chain(behind));
            return Ok(messages);
        }
        let made: Vec<Py<Message>> = messages.extract()?;
        self.put_aside(made.into_iter().map(Aside::Made).chain(behind));
        Err(error)
    }

    /// The object of a message that was taken.
    #[inline(always)]
    fn message(&self, py: Python<'_>, taken: Taken) -> PyResult<Py<Message>> {
        let Some(request) = taken.request() else { return taken.message(py, &self.takes, &self.back) };
        taken.message(py, &self.takes, &self.back).inspect_err(|error| {
            let why = error.value(py).str().map_or_else(|_| "?".to_owned(), |text| text.to_string());
            request.tell(&self.back.get().core, Some(why));
        })
    }

    /// Takes a message out of its ring. Runs no Python code.
    #[inline(always)]
    fn build(
        &self,
        py: Python<'_>,
        incoming: &mut Incoming<'_>,
        taken: &mut Option<Taken>,
        refused: &mut Vec<Refused>,
    ) -> Build<()> {
        let type_id = Type::from_be_bytes(incoming.type_id());
        if incoming.selector().is_none() || !self.takes.has(type_id) {
            refused.extend(Refused::of(incoming));
            return Build::Skip;
        }
        Taken::take(py, type_id, incoming, &self.takes, taken);
        if taken.as_ref().is_some_and(Taken::is_plain) { Build::Take(()) } else { Build::Enough(()) }
    }

    #[cold]
    fn refuse(&self, refused: Vec<Refused>) {
        for request in refused {
            request.tell(&self.back.get().core, None);
        }
    }

    /// The next message; waits for it. `None`: the time is over.
    #[inline]
    fn wait(slf: &Bound<'_, Self>, timeout: Timeout) -> PyResult<Option<Py<Message>>> {
        if slf.get().is_aside.load(Ordering::Relaxed)
            && let Some(message) = slf.get().take_aside(slf.py())?
        {
            return Ok(Some(message));
        }
        match Self::poll(slf)? {
            Some(message) => Ok(Some(message)),
            None if timeout == Timeout::Now => Self::last_look(slf),
            None => Self::wait_on(slf, timeout.deadline()),
        }
    }

    /// Has the next calls give these first, in this order.
    #[cold]
    fn put_aside(&self, what: impl IntoIterator<Item = Aside>) {
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        aside.extend(what);
        self.is_aside.store(!aside.is_empty(), Ordering::Relaxed);
    }

    /// What was put aside first.
    #[cold]
    fn take_aside(&self, py: Python<'_>) -> PyResult<Option<Py<Message>>> {
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        let first = aside.pop_front();
        self.is_aside.store(!aside.is_empty(), Ordering::Relaxed);
        drop(aside);
        match first {
            None => Ok(None),
            Some(Aside::Made(message)) => Ok(Some(message)),
            Some(Aside::Taken(taken)) => self.message(py, taken).map(Some),
            Some(Aside::Failed(error)) => Err(error),
        }
    }

    /// For who has no time left.
    #[cold]
    fn last_look(slf: &Bound<'_, Self>) -> PyResult<Option<Py<Message>>> {
        slf.get().core.listen().map_err(|error| from_recv(slf.py(), &error))?;
        Self::poll(slf)
    }

    #[cold]
    fn wait_on(slf: &Bound<'_, Self>, deadline: Option<u64>) -> PyResult<Option<Py<Message>>> {
        let (py, core) = (slf.py(), &slf.get().core);
        loop {
            let over = if detached(py, || core.spin()) {
                py.check_signals()?;
                deadline.is_some_and(|at| ipmb_transport::sys::now() >= at)
            } else {
                interruptible(py, || core.park(deadline))? == Some(false)
            };
            match Self::poll(slf)? {
                None if over => return Self::last_look(slf),
                None => {}
                message => return Ok(message),
            }
        }
    }
}

fn parse_timeout(timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Timeout> {
    timeout.map_or(Ok(Timeout::Never), Timeout::parse)
}

fn late(py: Python<'_>, core: &ipmb_bus::Receiver) -> PyErr {
    errors::recv_timeout(py, &detached(py, || arrival::late(core)).text)
}

#[pymethods]
impl Receiver {
    /// Takes the next message, and waits for it. Ctrl-C interrupts it.
    ///
    /// Args:
    ///     timeout: Seconds to wait, 0 or more; None waits for ever, 0 only looks.
    ///
    /// Returns:
    ///     The `Message`. It counts as read from now on: nobody else gets it.
    ///
    /// Raises:
    ///     RecvTimeout: Nothing came in time.
    ///     DecodeError: A message's bytes are not what its type says; it is gone, the next call goes on. The error's
    ///         `sender` says who sent it.
    ///     TooManyOpenFiles: A message waits whose descriptors do not fit in this process.
    ///     Closed: This receiver is closed, also when that happens in another thread meanwhile.
    ///     Forked: The endpoint belongs to the parent process.
    ///     TypeError, ValueError: `timeout` is no number, or negative.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> with ipmb.join("com.example.recv", "earth") as (sender, receiver):
    ///     ...     sender.send("earth", [1, 2.5, b"x"])
    ///     ...     receiver.recv(timeout=5).payload
    ///     1
    ///     [1, 2.5, b'x']
    #[pyo3(signature = (timeout = None))]
    fn recv(slf: &Bound<'_, Self>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Py<Message>> {
        let timeout = parse_timeout(timeout)?;
        Self::wait(slf, timeout)?.ok_or_else(|| late(slf.py(), &slf.get().core))
    }

    /// Takes up to `limit` messages, and waits only for the first.
    ///
    /// Args:
    ///     limit: How many at most, 1 or more.
    ///     timeout: Seconds to wait for the first, 0 or more; None waits for ever, 0 only looks.
    ///
    /// Returns:
    ///     A list of 1 to `limit` messages.
    ///
    /// Raises:
    ///     RecvTimeout, DecodeError, TooManyOpenFiles, Closed, Forked: As for `recv`. The next call raises an error
    ///         that comes after the first message.
    ///     TypeError, ValueError: `limit` or `timeout` is of the wrong type or out of its bounds.
    ///
    /// Example:
    ///     >>> import ipmb
    ///     >>> with ipmb.join("com.example.many", "earth") as (sender, receiver):
    ///     ...     for number in range(3):
    ///     ...         _ = sender.send("earth", number)
    ///     ...     [message.payload for message in receiver.recv_many(10, timeout=5)]
    ///     [0, 1, 2]
    #[pyo3(signature = (limit, timeout = None))]
    fn recv_many<'py>(
        slf: &Bound<'py, Self>,
        limit: &Bound<'py, PyAny>,
        timeout: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let py = slf.py();
        let Ok(number) = limit.cast::<PyInt>() else {
            return Err(wrong_type("limit", limit, "give an int, 1 or more"));
        };
        if number.lt(1)? {
            return Err(wrong_value("limit", number, "give 1 or more"));
        }
        // More than memory holds is no limit.
        let limit = number.extract::<usize>().unwrap_or(usize::MAX);
        let timeout = parse_timeout(timeout)?;
        let first = Self::wait(slf, timeout)?.ok_or_else(|| late(py, &slf.get().core))?;
        let (this, messages) = (slf.get(), PyList::new(py, [first])?);
        while messages.len() < limit && this.is_aside.load(Ordering::Relaxed) {
            match this.take_aside(py) {
                Ok(Some(message)) => messages.append(message)?,
                Ok(None) => break,
                Err(error) => return this.cut_short(py, messages, error),
            }
        }
        match this.drain(py, &messages, limit) {
            Ok(()) => Ok(messages),
            Err(error) => this.cut_short(py, messages, error),
        }
    }

    /// A descriptor for `select`, `poll` and event loops; it stays the receiver's.
    ///
    /// Returns:
    ///     A number that is readable whenever `recv(0)` would return a message. It may be readable without; `recv(0)`
    ///     clears that.
    ///
    /// Raises:
    ///     Closed: This receiver is closed.
    ///     Forked: The endpoint belongs to the parent process.
    ///
    /// Example:
    ///     >>> import ipmb, select
    ///     >>> with ipmb.join("com.example.fileno", "earth") as (sender, receiver):
    ///     ...     _ = sender.send("earth", "wake up")
    ///     ...     ready, _, _ = select.select([receiver], [], [], 5)
    ///     ...     ready == [receiver], receiver.recv(0).payload
    ///     (True, 'wake up')
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.core.fileno().map_err(|error| from_recv(py, &error))
    }

    /// Closes this half: unread messages go to others who match, a `recv` that waits raises `Closed`.
    ///
    /// Iteration ends. Closing the sender too leaves the bus. Closing twice is fine.
    fn close(&self, py: Python<'_>) {
        detached(py, || self.core.close());
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(slf: &Bound<'_, Self>) -> PyResult<Option<Py<Message>>> {
        match Self::wait(slf, Timeout::Never) {
            Err(error) if errors::is_closed(slf.py(), &error) => Ok(None),
            message => message,
        }
    }

    /// Whether it is closed.
    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        detached(py, || self.core.is_closed())
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        match slf.get().closed(slf.py()) {
            true => Err(from_recv(slf.py(), &RecvError::Closed)),
            false => Ok(slf),
        }
    }

    #[pyo3(signature = (kind, error, trace, /))]
    fn __exit__(&self, py: Python<'_>, kind: &Bound<'_, PyAny>, error: &Bound<'_, PyAny>, trace: &Bound<'_, PyAny>) {
        let _ = (kind, error, trace);
        self.close(py);
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        reduce(py, &self.anchor, "rejoined_receiver")
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!("<Receiver of {:#x}{}>", self.anchor.endpoint.id(), if self.closed(py) { ", closed" } else { "" })
    }
}
