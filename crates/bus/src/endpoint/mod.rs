//! What bindings and Rust programs hold: the endpoint, and its two halves.
//!
//! Nothing here waits with a lock held, and waiting is apart from trying, so that a binding can try with its
//! interpreter's lock held and wait without it. The blocking calls below are made of the same pieces.

mod receiver;
mod sender;

use std::sync::Arc;

pub use receiver::Receiver;
pub use sender::Sender;

use crate::error::SendError;
use crate::identity::EndpointId;
use crate::label::Label;
use crate::node::Node;
pub use crate::node::see_off;
use crate::reactor::lock;
use crate::roster::Peer;
use crate::stats::Stats;
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

    /// Whether closing this endpoint, by whatever handle, returns at once, which is not so at first. What may take its time,
    /// the controller's word that it has what waits here, the core thread then waits for: see [`see_off`].
    pub fn close_at_once(&self, yes: bool) {
        self.node().close_at_once(yes);
    }

    /// Closes both halves and leaves the bus. What waits for a match is the controller's to deliver then: this returns when it
    /// has it, and takes a second at most; or at once, after [`Endpoint::close_at_once`]. What nobody has by then is counted as
    /// dropped.
    pub fn close(&self) {
        self.node().leave();
    }
}
