//! A message as the one who receives it sees it, still in its ring.

use std::sync::Arc;

use ipmb_transport::region::Region;
use ipmb_transport::sys::Fd;

use crate::channel::{Inbound, Luggage};
use crate::record::{Bulk, REDELIVERED, REQUEST, TypeId};
use crate::roster::{Face, Peer};
use crate::selector::Selector;

/// What a caller makes of a message.
pub enum Build<R> {
    /// It is taken.
    Take(R),
    /// It is taken, and so much at a time is enough.
    Enough(R),
    /// It is not for this receiver: counted as skipped, and the next one is looked at.
    Skip,
}

/// What `try_recv` found.
pub enum Polled<R> {
    /// A message.
    Got(R),
    /// Nothing now.
    Empty,
}

/// What a visit of the channels came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// So many messages were taken, at least one.
    Took(usize),
    /// There are none.
    Nothing,
    /// None yet: so much was passed over (types that are not taken, definitions) that others may want to run first.
    Unfinished,
}

/// A message at the front of its ring, about to be read.
pub struct Incoming<'a> {
    pub(super) channel: &'a mut Inbound,
    /// Who sent it first, where somebody else delivers it.
    pub(super) origin: Option<Arc<Peer>>,
    pub(super) luggage: Option<Box<Luggage>>,
}

impl Incoming<'_> {
    /// Whether it is nothing but a payload, as most messages are: nothing below is worth asking for then.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.channel.at.special.is_none()
    }

    #[inline]
    fn flags(&self) -> u8 {
        self.channel.at.special.as_ref().map_or(0, |special| special.tag.flags)
    }

    /// The payload's type.
    pub fn type_id(&self) -> TypeId {
        self.channel.at.header.type_id
    }

    /// Bytes of the payload in the ring; of a large one, those of its head.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.channel.at.payload_len
    }

    /// Copies the payload, or the head of a large one, which may be empty; `into` has as many bytes.
    #[inline]
    pub fn read(&self, into: &mut [u8]) {
        self.channel.ring.copy_out(&self.channel.at.record, self.channel.at.payload_at, into);
    }

    /// Whether there is anything beside what is in the ring: a large payload, regions, objects.
    #[inline]
    pub fn has_luggage(&self) -> bool {
        self.luggage.is_some()
    }

    /// Where a large payload is; `None` for one that travelled in the ring. Its place is inside its region. That others
    /// do not write there meanwhile is only certain when the region is frozen.
    pub fn take_bulk(&mut self) -> Option<Bulk> {
        self.luggage.as_mut()?.bulk.take()
    }

    /// Who sent it.
    #[inline]
    pub fn sender(&self) -> &Arc<Peer> {
        self.origin.as_ref().unwrap_or(&self.channel.peer)
    }

    /// Where a binding keeps its object for this sender and this selector together, so that a message need not hold them
    /// one by one. `None` for what somebody else delivers in the sender's name.
    #[inline]
    pub fn face(&self) -> Option<&Arc<Face>> {
        if self.origin.is_some() { None } else { self.channel.face(self.channel.at.header.route) }
    }

    /// The selector it was sent with.
    #[inline]
    pub fn selector(&self) -> Option<&Arc<Selector>> {
        self.channel.selector(self.channel.at.header.route)
    }

    /// The first receiver died before it had read it.
    pub fn redelivered(&self) -> bool {
        self.flags() & REDELIVERED != 0
    }

    /// Whether the sender waits for a reply.
    pub fn is_request(&self) -> bool {
        self.flags() & REQUEST != 0
    }

    /// Pairs requests and replies.
    pub fn correlation(&self) -> Option<u64> {
        self.channel.at.special.as_ref()?.extension.correlation
    }

    /// The number of the request that this replies to. A reply comes from the one who was asked, in nobody's name.
    pub(crate) fn answers(&self) -> Option<u64> {
        if self.is_request() || self.origin.is_some() { None } else { self.correlation() }
    }

    /// Bytes of the payload, wherever they are.
    pub(crate) fn payload_bytes(&self) -> u64 {
        let bulk = self.luggage.as_ref().and_then(|luggage| luggage.bulk.as_ref()).map_or(0, |bulk| bulk.len);
        (self.channel.at.payload_len + bulk) as u64
    }

    /// The attached regions, which are the caller's from now on.
    pub fn take_regions(&mut self) -> Vec<Region> {
        self.luggage.as_mut().map(|luggage| std::mem::take(&mut luggage.regions)).unwrap_or_default()
    }

    /// The attached objects, which are the caller's from now on.
    pub fn take_descriptors(&mut self) -> Vec<Fd> {
        self.luggage.as_mut().map(|luggage| std::mem::take(&mut luggage.objects)).unwrap_or_default()
    }
}
