//! What waits at a controller that leaves office, and how it learns what becomes of it.
//!
//! Whoever follows maps the memory of the controller before and takes over what waits there, but nobody tells that one, which
//! is off the bus by then. It sees it by the lock, where whoever takes office leaves its term. And it sees by the name of the
//! bus that nobody can follow any more: each who could holds the socket that listens there.

use std::sync::Arc;

use ipmb_transport::sys::{LockFile, Socket};
use ipmb_transport::{ConnectError, sys};

use crate::names;

/// When to look first whether anybody is left, in nanoseconds: whoever follows needs a millisecond or two.
const FIRST_LOOK: u64 = 10_000_000;

/// An office that somebody can follow in.
pub(super) struct Bequest {
    election: Arc<LockFile>,
    /// What our own term left.
    left: u64,
    look: u64,
    pause: u64,
}

impl Bequest {
    /// Of one who still has the lock.
    pub(super) fn new(election: Arc<LockFile>) -> Bequest {
        let left = election.left();
        Bequest { election, left, look: sys::now() + FIRST_LOOK, pause: FIRST_LOOK }
    }

    /// Whether somebody has taken office since.
    pub(super) fn is_taken(&self) -> bool {
        self.election.left() > self.left
    }

    /// Whether all who could have followed are gone, too. Each look is a connection, so they are few.
    pub(super) fn is_nobodys(&mut self, identifier: &str) -> bool {
        if sys::now() < self.look {
            return false;
        }
        self.pause *= 2;
        self.look = sys::now() + self.pause;
        matches!(Socket::connect(&names::rendezvous(identifier)), Err(ConnectError::Refused))
    }
}
