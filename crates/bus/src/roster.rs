//! What one endpoint knows of the others: the directory, parsed once per epoch.
//!
//! The directory itself is bytes in the controller's memory; senders and receivers work with this form. Peers keep
//! their `Arc` from one epoch to the next, so that a binding can hang its own object on a peer once.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::directory::{Departed, DirectoryReader, Entry, Living, Tombstone};
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

    /// One who is not here any more.
    pub(crate) fn remembered(tombstone: Tombstone) -> Arc<Peer> {
        let Tombstone { id, label, pid, uid, .. } = tombstone;
        Peer::new(EndpointInfo { id, label, pid }, uid, [0; 16], false)
    }
}

/// The directory at one epoch.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// (term, epoch) as one word: the key of everything derived from this roster.
    pub(crate) word: u64,
    pub(crate) term: u32,
    pub(crate) epoch: u32,
    controller: EndpointId,
    predecessors: Vec<EndpointId>,
    /// By rising id.
    pub(crate) members: Vec<Arc<Peer>>,
    /// The tombstones, decoded when somebody asks.
    departed: Vec<u8>,
}

impl Roster {
    /// Parses the living of a directory, taking over what `old` already has.
    pub(crate) fn new(living: Living, old: &Roster) -> Roster {
        let word = living.word();
        let peer = |e: Entry| {
            let same = |peer: &&Arc<Peer>| {
                peer.info.pid == e.pid
                    && peer.receiving == e.receiving
                    && peer.info.label == e.label
                    && peer.nonce == e.nonce
            };
            match old.member(e.id).filter(same) {
                Some(peer) => peer.clone(),
                None => Peer::new(EndpointInfo { id: e.id, label: e.label, pid: e.pid }, e.uid, e.nonce, e.receiving),
            }
        };
        Roster {
            word,
            term: living.term,
            epoch: living.epoch,
            controller: living.controller,
            predecessors: living.predecessors,
            members: living.entries.into_iter().map(peer).collect(),
            departed: living.departed,
        }
    }

    pub(crate) fn member(&self, id: EndpointId) -> Option<&Arc<Peer>> {
        self.members.binary_search_by_key(&id, |peer| peer.info.id).ok().map(|place| &self.members[place])
    }

    /// A member, or one whose tombstone still stands.
    pub(crate) fn known(&self, id: EndpointId) -> Option<Arc<Peer>> {
        self.member(id).cloned().or_else(|| Departed::find(&self.departed, id).map(Peer::remembered))
    }

    /// The tombstones of those who are not here any more, the longest departed first.
    pub(crate) fn departed(&self) -> Vec<Tombstone> {
        Departed::all(&self.departed)
    }

    /// Whether an endpoint plays controller or did, and so may deliver what others left.
    pub(crate) fn was_controller(&self, id: EndpointId) -> bool {
        self.controller == id || self.predecessors.contains(&id)
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
    /// Since when the controller knows us, while it does.
    registered: Option<u64>,
}

impl View {
    /// A new controller's directory takes the place of the old one's. It is read when somebody asks: at a takeover all
    /// members get one at once, and who is idle need not hold up the others.
    pub(crate) fn replace(&mut self, reader: Arc<DirectoryReader>) {
        self.reader = Some(reader);
    }

    /// A controller knows us from now on.
    pub(crate) fn registered(&mut self, now: u64) {
        self.registered = Some(now);
    }

    /// The connection to the controller has ended.
    pub(crate) fn away(&mut self) {
        self.registered = None;
    }

    /// Since when the controller knows us, while it does.
    pub(crate) fn registered_since(&self) -> Option<u64> {
        self.registered
    }

    /// The term that is committed now, which takes no reading; 0 before there is any.
    pub(crate) fn committed_term(&self) -> u32 {
        self.reader.as_ref().map_or(0, |reader| (reader.word() >> 32) as u32)
    }

    /// Whether the roster is that of the directory as it is now.
    pub(crate) fn is_current(&self) -> bool {
        self.reader.as_ref().is_some_and(|reader| reader.word() == self.roster.word)
    }

    pub(crate) fn reader(&self) -> Option<Arc<DirectoryReader>> {
        self.reader.clone()
    }

    /// The roster as of now. What cannot be read (a controller that lies, or writes without a pause) leaves the last
    /// good one in place.
    pub(crate) fn refresh(&mut self) -> Arc<Roster> {
        if let Some(reader) = &self.reader
            && reader.word() != self.roster.word
            && let Ok(living) = reader.read_living()
        {
            self.roster = Arc::new(Roster::new(living, &self.roster));
        }
        self.roster.clone()
    }
}
