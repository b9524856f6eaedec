//! The controller: admits joiners, keeps the directory, tells watchers. A pure state machine.
//!
//! `(state, event, now) -> actions`: it has no clock, no socket and no randomness of its own. The reactor feeds it events
//! and carries its actions out in order; the simulator does the same with a made-up world. What must hold:
//!
//! * One event commits at most once, and the commit comes before the welcome it is for: when `join` returns, every sender
//!   that looks at the directory sees the new endpoint. Nudges come last, after the joiner has its answer.
//! * The kernel's word on a peer's user comes before anything it says is looked at, and its token before anything is changed.
//! * A connection that does not join in time goes; so does one for each that is too many. A frame out of place ends its connection.
//! * Whoever departs becomes a tombstone and its parking memory is adopted, exactly once.
//! * Nothing happens on a bus where nothing happens: [`Controller::deadline`] is set only while strangers have not joined,
//!   somebody has not registered again after a takeover, or a nudge found no room. Old tombstones go with the next commit.

mod events;
mod lobby;
mod roll;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::directory::{Departure, Entry, Snapshot, Tombstone, word};
use crate::identity::EndpointId;
use crate::limits;
use crate::proof::{self, Challenge};
use crate::stats::RefuseReason;
use crate::wire::{ClientFrame, JoinRequest, PROTOCOL_VERSION, Refusal, ServerFrame};
pub use events::{Action, ConnId, Event, Policy, Refused};
use lobby::{Lobby, Phase, Stranger};
use roll::Roll;

/// Most of them that are kept until somebody asks: more than one event can make.
const REFUSED: usize = 2 * limits::PENDING_JOINS;

/// The state of one controller.
#[derive(Debug)]
pub struct Controller {
    policy: Policy,
    lobby: Lobby,
    /// Connections that have joined.
    members: BTreeMap<ConnId, EndpointId>,
    roll: Roll,
    /// The highest time seen: what is measured from it never runs backwards.
    now: u64,
    /// Whether this event has changed what the directory says.
    changed: bool,
    refused: Vec<Refused>,
}

impl Controller {
    /// Starts a controller of the given term, in the process of endpoint `me`, from the last committed directory if this is
    /// a takeover. Its first [`snapshot`](Self::snapshot), at epoch 1, is what the directory is created with.
    pub fn new(policy: Policy, term: u32, me: EndpointId, seed: Option<Snapshot>, now: u64) -> Self {
        let roll = Roll::new(term, me, seed, now);
        Self {
            policy,
            lobby: Lobby::default(),
            members: BTreeMap::new(),
            roll,
            now,
            changed: false,
            refused: Vec::new(),
        }
    }

    /// Takes one event in and appends what has to be done.
    pub fn handle(&mut self, now: u64, event: Event, out: &mut Vec<Action>) {
        self.now = self.now.max(now);
        let first = out.len();
        self.changed = false;
        let mut joined = None;
        match event {
            Event::Accepted { conn, uid, pid, nonce } => self.accepted(conn, uid, pid, nonce, out),
            Event::Frame { conn, frame } => joined = self.frame(conn, frame, out),
            Event::Recalled { conn, snapshot } => {
                if let Some(stranger) = self.lobby.get_mut(conn) {
                    stranger.recalled = Some(snapshot);
                }
            }
            Event::Unreadable { conn, version: Some(_) } => {
                self.refuse(conn, Refusal::Version { ours: PROTOCOL_VERSION }, out);
            }
            Event::Unreadable { conn, version: None } => self.refuse(conn, Refusal::Malformed, out),
            Event::Unsent { conn } => {
                if let Some(&id) = self.members.get(&conn) {
                    self.roll.not_nudged(id, self.now);
                }
            }
            Event::Closed { conn } => self.forget(conn, Departure::Died, out),
            Event::Probed { id, alive: false } if self.roll.is_unconfirmed(id) => {
                self.depart(id, Departure::Vanished, out);
            }
            // One that lives is looked at again at the time that was set when the look was ordered.
            Event::Probed { .. } | Event::Tick => {}
        }
        self.run_timers(out);
        self.publish(first, joined, out);
    }

    /// When [`Event::Tick`] is wanted, if at all.
    pub fn deadline(&self) -> Option<u64> {
        [self.lobby.deadline(), self.roll.deadline()].into_iter().flatten().min()
    }

    /// Until when whoever connects next is to wait in the queue of the name: no place is free, and those who have one are
    /// members that have hardly had the time to register again. `None`: it may come in.
    pub fn full_until(&self, now: u64) -> Option<u64> {
        let full = self.lobby.len() >= self.policy.strangers && self.lobby.all_expected();
        let oldest = self.lobby.deadline()?.saturating_sub(limits::HANDSHAKE_MILLIS * 1_000_000);
        let until = oldest + limits::CROWDED_MILLIS * 1_000_000;
        (full && now < until).then_some(until)
    }

    /// The directory as it has to be published.
    pub fn snapshot(&self) -> Snapshot {
        self.roll.snapshot()
    }

    /// Whether an endpoint is on the bus.
    pub fn has(&self, id: EndpointId) -> bool {
        self.roll.has(id)
    }

    /// What is remembered of an endpoint that is not on the bus any more.
    pub fn tombstone(&self, id: EndpointId) -> Option<&Tombstone> {
        self.roll.tombstone(id)
    }

    /// Whether an endpoint played the role once, and so may have taken over what others left.
    pub fn held_office(&self, id: EndpointId) -> bool {
        self.roll.held_office(id)
    }

    /// Term and epoch of the directory as one number.
    pub fn word(&self) -> u64 {
        word(self.roll.term, self.roll.epoch)
    }

    /// The term, which a joiner that has seen a later one may have raised.
    pub fn term(&self) -> u32 {
        self.roll.term
    }

    /// Whether what a joiner remembers of the bus is looked at: it knows the token, and its last term is not the one that
    /// we took over from, so that it may be one that we know nothing of.
    pub fn wants_recollection(&self, conn: ConnId, request: &JoinRequest) -> bool {
        let proved = |stranger: &Stranger| match stranger.phase {
            Phase::Challenged { id, nonce } => {
                let expected = proof::joiner_proof(&self.policy.key, &nonce, &stranger.nonce, id);
                proof::verify(&expected, &request.proof)
            }
            Phase::Silent => false,
        };
        ![0, self.roll.known].contains(&request.last_term) && self.lobby.get(conn).is_some_and(proved)
    }

    /// The endpoint that has joined on a connection.
    pub fn member(&self, conn: ConnId) -> Option<EndpointId> {
        self.members.get(&conn).copied()
    }

    /// Whom it has refused since this was last asked.
    pub fn take_refused(&mut self) -> Vec<Refused> {
        std::mem::take(&mut self.refused)
    }

    fn note(&mut self, reason: RefuseReason, pid: u32, uid: u32) {
        if self.refused.len() < REFUSED {
            self.refused.push(Refused { reason, pid, uid });
        }
    }

    /// How many connections have not joined yet.
    pub fn pending(&self) -> usize {
        self.lobby.len()
    }

    fn accepted(&mut self, conn: ConnId, uid: u32, pid: u32, nonce: Challenge, out: &mut Vec<Action>) {
        // A number that comes again means that we missed the end of the first connection.
        self.forget(conn, Departure::Died, out);
        if !self.policy.allowed_uids.contains(&uid) {
            self.note(RefuseReason::JoinPermission, pid, uid);
            out.push(Action::Send { conn, frame: ServerFrame::Refused(Refusal::Permission) });
            out.push(Action::Close { conn });
            return;
        }
        if self.lobby.len() >= self.policy.strangers
            && let Some((other, Stranger { pid, uid, .. })) = self.lobby.remove_for_another()
        {
            self.note(RefuseReason::JoinCrowded, pid, uid);
            out.push(Action::Close { conn: other });
        }
        let deadline = self.now.saturating_add(limits::HANDSHAKE_MILLIS * 1_000_000);
        let phase = Phase::Silent;
        self.lobby.insert(conn, Stranger { uid, pid, nonce, deadline, phase, expected: false, recalled: None });
    }

    /// The connection that has joined, with what its welcome needs, if this frame was the one.
    fn frame(&mut self, conn: ConnId, frame: ClientFrame, out: &mut Vec<Action>) -> Option<Joined> {
        if let Some(stranger) = self.lobby.get_mut(conn) {
            match (stranger.phase, frame) {
                (Phase::Silent, ClientFrame::Hello { id, nonce }) if id != 0 => {
                    stranger.phase = Phase::Challenged { id, nonce };
                    let nonce = stranger.nonce;
                    if self.roll.awaits(id, stranger.pid, stranger.uid) {
                        self.lobby.expect(conn, id);
                    }
                    out.push(Action::Send { conn, frame: ServerFrame::Challenge { nonce } });
                }
                (Phase::Challenged { id, nonce }, ClientFrame::Join(request)) => {
                    let stranger = stranger.clone();
                    match self.join(conn, &stranger, id, nonce, request, out) {
                        Ok(joined) => return Some(joined),
                        Err(refusal) => self.refuse(conn, refusal, out),
                    }
                }
                _ => self.refuse(conn, Refusal::Malformed, out),
            }
        } else if let Some(&id) = self.members.get(&conn) {
            match frame {
                ClientFrame::Leave => {
                    self.depart(id, Departure::Left, out);
                    out.push(Action::Close { conn });
                }
                ClientFrame::Receiving(receiving) => self.changed |= self.roll.set_receiving(id, receiving),
                ClientFrame::Watch(watching) => self.roll.set_watching(id, watching),
                ClientFrame::Seen { term, epoch } => self.roll.seen(id, word(term, epoch)),
                ClientFrame::Hello { .. } | ClientFrame::Join(_) => self.refuse(conn, Refusal::Malformed, out),
            }
        }
        None
    }

    fn join(
        &mut self,
        conn: ConnId,
        stranger: &Stranger,
        id: EndpointId,
        nonce: Challenge,
        request: JoinRequest,
        out: &mut Vec<Action>,
    ) -> Result<Joined, Refusal> {
        let expected = proof::joiner_proof(&self.policy.key, &nonce, &stranger.nonce, id);
        if !proof::verify(&expected, &request.proof) {
            return Err(Refusal::Token);
        }
        if request.last_term >= self.roll.term.saturating_add(limits::TERM_LEAP) {
            return Err(Refusal::Malformed);
        }
        if self.roll.owner(id).is_some_and(|owner| owner != (stranger.pid, stranger.uid)) {
            return Err(Refusal::IdInUse);
        }
        if !self.roll.has_room(id, &request.label) {
            return Err(Refusal::Full);
        }
        if let Some(earlier) = &stranger.recalled
            && self.roll.has_missed(earlier)
        {
            self.changed |= self.roll.remember(earlier.clone(), self.now, true);
        }
        self.changed |= self.roll.raise_term(request.last_term);
        let JoinRequest { label, nonce: entry_nonce, affinity, receiving, .. } = request;
        let entry = Entry { id, pid: stranger.pid, uid: stranger.uid, nonce: entry_nonce, label, receiving };
        let (changed, replaced) = self.roll.admit(entry, conn);
        self.changed |= changed;
        if let Some(old) = replaced {
            self.members.remove(&old);
            out.push(Action::Close { conn: old });
        }
        self.lobby.remove(conn);
        self.members.insert(conn, id);
        let proof = proof::controller_proof(&self.policy.key, &nonce, &stranger.nonce, id);
        Ok(Joined { conn, id, proof, affinity })
    }

    /// Tells a connection why it ends, and ends it.
    fn refuse(&mut self, conn: ConnId, refusal: Refusal, out: &mut Vec<Action>) {
        let reason = match refusal {
            Refusal::Version { .. } => RefuseReason::JoinVersion,
            Refusal::Token => RefuseReason::JoinToken,
            Refusal::Permission => RefuseReason::JoinPermission,
            Refusal::IdInUse => RefuseReason::JoinIdInUse,
            Refusal::Full => RefuseReason::JoinFull,
            Refusal::Malformed => RefuseReason::JoinMalformed,
        };
        if let Some(&Stranger { pid, uid, .. }) = self.lobby.get(conn) {
            self.note(reason, pid, uid);
        } else if let Some(&id) = self.members.get(&conn) {
            let (pid, uid) = self.roll.owner(id).unwrap_or_default();
            self.note(RefuseReason::Lie, pid, uid);
        } else {
            return;
        }
        out.push(Action::Send { conn, frame: ServerFrame::Refused(refusal) });
        self.forget(conn, Departure::Expelled, out);
        out.push(Action::Close { conn });
    }

    /// Drops a connection, and with it the endpoint that has joined on it.
    fn forget(&mut self, conn: ConnId, reason: Departure, out: &mut Vec<Action>) {
        self.lobby.remove(conn);
        if let Some(&id) = self.members.get(&conn) {
            self.depart(id, reason, out);
        }
    }

    fn depart(&mut self, id: EndpointId, reason: Departure, out: &mut Vec<Action>) {
        if let Some(conn) = self.roll.depart(id, reason, self.now) {
            if let Some(conn) = conn {
                self.members.remove(&conn);
            }
            self.changed = true;
            out.push(Action::Adopt { id, conn });
        }
    }

    fn run_timers(&mut self, out: &mut Vec<Action>) {
        while let Some((conn, Stranger { pid, uid, .. })) = self.lobby.remove_expired(self.now) {
            self.note(RefuseReason::JoinSilent, pid, uid);
            out.push(Action::Close { conn });
        }
        self.roll.due_probes(self.now, |id| out.push(Action::Probe { id }));
    }

    /// Puts commit and welcome before everything else this event has caused, and nudges after it.
    fn publish(&mut self, first: usize, joined: Option<Joined>, out: &mut Vec<Action>) {
        let mut place = first;
        if self.changed {
            self.roll.commit(self.now);
            out.insert(place, Action::Commit);
            place += 1;
        }
        if let Some(Joined { conn, id, proof, affinity }) = joined {
            // The welcome tells the word, so it counts as having been told of every change up to here.
            self.roll.seen(id, self.word());
            let Roll { term, epoch, controller, .. } = self.roll;
            let frame = ServerFrame::Welcome { term, epoch, proof, controller };
            out.insert(place, Action::Welcome { conn, frame, affinity });
        }
        self.roll.due_nudges(self.now, |conn| out.push(Action::Send { conn, frame: ServerFrame::Nudge }));
    }
}

/// What the welcome of a new member needs.
struct Joined {
    conn: ConnId,
    id: EndpointId,
    proof: proof::Proof,
    affinity: bool,
}
