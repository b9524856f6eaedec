//! What those who have departed let wait, until it is certain that they are gone.
//!
//! A member's connection may end while the member lives: it was thrown out, or lost its place to a newer connection. What
//! waits in its memory is its own as long as anybody listens under its name, for it may register again and deliver itself.
//! Only when the kernel says that nobody does, it is ours.

use ipmb_transport::memory::PeerMemory;

use crate::controller::Controller;
use crate::identity::EndpointId;
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
}

impl Heritage {
    pub(crate) fn new(predecessor: Option<(EndpointId, PeerMemory)>) -> Heritage {
        Heritage { predecessor, ..Heritage::default() }
    }

    /// Whose office we have taken over.
    pub(crate) fn predecessor(&self) -> Option<EndpointId> {
        self.predecessor.as_ref().map(|(id, _)| *id)
    }

    /// An endpoint has departed, which let messages wait in `memory`; without one, in that of the controller before if it
    /// was that.
    pub(crate) fn depart(&mut self, controller: &Controller, id: EndpointId, memory: Option<PeerMemory>) {
        let inherited = || self.predecessor.take_if(|(predecessor, _)| *predecessor == id).map(|(_, memory)| memory);
        let Some(memory) = memory.or_else(inherited) else { return };
        let (label, pid) = controller.tombstone(id).map_or_else(Default::default, |t| (t.label.clone(), t.pid));
        self.departing.push((EndpointInfo { id, label, pid }, memory));
        self.patience = 0;
    }

    /// Hands over what is nobody else's any more. `answers` looks whether somebody listens under a name.
    pub(crate) fn settle(
        &mut self,
        controller: &Controller,
        mut answers: impl FnMut(EndpointId) -> bool,
        mut adopt: impl FnMut(&EndpointInfo, Remains),
    ) {
        if self.departing.is_empty() {
            return;
        }
        self.departing.retain(|(info, memory)| {
            if controller.has(info.id) {
                return false;
            }
            let waits = answers(info.id);
            if !waits {
                adopt(info, parking::remains(memory, info.id, controller.held_office(info.id)));
            }
            waits
        });
        self.patience = (self.patience * 2).clamp(FIRST_LOOK, LAST_LOOK);
    }

    /// Hands everything over: we leave, and who left just before us is not to be forgotten with us.
    pub(crate) fn settle_all(&mut self, controller: &Controller, mut adopt: impl FnMut(&EndpointInfo, Remains)) {
        for (info, memory) in std::mem::take(&mut self.departing) {
            adopt(&info, parking::remains(&memory, info.id, controller.held_office(info.id)));
        }
    }

    /// When to look again, from now.
    pub(crate) fn next_look(&self) -> Option<u64> {
        (!self.departing.is_empty()).then_some(self.patience)
    }
}
