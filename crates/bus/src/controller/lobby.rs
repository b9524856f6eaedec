//! Connections that have not joined yet.
//!
//! Whoever may connect may also connect and say nothing. So strangers are few, each has a deadline, and when there are too
//! many one goes for each that comes: one that has said nothing before one that has, one of the process that has most
//! places before others, and of these the one that came first. So a friend that is quick gets in however many liars there
//! are, and however they share the places.
//!
//! Members that register again after a takeover come all at once, and more of them than there are places. They do not push
//! each other out: the next ones wait for them.

use std::collections::{HashMap, VecDeque};

use super::ConnId;
use crate::directory::Snapshot;
use crate::identity::EndpointId;
use crate::proof::Challenge;

/// How far a stranger has come.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    /// It has said nothing.
    Silent,
    /// It has said who it is and got its challenge.
    Challenged { id: EndpointId, nonce: Challenge },
}

/// A connection that has not joined yet.
#[derive(Debug, Clone)]
pub(super) struct Stranger {
    pub(super) uid: u32,
    pub(super) pid: u32,
    /// The challenge it gets.
    pub(super) nonce: Challenge,
    pub(super) deadline: u64,
    pub(super) phase: Phase,
    /// It comes from the process of a member that has not registered again, and says that it is that one.
    pub(super) expected: bool,
    /// The last directory it read, if it was on this bus before.
    pub(super) recalled: Option<Snapshot>,
}

/// The strangers in the order in which they came. They are so few that looking through them beats an index.
#[derive(Debug, Default)]
pub(super) struct Lobby(VecDeque<(ConnId, Stranger)>);

impl Lobby {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, conn: ConnId) -> Option<&Stranger> {
        self.place(conn).map(|place| &self.0[place].1)
    }

    pub(super) fn insert(&mut self, conn: ConnId, stranger: Stranger) {
        self.0.push_back((conn, stranger));
    }

    pub(super) fn get_mut(&mut self, conn: ConnId) -> Option<&mut Stranger> {
        self.place(conn).map(|place| &mut self.0[place].1)
    }

    pub(super) fn remove(&mut self, conn: ConnId) {
        if let Some(place) = self.place(conn) {
            self.0.remove(place);
        }
    }

    /// Takes it that a stranger is a member that registers again; of several that say they are the same one, it is the last.
    pub(super) fn expect(&mut self, conn: ConnId, id: EndpointId) {
        for (known, stranger) in &mut self.0 {
            match stranger.phase {
                Phase::Challenged { id: named, .. } if named == id => stranger.expected = *known == conn,
                _ => {}
            }
        }
    }

    /// Whether all here register again.
    pub(super) fn all_expected(&self) -> bool {
        self.0.iter().all(|(_, stranger)| stranger.expected)
    }

    /// Removes the one that goes for one that comes.
    pub(super) fn remove_for_another(&mut self) -> Option<(ConnId, Stranger)> {
        let mut places: HashMap<u32, usize> = HashMap::new();
        for (_, stranger) in &self.0 {
            *places.entry(stranger.pid).or_default() += 1;
        }
        let rank = |stranger: &Stranger| {
            let silent = matches!(stranger.phase, Phase::Silent);
            (!stranger.expected, silent, places.get(&stranger.pid).copied())
        };
        let oldest_first = self.0.iter().enumerate().rev();
        let (place, _) = oldest_first.max_by_key(|(_, (_, stranger))| rank(stranger))?;
        self.0.remove(place)
    }

    /// Removes one whose time is over. All have the same time, so the first is the first to expire.
    pub(super) fn remove_expired(&mut self, now: u64) -> Option<(ConnId, Stranger)> {
        self.deadline().filter(|&deadline| deadline <= now).and_then(|_| self.0.pop_front())
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.0.front().map(|(_, stranger)| stranger.deadline)
    }

    fn place(&self, conn: ConnId) -> Option<usize> {
        self.0.iter().position(|(candidate, _)| *candidate == conn)
    }
}
