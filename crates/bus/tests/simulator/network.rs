//! The channels of the made-up world: what a sender has put into each ring, and how far its receiver has read.
//!
//! Of a channel only the promise is here, that of the ring (proved with loom) and of the socket: records come in order,
//! what is in it outlives its sender, and what its receiver has not read is still the sender's. Everything that decides
//! what goes in, or what becomes of what comes out, is the production code.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::identity::EndpointId;
use crate::roster::Peer;
use crate::wire::Open;

/// Records that a ring holds. Few, so that it is full often.
pub(crate) const ROOM: usize = 3;

/// One message in a ring.
pub(crate) struct Record {
    pub(crate) route: u32,
    pub(crate) flags: u8,
    pub(crate) extension: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

/// One channel.
pub(crate) struct Channel {
    pub(crate) open: Open,
    pub(crate) pid: u32,
    pub(crate) unread: VecDeque<Record>,
    /// The receiver's end is closed: nothing will be read any more.
    pub(crate) ended: bool,
    /// The sender's end is closed: nothing will be written any more, nor taken back.
    pub(crate) left: bool,
    /// Whom the receiver has found it to be.
    pub(crate) peer: Option<Arc<Peer>>,
    /// Until when its opener has time to come into the receiver's directory.
    pub(crate) unknown_until: Option<u64>,
    /// Since when the receiver has seen its end before a message that it cannot believe yet, and until when that waits.
    pub(crate) doubted: Option<u64>,
    pub(crate) doubt_ends: Option<u64>,
}

/// What the kernel knows of a name.
pub(crate) struct Name {
    /// Somebody holds it.
    pub(crate) listens: bool,
    /// Who holds it reads channels.
    pub(crate) reads: bool,
}

#[derive(Default)]
pub(crate) struct Network {
    pub(crate) channels: Vec<Channel>,
    pub(crate) names: BTreeMap<EndpointId, Name>,
}

impl Network {
    /// Opens a channel, or finds that nobody holds the name. One who holds it and reads nothing ends the channel at once.
    pub(crate) fn open(&mut self, open: Open, pid: u32) -> Option<usize> {
        let name = self.names.get(&open.target).filter(|name| name.listens)?;
        let ended = !name.reads;
        self.channels.push(Channel {
            open,
            pid,
            unread: VecDeque::new(),
            ended,
            left: false,
            peer: None,
            unknown_until: None,
            doubted: None,
            doubt_ends: None,
        });
        Some(self.channels.len() - 1)
    }

    /// An endpoint reads no more.
    pub(crate) fn stop_reading(&mut self, id: EndpointId) {
        if let Some(name) = self.names.get_mut(&id) {
            name.reads = false;
        }
        for channel in self.channels.iter_mut().filter(|channel| channel.open.target == id) {
            channel.ended = true;
        }
    }

    /// An endpoint writes no more. What it has written stays.
    pub(crate) fn stop_writing(&mut self, id: EndpointId) {
        for channel in self.channels.iter_mut().filter(|channel| channel.open.opener == id) {
            channel.left = true;
        }
    }

    /// The name of an endpoint is nobody's any more.
    pub(crate) fn release(&mut self, id: EndpointId) {
        if let Some(name) = self.names.get_mut(&id) {
            name.listens = false;
        }
    }

    pub(crate) fn listens(&self, id: EndpointId) -> bool {
        self.names.get(&id).is_some_and(|name| name.listens)
    }

    /// The channels to an endpoint that have something to read.
    pub(crate) fn readable(&self, id: EndpointId) -> Vec<usize> {
        let has = |channel: &Channel| channel.open.target == id && !channel.ended && !channel.unread.is_empty();
        (0..self.channels.len()).filter(|&place| has(&self.channels[place])).collect()
    }
}
