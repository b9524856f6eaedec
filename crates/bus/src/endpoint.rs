//! What bindings and Rust programs hold: the endpoint, and its two halves.
//!
//! Nothing here waits with a lock held, and waiting is apart from trying, so that a binding can try with its
//! interpreter's lock held and wait without it. The blocking calls below are made of the same pieces.

use std::sync::Arc;
use std::time::Duration;

use ipmb_transport::sys::Fd;

use crate::asking::Asking;
use crate::error::{Interrupted, InvalidArgument, RecvError, SendError};
use crate::identity::EndpointId;
use crate::inbox::{Build, Incoming, Polled, Visit};
use crate::label::Label;
use crate::limits::LONG_INLINE_BYTES;
use crate::node::Node;
use crate::outbox::{Kept, Outgoing, Overflow, Payload, Progress, prepare};
use crate::reactor::lock;
use crate::record::TypeId;
use crate::roster::Peer;
use crate::route::RouteId;
use crate::selector::{Mode, Selector};
use crate::stats::Stats;
use crate::wait::{self, deadline};
use crate::watch::Watch;

/// Keeps the endpoint on the bus; the last handle that goes takes it off.
pub(crate) struct Handle {
    pub(crate) node: Arc<Node>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.node.leave();
    }
}

/// An endpoint on a bus.
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) handle: Arc<Handle>,
}

impl Endpoint {
    fn node(&self) -> &Arc<Node> {
        &self.handle.node
    }

    /// Number that no other endpoint of the bus has.
    pub fn id(&self) -> EndpointId {
        self.node().me.id
    }

    /// What it joined with.
    pub fn label(&self) -> &Label {
        &self.node().me.label
    }

    /// The name of the bus.
    pub fn identifier(&self) -> &str {
        &self.node().me.identifier
    }

    /// Whether it plays controller now.
    pub fn is_controller(&self) -> bool {
        !self.node().me.forked() && self.node().is_controller()
    }

    /// Whether the process forked since it joined: the endpoint stayed with the parent.
    pub fn forked(&self) -> bool {
        self.node().me.forked()
    }

    /// The sending half.
    pub fn sender(&self) -> Sender {
        Sender { handle: self.handle.clone() }
    }

    /// The receiving half.
    pub fn receiver(&self) -> Receiver {
        Receiver { handle: self.handle.clone() }
    }

    /// Everybody on the bus but this one.
    ///
    /// # Errors
    /// When the endpoint has left the bus, or the process forked.
    pub fn peers(&self) -> Result<Vec<Arc<Peer>>, SendError> {
        if self.forked() {
            return Err(SendError::Forked);
        }
        if self.node().has_left() {
            return Err(SendError::Closed);
        }
        let roster = lock(&self.node().view).refresh();
        Ok(roster.members.iter().filter(|peer| peer.info.id != self.id()).cloned().collect())
    }

    /// Watches who joins and leaves from now on.
    ///
    /// # Errors
    /// When the process forked, or has no descriptor left.
    pub fn watch(&self) -> Result<Watch, SendError> {
        if self.forked() {
            return Err(SendError::Forked);
        }
        Ok(Watch::new(self.node().clone())?)
    }

    /// What it counted so far.
    ///
    /// # Errors
    /// When the process forked.
    pub fn stats(&self) -> Result<Stats, SendError> {
        if self.forked() { Err(SendError::Forked) } else { Ok(self.node().stats()) }
    }

    /// Whether it has left the bus: both halves are closed. The parent's is not, in a forked child.
    pub fn is_closed(&self) -> bool {
        !self.forked() && self.node().has_left()
    }

    /// Closes both halves and leaves the bus.
    pub fn close(&self) {
        self.node().leave();
    }
}

/// The sending half of an endpoint.
#[derive(Clone)]
pub struct Sender {
    handle: Arc<Handle>,
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

/// The receiving half of an endpoint.
#[derive(Clone)]
pub struct Receiver {
    handle: Arc<Handle>,
}

impl Receiver {
    #[inline]
    fn check(&self) -> Result<&Arc<Node>, RecvError> {
        if self.handle.node.me.forked() { Err(RecvError::Forked) } else { Ok(&self.handle.node) }
    }

    /// Takes the next message, if there is one: `build` reads it in place, and it counts as read when this returns.
    ///
    /// # Errors
    /// See [`RecvError`]. No message is lost by an error.
    #[inline]
    pub fn try_recv<R>(&self, build: impl FnMut(&mut Incoming<'_>) -> Build<R>) -> Result<Polled<R>, RecvError> {
        let node = self.check()?;
        node.inbox.try_recv(&node.view, &node.me, build)
    }

    /// Takes up to `limit` messages that are there, in one visit of one channel. `build` reads each in place, and they count as
    /// read when this returns.
    ///
    /// # Errors
    /// See [`RecvError`]. No message is lost by an error.
    #[inline]
    pub fn try_drain(
        &self,
        limit: usize,
        build: impl FnMut(&mut Incoming<'_>) -> Build<()>,
    ) -> Result<Visit, RecvError> {
        let node = self.check()?;
        node.inbox.try_drain(&node.view, &node.me, limit, build)
    }

    /// Looks for a message for a few microseconds without sleeping. `true`: try again.
    pub fn spin(&self) -> bool {
        self.check().map_or(true, |node| node.inbox.spin())
    }

    /// Sleeps until there may be a message. `false`: the deadline passed.
    ///
    /// # Errors
    /// [`Interrupted`] when a signal came.
    pub fn park(&self, deadline: Option<u64>) -> Result<bool, Interrupted> {
        match self.check() {
            Ok(node) => node.inbox.park(&node.view, &node.me, deadline),
            Err(_) => Ok(true),
        }
    }

    /// Takes the next message, waiting for it until `timeout` (`None`: for ever). `Ok(None)`: the time is over.
    ///
    /// # Errors
    /// See [`RecvError`].
    pub fn recv<R>(
        &self,
        timeout: Option<Duration>,
        mut build: impl FnMut(&mut Incoming<'_>) -> Build<R>,
    ) -> Result<Option<R>, RecvError> {
        let deadline = deadline(timeout);
        loop {
            if let Polled::Got(message) = self.try_recv(&mut build)? {
                return Ok(Some(message));
            }
            if wait::is_over(deadline) {
                return Ok(None);
            }
            if !self.spin() {
                let _ = self.park(deadline);
            }
        }
    }

    /// A descriptor for `select` and event loops: readable whenever a message is there. It stays the receiver's.
    ///
    /// # Errors
    /// When the receiver is closed or the process forked.
    pub fn fileno(&self) -> Result<i32, RecvError> {
        let node = self.check()?;
        if node.inbox.is_closed() { Err(RecvError::Closed) } else { Ok(node.inbox.fileno()) }
    }

    /// Whether this half is closed. The parent's is not, in a forked child.
    pub fn is_closed(&self) -> bool {
        let node = &self.handle.node;
        !node.me.forked() && node.inbox.is_closed()
    }

    /// Closes this half: unread messages go to other matches, waiting calls end.
    pub fn close(&self) {
        self.handle.node.close_receiver();
    }
}
