//! What is sent and where: the arguments of the calls that send, understood in one place.

use std::sync::Arc;

use ipmb_binding::to::To;
use ipmb_bus::limits::LONG_INLINE_BYTES;
use ipmb_bus::{Overflow, TypeId};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::arguments::Argument;
use crate::attachments::Attachments;
use crate::errors::{wrong_type, wrong_value};
use crate::message::Message;
use crate::payload::{self, Encoded, Flat};
use crate::routes::Target;
use crate::selector::{parse_selector, parse_ttl};

/// What is sent and where, after the arguments of a call were understood.
pub(crate) struct Order<'a, 'py> {
    pub(crate) payload: &'a Bound<'py, PyAny>,
    pub(crate) attachments: Option<Box<Attachments>>,
    pub(crate) target: Target<'a, 'py>,
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
    Ok(Target::Made(selector.py(), To::Selector(Arc::new(waiting))))
}

/// The payloads of `send_many`: held, so that what happens to the list meanwhile does not matter.
pub(crate) fn gather<'py>(payloads: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyAny>>> {
    const BOUND: &str = "give a list or another iterable of payloads";
    if let Ok(list) = payloads.cast_exact::<PyList>() {
        return Ok(list.iter().collect());
    }
    if payloads.is_instance_of::<PyString>() || payloads.is_instance_of::<PyBytes>() {
        return Err(wrong_type("payloads", payloads, BOUND));
    }
    payloads.try_iter().map_err(|_| wrong_type("payloads", payloads, BOUND))?.collect()
}

/// A payload that is known to be one that can be sent.
pub(crate) enum Ready<'a> {
    Flat(Flat<'a>),
    Encoded(Box<Encoded<'a>>),
}

impl Ready<'_> {
    /// Its type and its bytes, of one that is nothing else and fits a ring.
    #[inline(always)]
    pub(crate) fn plain(&self) -> Option<(TypeId, &[u8])> {
        let (type_id, bytes) = match self {
            Ready::Flat(flat) => flat.parts(),
            Ready::Encoded(encoded) if encoded.bulk.is_none() => (encoded.type_id, encoded.bytes()),
            Ready::Encoded(_) => return None,
        };
        (bytes.len() <= LONG_INLINE_BYTES).then_some((type_id.to_be_bytes(), bytes))
    }
}

/// What cannot be sent shows before anything is.
pub(crate) fn encode_all<'a>(payloads: &'a [Bound<'a, PyAny>]) -> PyResult<Vec<Ready<'a>>> {
    let mut ready = Vec::with_capacity(payloads.len());
    for (place, payload) in payloads.iter().enumerate() {
        ready.push(match Flat::of(payload) {
            Some(flat) => Ready::Flat(flat),
            None => Ready::Encoded(Box::new(payload::encode(payload).map_err(|error| which(place, payload, error))?)),
        });
    }
    Ok(ready)
}

#[cold]
fn which(place: usize, payload: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let _ = error.value(payload.py()).call_method1("add_note", (format!("it is payloads[{place}]; none was sent"),));
    error
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
