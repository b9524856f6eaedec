//! What goes back to an asker whose request nobody will answer: its receiver does not take the type, or cannot decode it.
//!
//! Without it the asker would wait for its timeout, or for ever. It is tried once and never waited for; it is a reply of a
//! type of its own, which only those who wait for a reply understand.

use std::num::NonZeroU64;
use std::sync::Arc;

use ipmb_bus::identity::EndpointId;
use ipmb_bus::{Incoming, Outgoing, Overflow, Payload, Peer};
use pyo3::prelude::*;

use crate::errors;
use crate::payload::{LAST, Type};

/// The type under which refusals travel; no payload has it.
pub(crate) const REFUSAL: Type = LAST + 1;

/// Longest text of a refusal, in bytes.
const TEXT_BYTES: usize = 1000;

/// A request that will not be answered: who asked, and under which number.
#[derive(Clone, Copy)]
pub(crate) struct Refused {
    asker: EndpointId,
    number: NonZeroU64,
}

impl Refused {
    /// What would have to be refused; `None` when the message asks for nothing.
    #[inline]
    pub(crate) fn of(incoming: &Incoming<'_>) -> Option<Refused> {
        let number =
            if incoming.is_request() { incoming.correlation().and_then(NonZeroU64::new)? } else { return None };
        Some(Refused { asker: incoming.sender().info.id, number })
    }

    /// The asker's number.
    pub(crate) fn number(self) -> NonZeroU64 {
        self.number
    }

    /// Tells the asker, with the error of decoding where that is why.
    #[cold]
    pub(crate) fn tell(self, core: &ipmb_bus::Sender, why: Option<String>) {
        let text = why.unwrap_or_default();
        let fits = text.char_indices().map(|(at, char)| at + char.len_utf8()).take_while(|&end| end <= TEXT_BYTES);
        let text = &text[..fits.last().unwrap_or(0)];
        let Ok(route) = core.intern_reply(self.asker) else { return };
        let payload = Payload::Inline(text.as_bytes());
        let Ok(mut out) = Outgoing::new(route, REFUSAL.to_be_bytes(), payload, Overflow::Drop) else { return };
        out.correlate(self.number.get(), false);
        // Best effort: an asker that has no room has its timeout.
        let _ = core.try_send(&mut out);
    }
}

/// A refusal that has come: from whom, and the error that the one asked had with the request, if it got that far.
pub(crate) struct Refusal {
    peer: Arc<Peer>,
    error: String,
}

impl Refusal {
    /// Takes it out of its ring. Runs no Python code.
    pub(crate) fn take(incoming: &Incoming<'_>) -> Refusal {
        let mut text = vec![0; incoming.len().min(TEXT_BYTES)];
        if text.len() == incoming.len() {
            incoming.read(&mut text);
        }
        Refusal { peer: incoming.sender().clone(), error: String::from_utf8_lossy(&text).into_owned() }
    }

    /// What the asker gets in place of a reply.
    pub(crate) fn into_error(self, py: Python<'_>) -> PyErr {
        errors::refused(py, &self.peer, &self.error)
    }
}
