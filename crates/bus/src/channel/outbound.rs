//! The sender's end of a channel.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use ipmb_transport::ConnectError;
use ipmb_transport::ring::{Producer, Pushed};
use ipmb_transport::sys::{Fd, Received, Socket};

use super::{DESCRIPTORS, PACKET_BYTES, ROOM};
use crate::limits;
use crate::names;
use crate::proof::{self, Key};
use crate::record::{EXTENDED, Extension, HEADER_BYTES, Header, Kind, LARGE, OwnedMessage, Tag, TypeId};
use crate::roster::Peer;
use crate::route::{Route, RouteId};
use crate::wire::{self, EndpointId, Open, PeerFrame};

/// Who opens the channel.
pub(crate) struct Opener<'a> {
    pub(crate) identifier: &'a str,
    pub(crate) id: EndpointId,
    pub(crate) nonce: [u8; 16],
    pub(crate) key: &'a Key,
    pub(crate) term: u32,
    pub(crate) allowed_uids: &'a [u32],
}

/// Why there is no channel.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The endpoint is gone, or somebody else holds its name: it is no match.
    Gone,
    /// Its queue of connections is full: try again later.
    Busy,
    /// This process has no descriptors or memory left.
    Io(io::Error),
}

/// Why a record did not go in.
#[derive(Debug)]
pub(crate) enum PushError {
    /// No room in the ring, or too many descriptors in flight; a wait for room can help.
    Full,
    /// The channel is of no use any more: the receiver is gone or lies.
    Broken,
    /// Our own kernel resources ran out.
    Io(io::Error),
}

/// What a look at the socket found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serviced {
    /// Nothing was there.
    Nothing,
    /// The receiver made room, or took up the channel: look again.
    Progress,
    /// The receiver's end is closed.
    Ended,
}

/// One message on its way into a ring.
pub(crate) struct Content<'a> {
    pub(crate) flags: u8,
    pub(crate) type_id: TypeId,
    /// Encoded; empty for none.
    pub(crate) extension: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) descriptors: &'a [Arc<Fd>],
}

impl Content<'_> {
    /// Bytes of the record's body.
    pub(crate) fn body_len(&self) -> usize {
        HEADER_BYTES + self.extension.len() + self.payload.len()
    }
}

struct InFlight {
    /// The ring's head after the record: taken once the tail is there.
    end: u64,
    descriptors: Vec<Arc<Fd>>,
}

pub(crate) struct Outbound {
    pub(crate) peer: Arc<Peer>,
    pub(crate) socket: Arc<Socket>,
    ring: Producer,
    attach_proof: [u8; 32],
    /// By route number: the generation last defined on this channel.
    defined: Vec<u32>,
    in_flight: VecDeque<InFlight>,
    in_flight_count: usize,
    ended: bool,
    /// The receiver said something since this was last asked: whoever waits for it has to know.
    heard: bool,
}

impl Outbound {
    /// Connects to the receiver's own name and sends it the ring. Nobody need be awake at the other side.
    pub(crate) fn open(opener: &Opener<'_>, peer: &Arc<Peer>) -> Result<Outbound, OpenError> {
        let target = peer.info.id;
        let socket = match Socket::connect(&names::endpoint(opener.identifier, target)) {
            Ok(socket) => socket,
            Err(ConnectError::Refused) => return Err(OpenError::Gone),
            Err(ConnectError::Busy) => return Err(OpenError::Busy),
            Err(ConnectError::Io(error)) => return Err(OpenError::Io(error)),
        };
        // A name can be taken by anyone once its owner is gone; the credentials were fixed when it was listened on.
        let holder = socket.peer().map_err(OpenError::Io)?;
        if holder.pid != peer.info.pid || !opener.allowed_uids.contains(&holder.uid) {
            return Err(OpenError::Gone);
        }
        let (ring, memory) = Producer::create(limits::RING_BYTES).map_err(OpenError::Io)?;
        let open = wire::encode(&PeerFrame::Open(Open {
            opener: opener.id,
            target,
            term: opener.term,
            proof: proof::opener_proof(opener.key, opener.id, target, &peer.nonce),
        }));
        match socket.send(&open, &[memory.as_fd()]) {
            Ok(true) => {}
            Ok(false) => return Err(OpenError::Busy),
            Err(error) if is_gone(&error) => return Err(OpenError::Gone),
            Err(error) => return Err(OpenError::Io(error)),
        }
        Ok(Outbound {
            peer: peer.clone(),
            socket: Arc::new(socket),
            ring,
            attach_proof: proof::consumer_proof(opener.key, target, opener.id, &opener.nonce),
            defined: Vec::new(),
            in_flight: VecDeque::new(),
            in_flight_count: 0,
            ended: false,
            heard: false,
        })
    }

    /// Whether a record would find room now, its route's definition included.
    pub(crate) fn has_room(&mut self, route: &Route, id: RouteId, content: &Content<'_>) -> Result<bool, PushError> {
        if content.descriptors.len() + self.in_flight_count > limits::DESCRIPTORS_IN_FLIGHT_PER_PEER {
            self.trim()?;
            if content.descriptors.len() + self.in_flight_count > limits::DESCRIPTORS_IN_FLIGHT_PER_PEER {
                return Ok(false);
            }
        }
        let definition = if self.is_defined(id) { 0 } else { 4 + route.encoded.len() + 16 };
        self.ring.has_room(content.body_len() + definition).map_err(|_| PushError::Broken)
    }

    /// Puts a message into the ring and wakes the receiver if it sleeps.
    #[inline]
    pub(crate) fn push(&mut self, route: &Route, id: RouteId, content: &Content<'_>) -> Result<(), PushError> {
        if !self.is_defined(id) {
            self.define(route, id)?;
        }
        let header =
            Header { route: id.index, extension: content.extension.len() as u32, type_id: content.type_id }.encode();
        let tag = Tag::message(content.flags, content.descriptors.len());
        if !content.descriptors.is_empty() {
            self.send_descriptors(route, id, content)?;
        }
        let pushed = self.ring.push(tag, &[&header, content.extension, content.payload]);
        self.pushed(pushed)?;
        if !content.descriptors.is_empty() {
            self.in_flight_count += content.descriptors.len();
            self.in_flight.push_back(InFlight { end: self.ring.head(), descriptors: content.descriptors.to_vec() });
        }
        Ok(())
    }

    #[inline]
    fn pushed(&mut self, pushed: Result<Pushed, ipmb_transport::PushError>) -> Result<(), PushError> {
        match pushed {
            Ok(Pushed::Quiet) => Ok(()),
            Ok(Pushed::Ring) => {
                self.socket.ring();
                Ok(())
            }
            // The receiver has not taken up the channel, or its word of it is on the socket. When it does it looks
            // at the ring after it has sent that word, so a message pushed before we found nothing is seen.
            Ok(Pushed::Unattached) => {
                self.service();
                Ok(())
            }
            Err(ipmb_transport::PushError::Full) => Err(PushError::Full),
            Err(ipmb_transport::PushError::TooLarge | ipmb_transport::PushError::Corrupt) => Err(PushError::Broken),
        }
    }

    #[inline]
    fn is_defined(&self, id: RouteId) -> bool {
        self.defined.get(id.index as usize) == Some(&id.generation)
    }

    #[cold]
    fn define(&mut self, route: &Route, id: RouteId) -> Result<(), PushError> {
        let pushed = self.ring.push(Tag::route(), &[&id.index.to_le_bytes(), &route.encoded]);
        self.pushed(pushed)?;
        let place = id.index as usize;
        if self.defined.len() <= place {
            self.defined.resize(place + 1, 0);
        }
        self.defined[place] = id.generation;
        Ok(())
    }

    /// Descriptors go first, so that they are there when the record is seen. Room was made sure of before: if the
    /// record did not follow, the next record's descriptors would be taken for its own.
    #[cold]
    fn send_descriptors(&mut self, route: &Route, id: RouteId, content: &Content<'_>) -> Result<(), PushError> {
        if !self.has_room(route, id, content)? {
            return Err(PushError::Full);
        }
        let descriptors: Vec<_> = content.descriptors.iter().map(|fd| fd.as_fd()).collect();
        match self.socket.send(&[DESCRIPTORS], &descriptors) {
            Ok(true) => Ok(()),
            Ok(false) => Err(PushError::Full),
            Err(error) if is_gone(&error) => Err(PushError::Broken),
            Err(error) => Err(PushError::Io(error)),
        }
    }

    /// Drops our duplicates of what the receiver has taken.
    pub(crate) fn trim(&mut self) -> Result<(), PushError> {
        let tail = self.ring.tail().map_err(|_| PushError::Broken)?;
        while let Some(first) = self.in_flight.front() {
            if first.end > tail {
                break;
            }
            self.in_flight_count -= first.descriptors.len();
            self.in_flight.pop_front();
        }
        Ok(())
    }

    /// Descriptors that the receiver has not taken yet.
    pub(crate) fn descriptors_in_flight(&self) -> usize {
        self.in_flight_count
    }

    /// Reads what the receiver sent until nothing is left: its tail page, room, its end.
    pub(crate) fn service(&mut self) -> Serviced {
        let mut seen = Serviced::Nothing;
        let mut packet = [0; PACKET_BYTES];
        while !self.ended {
            match self.socket.receive(&mut packet) {
                Ok(Received::Packet { len: 1, fds, .. }) if packet[0] == ROOM && fds.is_empty() => {
                    self.heard = true;
                    seen = Serviced::Progress;
                }
                Ok(Received::Packet { len, truncated: false, fds }) => {
                    if !self.attach(&packet[..len], fds) {
                        self.ended = true;
                    }
                    self.heard = true;
                    seen = Serviced::Progress;
                }
                Ok(Received::Empty) => return seen,
                // Our own table is full: the tail page stays queued, the ring counts as full until there is room.
                Ok(Received::NoRoomForFds) => return seen,
                Ok(Received::Packet { .. } | Received::End) | Err(_) => self.ended = true,
            }
        }
        Serviced::Ended
    }

    fn attach(&mut self, packet: &[u8], mut fds: Vec<Fd>) -> bool {
        let (Ok(PeerFrame::Attach { proof }), 1) = (wire::decode(packet), fds.len()) else { return false };
        if !proof::verify(&proof, &self.attach_proof)
            || self.ring.attached()
            || self.ring.attach(&fds.remove(0)).is_err()
        {
            return false;
        }
        if self.ring.must_ring() {
            self.socket.ring();
        }
        true
    }

    /// Whether the receiver said something since the last call.
    #[inline]
    pub(crate) fn heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// Whether half of the ring is free: any record fits then.
    pub(crate) fn is_half_free(&mut self) -> bool {
        let (head, half) = (self.ring.head(), self.ring.capacity() as u64 / 2);
        self.ring.tail().map_or(true, |tail| head - tail <= half)
    }

    /// Says that we wait for room. `false`: there is some already.
    pub(crate) fn announce_wait(&mut self) -> bool {
        self.ring.announce_wait().unwrap_or(false)
    }

    /// The unread messages, once the receiver's end is closed. Its tail is in its own page, which outlives it.
    pub(crate) fn unread(&mut self) -> Vec<(u32, OwnedMessage)> {
        let records: Vec<_> = self.ring.unread().collect();
        let mut owned = Vec::with_capacity(records.len());
        let mut in_flight: Vec<_> = self.in_flight.drain(..).collect();
        self.in_flight_count = 0;
        // Descriptors belong to the last records that have some.
        let carrying = records.iter().filter(|(tag, ..)| Tag::decode(*tag).is_some_and(|t| t.descriptors > 0)).count();
        in_flight.drain(..in_flight.len().saturating_sub(carrying));
        let mut in_flight = in_flight.into_iter();
        for (tag, position, len) in records {
            let Some(tag) = Tag::decode(tag) else { continue };
            if tag.kind != Kind::Message || len < HEADER_BYTES {
                continue;
            }
            let mut header = [0; HEADER_BYTES];
            self.ring.read(position, 0, &mut header);
            let header = Header::decode(&header);
            let mut extension = vec![0; header.extension as usize];
            self.ring.read(position, HEADER_BYTES, &mut extension);
            let mut payload = vec![0; len - HEADER_BYTES - extension.len()];
            self.ring.read(position, HEADER_BYTES + extension.len(), &mut payload);
            let descriptors = if tag.descriptors > 0 {
                in_flight.next().map(|flight| flight.descriptors).unwrap_or_default()
            } else {
                Vec::new()
            };
            let extension = Extension::decode(&extension).unwrap_or_default();
            let flags = tag.flags & !EXTENDED;
            let message = OwnedMessage { flags, type_id: header.type_id, extension, payload, descriptors };
            owned.push((header.route, message));
        }
        owned
    }

    /// The numbers of the routes that unread records name.
    pub(crate) fn routes_in_flight(&mut self, used: &mut std::collections::HashSet<u32>) {
        let records: Vec<_> = self.ring.unread().collect();
        for (tag, position, _) in records {
            if Tag::decode(tag).is_some_and(|tag| tag.kind == Kind::Message) {
                let mut route = [0; 4];
                self.ring.read(position, 0, &mut route);
                used.insert(u32::from_le_bytes(route));
            }
        }
    }
}

/// Whether an error of the socket means that the other side is closed.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected)
}

/// The length in the body of a large message.
pub(crate) fn large_len(payload: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(payload.try_into().ok()?))
}

/// Whether a message's first descriptor is its payload.
pub(crate) fn is_large(flags: u8) -> bool {
    flags & LARGE != 0
}
