//! A message that waits for room without a thread: what an event loop does.
//!
//! It is tried again when its descriptor is readable or its delay over, and given up when nobody holds it any more.

use std::io;

use ipmb_bus::error::SendError;
use ipmb_bus::{Kept, Progress, Sender};
use ipmb_transport::sys::Poller;

use crate::letter::{First, Letter};
use crate::to::To;

/// One message that found no room yet.
pub struct Sending {
    core: Sender,
    to: To,
    /// `None`: it is done, or given up.
    kept: Option<Kept>,
    reached: usize,
}

/// What a first try came to.
pub enum Started {
    /// So many endpoints have it.
    Done(usize),
    /// It has to wait.
    Waits(Box<Sending>),
}

/// Sends a message, or keeps it where there is no room.
///
/// # Errors
/// See [`SendError`].
pub fn start(core: &Sender, mut letter: Letter) -> Result<Started, SendError> {
    let to = letter.to.clone();
    Ok(match letter.begin(core)? {
        First::Done(reached) => Started::Done(reached),
        First::Blocked(out) => Started::Waits(Box::new(Sending::new(core.clone(), to, Kept::new(*out)))),
    })
}

impl Sending {
    /// Takes over a message that was `Blocked`.
    pub fn new(core: Sender, to: To, kept: Kept) -> Sending {
        Sending { core, to, kept: Some(kept), reached: 0 }
    }

    /// Tries again. Whether it is done; an error gives it up.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn poll(&mut self) -> Result<bool, SendError> {
        let Some(kept) = &mut self.kept else { return Ok(true) };
        let error = loop {
            match self.core.try_send_kept(kept) {
                Ok(Progress::Done(reached)) => {
                    self.reached = reached;
                    self.kept = None;
                    return Ok(true);
                }
                Ok(Progress::Blocked) => return Ok(false),
                Err(SendError::StaleRoute) => match self.to.route(&self.core) {
                    Ok(route) => kept.reroute(route),
                    Err(error) => break error,
                },
                Err(error) => break error,
            }
        };
        self.give_up();
        Err(error)
    }

    /// How many endpoints have it so far.
    pub fn reached(&self) -> usize {
        self.kept.as_ref().map_or(self.reached, Kept::reached)
    }

    /// Whether it waits still.
    pub fn waits(&self) -> bool {
        self.kept.is_some()
    }

    /// Nanoseconds after which to try again although the descriptor is not readable. `None`: no need.
    pub fn delay(&self) -> Option<u64> {
        self.kept.as_ref().and_then(Kept::delay)
    }

    /// A descriptor that is readable when there may be room, good until the next try. `None`: it waits no more.
    ///
    /// # Errors
    /// When this process has no descriptor left.
    pub fn descriptor(&self) -> io::Result<Option<Poller>> {
        self.kept.as_ref().map(Kept::descriptor).transpose()
    }

    /// Gives it up: whoever does not have it yet will not.
    pub fn give_up(&mut self) {
        if let Some(mut kept) = self.kept.take() {
            self.reached = kept.reached();
            self.core.abandon_kept(&mut kept);
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.give_up();
    }
}
