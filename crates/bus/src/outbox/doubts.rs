//! Who of those that were asked will not reply any more.
//!
//! A request that was unread when its receiver ended the channel is lost. One that was read may still be replied to by an
//! endpoint that only closed its receiver: it is lost when the endpoint's name refuses connections, which is the kernel's
//! word that it is gone, and no reply stands in the door.

use std::collections::HashMap;
use std::sync::Arc;

use ipmb_transport::ConnectError;
use ipmb_transport::sys::{self, Received, Socket};

use super::{Outbox, Outcome, State, lock};
use crate::names;
use crate::roster::Peer;
use crate::wire::{self, PeerFrame};

/// One who has read requests and whose channel has ended.
pub(super) struct Doubt {
    peer: Arc<Peer>,
    /// A connection that ends when its process does.
    probe: Option<Socket>,
}

impl Outbox {
    /// Whoever of these was asked and has not replied never will, but for those that `may_speak` still.
    pub(crate) fn give_up_on<R>(
        &self,
        gone: &[Arc<Peer>],
        may_speak: impl Fn(&Peer) -> bool,
        outcomes: &mut Vec<(u64, Outcome<R>)>,
    ) {
        let mut state = lock(&self.state);
        for peer in gone {
            let id = peer.info.id;
            state.requests.gone.retain(|known| known.info.id != id);
            if may_speak(peer) {
                state.doubt(peer.clone());
                continue;
            }
            let of_it = |asked: &HashMap<u64, Arc<Peer>>| -> Vec<u64> {
                asked.iter().filter(|(_, asked)| asked.info.id == id).map(|(&number, _)| number).collect()
            };
            for number in of_it(&state.requests.asked) {
                state.requests.asked.remove(&number);
                outcomes.push((number, Outcome::Lost { peer: peer.clone(), read: true }));
            }
            state.requests.late.remove(&id);
        }
        state.let_the_core_read();
    }
}

impl State {
    /// A channel to one that was asked has ended.
    pub(super) fn ended(&mut self, peer: &Arc<Peer>, unread: Vec<u64>) {
        for number in unread {
            // One that nobody waits for any more is not told.
            if let Some(peer) = self.requests.asked.remove(&number) {
                self.requests.lost.push((number, peer));
            }
        }
        if !self.requests.lost.is_empty() {
            self.requests.poke();
        }
        if self.requests.asked.values().any(|asked| asked.info.id == peer.info.id) {
            self.requests.pause = 0;
            self.doubt(peer.clone());
            self.look_at_doubts();
        } else if self.requests.late.remove(&peer.info.id).is_some() && self.requests.late.is_empty() {
            self.stop_the_core();
        }
    }

    fn doubt(&mut self, peer: Arc<Peer>) {
        let known = |other: &Arc<Peer>| other.info.id == peer.info.id;
        if !self.requests.doubts.iter().any(|doubt| known(&doubt.peer)) && !self.requests.gone.iter().any(known) {
            self.requests.doubts.push(Doubt { peer, probe: None });
        }
        self.look_again_at_doubts();
    }

    /// Asks the kernel whether those in doubt are gone.
    pub(super) fn look_at_doubts(&mut self) {
        if self.requests.doubts.is_empty() {
            return;
        }
        for mut doubt in std::mem::take(&mut self.requests.doubts) {
            if !self.requests.asked.values().any(|asked| asked.info.id == doubt.peer.info.id) {
                continue;
            }
            if self.lives(&mut doubt) {
                self.requests.doubts.push(doubt);
            } else {
                self.requests.gone.push(doubt.peer);
            }
        }
        if !self.requests.gone.is_empty() {
            self.requests.poke();
        }
        self.look_again_at_doubts();
    }

    fn look_again_at_doubts(&mut self) {
        const FIRST: u64 = 1_000_000;
        const LAST: u64 = 1_000_000_000;
        if !self.requests.doubts.is_empty() {
            self.requests.pause = (self.requests.pause * 2).clamp(FIRST, LAST);
            self.schedule(sys::now() + self.requests.pause);
        }
        self.update_interest();
    }

    /// Whether anybody listens under its name, and is it. A refusal is the kernel's word that it is gone.
    fn lives(&self, doubt: &mut Doubt) -> bool {
        if let Some(probe) = &doubt.probe
            && matches!(probe.receive(&mut [0; 8]), Ok(Received::Empty))
        {
            return true;
        }
        doubt.probe = None;
        let info = &doubt.peer.info;
        match Socket::connect(&names::endpoint(&self.me.identifier, info.id)) {
            Ok(socket) => {
                // Anybody can take the name once its owner is gone.
                if socket.peer().is_ok_and(|holder| holder.pid != info.pid) {
                    return false;
                }
                let _ = socket.send(&wire::encode(&PeerFrame::Probe), &[]);
                doubt.probe = Some(socket);
                true
            }
            Err(ConnectError::Refused) => false,
            Err(ConnectError::Busy | ConnectError::Io(_)) => true,
        }
    }
}
