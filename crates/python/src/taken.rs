//! A message between its ring and the object that a program gets.
//!
//! What lies in a ring is taken out in one step that runs no Python code, since the core's lock is held there. The objects
//! whose making or decoding may run some are made afterwards.

use std::sync::Arc;

use ipmb_binding::refusal::Refused;
use ipmb_binding::types::{BYTES_MESSAGE, Type};
use ipmb_bus::label_op::LabelOp;
use ipmb_bus::selector::Selector;
use ipmb_bus::{Bulk as Span, Face, Incoming, Peer};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::attachments::{Attachments, Held};
use crate::bulk;
use crate::errors;
use crate::message::{Message, Origin};
use crate::received::{self, FORMAT_BYTES, Received, Takes};
use crate::sender::Sender;

/// What was taken out of a ring.
pub(crate) enum Taken {
    /// A message that is nothing but a payload, which is made already: most are.
    Plain(Py<PyAny>, Py<Origin>),
    /// The same, its bytes still to be decoded.
    Encoded(Type, Py<PyBytes>, Py<Origin>),
    Other(Box<Other>),
}

/// All that a message can be.
pub(crate) struct Other {
    body: Body,
    from: From,
    redelivered: bool,
    /// Who waits for a reply, of a request.
    request: Option<Refused>,
    attached: Option<Box<Attachments>>,
}

/// Who sent it to where.
enum From {
    Known(Py<Origin>),
    /// The object for it is still to be made, which cannot be done in the middle of reading, and kept in the face.
    New(Arc<Peer>, Arc<Selector>, Option<Arc<Face>>),
}

impl From {
    #[inline]
    fn origin(self, py: Python<'_>) -> PyResult<Py<Origin>> {
        match self {
            From::Known(origin) => Ok(origin),
            From::New(sender, selector, face) => {
                let origin = Origin::received(py, &sender, selector)?;
                if let Some(face) = face {
                    // Another thread may have been first: both are equal.
                    let _ = face.set(Box::new(origin.clone_ref(py)));
                }
                Ok(origin)
            }
        }
    }
}

enum Body {
    Built(Received),
    Large(Box<Large>),
}

/// A payload in a region.
struct Large {
    type_id: Type,
    /// What stands in the ring before it; empty for what was only too long for one.
    head: Vec<u8>,
    bulk: Span,
}

impl Taken {
    /// Takes a message out of its ring. Runs no Python code.
    #[inline(always)]
    pub(crate) fn take(
        py: Python<'_>,
        type_id: Type,
        incoming: &mut Incoming<'_>,
        takes: &Takes,
        taken: &mut Option<Taken>,
    ) {
        let known = incoming.face().and_then(|face| face.get()).and_then(|kept| kept.downcast_ref::<Py<Origin>>());
        let (true, Some(origin)) = (incoming.is_plain(), known) else {
            *taken = Some(Taken::Other(other(py, type_id, incoming, takes)));
            return;
        };
        let origin = origin.clone_ref(py);
        // Filled in place: handing it through the layers of results would copy it at each.
        *taken = Some(match received::receive(py, type_id, takes, incoming.len(), |into| incoming.read(into)) {
            Received::Value(payload) => Taken::Plain(payload, origin),
            Received::Encoded(type_id, bytes) => Taken::Encoded(type_id, bytes, origin),
            body => Taken::Other(Box::new(Other {
                body: Body::Built(body),
                from: From::Known(origin),
                redelivered: false,
                request: None,
                attached: None,
            })),
        });
    }

    /// Whether making a message of it cannot fail.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Taken::Plain(..))
    }

    /// Who waits for a reply, if it is a request.
    #[inline]
    pub(crate) fn request(&self) -> Option<Refused> {
        match self {
            Taken::Other(other) => other.request,
            Taken::Plain(..) | Taken::Encoded(..) => None,
        }
    }

    /// The message as a program gets it.
    #[inline(always)]
    pub(crate) fn message(self, py: Python<'_>, takes: &Takes, back: &Py<Sender>) -> PyResult<Py<Message>> {
        let (payload, origin) = match self {
            Taken::Plain(payload, origin) => (payload, origin),
            Taken::Encoded(type_id, bytes, origin) => match received::decode(py, type_id, bytes.bind(py), takes) {
                Ok(payload) => (payload, origin),
                Err(error) => return Err(undecoded(py, error, From::Known(origin))),
            },
            Taken::Other(other) => return other.message(py, takes, back),
        };
        Py::new(py, Message::received(payload, origin, back.clone_ref(py), false, None, None))
    }
}

/// Takes a message of which something may be out of the ordinary.
#[cold]
fn other(py: Python<'_>, type_id: Type, incoming: &mut Incoming<'_>, takes: &Takes) -> Box<Other> {
    let face = incoming.face();
    let known = face.and_then(|face| face.get()).and_then(|kept| kept.downcast_ref::<Py<Origin>>());
    let from = match known {
        Some(origin) => From::Known(origin.clone_ref(py)),
        None => From::New(incoming.sender().clone(), selector(incoming), face.cloned()),
    };
    let redelivered = incoming.redelivered();
    let request = Refused::of(incoming);
    let (large, attached) = if incoming.has_luggage() { unpack(type_id, incoming) } else { (None, None) };
    let body = match large {
        None => Body::Built(received::receive(py, type_id, takes, incoming.len(), |into| incoming.read(into))),
        Some(large) => Body::Large(large),
    };
    Box::new(Other { body, from, redelivered, request, attached })
}

impl Other {
    #[cold]
    fn message(self, py: Python<'_>, takes: &Takes, back: &Py<Sender>) -> PyResult<Py<Message>> {
        let Other { body, from, redelivered, request, attached } = self;
        let payload = match body {
            Body::Built(built) => built.value(py, takes),
            Body::Large(large) => read_large(py, *large, takes),
        };
        let payload = match payload {
            Ok(payload) => payload,
            Err(error) => return Err(undecoded(py, error, from)),
        };
        let held = attached.map(|attached| Held::received(py, *attached)).transpose()?;
        let origin = from.origin(py)?;
        let request = request.map(Refused::number);
        Py::new(py, Message::received(payload, origin, back.clone_ref(py), redelivered, request, held))
    }
}

#[cold]
fn selector(incoming: &Incoming<'_>) -> Arc<Selector> {
    // A sender that never said is a liar; what it sent goes to nobody by label.
    incoming.selector().cloned().unwrap_or_else(|| Arc::new(Selector::unicast(LabelOp::constant(false))))
}

/// What came with a message over the socket.
#[cold]
fn unpack(type_id: Type, incoming: &mut Incoming<'_>) -> (Option<Box<Large>>, Option<Box<Attachments>>) {
    let large = incoming.take_bulk().map(|bulk| {
        let mut head = vec![0; incoming.len()];
        incoming.read(&mut head);
        Box::new(Large { type_id, head, bulk })
    });
    (large, Attachments::arrived(incoming.take_descriptors(), incoming.take_regions()))
}

/// The error of a message that cannot be decoded says whose it was.
#[cold]
fn undecoded(py: Python<'_>, error: PyErr, from: From) -> PyErr {
    match from.origin(py) {
        Ok(origin) => match &origin.get().sender {
            Some(sender) => errors::sent_by(py, error, sender.bind(py)),
            None => error,
        },
        Err(_) => error,
    }
}

/// A payload in a region: viewed there, or copied out with the interpreter lock released.
#[cold]
fn read_large(py: Python<'_>, large: Large, takes: &Takes) -> PyResult<Py<PyAny>> {
    let Large { type_id, head, bulk } = large;
    if !head.is_empty() {
        let view = bulk::viewed(py, bulk)?;
        return received::with_codec(py, type_id, &PyBytes::new(py, &head), Some(view.as_any()));
    }
    if takes.as_view(type_id) {
        return Ok(bulk::viewed(py, bulk)?.into_any().unbind());
    }
    // It was too long for a ring, nothing else.
    if type_id == BYTES_MESSAGE && bulk.len >= FORMAT_BYTES {
        let mut format = [0; FORMAT_BYTES];
        bulk.region.read(bulk.offset, &mut format)?;
        return received::bytes_message(py, format, bulk::copied_out(py, &bulk, FORMAT_BYTES)?);
    }
    received::decode(py, type_id, &bulk::copied_out(py, &bulk, 0)?, takes)
}
