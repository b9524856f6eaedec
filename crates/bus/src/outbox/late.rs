//! Replies that nobody waits for any more.
//!
//! They are counted and dropped by whoever polls for others. While nobody does, the core thread takes them: they would
//! fill the ring to the door, and those who reply would wait for room.

use ipmb_transport::sys::Interest;

use super::requests::Requests;
use super::{DOOR_TAG, Outbox, State, lock};
use crate::identity::EndpointId;
use crate::inbox::{Build, Polled};
use crate::incidents::Incident;
use crate::stats::DropReason;

impl Outbox {
    /// Takes late replies in the core thread.
    pub(crate) fn read_late(&self) {
        const MOST: usize = 256;
        let mut state = lock(&self.state);
        let Some(door) = state.requests.door.clone().filter(|_| state.requests.core_reads.is_some()) else { return };
        // Nothing was asked that has not been given up, and nothing can be before this lock is free: whatever comes is late.
        for _ in 0..MOST {
            let (view, me) = (state.view.clone(), state.me.clone());
            match door.try_recv(&view, &me, |incoming| Build::Take(incoming.sender().info.id)) {
                Ok(Polled::Got(from)) => state.count_stray(from),
                Ok(Polled::Empty) => break,
                // Closed, or descriptors that find no room in this process: whoever asks next sees to it.
                Err(_) => return state.stop_the_core(),
            }
        }
        if state.requests.late.is_empty() {
            state.stop_the_core();
        }
    }
}

impl State {
    /// A reply that nobody waits for.
    pub(super) fn count_stray(&mut self, from: EndpointId) {
        self.tally.count(Incident::Dropped(DropReason::LateReply), 1);
        if let Some(late) = self.requests.late.get_mut(&from) {
            *late -= 1;
            if *late == 0 {
                self.requests.late.remove(&from);
            }
        }
    }

    /// Leaves late replies to the core thread while nobody waits for others.
    pub(super) fn let_the_core_read(&mut self) {
        let Requests { asked, late, core_reads, door, .. } = &self.requests;
        if late.is_empty() || !asked.is_empty() || core_reads.is_some() || self.closed {
            return;
        }
        let (Some(door), Some(owner)) = (door, self.owner.upgrade()) else { return };
        door.descriptor();
        self.requests.core_reads = self.reactor.register(door.poller(), Interest::READ, owner, DOOR_TAG).ok();
    }

    pub(super) fn stop_the_core(&mut self) {
        if let (Some(key), Some(door)) = (self.requests.core_reads.take(), &self.requests.door) {
            self.reactor.deregister(key, door.poller());
            if !self.requests.watched {
                door.unwatch();
            }
        }
    }
}
