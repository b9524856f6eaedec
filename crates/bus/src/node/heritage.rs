//! What those who have departed let wait, until it is certain that they are gone.
//!
//! A member's connection may end while the member lives: it was thrown out, or lost its place to a newer connection. What
//! waits in its memory is its own as long as anybody listens under its name, for it may register again and deliver itself.
//! Only when the kernel says that nobody does, it is ours.

use std::collections::VecDeque;

use ipmb_transport::memory::PeerMemory;

use crate::controller::Controller;
use crate::directory::Departure;
use crate::identity::EndpointId;
use crate::limits;
use crate::parking::{self, Remains};
use crate::roster::EndpointInfo;

const FIRST_LOOK: u64 = 1_000_000;
const LAST_LOOK: u64 = 1_000_000_000;

/// The memories of the departed.
#[derive(Default)]
pub(crate) struct Heritage {
    /// Of the controller before, who may have adopted what others left.
    predecessor: Option<(EndpointId, PeerMemory)>,
    /// The departed whose name still answers: dying, or thrown out and alive.
    departing: Vec<(EndpointInfo, PeerMemory)>,
    patience: u64,
    /// Whose was handed over, latest last. One that died while it registered again departs a second time, by what it had
    /// sent before.
    adopted: VecDeque<EndpointId>,
}

impl Heritage {
    /// That of one who takes office. It hears of the controller before as of a member that has departed, if that was one: it
    /// may have died before it had registered with itself.
    pub(crate) fn new(predecessor: Option<(EndpointId, PeerMemory)>, controller: &Controller) -> Heritage {
        let mut heritage = Heritage { predecessor, ..Heritage::default() };
        if let Some(id) = heritage.predecessor().filter(|&id| !controller.has(id)) {
            heritage.depart(controller, id, None);
        }
        heritage
    }

    /// Whose office we have taken over.
    pub(crate) fn predecessor(&self) -> Option<EndpointId> {
        self.predecessor.as_ref().map(|(id, _)| *id)
    }

    /// An endpoint has departed, which let messages wait in `memory`; without one, in that of the controller before if it
    /// was that.
    pub(crate) fn depart(&mut self, controller: &Controller, id: EndpointId, memory: Option<PeerMemory>) {
        let inherited = || self.predecessor.take_if(|(predecessor, _)| *predecessor == id).map(|(_, memory)| memory);
        let Some(memory) = memory.or_else(inherited).filter(|_| !self.adopted.contains(&id)) else { return };
        let (label, pid) = controller.tombstone(id).map_or_else(Default::default, |t| (t.label.clone(), t.pid));
        self.departing.push((EndpointInfo { id, label, pid }, memory));
        self.patience = 0;
    }

    /// Hands over what is nobody else's any more. `answers` looks whether somebody listens under a name. Returns who is not
    /// looked for any further, though they may live: there are too many.
    pub(crate) fn settle(
        &mut self,
        controller: &Controller,
        mut answers: impl FnMut(EndpointId) -> bool,
        mut adopt: impl FnMut(&EndpointInfo, Remains),
    ) -> Vec<EndpointId> {
        if self.departing.is_empty() {
            return Vec::new();
        }
        self.departing.retain(|(info, memory)| {
            if controller.has(info.id) {
                return false;
            }
            let waits = answers(info.id);
            if !waits {
                self.adopted.push_back(info.id);
                adopt(info, parking::remains(memory, info.id, controller.held_office(info.id)));
            }
            waits
        });
        while self.adopted.len() > limits::TOMBSTONES {
            self.adopted.pop_front();
        }
        self.patience = (self.patience * 2).clamp(FIRST_LOOK, LAST_LOOK);
        let spare = self.departing.len().saturating_sub(limits::DEPARTING);
        let given_up = self.departing.drain(..spare).map(|(info, memory)| {
            // Should one register again after all, receivers know a second copy by its number.
            adopt(&info, parking::remains(&memory, info.id, controller.held_office(info.id)));
            info.id
        });
        given_up.collect()
    }

    /// Hands over what there is: we leave, and who left just before us is not to be forgotten with us. Who has only lost
    /// its connection and lives keeps its own, and registers with whoever follows.
    pub(crate) fn settle_all(
        &mut self,
        controller: &Controller,
        mut answers: impl FnMut(EndpointId) -> bool,
        mut adopt: impl FnMut(&EndpointInfo, Remains),
    ) {
        for (info, memory) in std::mem::take(&mut self.departing) {
            let left = controller.tombstone(info.id).is_some_and(|dead| dead.reason == Departure::Left);
            if left || !answers(info.id) {
                adopt(&info, parking::remains(&memory, info.id, controller.held_office(info.id)));
            }
        }
    }

    /// Whether what an endpoint let wait is still to be handed over.
    #[cfg(test)]
    pub(crate) fn holds(&self, id: EndpointId) -> bool {
        self.predecessor() == Some(id) || self.departing.iter().any(|(info, _)| info.id == id)
    }

    /// When to look again, from now.
    pub(crate) fn next_look(&self) -> Option<u64> {
        (!self.departing.is_empty()).then_some(self.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Policy;
    use crate::directory::{Snapshot, Tombstone};
    use crate::parking::Parking;
    use crate::proof::Key;

    #[test]
    fn of_too_many_who_depart_and_live_on_the_first_are_taken_over() {
        let policy = Policy { key: Key::derive("bus", b""), allowed_uids: vec![0], strangers: 1 };
        let controller = Controller::new(policy, 1, 1, None, 0);
        let (_parking, memory) = Parking::create().unwrap();
        let mut heritage = Heritage::default();
        let mut taken = Vec::new();
        for id in 2..limits::DEPARTING as u64 + 4 {
            heritage.depart(&controller, id, Some(parking::open(&memory).unwrap()));
            let given_up = heritage.settle(&controller, |_| true, |info, _| taken.push(info.id));
            assert_eq!(given_up.last(), taken.last().filter(|_| !given_up.is_empty()));
        }
        assert_eq!(taken, [2, 3], "those at the bound are waited for");
        assert_eq!(heritage.departing.len(), limits::DEPARTING);
        assert!(heritage.settle(&controller, |_| false, |info, _| taken.push(info.id)).is_empty());
        assert_eq!(taken.len(), limits::DEPARTING + 2);
    }

    /// It takes messages over from its first moment on, and is a member of its own bus a little later.
    #[test]
    fn a_controller_that_had_not_registered_with_itself_is_taken_over_from() {
        let policy = Policy { key: Key::derive("bus", b""), allowed_uids: vec![0], strangers: 1 };
        let seed =
            Snapshot { term: 1, epoch: 1, controller: 9, predecessors: vec![], entries: vec![], tombstones: vec![] };
        let controller = Controller::new(policy, 2, 1, Some(seed), 0);
        let (_parking, memory) = Parking::create().unwrap();
        let (mut heritage, mut taken) =
            (Heritage::new(Some((9, parking::open(&memory).unwrap())), &controller), Vec::new());
        heritage.settle(&controller, |_| false, |info, _| taken.push(info.id));
        assert_eq!(taken, [9]);
    }

    /// Seen: what the living had let wait was delivered by whoever followed, and by them.
    #[test]
    fn one_who_leaves_office_takes_nothing_from_those_who_live() {
        let policy = Policy { key: Key::derive("bus", b""), allowed_uids: vec![0], strangers: 1 };
        let dead = |id, reason| Tombstone { id, pid: 7, uid: 0, label: Default::default(), departed: 0, reason };
        let tombstones = vec![dead(2, Departure::Left), dead(3, Departure::Died), dead(4, Departure::Died)];
        let seed = Snapshot { term: 1, epoch: 1, controller: 9, predecessors: vec![], entries: vec![], tombstones };
        let controller = Controller::new(policy, 2, 1, Some(seed), 0);
        let (_parking, memory) = Parking::create().unwrap();
        let (mut heritage, mut taken) = (Heritage::default(), Vec::new());
        for id in 2..5 {
            heritage.depart(&controller, id, Some(parking::open(&memory).unwrap()));
        }
        heritage.settle_all(&controller, |id| id != 4, |info, _| taken.push(info.id));
        assert_eq!(taken, [2, 4], "the third lives, and registers with whoever follows");
    }
}
