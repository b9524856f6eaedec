//! What one endpoint knows of the others: the directory, parsed once per epoch.
//!
//! The directory itself is bytes in the controller's memory; senders and receivers work with this form. Peers keep
//! their `Arc` from one epoch to the next, so that a binding can hang its own object on a peer once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::directory::{Departure, DirectoryReader, Snapshot};
use crate::identity::EndpointId;
use crate::label::Label;
use crate::label_op::LabelOp;

/// Who an endpoint is, as the kernel and the directory know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointInfo {
    /// Number that no other endpoint of the bus has.
    pub id: EndpointId,
    /// The label it joined with.
    pub label: Label,
    /// Its process, as the kernel told the controller.
    pub pid: u32,
}

/// A place where a binding keeps its own form of a core object.
pub type Face = OnceLock<Box<dyn std::any::Any + Send + Sync>>;

/// An endpoint seen by another one.
pub struct Peer {
    /// Who it is.
    pub info: EndpointInfo,
    /// The binding's object for it, made once.
    pub face: Face,
    pub(crate) uid: u32,
    pub(crate) nonce: [u8; 16],
    pub(crate) receiving: bool,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.info.fmt(f)
    }
}

impl Peer {
    pub(crate) fn new(info: EndpointInfo, uid: u32, nonce: [u8; 16], receiving: bool) -> Arc<Peer> {
        Arc::new(Peer { info, face: Face::new(), uid, nonce, receiving })
    }
}

/// The directory at one epoch.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// (term, epoch) as one word: the key of everything derived from this roster.
    pub(crate) word: u64,
    pub(crate) term: u32,
    pub(crate) epoch: u32,
    pub(crate) controller: EndpointId,
    /// By rising id.
    pub(crate) members: Vec<Arc<Peer>>,
    by_id: HashMap<EndpointId, usize>,
    departed: HashMap<EndpointId, (Arc<Peer>, Departure)>,
}

impl Roster {
    /// Parses a snapshot, taking over what `old` already has.
    pub(crate) fn new(snapshot: Snapshot, old: &Roster) -> Roster {
        let peer = |id: EndpointId, label: Label, pid, uid, nonce, receiving| {
            let same = |peer: &&Arc<Peer>| {
                peer.info.pid == pid && peer.receiving == receiving && peer.info.label == label && peer.nonce == nonce
            };
            if let Some(peer) = old.member(id).filter(same) {
                return peer.clone();
            }
            Peer::new(EndpointInfo { id, label, pid }, uid, nonce, receiving)
        };
        let members: Vec<_> =
            snapshot.entries.into_iter().map(|e| peer(e.id, e.label, e.pid, e.uid, e.nonce, e.receiving)).collect();
        let departed = snapshot
            .tombstones
            .into_iter()
            .map(|t| {
                let kept = old.departed.get(&t.id).map(|(peer, _)| peer).or_else(|| old.member(t.id)).cloned();
                let peer = kept.unwrap_or_else(|| {
                    Peer::new(EndpointInfo { id: t.id, label: t.label, pid: t.pid }, t.uid, [0; 16], false)
                });
                (t.id, (peer, t.reason))
            })
            .collect();
        Roster {
            word: u64::from(snapshot.term) << 32 | u64::from(snapshot.epoch),
            term: snapshot.term,
            epoch: snapshot.epoch,
            controller: snapshot.controller,
            by_id: members.iter().enumerate().map(|(place, peer)| (peer.info.id, place)).collect(),
            members,
            departed,
        }
    }

    pub(crate) fn member(&self, id: EndpointId) -> Option<&Arc<Peer>> {
        self.by_id.get(&id).map(|&place| &self.members[place])
    }

    /// A member, or one whose tombstone still stands.
    pub(crate) fn known(&self, id: EndpointId) -> Option<&Arc<Peer>> {
        self.member(id).or_else(|| self.departed.get(&id).map(|(peer, _)| peer))
    }

    /// Why an endpoint is not here any more, while its tombstone stands.
    pub(crate) fn departure(&self, id: EndpointId) -> Option<Departure> {
        self.departed.get(&id).map(|(_, reason)| *reason)
    }

    /// The ids of those who receive and whose label matches.
    pub(crate) fn matching<'a>(&'a self, op: &'a LabelOp) -> impl Iterator<Item = EndpointId> + 'a {
        self.members.iter().filter(|peer| peer.receiving && op.matches(&peer.info.label)).map(|peer| peer.info.id)
    }
}

/// An endpoint's window on the directory: the mapping of the current controller, and the last roster read from it.
#[derive(Default)]
pub(crate) struct View {
    reader: Option<Arc<DirectoryReader>>,
    roster: Arc<Roster>,
    /// Whoever played the role as long as we are here, latest last.
    controllers: Vec<EndpointId>,
}

impl View {
    /// A new controller's directory takes the place of the old one's.
    pub(crate) fn replace(&mut self, reader: Arc<DirectoryReader>) {
        self.reader = Some(reader);
        self.refresh();
    }

    pub(crate) fn reader(&self) -> Option<Arc<DirectoryReader>> {
        self.reader.clone()
    }

    /// The roster as of now. What cannot be read (a controller that lies, or writes without a pause) leaves the last
    /// good one in place.
    pub(crate) fn refresh(&mut self) -> Arc<Roster> {
        if let Some(reader) = &self.reader
            && reader.word() != self.roster.word
            && let Ok(snapshot) = reader.read()
        {
            self.roster = Arc::new(Roster::new(snapshot, &self.roster));
            self.note_controller();
        }
        self.roster.clone()
    }

    /// Whether an endpoint plays controller or did, and so may deliver what others left.
    pub(crate) fn was_controller(&self, id: EndpointId) -> bool {
        self.controllers.contains(&id)
    }

    fn note_controller(&mut self) {
        const REMEMBERED: usize = 1024;
        if self.controllers.last() != Some(&self.roster.controller) {
            if self.controllers.len() == REMEMBERED {
                self.controllers.remove(0);
            }
            self.controllers.push(self.roster.controller);
        }
    }
}
