//! Who may open a channel to this endpoint, and in whose name a peer may speak.
//!
//! Anybody on the machine can connect to an endpoint's name. The kernel tells the user; the opening packet shows that its
//! sender has read our nonce in the directory and knows the token; the directory, tombstones included, tells who it is.
//! One who cannot be judged yet, because our directory is older than its, waits for ours to catch up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ipmb_transport::error::is_want;
use ipmb_transport::sys::{self, Fd, Received, Socket};

use crate::incidents::{Incident, Tally, Who};
use crate::limits;
use crate::local::Local;
use crate::proof::{self, Proof};
use crate::reactor::lock;
use crate::record::Extension;
use crate::roster::{EndpointInfo, Peer, View};
use crate::stats::RefuseReason;
use crate::wire::{self, Open, PeerFrame};

/// What is known of a claim.
pub(crate) enum Verdict {
    /// It holds; the message speaks for this peer, when it is not the channel's own.
    Accept(Option<Arc<Peer>>),
    /// Only a newer directory can tell.
    Later,
    /// The directory names nobody of that id; it has been a member all the same, or knows one who told it our number.
    Unknown,
    /// It is a lie.
    Refuse,
}

struct Candidate {
    socket: Socket,
    uid: u32,
    pid: u32,
    since: u64,
    opening: Option<(Open, Fd)>,
    /// A look whether we live: kept until the other side ends it.
    probe: bool,
    /// It has sent something that this process has no descriptors for.
    starved: bool,
    /// Its proof is right, and the directory does not name it.
    unknown: bool,
    /// Since when that is so.
    missing_since: Option<u64>,
}

impl Candidate {
    /// Until when it has yet to say who it is, or to come into the directory. That of one who waits for a newer directory
    /// begins when there is one.
    fn deadline(&self) -> Option<u64> {
        let pressed = (self.opening.is_none() || self.unknown) && !self.probe && !self.starved;
        pressed.then(|| self.missing_since.unwrap_or(self.since) + SILENCE)
    }
}

/// Connections that are not channels yet.
pub(crate) struct Pending {
    tally: Arc<Tally>,
    next: u64,
    candidates: BTreeMap<u64, Candidate>,
}

/// How many connections that nobody knows yet this process bears: each costs it a descriptor, of which it needs some itself.
pub(crate) fn strangers(most: usize) -> usize {
    let share = sys::descriptor_limit() / limits::STRANGERS_SHARE;
    usize::try_from(share).unwrap_or(most).clamp(1, most)
}

/// How long one may take to say who it is, and to come into the directory.
pub(crate) const SILENCE: u64 = limits::HANDSHAKE_MILLIS * 1_000_000;

impl Candidate {
    fn who(&self) -> Who {
        Who { pid: self.pid, uid: self.uid }
    }
}

impl Pending {
    pub(crate) fn new(tally: Arc<Tally>) -> Pending {
        Pending { tally, next: 0, candidates: BTreeMap::new() }
    }

    /// Ends all of them: nobody reads here any more.
    pub(crate) fn clear(&mut self) {
        self.candidates.clear();
    }

    /// Takes a new connection in, unless its user may not be here. At the bound the oldest whose time is bounded goes.
    pub(crate) fn add(&mut self, socket: Socket, me: &Local, now: u64) -> Option<u64> {
        let peer = match socket.peer() {
            Ok(peer) => peer,
            Err(error) => {
                // Nobody is admitted whose user the kernel does not tell.
                self.tally.count_saying(Incident::Refused(RefuseReason::ChannelPermission), &error);
                return None;
            }
        };
        if !me.allowed_uids.contains(&peer.uid) {
            self.tally.refuse(RefuseReason::ChannelPermission, Who { pid: peer.pid, uid: peer.uid });
            return None;
        }
        if self.candidates.len() >= strangers(limits::PENDING_CHANNELS) {
            let oldest = self.candidates.iter().find(|(_, c)| c.deadline().is_some()).or(self.candidates.iter().next());
            let oldest = oldest.map(|(&key, _)| key)?;
            if let Some(oldest) = self.candidates.remove(&oldest) {
                self.tally.refuse(RefuseReason::ChannelCrowded, oldest.who());
            }
        }
        let key = self.next;
        self.next += 1;
        self.candidates.insert(
            key,
            Candidate {
                socket,
                uid: peer.uid,
                pid: peer.pid,
                since: now,
                opening: None,
                probe: false,
                starved: false,
                unknown: false,
                missing_since: None,
            },
        );
        Some(key)
    }

    pub(crate) fn socket(&self, key: u64) -> Option<&Socket> {
        self.candidates.get(&key).map(|candidate| &candidate.socket)
    }

    /// Reads what a candidate sent. What is not an opening, or has no memory with it, ends it.
    pub(crate) fn read(&mut self, key: u64) {
        let Some(candidate) = self.candidates.get_mut(&key) else { return };
        if candidate.opening.is_some() {
            // It is not read any further before it is a channel; the packets after its opening stay queued.
            return;
        }
        candidate.starved = false;
        let mut packet = [0; limits::PEER_PACKET_BYTES];
        let keep = match candidate.socket.receive_few(&mut packet) {
            Ok(Received::Empty) => true,
            Ok(Received::NoRoomForFds) => {
                candidate.starved = true;
                true
            }
            Ok(Received::Packet { len, truncated: false, mut fds }) => {
                match (wire::decode(&packet[..len]), fds.pop(), fds.len()) {
                    (Ok(PeerFrame::Open(open)), Some(memory), 0) => {
                        candidate.opening = Some((open, memory));
                        true
                    }
                    (Ok(PeerFrame::Probe), None, 0) => {
                        candidate.probe = true;
                        true
                    }
                    _ => {
                        self.tally.refuse(RefuseReason::ChannelMalformed, candidate.who());
                        false
                    }
                }
            }
            Ok(Received::Packet { .. }) => {
                self.tally.refuse(RefuseReason::ChannelMalformed, candidate.who());
                false
            }
            // Our own want says nothing of who connected.
            Err(error) if is_want(&error) => {
                candidate.starved = true;
                true
            }
            Ok(Received::End) | Err(_) => false,
        };
        if !keep {
            self.candidates.remove(&key);
        }
    }

    /// It cannot be watched for want of something in this process: it is looked at again and again.
    pub(crate) fn starve(&mut self, key: u64) {
        self.candidates.entry(key).and_modify(|candidate| candidate.starved = true);
    }

    /// Those who wait for descriptors of this process.
    pub(crate) fn starved(&self) -> Vec<u64> {
        self.candidates.iter().filter(|(_, candidate)| candidate.starved).map(|(&key, _)| key).collect()
    }

    /// Ends those that have said nothing for too long, or have not come into the directory.
    pub(crate) fn expire(&mut self, now: u64) {
        if self.candidates.is_empty() {
            return;
        }
        let Pending { candidates, tally, .. } = self;
        candidates.retain(|_, candidate| {
            let keep = candidate.deadline().is_none_or(|deadline| now < deadline);
            if !keep {
                let reason = if candidate.unknown { RefuseReason::ChannelProof } else { RefuseReason::ChannelSilent };
                tally.refuse(reason, candidate.who());
            }
            keep
        });
    }

    /// When the next one has to go.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.candidates.values().filter_map(Candidate::deadline).min()
    }

    /// Whether somebody waits for a newer directory.
    pub(crate) fn anyone_waits(&self) -> bool {
        self.candidates.values().any(|candidate| candidate.opening.is_some())
    }

    /// Whether somebody waits whom the directory does not name.
    pub(crate) fn anyone_unknown(&self) -> bool {
        self.candidates.values().any(|candidate| candidate.unknown)
    }

    /// Who proved to be who they say, and what we show them in return. Liars go.
    pub(crate) fn judge(&mut self, me: &Local, view: &Mutex<View>, now: u64) -> Vec<(u64, Arc<Peer>, Proof)> {
        let mut proved = Vec::new();
        let Pending { candidates, tally, .. } = self;
        candidates.retain(|&key, candidate| {
            let Some((open, _)) = &candidate.opening else { return true };
            let verdict = identify(open, candidate.uid, candidate.pid, me, view);
            candidate.unknown = matches!(verdict, Verdict::Unknown);
            candidate.missing_since = candidate.unknown.then(|| candidate.missing_since.unwrap_or(now));
            match verdict {
                Verdict::Later | Verdict::Unknown => true,
                Verdict::Refuse | Verdict::Accept(None) => {
                    tally.refuse(RefuseReason::ChannelProof, candidate.who());
                    false
                }
                Verdict::Accept(Some(peer)) => {
                    let proof = proof::consumer_proof(&me.key, me.id, open.opener, &peer.nonce);
                    proved.push((key, peer, proof));
                    true
                }
            }
        });
        proved
    }

    /// Whether somebody who says it is this peer waits.
    pub(crate) fn waits_for(&self, peer: &Peer) -> bool {
        let opened = |candidate: &Candidate| candidate.opening.as_ref().is_some_and(|(o, _)| o.opener == peer.info.id);
        self.candidates.values().any(|c| c.pid == peer.info.pid && (c.starved || opened(c)))
    }

    /// Whether it has said who it is, and waits for us.
    pub(crate) fn has_opened(&self, key: u64) -> bool {
        self.candidates.get(&key).is_some_and(|candidate| candidate.opening.is_some())
    }

    /// The ring that an opener brought.
    pub(crate) fn memory(&self, key: u64) -> Option<&Fd> {
        self.candidates.get(&key)?.opening.as_ref().map(|(_, memory)| memory)
    }

    /// Takes a candidate out: it becomes a channel.
    pub(crate) fn take(&mut self, key: u64) -> Option<Socket> {
        self.candidates.remove(&key).map(|candidate| candidate.socket)
    }
}

/// Whether an opener is the member it says it is.
pub(crate) fn identify(open: &Open, uid: u32, pid: u32, me: &Local, view: &Mutex<View>) -> Verdict {
    let expected = proof::opener_proof(&me.key, open.opener, me.id, &me.nonce);
    if open.target != me.id || !proof::verify(&expected, &open.proof) {
        return Verdict::Refuse;
    }
    let (roster, current) = {
        let mut view = lock(view);
        (view.refresh(), view.is_current())
    };
    match roster.known(open.opener) {
        Some(peer) if peer.info.pid == pid && peer.uid == uid => Verdict::Accept(Some(peer)),
        Some(_) => Verdict::Refuse,
        // It has read a directory that is newer than ours; it cannot know our nonce otherwise.
        None if open.term > roster.term || !current => Verdict::Later,
        // It joined under a controller that neither the one now nor we have known, and registers again in a moment.
        None => Verdict::Unknown,
    }
}

/// When it is certain enough that one who is gone never was controller, or that nobody knows of it: a second after we saw its
/// end, and after we registered. The living may yet tell that it was.
pub(crate) fn doubt_ends(since: u64, view: &Mutex<View>) -> Option<u64> {
    lock(view).registered_since().map(|registered| registered.max(since) + SILENCE)
}

/// In whose name a message with an extension speaks. Only a controller speaks for others.
pub(crate) fn judge(extension: &Extension, peer: &Peer, view: &Mutex<View>) -> Verdict {
    let Some((first, _)) = extension.parked else {
        return if extension.origin.is_none() { Verdict::Accept(None) } else { Verdict::Refuse };
    };
    if first == peer.info.id && extension.origin.is_none() {
        return Verdict::Accept(None);
    }
    let roster = lock(view).refresh();
    if !roster.was_controller(peer.info.id) {
        // A new controller is known to us as soon as we have registered with it.
        return Verdict::Later;
    }
    match (roster.known(first), &extension.origin) {
        (Some(peer), _) => Verdict::Accept(Some(peer)),
        (None, Some(origin)) => {
            let info = EndpointInfo { id: first, label: origin.label.clone(), pid: origin.pid };
            Verdict::Accept(Some(Peer::new(info, 0, [0; 16], false)))
        }
        (None, None) => Verdict::Refuse,
    }
}

#[cfg(test)]
mod tests;
