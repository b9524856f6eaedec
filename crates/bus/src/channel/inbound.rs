//! The receiver's end of a channel. Everything here comes from a process that may be wrong or hostile: it is copied
//! out once, checked, then used, and a lie ends this channel and nothing else.

use std::collections::VecDeque;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use ipmb_transport::ring::{Consumer, Record};
use ipmb_transport::sys::{Fd, Received, Socket};

use super::{DESCRIPTORS, DOORBELL, ROOM};
use crate::limits;
use crate::proof::Proof;
use crate::record::{EXTENDED, EXTENSION_BYTES, Extension, HEADER_BYTES, Header, Kind, LARGE, Tag};
use crate::roster::{Face, Peer};
use crate::selector::Selector;
use crate::wire::{self, PeerFrame};

/// The peer broke the protocol; its channel has to go.
#[derive(Debug)]
pub(crate) struct Lie;

/// A message at the front of the ring, checked but still in place.
pub(crate) struct Popped {
    pub(crate) record: Record,
    pub(crate) tag: Tag,
    pub(crate) header: Header,
    pub(crate) extension: Extension,
    /// Offset of the payload in the record's body.
    pub(crate) payload_at: usize,
    /// Bytes of the payload in the ring; a large payload has its length there.
    pub(crate) payload_len: usize,
}

/// What is at the front of a channel.
pub(crate) enum Front {
    Message(Popped),
    Empty,
    /// This process has no room for the descriptors of the next message; it stays where it is.
    TooManyOpenFiles,
}

/// What messages of one route have in common: peer and selector, and the binding's object for the two.
struct Road {
    selector: Arc<Selector>,
    face: Arc<Face>,
}

pub(crate) struct Inbound {
    pub(crate) peer: Arc<Peer>,
    pub(crate) socket: Socket,
    pub(crate) ring: Consumer,
    /// Looks in a row that found the ring empty.
    pub(crate) idle: u32,
    pub(crate) hot: bool,
    /// By number; a sender that is not hostile uses the lowest.
    routes: Vec<Option<Road>>,
    descriptors: VecDeque<Vec<Fd>>,
    ended: bool,
    starved: bool,
}

impl Inbound {
    /// Hands the sender our page, before anything is popped.
    pub(crate) fn new(socket: Socket, ring: Consumer, page: &Fd, peer: Arc<Peer>, proof: Proof) -> Inbound {
        let attach = wire::encode(&PeerFrame::Attach { proof });
        // A sender that is already dead cannot take the page; what it left is read all the same.
        let _ = socket.send(&attach, &[page.as_fd()]);
        Inbound {
            peer,
            socket,
            ring,
            idle: 0,
            hot: false,
            routes: Vec::new(),
            descriptors: VecDeque::new(),
            ended: false,
            starved: false,
        }
    }

    /// Reads the socket until it is empty: doorbells, descriptors, the sender's end.
    pub(crate) fn service(&mut self) -> Result<(), Lie> {
        let mut packet = [0; 8];
        self.starved = false;
        while !self.ended {
            match self.socket.receive(&mut packet) {
                Ok(Received::Packet { len: 1, fds, .. }) => match packet[0] {
                    DOORBELL if fds.is_empty() => {}
                    DESCRIPTORS if !fds.is_empty() => {
                        self.descriptors.push_back(fds);
                        let held: usize = self.descriptors.iter().map(Vec::len).sum();
                        if held > 2 * limits::DESCRIPTORS_IN_FLIGHT_PER_PEER {
                            return Err(Lie);
                        }
                    }
                    _ => return Err(Lie),
                },
                Ok(Received::Empty) => return Ok(()),
                Ok(Received::NoRoomForFds) => {
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

    /// Descriptors wait on the socket that this process has no room for.
    pub(crate) fn starved(&self) -> bool {
        self.starved
    }

    /// The next message, if there is one. Definitions of routes are taken in on the way.
    #[inline]
    pub(crate) fn front(&mut self) -> Result<Front, Lie> {
        loop {
            let Some(record) = self.ring.peek().map_err(|_| Lie)? else { return Ok(Front::Empty) };
            let tag = Tag::decode(record.tag).ok_or(Lie)?;
            match tag.kind {
                Kind::Message => return self.message(record, tag),
                Kind::Route => self.define(record)?,
                Kind::Switch => return Err(Lie),
            }
        }
    }

    #[inline]
    fn message(&mut self, record: Record, tag: Tag) -> Result<Front, Lie> {
        if record.len < HEADER_BYTES {
            return Err(Lie);
        }
        let mut header = [0; HEADER_BYTES];
        self.ring.copy_out(&record, 0, &mut header);
        let header = Header::decode(&header);
        let extension = if tag.flags & EXTENDED == 0 && header.extension == 0 {
            Extension::default()
        } else {
            self.extension(&record, &header)?
        };
        let payload_at = HEADER_BYTES + header.extension as usize;
        let payload_len = record.len - payload_at;
        if tag.flags & LARGE != 0 && (payload_len != 8 || tag.descriptors == 0) {
            return Err(Lie);
        }
        if tag.descriptors > 0 && self.descriptors.is_empty() {
            self.service()?;
            match self.descriptors.front() {
                Some(_) => {}
                None if self.starved => return Ok(Front::TooManyOpenFiles),
                // They are sent before the record is published.
                None => return Err(Lie),
            }
        }
        if tag.descriptors > 0 && self.descriptors.front().map(Vec::len) != Some(usize::from(tag.descriptors)) {
            return Err(Lie);
        }
        Ok(Front::Message(Popped { record, tag, header, extension, payload_at, payload_len }))
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

    #[cold]
    fn define(&mut self, record: Record) -> Result<(), Lie> {
        if record.len < 4 || record.len > 4 + limits::SELECTOR_BYTES {
            return Err(Lie);
        }
        let mut bytes = vec![0; record.len];
        self.ring.copy_out(&record, 0, &mut bytes);
        let route = u32::from_le_bytes(bytes[..4].try_into().map_err(|_| Lie)?);
        let selector = Selector::decode(&bytes[4..]).map_err(|_| Lie)?;
        if route as usize >= limits::ROUTES {
            return Err(Lie);
        }
        let place = route as usize;
        if self.routes.len() <= place {
            self.routes.resize_with(place + 1, || None);
        }
        self.routes[place] = Some(Road { selector: Arc::new(selector), face: Arc::default() });
        self.consume(record);
        Ok(())
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

    /// The message counts as read from here on.
    #[inline]
    pub(crate) fn consume(&mut self, record: Record) {
        if self.ring.consume(record) {
            let _ = self.socket.send(&[ROOM], &[]);
        }
    }

    /// The descriptors of the message at the front.
    pub(crate) fn take_descriptors(&mut self, tag: Tag) -> Vec<Fd> {
        if tag.descriptors == 0 { Vec::new() } else { self.descriptors.pop_front().unwrap_or_default() }
    }
}
