//! A message that waits for room without a thread: its sender keeps it, and comes back when a descriptor says so.

use std::io;

use ipmb_transport::sys::{self, Interest, Poller};

use super::{Outbox, Outgoing, Progress};
use crate::error::SendError;
use crate::route::RouteId;

/// A message that was `Blocked`, with its payload.
pub struct Kept {
    /// `None` only while it is tried.
    out: Option<Outgoing<'static>>,
    inline: Box<[u8]>,
}

impl Kept {
    /// Keeps a message; its payload is copied.
    pub fn new(out: Outgoing<'_>) -> Kept {
        let inline = out.inline().into();
        Kept { out: Some(out.without_payload()), inline }
    }

    /// See [`Outgoing::reroute`].
    pub fn reroute(&mut self, route: RouteId) {
        if let Some(out) = &mut self.out {
            out.reroute(route);
        }
    }

    /// Endpoints that have it so far.
    pub fn reached(&self) -> usize {
        self.out.as_ref().map_or(0, Outgoing::reached)
    }

    /// Nanoseconds until it should be tried again although nothing has happened. `None`: no need.
    pub fn delay(&self) -> Option<u64> {
        self.out.as_ref()?.until.map(|at| at.saturating_sub(sys::now()))
    }

    /// A descriptor that is readable when there may be room. Good until the next try.
    ///
    /// # Errors
    /// When this process has no descriptor left.
    pub fn descriptor(&self) -> io::Result<Poller> {
        let poller = Poller::new()?;
        for (token, fd) in self.out.iter().flat_map(Outgoing::waits_on).enumerate() {
            poller.add(fd, token as u64, Interest::READ)?;
        }
        Ok(poller)
    }

    pub(crate) fn try_send(&mut self, outbox: &Outbox) -> Result<Progress, SendError> {
        let Some(out) = self.out.take() else { return Err(SendError::Closed) };
        let mut out = out.lend(&self.inline);
        out.tries += u32::from(out.until.is_some_and(|at| sys::now() >= at));
        let result = outbox.try_send(&mut out);
        self.out = Some(out.without_payload());
        result
    }

    pub(crate) fn abandon(&mut self, outbox: &Outbox) {
        if let Some(out) = &mut self.out {
            outbox.abandon(out);
        }
    }
}
