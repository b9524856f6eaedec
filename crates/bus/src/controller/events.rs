//! What a controller is told and what it has done about it: the words between the state machine and its body.

use crate::directory::Snapshot;
use crate::identity::EndpointId;
use crate::proof::{Challenge, Key};
use crate::stats::RefuseReason;
use crate::wire::{ClientFrame, ServerFrame};

/// A connection to the controller; the reactor's number for it, never used again for another one.
pub type ConnId = u64;

/// Who is admitted.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What a joiner has to prove that it knows.
    pub key: Key,
    /// Users that may join: the controller's own, root, and whom an option adds.
    pub allowed_uids: Vec<u32>,
    /// Most connections that have not joined yet, each of which costs a descriptor.
    pub strangers: usize,
}

/// What has happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Somebody has connected; user and process as the kernel tells them, the nonce fresh from the kernel too.
    Accepted {
        /// The new connection.
        conn: ConnId,
        /// User of the peer.
        uid: u32,
        /// Process of the peer.
        pid: u32,
        /// What the peer's proof will have to cover.
        nonce: Challenge,
    },
    /// A frame has come.
    Frame {
        /// The connection it came on.
        conn: ConnId,
        /// What it says.
        frame: ClientFrame,
    },
    /// What the joiner that is about to send its request remembers of the bus: the directory it last read. It counts only
    /// where this controller has missed a term, so that members who talk stay known to each other, and to those whom the
    /// dead had sent to.
    Recalled {
        /// The connection of the joiner.
        conn: ConnId,
        /// What it remembers.
        snapshot: Snapshot,
    },
    /// A packet has come that is no frame of ours, or lacks the descriptors it needs.
    Unreadable {
        /// The connection it came on.
        conn: ConnId,
        /// Its version when that is another one.
        version: Option<u16>,
    },
    /// There was no room for a nudge: the system has no memory just now, or a member does not read and asks on.
    Unsent {
        /// The connection it was for.
        conn: ConnId,
    },
    /// The other side of a connection has gone.
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// The answer to [`Action::Probe`].
    Probed {
        /// The endpoint that was looked for.
        id: EndpointId,
        /// Whether anybody answers under its name; a refused connection is the only no.
        alive: bool,
    },
    /// The time of [`Controller::deadline`](super::Controller::deadline) has come. Harmless at any other time.
    Tick,
}

/// What has to be done, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send a frame without descriptors. A nudge for which there is no room is answered with [`Event::Unsent`].
    Send {
        /// To whom.
        conn: ConnId,
        /// What.
        frame: ServerFrame,
    },
    /// Send a welcome with its descriptors.
    Welcome {
        /// To whom.
        conn: ConnId,
        /// The welcome.
        frame: ServerFrame,
        /// Whether the listening socket and the controller's parking memory come along.
        affinity: bool,
    },
    /// Close a connection. No event for it is expected any more, and late ones are ignored.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// Publish [`Controller::snapshot`](super::Controller::snapshot) now.
    Commit,
    /// Find out whether anybody listens under the name of the endpoint, and answer with [`Event::Probed`].
    Probe {
        /// Whom to look for.
        id: EndpointId,
    },
    /// The endpoint has departed: take over what waits in its parking memory.
    Adopt {
        /// Who has departed.
        id: EndpointId,
        /// The connection its parking memory came on, unless it never registered with this controller.
        conn: Option<ConnId>,
    },
}

/// Whom the controller did not let in, or threw out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: RefuseReason,
    /// Its process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
}
