//! Connections that have not joined yet.
//!
//! Whoever may connect may also connect and say nothing. So strangers are few, each has a deadline, and when there are too
//! many the one that came first goes: a friend that is quick gets in however many liars there are.

use std::collections::VecDeque;

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

    pub(super) fn remove_oldest(&mut self) -> Option<(ConnId, Stranger)> {
        self.0.pop_front()
    }

    /// Removes one whose time is over. All have the same time, so the first is the first to expire.
    pub(super) fn remove_expired(&mut self, now: u64) -> Option<(ConnId, Stranger)> {
        self.deadline().filter(|&deadline| deadline <= now).and_then(|_| self.remove_oldest())
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.0.front().map(|(_, stranger)| stranger.deadline)
    }

    fn place(&self, conn: ConnId) -> Option<usize> {
        self.0.iter().position(|(candidate, _)| *candidate == conn)
    }
}
