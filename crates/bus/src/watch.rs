//! Presence: who joined and who left, as the directory tells it.
//!
//! A watch compares rosters, so nothing is missed however slowly it is read: what happened between two looks is told as
//! a difference. One who came and went in between has left a tombstone, and is told by that.

use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ipmb_transport::sys::{self, Signal};

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

/// Tells who joins and leaves after it was made. Several threads may share one: each event goes to one of them.
pub struct Watch {
    node: Arc<Node>,
    signal: Arc<Signal>,
    closed: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// Who was there at first, with every event told so far applied.
    told: HashMap<EndpointId, Arc<Peer>>,
    /// Whose tombstones stood at the last look.
    buried: HashSet<EndpointId>,
    /// When the watch was made.
    since: u64,
    word: u64,
    events: VecDeque<PeerEvent>,
}

impl Watch {
    pub(crate) fn new(node: Arc<Node>) -> std::io::Result<Watch> {
        let signal = Arc::new(Signal::new()?);
        node.watch(&signal);
        let roster = lock(&node.view).refresh();
        let state = Mutex::new(State {
            told: others(&roster, &node).map(|peer| (peer.info.id, peer.clone())).collect(),
            buried: roster.departed().into_iter().map(|tombstone| tombstone.id).collect(),
            since: sys::now(),
            word: roster.word,
            events: VecDeque::new(),
        });
        Ok(Watch { node, signal, closed: AtomicBool::new(false), state })
    }

    /// Who was there when the watch was made, with every event told so far applied, by rising id.
    pub fn present(&self) -> Vec<Arc<Peer>> {
        let mut present: Vec<_> = lock(&self.state).told.values().cloned().collect();
        present.sort_unstable_by_key(|peer| peer.info.id);
        present
    }

    /// The next event, if there is one.
    pub fn poll(&self) -> Option<PeerEvent> {
        let mut state = lock(&self.state);
        if state.events.is_empty() {
            self.signal.clear();
            state.look(&self.node);
            if !state.events.is_empty() || self.ended() {
                // Whoever waits on the descriptor comes back for the rest, or for the end.
                self.signal.set();
            }
        }
        let event = state.events.pop_front()?;
        match &event {
            PeerEvent::Joined(peer) => state.told.insert(peer.info.id, peer.clone()),
            PeerEvent::Left(peer, _) => state.told.remove(&peer.info.id),
        };
        Some(event)
    }

    /// A descriptor that is readable whenever [`Watch::poll`] would give an event, or the watch has ended.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }

    /// Sleeps until there may be an event, the endpoint is closed, or `deadline`.
    ///
    /// # Errors
    /// [`Interrupted`] when a signal came.
    pub fn park(&self, deadline: Option<u64>) -> Result<(), Interrupted> {
        wait::on(&[self.fd()], wait::left([deadline])).map(|_| ())
    }

    /// Whether it is closed or the endpoint has left the bus: nothing new will come any more.
    pub fn ended(&self) -> bool {
        self.is_closed() || self.node.has_left() || self.forked()
    }

    /// Ends it, also for whoever waits.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.node.unwatch(&self.signal);
        self.signal.set();
    }

    /// Whether [`Watch::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether the process forked since it was made: it stayed with the parent.
    pub fn forked(&self) -> bool {
        self.node.me.forked()
    }
}

impl State {
    /// Finds out what has happened since the last look: first who went, in their order, then who came.
    fn look(&mut self, node: &Node) {
        let roster = lock(&node.view).refresh();
        if roster.word == self.word {
            return;
        }
        self.word = roster.word;
        let mut buried = HashSet::new();
        let mut gone = self.told.clone();
        gone.retain(|&id, _| roster.member(id).is_none());
        for tombstone in roster.departed() {
            let (id, reason) = (tombstone.id, tombstone.reason);
            buried.insert(id);
            if let Some(known) = gone.remove(&id) {
                self.events.push_back(PeerEvent::Left(known, Some(reason)));
            } else if tombstone.departed >= self.since
                && !self.buried.contains(&id)
                && !self.told.contains_key(&id)
                && roster.member(id).is_none()
                && id != node.me.id
            {
                let peer = Peer::remembered(tombstone);
                self.events.push_back(PeerEvent::Joined(peer.clone()));
                self.events.push_back(PeerEvent::Left(peer, Some(reason)));
            }
        }
        self.events.extend(gone.into_values().map(|peer| PeerEvent::Left(peer, None)));
        let new = others(&roster, node).filter(|peer| !self.told.contains_key(&peer.info.id));
        self.events.extend(new.map(|peer| PeerEvent::Joined(peer.clone())));
        self.buried = buried;
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
