//! A message on its way out, with all that it carries, in memory of its own.
//!
//! Python borrows payloads from its objects and has a way of its own for that; what other languages send is copied once
//! when the message is made, since whoever made it may do with its memory what it likes from then on.

use ipmb_bus::error::SendError;
use ipmb_bus::limits::LONG_INLINE_BYTES;
use ipmb_bus::{Bulk, INLINE_BYTES, Outgoing, Overflow, Payload, Progress, Sender, bulk, prepare, wait};
use ipmb_transport::region::Region;
use ipmb_transport::sys::Fd;

use crate::to::To;
use crate::types::Type;

/// The asker's number of a request, and whether it is the request (true) or the reply.
pub type Correlation = (u64, bool);

/// The bytes of a payload.
#[derive(Debug)]
pub enum Body {
    /// All of them.
    Bytes(Vec<u8>),
    /// A range of a region, and a head before it, which may be empty.
    Bulk {
        /// What travels in the ring.
        head: Vec<u8>,
        /// The rest, in memory that the receiver will look at.
        bulk: Bulk,
    },
}

impl Body {
    /// Bytes one after another, copied once: into shared memory if they are too many for any ring.
    ///
    /// # Errors
    /// When they are more than a payload may have, or there is no memory for them.
    pub fn copied(parts: &[&[u8]]) -> Result<Body, SendError> {
        let len = parts.iter().map(|part| part.len() as u64).sum::<u64>();
        let max = ipmb_bus::limits::PAYLOAD_BYTES;
        if len > max {
            return Err(SendError::TooLarge { len, max });
        }
        if len <= LONG_INLINE_BYTES as u64 {
            return Ok(Body::Bytes(parts.concat()));
        }
        let region = bulk::alloc(len as usize)?;
        let view = region.map(0, len as usize)?;
        let mut offset = 0;
        for part in parts {
            view.write(offset, part)?;
            offset += part.len();
        }
        Ok(Body::Bulk { head: Vec::new(), bulk: Bulk { region, offset: 0, len: offset } })
    }
}

/// A message that can be sent, once.
#[derive(Debug)]
pub struct Letter {
    /// To whom.
    pub to: To,
    /// What the body is.
    pub type_id: Type,
    /// The payload.
    pub body: Body,
    /// Regions that go with it.
    pub regions: Vec<Region>,
    /// Descriptors that go with it.
    pub objects: Vec<Fd>,
    /// For a request, or the reply to one.
    pub correlation: Option<Correlation>,
    /// What to do where there is no room.
    pub overflow: Overflow,
}

/// How far the first try came.
pub(crate) enum First<'a> {
    Done(usize),
    Blocked(Box<Outgoing<'a>>),
}

impl Letter {
    /// One with nothing but a payload.
    pub fn new(to: To, type_id: Type, body: Body) -> Letter {
        let (regions, objects) = (Vec::new(), Vec::new());
        Letter { to, type_id, body, regions, objects, correlation: None, overflow: Overflow::Block }
    }

    /// Routes it and tries to push it.
    pub(crate) fn begin<'a>(&'a mut self, core: &Sender) -> Result<First<'a>, SendError> {
        let Letter { to, type_id, body, regions, objects, correlation, overflow } = self;
        let (route, type_id) = (to.route(core)?, type_id.to_be_bytes());
        let payload = match body {
            Body::Bytes(bytes) => {
                let alone = regions.is_empty() && objects.is_empty() && correlation.is_none();
                let alone = alone && bytes.len() <= LONG_INLINE_BYTES;
                if alone && core.try_plain(route, type_id, bytes) {
                    return Ok(First::Done(1));
                }
                if bytes.len() <= INLINE_BYTES || (alone && core.takes_long(route)) {
                    Payload::Inline(bytes)
                } else {
                    prepare(bytes)?
                }
            }
            Body::Bulk { head, bulk } => {
                Payload::Large { region: bulk.region.clone(), offset: bulk.offset, len: bulk.len, head }
            }
        };
        let mut out = Outgoing::new(route, type_id, payload, *overflow)?;
        if !(regions.is_empty() && objects.is_empty()) {
            out.attach(std::mem::take(regions), std::mem::take(objects))?;
        }
        if let Some((number, request)) = *correlation {
            out.correlate(number, request);
        }
        Ok(match push(core, &mut out, to)? {
            Progress::Done(reached) => First::Done(reached),
            Progress::Blocked => First::Blocked(Box::new(out)),
        })
    }

    /// Sends it, and waits for room until `deadline` (`None`: for ever). How many endpoints have it. Signals do not end the
    /// wait.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(mut self, core: &Sender, deadline: Option<u64>) -> Result<usize, SendError> {
        let to = self.to.clone();
        let mut out = match self.begin(core)? {
            First::Done(reached) => return Ok(reached),
            First::Blocked(out) => out,
        };
        loop {
            if wait::is_over(deadline) {
                core.abandon(&mut out);
                return Err(SendError::Timeout { delivered: out.reached() });
            }
            let _ = out.wait(deadline);
            if let Progress::Done(reached) = push(core, &mut out, &to)? {
                return Ok(reached);
            }
        }
    }
}

/// Tries to push a message; finds its route again when the table was collected.
fn push(core: &Sender, out: &mut Outgoing<'_>, to: &To) -> Result<Progress, SendError> {
    loop {
        match core.try_send(out) {
            Err(SendError::StaleRoute) => match to.route(core) {
                Ok(route) => out.reroute(route),
                Err(error) => {
                    core.abandon(out);
                    return Err(error);
                }
            },
            result => return result,
        }
    }
}
