//! Joining a bus: begun at once, and waited for by whoever has time to.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use ipmb_transport::sys::{self, Signal};

use crate::endpoint::{Endpoint, Handle};
use crate::error::{Interrupted, JoinError};
use crate::identity::{check_identifier, check_token, check_users};
use crate::label::Label;
use crate::local::Local;
use crate::node::Node;
use crate::reactor::lock;
use crate::wait::{self, deadline};

/// How to join a bus.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of the bus: 1 to [`IDENTIFIER_BYTES`](crate::limits::IDENTIFIER_BYTES) bytes without NUL.
    pub identifier: String,
    /// What describes the endpoint.
    pub label: Label,
    /// The secret of the bus; empty for none.
    pub token: Vec<u8>,
    /// Whether the endpoint may play controller.
    pub controller_affinity: bool,
    /// Users whose processes may be on the bus, beside the own one and root. The same for all endpoints of the bus.
    pub users: Vec<u32>,
    /// Whether others' messages may come here; without, the receiving half is closed from the start.
    pub receiving: bool,
}

impl Options {
    /// Without a token, ready to receive and to play controller.
    pub fn new(identifier: impl Into<String>, label: Label) -> Options {
        Options {
            identifier: identifier.into(),
            label,
            token: Vec::new(),
            controller_affinity: true,
            users: Vec::new(),
            receiving: true,
        }
    }
}

/// A joining under way.
pub struct Joining {
    handle: Arc<Handle>,
    done: Arc<Signal>,
}

/// Starts to join; drive it with [`Joining::poll`] and [`Joining::park`].
///
/// # Errors
/// For a bad argument, or when the system gives no descriptors or memory.
pub fn begin_join(options: Options) -> Result<Joining, JoinError> {
    let Options { identifier, label, token, controller_affinity, users, receiving } = options;
    check_identifier(&identifier)?;
    check_token(&token)?;
    let users = check_users(&users, sys::effective_uid())?;
    let node = Node::start(Local::new(identifier, label, &token, controller_affinity, users), receiving)?;
    let done = lock(&node.member).done.clone();
    Ok(Joining { handle: Arc::new(Handle { node }), done })
}

/// Joins a bus; `None` waits for ever.
///
/// # Errors
/// See [`JoinError`].
pub fn join(options: Options, timeout: Option<Duration>) -> Result<Endpoint, JoinError> {
    let deadline = deadline(timeout);
    let mut joining = begin_join(options)?;
    loop {
        if let Some(result) = joining.poll(deadline) {
            return result;
        }
        // A signal is not ours to handle; its handler has run.
        let _ = joining.park(deadline);
    }
}

impl Joining {
    /// Sleeps until the outcome is there, or `deadline`.
    ///
    /// # Errors
    /// [`Interrupted`] when a signal came.
    pub fn park(&self, deadline: Option<u64>) -> Result<(), Interrupted> {
        wait::on(&[self.done.as_fd()], wait::left([deadline])).map(|_| ())
    }

    /// A descriptor that is readable when the outcome is there.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }

    /// The outcome, if it is there. Past `deadline` it is an error that says what was in the way.
    pub fn poll(&mut self, deadline: Option<u64>) -> Option<Result<Endpoint, JoinError>> {
        if self.handle.node.me.forked() {
            return Some(Err(JoinError::Forked));
        }
        let mut member = lock(&self.handle.node.member);
        match member.outcome() {
            Some(Ok(())) => Some(Ok(Endpoint { handle: self.handle.clone() })),
            Some(Err(error)) => Some(Err(error)),
            None if wait::is_over(deadline) => Some(Err(JoinError::Timeout { seen: member.seen() })),
            None => None,
        }
    }
}
