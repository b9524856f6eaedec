//! Requests as their asker sees them: a number for each, and one place at which all of them end.
//!
//! Sending a request is [`Sender::try_send`](crate::Sender::try_send) on a route of
//! [`Sender::intern_request`](crate::Sender::intern_request), correlated by a number from here. What becomes of it comes out
//! of [`Asking::poll`]: the reply, or that the one asked is gone. Whoever waits is expected to poll for all.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use crate::error::{Interrupted, RecvError, SendError};
use crate::inbox::{Build, Inbox, Incoming, Polled};
use crate::node::Node;
use crate::outbox::{Arrived, Outcome};
use crate::reactor::lock;
use crate::roster::Peer;

/// Most replies of one poll; the rest is left for the next.
const BATCH: usize = 1024;

/// The requests of one endpoint.
pub struct Asking {
    node: Arc<Node>,
    door: Arc<Inbox>,
}

impl Asking {
    pub(crate) fn new(node: Arc<Node>) -> Result<Asking, SendError> {
        let door = node.outbox.door()?;
        Ok(Asking { node, door })
    }

    /// A number for a request that is about to be sent.
    ///
    /// # Errors
    /// When the sender is closed, or the process forked.
    pub fn begin(&self) -> Result<u64, SendError> {
        if self.node.me.forked() { Err(SendError::Forked) } else { self.node.outbox.next_number() }
    }

    /// Nobody waits for this request any more; a reply that comes for it is counted as late.
    pub fn forget(&self, number: u64) {
        if !self.node.me.forked() {
            self.node.outbox.forget(number);
        }
    }

    /// What became of requests since the last call; nothing when there is nothing new. `build` reads a reply in place.
    ///
    /// # Errors
    /// See [`RecvError`]; nothing is lost by it.
    pub fn poll<R>(&self, mut build: impl FnMut(&mut Incoming<'_>) -> R) -> Result<Vec<(u64, Outcome<R>)>, RecvError> {
        if self.node.me.forked() {
            return Err(RecvError::Forked);
        }
        let mut outcomes = Vec::new();
        // What nobody waits for goes when no lock is held: its end may run a binding's code.
        let mut strays = Vec::new();
        let reading = lock(&self.node.outbox.reading);
        let (mut end, gone) = self.read(&mut build, &mut outcomes, &mut strays);
        if let (Ok(true), false) = (&end, gone.is_empty()) {
            // They were gone before this look, so what they sent is found by it or not there.
            self.door.look_everywhere(&self.node.view, &self.node.me);
            (end, _) = self.read(&mut build, &mut outcomes, &mut strays);
            if let Ok(true) = end {
                self.node.outbox.give_up_on(&gone, |peer| self.door.may_hear_from(peer), &mut outcomes);
            }
        }
        drop(reading);
        match end {
            Err(error) if outcomes.is_empty() => Err(error),
            _ => Ok(outcomes),
        }
    }

    /// Reads the door, and pairs what came with what was asked. Whether that was all, and who is gone.
    fn read<R>(
        &self,
        build: &mut impl FnMut(&mut Incoming<'_>) -> R,
        outcomes: &mut Vec<(u64, Outcome<R>)>,
        strays: &mut Vec<R>,
    ) -> (Result<bool, RecvError>, Vec<Arc<Peer>>) {
        let mut arrived = Vec::new();
        let mut take = |incoming: &mut Incoming<'_>| {
            let (from, number, bytes) = (incoming.sender().info.id, incoming.answers(), incoming.payload_bytes());
            Build::Take(Arrived { from, number, bytes, content: build(incoming) })
        };
        let end = loop {
            match self.door.try_recv(&self.node.view, &self.node.me, &mut take) {
                Ok(Polled::Got(reply)) => arrived.push(reply),
                Ok(Polled::Empty) => break Ok(true),
                Err(error) => break Err(error),
            }
            if arrived.len() == BATCH {
                break Ok(false);
            }
        };
        let gone = self.node.outbox.settle(arrived, outcomes, strays);
        (end, gone)
    }

    /// Looks for a reply for a few microseconds without sleeping. `true`: poll again.
    pub fn spin(&self) -> bool {
        self.node.me.forked() || self.door.spin()
    }

    /// Sleeps until [`Asking::poll`] may give something. `false`: the deadline passed.
    ///
    /// # Errors
    /// [`Interrupted`] when a signal came.
    pub fn park(&self, deadline: Option<u64>) -> Result<bool, Interrupted> {
        if self.node.me.forked() || self.node.outbox.has_news() {
            return Ok(true);
        }
        let woken = self.door.park(&self.node.view, &self.node.me, deadline);
        if self.node.outbox.has_news() {
            // The wait has taken the signal down, and this thread may never poll.
            self.door.poke();
        }
        woken
    }

    /// A descriptor for event loops: readable whenever [`Asking::poll`] would give something. It stays the endpoint's.
    ///
    /// # Errors
    /// When the sender is closed, or the process forked.
    pub fn fileno(&self) -> Result<i32, SendError> {
        let fd = self.descriptor()?.as_raw_fd();
        if self.door.is_closed() { Err(SendError::Closed) } else { Ok(fd) }
    }

    /// The same for those who borrow it; of a closed sender it is readable for good.
    ///
    /// # Errors
    /// When the process forked.
    pub fn descriptor(&self) -> Result<BorrowedFd<'_>, SendError> {
        if self.node.me.forked() {
            return Err(SendError::Forked);
        }
        self.node.outbox.door_is_watched();
        Ok(self.door.descriptor())
    }
}
