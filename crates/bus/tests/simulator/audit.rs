//! What has to be true after every single event, whatever has happened before.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{Conn, End, MILLI, UID};
use crate::controller::{Action, ConnId, Controller, Event};
use crate::directory::{Snapshot, word};
use crate::limits;
use crate::wire::{ClientFrame, EndpointId, Refusal, ServerFrame};

pub(crate) type Tally = BTreeMap<String, u64>;

/// What is known of the controller that runs now, learnt from nothing but its events and actions.
#[derive(Default)]
pub(crate) struct Audit {
    /// How often what has happened, so that the whole test can tell that nothing it is about never did.
    pub(crate) tally: Tally,
    committed: Option<Snapshot>,
    /// Connections that have been welcomed and not ended.
    joined: BTreeMap<ConnId, EndpointId>,
    watching: BTreeSet<ConnId>,
    nudged: BTreeSet<ConnId>,
    /// For whose nudges there was no room.
    unsent: BTreeSet<ConnId>,
    /// Those who were on the bus before the takeover and have not registered again.
    unconfirmed: BTreeSet<EndpointId>,
    /// Somebody has told what it remembers of the bus.
    recalled: bool,
    /// Those who are on the bus only because somebody remembers them.
    hearsay: BTreeSet<EndpointId>,
    /// When it may next be looked for somebody.
    next_look: BTreeMap<EndpointId, u64>,
}

impl Audit {
    /// A new controller starts.
    pub(crate) fn begin(&mut self, controller: &Controller, seed: Option<&Snapshot>, now: u64) {
        let first = controller.snapshot();
        well_formed(&first);
        if let Some(seed) = seed {
            assert!(first.word() > seed.word(), "a takeover starts a later directory");
            assert_eq!(first.entries, seed.entries, "a takeover starts from the last committed directory");
            assert_eq!(first.tombstones, seed.tombstones);
        }
        let unconfirmed: BTreeSet<_> = first.entries.iter().map(|entry| entry.id).collect();
        let grace = limits::TAKEOVER_GRACE_MILLIS * MILLI;
        let next_look = unconfirmed.iter().map(|id| (*id, now + grace)).collect();
        let tally = std::mem::take(&mut self.tally);
        *self = Self { tally, committed: Some(first), unconfirmed, next_look, ..Self::default() };
        self.count(if seed.is_some() { "takeovers" } else { "new buses" });
    }

    /// One event has been handled.
    pub(crate) fn check(
        &mut self,
        event: &Event,
        actions: &[Action],
        controller: &Controller,
        conns: &BTreeMap<ConnId, Conn>,
        ends: &[End],
        now: u64,
    ) {
        let before = self.committed.take().expect("a controller has begun");
        let after = controller.snapshot();
        if let Event::Accepted { conn, uid, .. } = *event
            && uid != UID
        {
            let refused = Action::Send { conn, frame: ServerFrame::Refused(Refusal::Permission) };
            // What is due at that moment may come behind it.
            let ended = [refused, Action::Close { conn }];
            assert!(actions.windows(2).any(|two| two == ended), "another user is let in");
        }
        self.note(event);
        let welcomed = actions.iter().find_map(|action| match action {
            Action::Welcome { conn, .. } => conns[conn].end.map(|end| ends[end].id),
            _ => None,
        });
        self.commits(actions, welcomed, &before, &after, now);
        self.committed = Some(after);
        for (place, action) in actions.iter().enumerate() {
            match action {
                Action::Welcome { conn, frame, .. } => {
                    let (earlier, later) = actions.split_at(place);
                    assert!(
                        earlier.iter().all(|action| *action == Action::Commit),
                        "only the commit comes before a welcome"
                    );
                    assert!(!later.contains(&Action::Commit), "a welcome before its commit");
                    self.welcome(*conn, frame, conns, ends);
                }
                Action::Send { conn, frame: ServerFrame::Nudge } => {
                    let welcomes_follow =
                        actions[place..].iter().any(|action| matches!(action, Action::Welcome { .. }));
                    assert!(!welcomes_follow, "the joiner has its answer before watchers are told");
                    assert!(self.watching.contains(conn), "a nudge for one who does not watch");
                    assert!(self.nudged.insert(*conn), "a second nudge is outstanding");
                    if self.unsent.remove(conn) {
                        self.count("nudges sent again");
                    }
                    self.count("nudges");
                }
                Action::Send { conn, frame } => {
                    assert!(conns[conn].accepted, "a frame for a closed connection");
                    if let ServerFrame::Refused(refusal) = frame {
                        self.count(format!("refused: {refusal:?}"));
                    }
                }
                Action::Close { conn } => {
                    assert!(conns[conn].accepted, "a connection is closed twice");
                    match event {
                        Event::Tick => self.count("strangers timed out"),
                        Event::Accepted { conn: new, .. } if new != conn => self.count("strangers pushed out"),
                        Event::Frame { conn: new, .. } if new != conn => self.count("connections replaced"),
                        _ => {}
                    }
                    self.ended(*conn);
                }
                Action::Probe { id } => {
                    assert!(self.unconfirmed.contains(id), "a look for one who has registered");
                    let next = self.next_look.insert(*id, now + limits::PROBE_MILLIS * MILLI);
                    assert!(next.is_some_and(|next| now >= next), "looks come too early");
                }
                Action::Commit | Action::Adopt { .. } => {}
            }
        }
        assert!(controller.pending() <= limits::PENDING_JOINS);
        assert!(controller.deadline().is_none_or(|deadline| deadline > now), "a deadline that has passed: a busy loop");
        let quiet = controller.pending() == 0 && self.unconfirmed.is_empty() && self.unsent.is_empty();
        assert!(!quiet || controller.deadline().is_none(), "something wakes up on an idle bus");
    }

    /// Who has joined with the controller of now.
    pub(crate) fn members(&self) -> Vec<EndpointId> {
        self.joined.values().copied().collect()
    }

    pub(crate) fn count(&mut self, what: impl Into<String>) {
        *self.tally.entry(what.into()).or_default() += 1;
    }

    /// What the event itself changes.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Frame { conn, frame } if self.joined.contains_key(conn) => match frame {
                ClientFrame::Watch(true) => drop(self.watching.insert(*conn)),
                ClientFrame::Watch(false) => drop(self.watching.remove(conn)),
                ClientFrame::Seen { .. } => drop(self.nudged.remove(conn)),
                _ => {}
            },
            Event::Unsent { conn } => {
                assert!(self.nudged.remove(conn), "no nudge was sent there");
                self.unsent.insert(*conn);
            }
            Event::Closed { conn } => self.ended(*conn),
            Event::Recalled { .. } => self.recalled = true,
            _ => {}
        }
    }

    fn ended(&mut self, conn: ConnId) {
        self.joined.remove(&conn);
        self.watching.remove(&conn);
        self.nudged.remove(&conn);
        self.unsent.remove(&conn);
    }

    fn commits(
        &mut self,
        actions: &[Action],
        joiner: Option<EndpointId>,
        before: &Snapshot,
        after: &Snapshot,
        now: u64,
    ) {
        let commits = actions.iter().filter(|action| **action == Action::Commit).count();
        assert!(commits <= 1, "one event commits at most once");
        assert_eq!(commits == 1, before != after, "each change is committed");
        if commits == 1 {
            assert!(after.word() > before.word(), "term and epoch rise with each commit");
            well_formed(after);
            let says = |s: &Snapshot| (s.term, s.predecessors.clone(), s.entries.clone(), s.tombstones.clone());
            assert!(says(before) != says(after), "a commit for nothing");
        }
        if after.term > before.term {
            self.count("terms raised");
        }
        // What a joiner remembers of the bus brings back those who were there; they are looked for.
        for entry in after.entries.iter().filter(|entry| before.entry(entry.id).is_none()) {
            if joiner != Some(entry.id) {
                assert!(self.recalled, "somebody is on the bus who has not joined");
                self.unconfirmed.insert(entry.id);
                self.hearsay.insert(entry.id);
                self.next_look.insert(entry.id, now + limits::TAKEOVER_GRACE_MILLIS * MILLI);
                self.count("recalled by a joiner");
            }
        }
        // Whoever was there is still there, or has just departed: into a tombstone, and with its heritage taken over.
        let mut adopted = BTreeSet::new();
        for action in actions {
            if let Action::Adopt { id, .. } = action {
                assert!(adopted.insert(*id), "a heritage is taken over twice");
            }
        }
        for entry in before.entries.iter().filter(|entry| after.entry(entry.id).is_none()) {
            let dead = after.tombstone(entry.id).expect("the departed leave a tombstone");
            self.unconfirmed.remove(&entry.id);
            if self.hearsay.remove(&entry.id) && !adopted.contains(&entry.id) {
                // Somebody remembers more: that it has departed.
                assert!(self.recalled && (dead.pid, dead.departed <= now) == (entry.pid, true));
                continue;
            }
            assert_eq!((dead.pid, dead.uid, &dead.label, dead.departed), (entry.pid, entry.uid, &entry.label, now));
            assert!(adopted.remove(&entry.id), "a heritage is not taken over");
            self.count(format!("departed: {:?}", dead.reason));
        }
        assert!(adopted.is_empty(), "a heritage of nobody: {adopted:?}");
        for dead in &before.tombstones {
            let time_is_over = now.saturating_sub(dead.departed) > limits::TOMBSTONE_SECONDS * 1000 * MILLI;
            let no_room = after.tombstones.len() == limits::TOMBSTONES;
            let kept = after.tombstone(dead.id).is_some() || after.entry(dead.id).is_some();
            assert!(kept || time_is_over || no_room, "a tombstone has gone too early");
            match after.entry(dead.id) {
                Some(_) => self.count("departed who came back"),
                None if !kept => self.count("tombstones expired"),
                None => {}
            }
            assert!(
                commits == 0 || !time_is_over || after.tombstone(dead.id) != Some(dead),
                "a tombstone stays for ever"
            );
        }
    }

    /// Guarantee 7, and that nobody gets in who may not.
    fn welcome(&mut self, conn: ConnId, frame: &ServerFrame, conns: &BTreeMap<ConnId, Conn>, ends: &[End]) {
        let directory = self.committed.as_ref().expect("a controller has begun");
        let state = &conns[&conn];
        assert!(state.accepted && state.uid == UID, "a welcome for another user");
        let ServerFrame::Welcome { term, epoch, .. } = frame else { panic!("no welcome: {frame:?}") };
        assert_eq!(word(*term, *epoch), directory.word(), "a welcome tells what is committed");
        let end = state.end.expect("a stranger is welcomed");
        let end = &ends[end];
        let entry = directory.entry(end.id).expect("welcomed and not in the committed directory");
        assert_eq!((entry.pid, entry.uid, &entry.label), (end.pid, UID, &end.label));
        self.joined.insert(conn, end.id);
        self.hearsay.remove(&end.id);
        if self.unconfirmed.remove(&end.id) {
            self.count("confirmed after a takeover");
        }
    }
}

/// What every directory has to be. Decoding checks that ids are unique, not 0 and in order.
fn well_formed(snapshot: &Snapshot) {
    assert_eq!(Snapshot::decode(&snapshot.encode()).as_ref(), Ok(snapshot));
}
