//! What an inbox does as a door for replies: it can be read to its end, so that what is not there never comes.

use std::sync::Mutex;
use std::time::Duration;

use ipmb_transport::sys::{Events, Poller};

use super::Inbox;
use crate::local::Local;
use crate::reactor::lock;
use crate::roster::{Peer, View};

impl Inbox {
    /// Has whoever waits look again.
    pub(crate) fn poke(&self) {
        self.signal.set();
    }

    /// What wakes a receiver, for another loop to wait for.
    pub(crate) fn poller(&self) -> &Poller {
        &self.poller
    }

    /// The end of [`Inbox::fileno`]: nobody waits on the descriptor any more.
    pub(crate) fn unwatch(&self) {
        lock(&self.state).watched = false;
    }

    /// Takes up every channel that was opened, and hears every doorbell. What was sent by one who is gone now is found by
    /// the next [`Inbox::try_recv`]s.
    pub(crate) fn look_everywhere(&self, view: &Mutex<View>, me: &Local) {
        /// A look tells of so many; what keeps telling, such as a raised signal, must not keep us.
        const LOOKS: usize = 64;
        let mut state = lock(&self.state);
        for _ in 0..LOOKS {
            let mut events = Events::new();
            match self.poller.wait(&mut events, Some(Duration::ZERO)) {
                Ok(0) | Err(_) => return,
                Ok(_) => {
                    // What finds no descriptors is told by `may_hear_from`.
                    let _ = self.handle(&mut state, &events, me, view);
                }
            }
        }
    }

    /// Whether something of this peer has come that cannot be read yet: it needs a newer directory, or descriptors.
    pub(crate) fn may_hear_from(&self, peer: &Peer) -> bool {
        let state = lock(&self.state);
        let of_it = |place: usize| state.channels[place].as_ref().is_some_and(|c| c.peer.info.id == peer.info.id);
        state.pending.waits_for(peer)
            || state.suspended.iter().any(|&place| of_it(place))
            || state.channels.iter().flatten().any(|c| c.starved() && c.peer.info.id == peer.info.id)
    }
}
