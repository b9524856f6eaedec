//! From errors of the core to Python exceptions.
//!
//! The exceptions are Python classes, drawn as one tree in `ipmb/errors.py`; each is looked up once and kept. Which error of
//! the core is which of them is the same in all languages, and decided in `ipmb_binding::failure`. A wrong
//! argument is a ValueError or TypeError whose text reads "argument is value: what to give".

use std::sync::Arc;

use ipmb_binding::failure::{Failure, Kind};
use ipmb_bus::Peer;
use ipmb_bus::error::{InvalidArgument, JoinError, PeerLost, RecvError, SendError};
use pyo3::exceptions::{PyBufferError, PyMemoryError, PyOSError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use crate::imported::Imported;
use crate::peer::EndpointInfo;
use crate::waiting::end_of_thread;

macro_rules! exceptions {
    ($($function:ident $name:literal)*) => {$(
        pub(crate) fn $function(py: Python<'_>, text: impl ToString) -> PyErr {
            static CLASS: Imported = Imported::new("ipmb.errors", $name);
            // The end of the interpreter closes everything: what follows from that for its threads is no error.
            if let Some(end) = end_of_thread() {
                return end;
            }
            let class = CLASS.get(py).and_then(|class| Ok(class.cast::<PyType>()?.clone()));
            class.map_or_else(|error| error, |class| PyErr::from_type(class, text.to_string()))
        }
    )*};
}

exceptions! {
    closed "Closed"
    decode "DecodeError"
    forked "Forked"
    full "Full"
    join_error "JoinError"
    join_timeout "JoinTimeout"
    no_route "NoRoute"
    peer_lost "PeerLost"
    permission_denied "PermissionDenied"
    recv_timeout "RecvTimeout"
    remote_error "RemoteError"
    token_mismatch "TokenMismatch"
    too_large "TooLarge"
    too_many_open_files "TooManyOpenFiles"
    version_mismatch "VersionMismatch"
}

/// Completes a `DecodeError` with who sent the message. Any other error is left alone: it is not the sender's.
#[cold]
pub(crate) fn sent_by(py: Python<'_>, error: PyErr, sender: &Bound<'_, EndpointInfo>) -> PyErr {
    static CLASS: Imported = Imported::new("ipmb.errors", "DecodeError");
    let value = error.value(py);
    let complete = || {
        if value.is_instance(CLASS.get(py)?)? {
            let label = sender.getattr("label")?.repr()?;
            value.setattr(
                "args",
                (format!("{}; it came from {label}, process {}", value.str()?, sender.get().pid()),),
            )?;
            value.setattr("sender", sender)?;
        }
        Ok::<_, PyErr>(())
    };
    // What it says without that is true, too.
    let _ = complete();
    error
}

/// An endpoint by its label and its process.
fn named(py: Python<'_>, peer: &Arc<Peer>) -> PyResult<String> {
    let info = EndpointInfo::of(py, peer)?;
    Ok(format!("{} of process {}", info.bind(py).getattr("label")?.repr()?, peer.info.pid))
}

/// Says who was asked and is gone.
pub(crate) fn lost(py: Python<'_>, peer: &Arc<Peer>, read: bool) -> PyErr {
    match named(py, peer) {
        Ok(who) => peer_lost(py, PeerLost { who, read }),
        Err(error) => error,
    }
}

/// Says who was asked and takes no such payload, or could not decode it for a reason.
pub(crate) fn refused(py: Python<'_>, peer: &Arc<Peer>, reason: &str) -> PyErr {
    static CLASS: Imported = Imported::new("ipmb.errors", "RemoteError");
    let make = || {
        let who = named(py, peer)?;
        if reason.is_empty() {
            return Ok(no_route(
                py,
                format!(
                    "{who} takes no payloads of this type: name it in the payloads= it joins with, or register it there"
                ),
            ));
        }
        let named = PyDict::new(py);
        named.set_item("type", "DecodeError")?;
        named.set_item("text", reason)?;
        named.set_item("sender", EndpointInfo::of(py, peer)?)?;
        let error = CLASS.get(py)?;
        let error = error.call((format!("{who} could not decode the request: {reason}"),), Some(&named))?;
        Ok::<_, PyErr>(PyErr::from_value(error))
    };
    make().unwrap_or_else(|error| error)
}

/// The one exception that carries a number beside its text.
fn send_timeout(py: Python<'_>, text: String, delivered: usize) -> PyErr {
    static CLASS: Imported = Imported::new("ipmb.errors", "SendTimeout");
    let make = || {
        let class = CLASS.get(py)?;
        let named = PyDict::new(py);
        named.set_item("delivered", delivered)?;
        class.call((text,), Some(&named))
    };
    make().map_or_else(|error| error, PyErr::from_value)
}

/// Whether an exception says that this side closed it.
pub(crate) fn is_closed(py: Python<'_>, error: &PyErr) -> bool {
    static CLASS: Imported = Imported::new("ipmb.errors", "Closed");
    CLASS.get(py).is_ok_and(|class| error.is_instance(py, class))
}

/// A wrong value: "timeout is -1: give 0 or more seconds, or None for ever".
pub(crate) fn wrong_value(argument: &str, value: impl std::fmt::Display, bound: &str) -> PyErr {
    PyValueError::new_err(format!("{argument} is {value}: {bound}"))
}

/// A wrong type: "timeout is a str: give 0 or more seconds, or None for ever".
pub(crate) fn wrong_type(argument: &str, value: &Bound<'_, PyAny>, bound: &str) -> PyErr {
    PyTypeError::new_err(format!("{argument} is {}: {bound}", a_type(value)))
}

/// The type of a value with its article.
pub(crate) fn a_type(value: &Bound<'_, PyAny>) -> String {
    if value.is_none() {
        return "None".to_owned();
    }
    let name = value.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
    format!("{article} {name}")
}

pub(crate) fn invalid(error: &InvalidArgument) -> PyErr {
    PyValueError::new_err(error.to_string())
}

pub(crate) fn os_error(error: &std::io::Error, text: String) -> PyErr {
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, text)),
        None => PyOSError::new_err(text),
    }
}

/// The exception of a failure, by its kind.
fn raised(py: Python<'_>, failure: Failure) -> PyErr {
    let Failure { kind, text, delivered, errno } = failure;
    match kind {
        Kind::Join | Kind::JoinFull | Kind::JoinSystem => join_error(py, text),
        Kind::VersionMismatch => version_mismatch(py, text),
        Kind::TokenMismatch => token_mismatch(py, text),
        Kind::PermissionDenied => permission_denied(py, text),
        Kind::JoinTimeout => join_timeout(py, text),
        Kind::NoRoute => no_route(py, text),
        Kind::Full => full(py, text),
        Kind::TooLarge => too_large(py, text),
        Kind::SendTimeout => send_timeout(py, text, delivered),
        Kind::Decode => decode(py, text),
        Kind::RecvTimeout => recv_timeout(py, text),
        Kind::TooManyOpenFiles => too_many_open_files(py, text),
        Kind::PeerLost => peer_lost(py, text),
        Kind::Remote => remote_error(py, text),
        Kind::Closed => closed(py, text),
        Kind::Forked => forked(py, text),
        Kind::Invalid => PyValueError::new_err(text),
        Kind::OutOfMemory => PyMemoryError::new_err(text),
        Kind::Busy => PyBufferError::new_err(text),
        Kind::System => match errno {
            Some(number) => PyOSError::new_err((number, text)),
            None => PyOSError::new_err(text),
        },
    }
}

pub(crate) fn from_join(py: Python<'_>, error: &JoinError) -> PyErr {
    let raised = raised(py, error.into());
    if let JoinError::Io(cause) = error {
        raised.set_cause(py, Some(os_error(cause, cause.to_string())));
    }
    raised
}

pub(crate) fn from_send(py: Python<'_>, error: &SendError) -> PyErr {
    raised(py, error.into())
}

pub(crate) fn from_recv(py: Python<'_>, error: &RecvError) -> PyErr {
    raised(py, error.into())
}
