//! Presence: who joined and who left, as the directory tells it.
//!
//! A watch compares rosters, so nothing is missed however slowly it is read: what happened between two looks is told as
//! a difference. One who came and went in between is not told.

use std::collections::{HashMap, VecDeque};
use std::os::fd::AsFd;
use std::sync::Arc;

use ipmb_transport::sys::Signal;

use crate::directory::Departure;
use crate::error::Interrupted;
use crate::identity::EndpointId;
use crate::node::Node;
use crate::reactor::lock;
use crate::roster::{Peer, Roster};
use crate::wait;

/// Something that happened to an endpoint of the bus.
#[derive(Clone, Debug)]
pub enum PeerEvent {
    /// It joined.
    Joined(Arc<Peer>),
    /// It is gone; why, where the directory still knows.
    Left(Arc<Peer>, Option<Departure>),
}

/// Tells who joins and leaves after it was made.
pub struct Watch {
    node: Arc<Node>,
    signal: Arc<Signal>,
    present: HashMap<EndpointId, Arc<Peer>>,
    word: u64,
    events: VecDeque<PeerEvent>,
}

impl Watch {
    pub(crate) fn new(node: Arc<Node>) -> std::io::Result<Watch> {
        let signal = Arc::new(Signal::new()?);
        node.watch(&signal);
        let roster = lock(&node.view).refresh();
        let word = roster.word;
        let present = others(&roster, &node).map(|peer| (peer.info.id, peer.clone())).collect();
        Ok(Watch { node, signal, present, word, events: VecDeque::new() })
    }

    /// Who was there when the watch was made, with every event told so far applied.
    pub fn present(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.present.values()
    }

    /// The next event, if there is one.
    pub fn poll(&mut self) -> Option<PeerEvent> {
        if self.events.is_empty() {
            self.signal.clear();
            self.look();
        }
        let event = self.events.pop_front()?;
        match &event {
            PeerEvent::Joined(peer) => self.present.insert(peer.info.id, peer.clone()),
            PeerEvent::Left(peer, _) => self.present.remove(&peer.info.id),
        };
        Some(event)
    }

    /// Sleeps until there may be an event, the endpoint is closed, or `deadline`.
    ///
    /// # Errors
    /// [`Interrupted`] when a signal came.
    pub fn park(&self, deadline: Option<u64>) -> Result<(), Interrupted> {
        wait::on(&[self.signal.as_fd()], wait::left([deadline])).map(|_| ())
    }

    /// Whether the endpoint has left the bus: nothing will come any more.
    pub fn ended(&self) -> bool {
        self.node.has_left() || self.node.me.forked()
    }

    fn look(&mut self) {
        let roster = lock(&self.node.view).refresh();
        if roster.word == self.word {
            return;
        }
        self.word = roster.word;
        let gone = self.present.values().filter(|peer| roster.member(peer.info.id).is_none());
        self.events.extend(gone.map(|peer| PeerEvent::Left(peer.clone(), roster.departure(peer.info.id))));
        let new = others(&roster, &self.node).filter(|peer| !self.present.contains_key(&peer.info.id));
        self.events.extend(new.map(|peer| PeerEvent::Joined(peer.clone())));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.node.unwatch(&self.signal);
    }
}

fn others<'a>(roster: &'a Roster, node: &'a Node) -> impl Iterator<Item = &'a Arc<Peer>> {
    roster.members.iter().filter(|peer| peer.info.id != node.me.id)
}
