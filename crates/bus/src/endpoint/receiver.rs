//! The receiving half: trying, waiting, and the blocking call that is made of both.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use super::Handle;
use crate::error::{Interrupted, RecvError};
use crate::inbox::{Build, Incoming, Polled, Visit};
use crate::node::Node;
use crate::wait::{self, deadline};

/// The receiving half of an endpoint.
#[derive(Clone)]
pub struct Receiver {
    pub(super) handle: Arc<Handle>,
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

    /// Hears of all who have sent. A try looks at those who have sent lately, as long as there are any; so whoever is about to
    /// say that nothing has come, without having slept, calls this and tries once more.
    ///
    /// # Errors
    /// See [`RecvError`].
    #[cold]
    pub fn listen(&self) -> Result<(), RecvError> {
        let node = self.check()?;
        node.inbox.listen(&node.view, &node.me)
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
                self.listen()?;
                return Ok(match self.try_recv(&mut build)? {
                    Polled::Got(message) => Some(message),
                    Polled::Empty => None,
                });
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
        if self.is_closed() { Err(RecvError::Closed) } else { self.descriptor().map(|fd| fd.as_raw_fd()) }
    }

    /// The same for those who borrow it; of a closed receiver it is readable for good.
    ///
    /// # Errors
    /// When the process forked.
    pub fn descriptor(&self) -> Result<BorrowedFd<'_>, RecvError> {
        Ok(self.check()?.inbox.descriptor())
    }

    /// How many messages were passed over so far, because `build` took none of their type.
    pub fn skipped(&self) -> u64 {
        self.check().map_or(0, |node| node.inbox.counters().skipped)
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
