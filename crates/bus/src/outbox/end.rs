//! The end of an outbox, in steps: what is under way or waits is given to receivers as long as that can be, then to the
//! controller.

use super::dead::Leaving;
use super::{Outbox, State, lock};
use crate::channel::Serviced;
use crate::incidents::Incident;
use crate::stats::DropReason;

impl Outbox {
    /// Nothing is sent any more; what is under way stays under way.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.close_door();
        state.tell_waiters();
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// The endpoint is about to leave: what can go out goes, and what waits may still find a receiver.
    pub(crate) fn hand_on(&self) {
        lock(&self.state).hand_on();
    }

    /// The endpoint leaves. Receivers read their rings to the end; what waits is left to the controller, which takes it over
    /// once our name refuses: from here on nothing of it goes out by ourselves. No channel and no timer is made any more, for
    /// each would keep the whole endpoint.
    pub(crate) fn shut_down(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.hand_on();
        state.left = true;
        let left = state.backlog.len() as u64;
        state.backlog.clear();
        state.tally.count(Incident::Dropped(DropReason::Closed), left);
        if let Some((_, timer)) = state.timer.take() {
            state.reactor.cancel(timer);
        }
        let links = std::mem::take(&mut state.links);
        for link in links.into_iter().flatten() {
            state.reactor.deregister(link.watch, link.channel.socket.fd());
        }
        state.by_id.clear();
        state.doors.clear();
        state.tell_waiters();
    }
}

impl State {
    /// A receiver may be dead and its end not yet noticed: what it left unread has one more chance.
    fn hand_on(&mut self) {
        self.refresh();
        for place in 0..self.links.len() {
            if self.service(place) == Serviced::Ended {
                self.bury(place);
            }
        }
        self.flush();
    }
}
