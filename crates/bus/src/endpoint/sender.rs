//! The sending half: trying, and the blocking calls that are made of it.

use std::sync::Arc;
use std::time::Duration;

use ipmb_transport::sys::Fd;

use super::Handle;
use crate::asking::Asking;
use crate::error::{InvalidArgument, SendError};
use crate::identity::EndpointId;
use crate::limits::LONG_INLINE_BYTES;
use crate::node::Node;
use crate::outbox::{Kept, Outgoing, Overflow, Payload, Progress, prepare};
use crate::record::TypeId;
use crate::route::RouteId;
use crate::selector::{Mode, Selector};
use crate::wait::{self, deadline};

/// The sending half of an endpoint.
#[derive(Clone)]
pub struct Sender {
    pub(super) handle: Arc<Handle>,
}

impl Sender {
    #[inline]
    fn check(&self) -> Result<&Arc<Node>, SendError> {
        if self.handle.node.me.forked() { Err(SendError::Forked) } else { Ok(&self.handle.node) }
    }

    /// The endpoint's id.
    pub fn id(&self) -> EndpointId {
        self.handle.node.me.id
    }

    /// The number under which a selector is routed; it goes stale when the table is collected.
    ///
    /// # Errors
    /// When more selectors are in flight than [`ROUTES`](crate::limits::ROUTES).
    pub fn intern(&self, selector: &Arc<Selector>) -> Result<RouteId, SendError> {
        self.check()?.outbox.intern(selector)
    }

    /// The number of the route to one endpoint, whatever its label: the way back to a message's sender.
    ///
    /// # Errors
    /// When more routes are in flight than [`ROUTES`](crate::limits::ROUTES).
    pub fn intern_endpoint(&self, id: EndpointId) -> Result<RouteId, SendError> {
        self.check()?.outbox.intern_endpoint(id)
    }

    /// The same for requests, each of which has a number from [`Asking::begin`].
    ///
    /// # Errors
    /// For a multicast; and as [`Sender::intern`].
    pub fn intern_request(&self, selector: &Arc<Selector>) -> Result<RouteId, SendError> {
        if selector.mode == Mode::Multicast {
            let bound = "give a unicast selector: one endpoint replies to a request";
            return Err(InvalidArgument::new("selector", "a multicast", bound).into());
        }
        self.check()?.outbox.intern_request(selector)
    }

    /// The number of the route for replies to one who asked.
    ///
    /// # Errors
    /// As [`Sender::intern`].
    pub fn intern_reply(&self, asker: EndpointId) -> Result<RouteId, SendError> {
        self.check()?.outbox.intern_replies(asker)
    }

    /// What becomes of the requests that go out here. Whoever calls it shares it: an outcome is told once.
    ///
    /// # Errors
    /// When this half is closed, the process forked or has no descriptors left.
    pub fn asking(&self) -> Result<Asking, SendError> {
        Asking::new(self.check()?.clone())
    }

    /// Sends, or says that somebody has to make room first. Never waits.
    ///
    /// # Errors
    /// See [`SendError`]; nothing is sent then, except with [`SendError::Io`] in the middle of a multicast.
    #[inline]
    pub fn try_send(&self, out: &mut Outgoing<'_>) -> Result<Progress, SendError> {
        self.check()?.outbox.try_send(out)
    }

    /// Whether a payload of up to [`LONG_INLINE_BYTES`](crate::limits::LONG_INLINE_BYTES) for this route travels in rings, with
    /// nothing beside it.
    pub fn takes_long(&self, route: RouteId) -> bool {
        self.check().is_ok_and(|node| node.outbox.takes_long(route))
    }

    /// The quick way of a message that is nothing but a payload. `false`: nothing was done, [`Sender::try_send`] finds out
    /// what there is to do.
    #[inline]
    pub fn try_plain(&self, route: RouteId, type_id: TypeId, payload: &[u8]) -> bool {
        self.check().is_ok_and(|node| node.outbox.try_plain(route, type_id, payload))
    }

    /// The same for messages in a row, which `message` gives by their number. How many went: [`Sender::try_send`] finds out
    /// what there is to do for the next one.
    pub fn try_plain_run<'a>(&self, route: RouteId, message: impl Fn(usize) -> Option<(TypeId, &'a [u8])>) -> usize {
        self.check().map_or(0, |node| node.outbox.try_plain_run(route, message))
    }

    /// Gives up a message that was `Blocked`. Every such message ends in this or in another `try_send`.
    pub fn abandon(&self, out: &mut Outgoing<'_>) {
        if let Ok(node) = self.check() {
            node.outbox.abandon(out);
        }
    }

    /// The same for a message that is kept while it waits.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn try_send_kept(&self, kept: &mut Kept) -> Result<Progress, SendError> {
        kept.try_send(&self.check()?.outbox)
    }

    /// Gives up a message that is kept. Every such message ends in this, or is sent.
    pub fn abandon_kept(&self, kept: &mut Kept) {
        if let Ok(node) = self.check() {
            kept.abandon(&node.outbox);
        }
    }

    /// Sends a message and waits for room until `timeout` (`None`: for ever). Returns how many endpoints have it.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(
        &self,
        selector: &Arc<Selector>,
        type_id: TypeId,
        payload: &[u8],
        objects: Vec<Fd>,
        timeout: Option<Duration>,
        overflow: Overflow,
    ) -> Result<usize, SendError> {
        let deadline = deadline(timeout);
        let route = self.intern(selector)?;
        let long = objects.is_empty() && payload.len() <= LONG_INLINE_BYTES && self.takes_long(route);
        let payload = if long { Payload::Inline(payload) } else { prepare(payload)? };
        let mut out = Outgoing::new(route, type_id, payload, overflow)?;
        out.attach(Vec::new(), objects)?;
        loop {
            match self.try_send(&mut out) {
                Ok(Progress::Done(reached)) => return Ok(reached),
                Ok(Progress::Blocked) => {}
                Err(SendError::StaleRoute) => {
                    out.reroute(self.intern(selector)?);
                    continue;
                }
                Err(error) => return Err(error),
            }
            if wait::is_over(deadline) {
                self.abandon(&mut out);
                return Err(SendError::Timeout { delivered: out.reached() });
            }
            let _ = out.wait(deadline);
        }
    }

    /// Whether this half is closed. The parent's is not, in a forked child.
    pub fn is_closed(&self) -> bool {
        let node = &self.handle.node;
        !node.me.forked() && node.outbox.is_closed()
    }

    /// Closes this half. What was sent stays sent; what waits for a match goes on waiting.
    pub fn close(&self) {
        self.handle.node.close_sender();
    }
}
