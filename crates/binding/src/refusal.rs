//! What goes back to an asker whose request nobody will answer: its receiver does not take the type, or cannot decode it.
//!
//! Without it the asker would wait for its timeout, or for ever. It is tried once and never waited for; it is a reply of a
//! type of its own, which only those who wait for a reply understand.

use std::num::NonZeroU64;
use std::sync::Arc;

use ipmb_bus::identity::EndpointId;
use ipmb_bus::{Incoming, Outgoing, Overflow, Payload, Peer, Sender};

use crate::failure::{Failure, Kind};
use crate::types::REFUSAL;

/// Longest text of a refusal, in bytes.
const TEXT_BYTES: usize = 1000;

/// A request that will not be answered: who asked, and under which number.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    asker: EndpointId,
    number: NonZeroU64,
}

impl Refused {
    /// What would have to be refused; `None` when the message asks for nothing.
    #[inline]
    pub fn of(incoming: &Incoming<'_>) -> Option<Refused> {
        let number =
            if incoming.is_request() { incoming.correlation().and_then(NonZeroU64::new)? } else { return None };
        Some(Refused { asker: incoming.sender().info.id, number })
    }

    /// The asker's number.
    pub fn number(self) -> NonZeroU64 {
        self.number
    }

    /// Tells the asker, with the error of decoding where that is why.
    #[cold]
    pub fn tell(self, core: &Sender, why: Option<String>) {
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

/// A refusal that has come.
#[derive(Debug)]
pub struct Refusal {
    /// From whom.
    pub peer: Arc<Peer>,
    /// The error that the one asked had with the request; empty when it did not get that far.
    pub error: String,
}

impl Refusal {
    /// Takes it out of its ring.
    pub fn take(incoming: &Incoming<'_>) -> Refusal {
        let mut text = vec![0; incoming.len().min(TEXT_BYTES)];
        if text.len() == incoming.len() {
            incoming.read(&mut text);
        }
        Refusal { peer: incoming.sender().clone(), error: String::from_utf8_lossy(&text).into_owned() }
    }
}

impl From<Refusal> for Failure {
    fn from(Refusal { peer, error }: Refusal) -> Failure {
        let who = named(&peer);
        match error.as_str() {
            "" => {
                Failure::new(Kind::NoRoute, format!("{who} takes no payloads of this type: send one of those it takes"))
            }
            reason => Failure::new(Kind::Remote, format!("{who} could not decode the request: {reason}")),
        }
    }
}

/// An endpoint by its label and its process, for errors.
pub fn named(peer: &Peer) -> String {
    let elements: Vec<_> = peer.info.label.iter().map(|element| format!("{element:?}")).collect();
    let label = if elements.is_empty() { "an endpoint without label".to_owned() } else { elements.join(", ") };
    format!("{label} of process {}", peer.info.pid)
}
