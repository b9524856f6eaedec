//! The receiver's end of a channel. Everything here comes from a process that may be wrong or hostile: it is copied
//! out once, checked, then used, and a lie ends this channel and nothing else.

use std::collections::VecDeque;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use ipmb_transport::error::is_want;
use ipmb_transport::ring::{Consumer, Record};
use ipmb_transport::sys::{Fd, Received, Socket};

use super::known::Shelf;
use super::{DESCRIPTORS, DOORBELL, GROW, PACKETS, ROOM, growth};
use crate::identity::EndpointId;
use crate::limits;
use crate::proof::Proof;
use crate::record::{
    Bulk, EXTENDED, EXTENSION_BYTES, Extension, HEADER_BYTES, Header, KNOWN, Kind, LARGE, PLACE_BYTES, Tag,
};
use crate::roster::{Face, Peer};
use crate::selector::Selector;
use crate::stats::RefuseReason;
use crate::wire::{self, PeerFrame};

/// More than a sender can have in flight: what it keeps to, and one message on top.
const MOST_DESCRIPTORS: usize = limits::DESCRIPTORS_PER_MESSAGE + limits::DESCRIPTORS_IN_FLIGHT_PER_PEER;

/// Records in a row that are no messages, at one look: a peer may write no others.
const NEWS: usize = 64;

/// The peer broke the protocol; its channel has to go.
#[derive(Debug)]
pub(crate) struct Lie;

/// A message at the front of the ring, checked but still in place. It stays in its channel and is never moved: most
/// messages are shorter than what would have to be.
pub(crate) struct Popped {
    pub(crate) record: Record,
    pub(crate) header: Header,
    /// Offset of the payload in the record's body.
    pub(crate) payload_at: usize,
    /// Bytes of the payload in the ring; of a large one those of its head.
    pub(crate) payload_len: usize,
    /// `None` for a message that is nothing but a payload, as most are.
    pub(crate) special: Option<Box<Special>>,
}

/// What only some messages have.
pub(crate) struct Special {
    pub(crate) tag: Tag,
    pub(crate) extension: Extension,
    /// Where a large payload is in its region, as the sender says.
    pub(super) place: [u8; PLACE_BYTES],
    /// A large payload in a region that was kept.
    pub(super) named: Option<Bulk>,
}

/// What is at the front of a channel.
pub(crate) enum Front {
    /// It is in [`Inbound::at`].
    Message,
    Empty,
    /// Much that is no message, or doorbells before descriptors, and perhaps more behind it.
    News,
    /// This process has no room for the descriptors of the next message; it stays where it is.
    TooManyOpenFiles,
}

/// What messages of one route have in common: peer and selector, and the binding's object for the two.
pub(super) struct Road {
    pub(super) selector: Arc<Selector>,
    pub(super) face: Arc<Face>,
}

pub(crate) struct Inbound {
    pub(crate) peer: Arc<Peer>,
    pub(crate) socket: Socket,
    pub(crate) ring: Consumer,
    /// The message that [`Inbound::front`] has found.
    pub(crate) at: Popped,
    /// Looks in a row that found the ring empty.
    pub(crate) idle: u32,
    pub(crate) hot: bool,
    /// Since when it is seen to have ended before a message that we cannot believe yet.
    pub(crate) doubted: Option<u64>,
    /// Until when that message waits for our directory to say more.
    pub(crate) doubt_ends: Option<u64>,
    /// By number; a sender that is not hostile uses the lowest.
    pub(super) routes: Vec<Option<Road>>,
    /// Taken off the socket, in order, whatever messages they belong to.
    pub(super) descriptors: VecDeque<Fd>,
    /// Regions that came and may be named again.
    pub(super) shelf: Shelf,
    /// Under whose id its regions were sent: ours.
    pub(super) holder: EndpointId,
    /// Our page with the packet that goes with it, until the kernel has room for one more descriptor on its way.
    page: Option<(Vec<u8>, Fd)>,
    ended: bool,
    pub(super) starved: bool,
    /// There may be more on the socket than the last visit took off it.
    unfinished: bool,
    /// What ends it is a descriptor that had to be memory and is not.
    pub(super) bad_memory: bool,
}

impl Inbound {
    /// Hands the sender our page, before anything is popped.
    pub(crate) fn new(
        socket: Socket,
        ring: Consumer,
        page: Fd,
        peer: Arc<Peer>,
        proof: Proof,
        holder: EndpointId,
    ) -> Inbound {
        let attach = wire::encode(&PeerFrame::Attach { proof });
        let mut inbound = Inbound {
            peer,
            socket,
            ring,
            at: Popped {
                record: Record { tag: 0, len: 0, position: 0 },
                header: Header { route: 0, extension: 0, type_id: [0; 16] },
                payload_at: 0,
                payload_len: 0,
                special: None,
            },
            idle: 0,
            hot: false,
            doubted: None,
            doubt_ends: None,
            routes: Vec::new(),
            descriptors: VecDeque::new(),
            shelf: Shelf::default(),
            holder,
            page: Some((attach, page)),
            ended: false,
            starved: false,
            unfinished: false,
            bad_memory: false,
        };
        inbound.show_page();
        inbound
    }

    /// Sends our page, if that was not done yet. A sender that is already dead cannot take it; what it left is read all the
    /// same.
    pub(crate) fn show_page(&mut self) {
        let Some((attach, page)) = &self.page else { return };
        match self.socket.send(attach, &[page.as_fd()]) {
            Ok(false) => {}
            Err(error) if is_want(&error) => {}
            Ok(true) | Err(_) => self.page = None,
        }
    }

    /// Reads what is on the socket, so much at a visit: doorbells, descriptors, the sender's end.
    pub(crate) fn service(&mut self) -> Result<(), Lie> {
        self.service_until(usize::MAX)
    }

    /// The same, but stops at so many descriptors.
    pub(super) fn service_until(&mut self, enough: usize) -> Result<(), Lie> {
        (self.starved, self.unfinished) = (false, false);
        let mut taken = 0;
        while !self.ended && self.descriptors.len() < enough {
            // What one who is gone has sent is all there will be.
            if taken >= PACKETS && !self.socket.has_hung_up() {
                self.unfinished = true;
                return Ok(());
            }
            taken += 1;
            let mut packet = [0; 8];
            match self.socket.receive(&mut packet) {
                Ok(Received::Packet { len: 1, fds, .. }) => match packet[0] {
                    DOORBELL if fds.is_empty() => {}
                    GROW if fds.len() == 1 => {
                        let accepted =
                            growth::accept(&mut self.ring, &fds[0]).inspect_err(|_| self.bad_memory = true)?;
                        growth::answer(&self.socket, accepted);
                    }
                    DESCRIPTORS if !fds.is_empty() => {
                        self.descriptors.extend(fds);
                        if self.descriptors.len() > MOST_DESCRIPTORS {
                            return Err(Lie);
                        }
                    }
                    _ => return Err(Lie),
                },
                Ok(Received::Empty) => return Ok(()),
                // It is only an offer: nobody else need wait for the descriptors of this process.
                Ok(Received::NoRoomForFds) if packet[0] == GROW => {
                    self.socket.refuse().map_err(|_| Lie)?;
                    growth::answer(&self.socket, false);
                }
                Ok(Received::NoRoomForFds) => {
                    self.starved = true;
                    return Ok(());
                }
                // Our own want says nothing of the sender.
                Err(error) if is_want(&error) => {
                    self.starved = true;
                    return Ok(());
                }
                Ok(Received::End) | Err(_) => self.ended = true,
                Ok(Received::Packet { .. }) => return Err(Lie),
            }
        }
        Ok(())
    }

    /// The sender's end is closed: what the ring holds is all there will be.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Why it is cut off, for one that lied.
    pub(crate) fn fault(&self) -> RefuseReason {
        if self.bad_memory { RefuseReason::Memory } else { RefuseReason::Lie }
    }

    /// What is at the front, where descriptors are not there yet.
    #[cold]
    fn incomplete(&self) -> Front {
        if self.unfinished { Front::News } else { Front::TooManyOpenFiles }
    }

    /// Whether the last visit left packets on the socket.
    pub(super) fn unfinished(&self) -> bool {
        self.unfinished
    }

    /// Descriptors wait on the socket that this process has no room for, or our page waits for room on its way.
    pub(crate) fn starved(&self) -> bool {
        self.starved || self.page.is_some()
    }

    /// The next message, if there is one. Definitions of routes and the like are taken in on the way, so many at a time.
    #[inline(always)]
    pub(crate) fn front(&mut self) -> Result<Front, Lie> {
        for _ in 0..NEWS {
            let Some(record) = self.ring.peek().map_err(|_| Lie)? else { return Ok(Front::Empty) };
            if Tag::kind(record.tag) == Some(Kind::Message) {
                return self.message(record);
            }
            if !self.news(record)? {
                return Ok(self.incomplete());
            }
        }
        Ok(Front::News)
    }

    /// The message of a record: most are told by their tag to be nothing but a payload.
    #[inline(always)]
    fn message(&mut self, record: Record) -> Result<Front, Lie> {
        if record.len < HEADER_BYTES {
            return Err(Lie);
        }
        self.at.record = record;
        self.at.header = Header::of(self.ring.words(&record));
        if record.tag != Tag::message(0, 0) || self.at.header.extension != 0 {
            return self.special();
        }
        self.at.payload_at = HEADER_BYTES;
        self.at.payload_len = record.len - HEADER_BYTES;
        self.at.special = None;
        Ok(Front::Message)
    }

    #[cold]
    fn special(&mut self) -> Result<Front, Lie> {
        let Popped { record, header, .. } = self.at;
        let tag = Tag::decode(record.tag).ok_or(Lie)?;
        let extension = match tag.flags & EXTENDED == 0 && header.extension == 0 {
            true => Extension::default(),
            false => self.extension(&record, &header)?,
        };
        let mut payload_at = HEADER_BYTES + header.extension as usize;
        let mut place = [0; PLACE_BYTES];
        if tag.flags & LARGE != 0 {
            if record.len - payload_at < PLACE_BYTES {
                return Err(Lie);
            }
            self.ring.copy_out(&record, payload_at, &mut place);
            payload_at += PLACE_BYTES;
        }
        if (tag.flags & LARGE != 0 || extension.regions > 0 || tag.descriptors > 0)
            && !self.luggage_is_there(tag, &extension)?
        {
            return Ok(self.incomplete());
        }
        let named = if tag.flags & KNOWN != 0 { self.hold_named(&place)? } else { None };
        if tag.flags & KNOWN != 0 && named.is_none() {
            return Ok(Front::TooManyOpenFiles);
        }
        self.at.payload_at = payload_at;
        self.at.payload_len = record.len - payload_at;
        self.at.special = Some(Box::new(Special { tag, extension, place, named }));
        Ok(Front::Message)
    }

    #[cold]
    fn extension(&mut self, record: &Record, header: &Header) -> Result<Extension, Lie> {
        let len = header.extension as usize;
        if len > EXTENSION_BYTES || HEADER_BYTES + len > record.len {
            return Err(Lie);
        }
        let mut bytes = vec![0; len];
        self.ring.copy_out(record, HEADER_BYTES, &mut bytes);
        Extension::decode(&bytes).ok_or(Lie)
    }

    /// The selector a message was sent with; `None` when the sender never said.
    #[inline]
    pub(crate) fn selector(&self, route: u32) -> Option<&Arc<Selector>> {
        self.routes.get(route as usize)?.as_ref().map(|road| &road.selector)
    }

    /// Where a binding keeps its object for this peer and the selector of a route.
    #[inline]
    pub(crate) fn face(&self, route: u32) -> Option<&Arc<Face>> {
        self.routes.get(route as usize)?.as_ref().map(|road| &road.face)
    }

    /// Goes past the message of [`Inbound::at`].
    #[inline(always)]
    pub(crate) fn pass(&mut self) {
        self.ring.advance(self.at.record);
    }

    /// The record counts as read from here on, and those before it.
    #[inline]
    pub(crate) fn consume(&mut self, record: Record) {
        self.ring.advance(record);
        self.publish();
    }

    /// All that was gone past counts as read from here on.
    #[inline]
    pub(crate) fn publish(&mut self) {
        if self.ring.publish() {
            self.socket.knock(ROOM);
        }
    }
}
