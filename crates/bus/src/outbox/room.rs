//! Waiting for room: who waits, on what, and who tells them.
//!
//! A sender waits on the sockets of the channels it found full, where the receiver's word of room arrives, and on a
//! signal of its own for everything else. Whoever reads such a word tells all the others, because it may be the only one.

use std::sync::Arc;

use ipmb_transport::sys::{self, Signal};

use super::{Outgoing, Progress, State};
use crate::error::SendError;
use crate::identity::EndpointId;
use crate::selector::Mode;

/// Channels that one who waits is told of by their sockets.
const SOCKETS: usize = 64;

impl State {
    /// Makes the caller one who waits for room at `ids`.
    pub(super) fn enter(&mut self, out: &mut Outgoing<'_>, ids: &[EndpointId]) -> Result<Progress, SendError> {
        let places: Vec<_> = ids.iter().take(SOCKETS).map(|id| self.by_id.get(id).copied()).collect();
        self.enter_at(out, &places, ids.len() > SOCKETS)
    }

    /// The same for channels; `None` is one that could not be opened. `more`: there are others.
    pub(super) fn enter_at(
        &mut self,
        out: &mut Outgoing<'_>,
        places: &[Option<usize>],
        more: bool,
    ) -> Result<Progress, SendError> {
        const SLICE: u64 = 20_000_000;
        /// A look by the clock costs little, but not nothing: the longer it was in vain, the rarer it is, up to 12.8 ms.
        const MOMENT: u64 = 100_000;
        const DOUBLINGS: u32 = 7;
        /// Where a receiver is to say when it has taken what is in flight, the first look is that much later.
        const TOLD: u32 = 4;
        let signal = match out.signal.take().or_else(|| self.spare_signals.pop()) {
            Some(signal) => signal,
            None => Arc::new(Signal::new()?),
        };
        if !self.waiters.iter().any(|waiter| Arc::ptr_eq(waiter, &signal)) {
            self.waiters.push(signal.clone());
        }
        signal.clear();
        out.signal = Some(signal);
        let now = sys::now();
        // What no socket tells (a queue of connections, a budget of the whole process) is looked at again by the clock.
        let budgets = out.descriptors() > 0;
        let mut silent = more || budgets;
        let mut told = false;
        let mut room = false;
        for place in places {
            match place.and_then(|place| self.links[place].as_deref_mut()) {
                Some(link) => {
                    told |= budgets && link.channel.descriptors_in_flight() > 0;
                    // With room in the ring it is what is in flight that is in the way.
                    room |= match !budgets || !link.channel.is_half_free() {
                        true => !link.channel.announce_wait(),
                        false => !link.channel.announce_landing(),
                    };
                    out.sockets.push(link.channel.socket.clone());
                }
                None => silent = true,
            }
        }
        if room {
            // Looking took another's wait back, if there was one on the same ring: it looks again too.
            self.tell_waiters();
        }
        // One who looks by the clock sees newcomers by itself.
        let unicast = |route: &crate::route::Route| route.selector.mode == Mode::Unicast;
        if out.tries > 0 && !silent && !out.patient && self.routes.get(out.route).is_some_and(unicast) {
            out.patient = true;
            self.patient += 1;
            self.update_interest();
        }
        out.until = match (silent, room) {
            (true, true) if told => Some(now),
            (true, _) => Some(now + (MOMENT << (out.tries + if told { TOLD } else { 0 }).min(DOUBLINGS))),
            (false, true) => Some(now),
            (false, false) if out.patient => None,
            (false, false) => Some(now + SLICE),
        };
        Ok(Progress::Blocked)
    }

    /// The caller waits no more.
    pub(super) fn leave(&mut self, out: &mut Outgoing<'_>) {
        if let Some(signal) = out.signal.take() {
            self.waiters.retain(|waiter| !Arc::ptr_eq(waiter, &signal));
            if self.spare_signals.len() < 8 {
                self.spare_signals.push(signal);
            }
        }
        if std::mem::take(&mut out.patient) {
            self.patient -= 1;
            self.update_interest();
        }
    }

    pub(super) fn tell_waiters(&self) {
        self.waiters.iter().for_each(|waiter| waiter.set());
    }
}
