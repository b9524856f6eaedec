//! Descriptors that are sent and not taken yet: how many there may be, and when our duplicates of them go.
//!
//! Until they are gone the end of a pipe is not the end and a region is not free, also when this endpoint never sends
//! again. So the core thread looks: soon after the first, then ever more rarely while traffic flows, for whoever sends
//! looks itself; to be woken at every send would cost more than all the rest of it.

use ipmb_transport::sys;

use super::State;
use crate::limits;

/// Pauses between two looks, in nanoseconds.
const FIRST: u64 = 5_000_000;
const LAST: u64 = 500_000_000;
/// How long the limit of descriptors is believed to be what it was.
const LIMIT_KNOWN: u64 = 100_000_000;

#[derive(Default)]
pub(super) struct FlightWatch {
    /// When the core thread looks next, and the pause before that; 0: it does not.
    due: u64,
    pause: u64,
    /// Something was sent since it last looked.
    sent: bool,
    /// This process's share of descriptors, and when it was asked for.
    share: usize,
    asked: u64,
}

impl State {
    /// Has the core thread look whether what is sent now was taken.
    pub(super) fn watch_flights(&mut self) {
        self.watch.sent = true;
        if self.watch.pause == 0 {
            self.watch.pause = FIRST;
            self.watch.due = sys::now() + FIRST;
            self.schedule(self.watch.due);
        }
    }

    /// Drops our duplicates of all that was taken, when it is time to, and looks again as long as there is a reason to.
    pub(super) fn look_at_flights(&mut self) {
        if self.watch.pause == 0 {
            return;
        }
        let now = sys::now();
        if now >= self.watch.due {
            let left = self.trim_flights() + self.forget_regions(now);
            self.watch.pause = match left > 0 || std::mem::take(&mut self.watch.sent) {
                true => (self.watch.pause * 2).min(LAST),
                false => 0,
            };
            self.watch.due = now + self.watch.pause;
        }
        if self.watch.pause > 0 {
            self.schedule(self.watch.due);
        }
    }

    /// Drops our duplicates of all that was taken. Returns how many are left.
    fn trim_flights(&mut self) -> usize {
        let mut left = 0;
        for place in 0..self.links.len() {
            if !matches!(&self.links[place], Some(link) if link.channel.descriptors_in_flight() > 0) {
                continue;
            }
            // A receiver's tail is known once its page was taken from the socket.
            self.service(place);
            if let Some(Some(link)) = self.links.get_mut(place) {
                // A lie shows at the next message.
                let _ = link.channel.trim();
                left += link.channel.descriptors_in_flight();
            }
        }
        left
    }

    /// Has receivers forget the regions that are not used any more. Returns how many are kept.
    fn forget_regions(&mut self, now: u64) -> usize {
        self.links.iter_mut().flatten().map(|link| link.channel.forget_regions(now)).sum()
    }

    /// Keeps descriptors in flight to all receivers within our share of what the process may open.
    #[cold]
    pub(super) fn descriptors_allow(&mut self, more: usize) -> bool {
        let in_flight: usize = self.links.iter().flatten().map(|link| link.channel.descriptors_in_flight()).sum();
        // One message is always allowed, or it could never be sent.
        if in_flight == 0 || in_flight + more <= self.share() {
            return true;
        }
        let left = self.trim_flights();
        left == 0 || left + more <= self.share()
    }

    fn share(&mut self) -> usize {
        let now = sys::now();
        if now >= self.watch.asked + LIMIT_KNOWN {
            self.watch.asked = now;
            self.watch.share = (sys::descriptor_limit() / limits::DESCRIPTORS_IN_FLIGHT_SHARE) as usize;
        }
        self.watch.share
    }
}
