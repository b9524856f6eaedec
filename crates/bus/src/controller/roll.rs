//! Who is on the bus and who was: the controller's own form of the directory.
//!
//! It differs from a snapshot by what is nobody else's business: on which connection a member sits, what it has been told,
//! and when to look for one that has not registered again. It also keeps account of bytes, so that what is admitted always
//! fits a copy of the directory.

use std::collections::{BTreeMap, VecDeque};

use super::ConnId;
use crate::directory::{Departure, Entry, HALF_BYTES, Snapshot, Tombstone, entry_bound, tombstone_bound, word};
use crate::identity::EndpointId;
use crate::label::Label;
use crate::limits;

const MILLI: u64 = 1_000_000;
/// First and longest pause before a nudge for which there was no room is sent again.
const FIRST_PAUSE: u64 = MILLI;
const LONGEST_PAUSE: u64 = 250 * MILLI;

/// One endpoint on the bus.
#[derive(Debug)]
struct Member {
    entry: Entry,
    /// None: it was on the bus before a takeover and has not registered again.
    conn: Option<ConnId>,
    /// What it has been told of or says it has read.
    seen: u64,
    watching: bool,
    /// It has a nudge it has not answered.
    nudged: bool,
    /// How long it waits for the next one, since there was no room for it, and until when.
    pause: u64,
    rests_until: u64,
    /// Known only from what another member remembers: whoever holds the id by the kernel's word may take it.
    hearsay: bool,
}

impl Member {
    /// One of whom nothing is known yet but that it is on the bus.
    fn new(entry: Entry, conn: Option<ConnId>) -> Member {
        Member { entry, conn, seen: 0, watching: false, nudged: false, pause: 0, rests_until: 0, hearsay: false }
    }
}

/// Members, tombstones and the number of the directory.
#[derive(Debug)]
pub(super) struct Roll {
    pub(super) term: u32,
    pub(super) epoch: u32,
    /// The term whose directory we took over; 0 for none. There may have been later ones.
    pub(super) known: u32,
    pub(super) controller: EndpointId,
    /// The controllers whose directories that one goes back to. What members say of others does not count.
    inherited: Vec<EndpointId>,
    predecessors: Vec<EndpointId>,
    members: BTreeMap<EndpointId, Member>,
    /// When to look for each member without a connection.
    probes: BTreeMap<EndpointId, u64>,
    /// When to send the first of the nudges for which there was no room.
    nudge_at: Option<u64>,
    tombstones: VecDeque<Tombstone>,
    member_bytes: usize,
    tombstone_bytes: usize,
}

impl Roll {
    pub(super) fn new(term: u32, controller: EndpointId, seed: Option<Snapshot>, now: u64) -> Self {
        let mut roll = Self {
            term: term.max(1),
            epoch: 1,
            known: 0,
            controller,
            inherited: Vec::new(),
            predecessors: Vec::new(),
            members: BTreeMap::new(),
            probes: BTreeMap::new(),
            nudge_at: None,
            tombstones: VecDeque::new(),
            member_bytes: 0,
            tombstone_bytes: 0,
        };
        let Some(seed) = seed else { return roll };
        roll.known = seed.term;
        roll.term = roll.term.max(seed.term.saturating_add(1));
        let inherited = seed.predecessors.iter().copied().chain([seed.controller]).collect();
        roll.remember(seed, now, false);
        roll.inherited = inherited;
        roll
    }

    /// Whether a directory is of a controller that neither we nor those before us had registered with: all of them were
    /// stopped, or it ruled for moments only.
    pub(super) fn has_missed(&self, earlier: &Snapshot) -> bool {
        earlier.controller != self.controller && !self.inherited.contains(&earlier.controller)
    }

    /// Adds those of an earlier directory that are not known here, to be looked for unless they register again. Whether
    /// there were any.
    pub(super) fn remember(&mut self, earlier: Snapshot, now: u64, hearsay: bool) -> bool {
        let mut changed = false;
        // The latest first. What members say never pushes out whom we know ourselves.
        let controllers = earlier.predecessors.into_iter().chain([earlier.controller]).rev();
        let bound = if hearsay { limits::PREDECESSORS } else { limits::PREDECESSORS - limits::MISSED_CONTROLLERS };
        for controller in controllers.take_while(|id| !self.inherited.contains(id)) {
            if self.predecessors.len() < bound && !self.predecessors.contains(&controller) {
                changed = true;
                self.predecessors.insert(0, controller);
            }
        }
        for mut tombstone in earlier.tombstones {
            if self.owner(tombstone.id).is_none() && !(hearsay && is_over(&tombstone, now)) {
                // Hearsay of a time when it was still there; whoever lives registers again.
                self.strike(tombstone.id);
                // One from the future would never go.
                tombstone.departed = tombstone.departed.min(now);
                self.bury(tombstone);
                changed = true;
            }
        }
        for entry in earlier.entries {
            let known = self.members.contains_key(&entry.id) || self.owner(entry.id).is_some();
            // Only a predecessor that did not keep account writes too many; they can still register again.
            if known || !self.has_room(entry.id, &entry.label) {
                continue;
            }
            self.member_bytes += entry_bound(&entry.label);
            self.probes.insert(entry.id, now.saturating_add(limits::TAKEOVER_GRACE_MILLIS * MILLI));
            let member = Member { hearsay, ..Member::new(entry, None) };
            self.members.insert(member.entry.id, member);
            changed = true;
        }
        changed
    }

    /// Process and user of the endpoint, living or departed.
    pub(super) fn owner(&self, id: EndpointId) -> Option<(u32, u32)> {
        let living = self.members.get(&id).filter(|member| !member.hearsay);
        let living = living.map(|member| (member.entry.pid, member.entry.uid));
        living.or_else(|| self.tombstone(id).map(|dead| (dead.pid, dead.uid)))
    }

    pub(super) fn has(&self, id: EndpointId) -> bool {
        self.members.contains_key(&id)
    }

    /// The latest are asked for most.
    pub(super) fn tombstone(&self, id: EndpointId) -> Option<&Tombstone> {
        self.tombstones.iter().rev().find(|dead| dead.id == id)
    }

    pub(super) fn held_office(&self, id: EndpointId) -> bool {
        self.predecessors.contains(&id)
    }

    /// Whether the endpoint can be admitted with this label, in place of its present entry if it has one.
    pub(super) fn has_room(&self, id: EndpointId, label: &Label) -> bool {
        let present = self.members.get(&id).map(|member| entry_bound(&member.entry.label));
        let count = self.members.len() + usize::from(present.is_none());
        let bytes = self.member_bytes - present.unwrap_or(0) + entry_bound(label);
        count <= limits::MEMBERS && bytes <= HALF_BYTES
    }

    /// Makes the term later than one that somebody has seen. Whether it has changed.
    pub(super) fn raise_term(&mut self, seen: u32) -> bool {
        let raised = seen >= self.term;
        if raised {
            self.term = seen.saturating_add(1);
        }
        raised
    }

    /// Adds an endpoint or confirms one. Whether the directory has changed, and the connection it had before.
    pub(super) fn admit(&mut self, entry: Entry, conn: ConnId) -> (bool, Option<ConnId>) {
        let id = entry.id;
        self.probes.remove(&id);
        if let Some(place) = self.tombstones.iter().position(|dead| dead.id == id) {
            self.exhume(place);
        }
        self.member_bytes += entry_bound(&entry.label);
        let Some(old) = self.members.insert(id, Member::new(entry, Some(conn))) else { return (true, None) };
        self.member_bytes -= entry_bound(&old.entry.label);
        (self.members[&id].entry != old.entry, old.conn)
    }

    /// Turns an endpoint into a tombstone. Its connection, unless it was not on the bus.
    pub(super) fn depart(&mut self, id: EndpointId, reason: Departure, now: u64) -> Option<Option<ConnId>> {
        let Member { entry, conn, .. } = self.strike(id)?;
        let Entry { pid, uid, label, .. } = entry;
        self.bury(Tombstone { id, pid, uid, label, departed: now, reason });
        Some(conn)
    }

    /// Takes a member off the list.
    fn strike(&mut self, id: EndpointId) -> Option<Member> {
        let member = self.members.remove(&id)?;
        self.probes.remove(&id);
        self.member_bytes -= entry_bound(&member.entry.label);
        Some(member)
    }

    fn bury(&mut self, tombstone: Tombstone) {
        self.tombstone_bytes += tombstone_bound(&tombstone.label);
        // What a member remembers may be older than what stands here.
        let place = self.tombstones.partition_point(|earlier| earlier.departed <= tombstone.departed);
        self.tombstones.insert(place, tombstone);
        while self.tombstones.len() > limits::TOMBSTONES || self.tombstone_bytes > HALF_BYTES {
            self.exhume(0);
        }
    }

    fn exhume(&mut self, place: usize) {
        if let Some(tombstone) = self.tombstones.remove(place) {
            self.tombstone_bytes -= tombstone_bound(&tombstone.label);
        }
    }

    /// Whether the endpoint was on the bus before a takeover, in this process, and has not registered again.
    pub(super) fn awaits(&self, id: EndpointId, pid: u32, uid: u32) -> bool {
        let waited = |member: &Member| member.conn.is_none() && (member.entry.pid, member.entry.uid) == (pid, uid);
        self.members.get(&id).is_some_and(waited)
    }

    pub(super) fn is_unconfirmed(&self, id: EndpointId) -> bool {
        self.probes.contains_key(&id)
    }

    /// Whether the directory has changed.
    pub(super) fn set_receiving(&mut self, id: EndpointId, receiving: bool) -> bool {
        self.members
            .get_mut(&id)
            .is_some_and(|member| std::mem::replace(&mut member.entry.receiving, receiving) != receiving)
    }

    pub(super) fn set_watching(&mut self, id: EndpointId, watching: bool) {
        if let Some(member) = self.members.get_mut(&id) {
            member.watching = watching;
        }
    }

    /// The member has read the directory up to here; one that claims more than there is only fools itself until the next
    /// commit.
    pub(super) fn seen(&mut self, id: EndpointId, seen: u64) {
        let word = word(self.term, self.epoch);
        if let Some(member) = self.members.get_mut(&id) {
            member.seen = member.seen.max(seen.min(word));
            member.nudged = false;
            member.pause = 0;
        }
    }

    /// There was no room for the nudge that a member was to get.
    pub(super) fn not_nudged(&mut self, id: EndpointId, now: u64) {
        if let Some(member) = self.members.get_mut(&id) {
            member.nudged = false;
            member.pause = (member.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            member.rests_until = now.saturating_add(member.pause);
        }
    }

    /// Names the members that watch, are behind, and have no nudge under way, and takes it that they get one.
    pub(super) fn due_nudges(&mut self, now: u64, mut nudge: impl FnMut(ConnId)) {
        let word = word(self.term, self.epoch);
        self.nudge_at = None;
        for member in self.members.values_mut() {
            if let Some(conn) = member.conn
                && member.watching
                && !member.nudged
                && member.seen < word
            {
                if member.rests_until > now {
                    self.nudge_at = Some(self.nudge_at.map_or(member.rests_until, |at| at.min(member.rests_until)));
                    continue;
                }
                member.nudged = true;
                nudge(conn);
            }
        }
    }

    /// Names the members to look for now, and sets the time of the next look.
    pub(super) fn due_probes(&mut self, now: u64, mut probe: impl FnMut(EndpointId)) {
        for (id, due) in self.probes.iter_mut().filter(|(_, due)| **due <= now) {
            *due = now.saturating_add(limits::PROBE_MILLIS * MILLI);
            probe(*id);
        }
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.probes.values().copied().chain(self.nudge_at).min()
    }

    /// Moves on to the next epoch, and forgets the departed whose time is over.
    pub(super) fn commit(&mut self, now: u64) {
        while self.tombstones.front().is_some_and(|oldest| is_over(oldest, now)) {
            self.exhume(0);
        }
        let (epoch, overflow) = self.epoch.overflowing_add(1);
        self.epoch = epoch;
        self.term = self.term.saturating_add(u32::from(overflow));
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            term: self.term,
            epoch: self.epoch,
            controller: self.controller,
            predecessors: self.predecessors.clone(),
            entries: self.members.values().map(|member| member.entry.clone()).collect(),
            tombstones: self.tombstones.iter().cloned().collect(),
        }
    }
}

/// Whether nobody needs to remember it any more.
fn is_over(dead: &Tombstone, now: u64) -> bool {
    now.saturating_sub(dead.departed) > limits::TOMBSTONE_SECONDS * 1000 * MILLI
}
