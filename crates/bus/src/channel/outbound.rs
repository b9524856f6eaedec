//! The sender's end of a channel.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use ipmb_transport::ConnectError;
use ipmb_transport::ring::{Producer, Pushed};
use ipmb_transport::sys::{Fd, Socket};

use super::content::Content;
use super::flight::Flights;
use super::growth::Growth;
use super::known::Names;
use crate::limits;
use crate::proof::{self, Key};
use crate::record::{Header, Tag, TypeId};
use crate::roster::Peer;
use crate::route::{Route, RouteId};
use crate::wire::{self, EndpointId, Open, PeerFrame};

/// Who opens the channel.
pub(crate) struct Opener<'a> {
    pub(crate) id: EndpointId,
    pub(crate) nonce: [u8; 16],
    pub(crate) key: &'a Key,
    pub(crate) term: u32,
    pub(crate) allowed_uids: &'a [u32],
}

/// Why there is no channel.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The endpoint is gone: it is no match.
    Gone,
    /// The endpoint is gone, and somebody else holds its name.
    Impostor {
        /// Its process.
        pid: u32,
        /// Its user.
        uid: u32,
    },
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
    /// The record is longer than this ring takes; through a region it goes.
    TooLong,
    /// The channel is of no use any more: the receiver is gone or lies.
    Broken,
    /// Our own kernel resources ran out.
    Io(io::Error),
}

pub(crate) struct Outbound {
    pub(crate) peer: Arc<Peer>,
    pub(crate) socket: Arc<Socket>,
    pub(super) ring: Producer,
    pub(super) attach_proof: [u8; 32],
    /// By route number: the generation last defined on this channel.
    defined: Vec<u32>,
    pub(super) flights: Flights,
    pub(super) growth: Growth,
    pub(super) names: Names,
    pub(super) ended: bool,
    /// It ended because the receiver broke the protocol.
    pub(super) lied: bool,
    /// The receiver said something since this was last asked: whoever waits for it has to know.
    pub(super) heard: bool,
    /// The receiver's tail page is there or on the socket, and this process has no descriptor or memory left for it.
    pub(super) starved: bool,
    /// The page, taken off the socket, as long as it cannot be mapped.
    pub(super) page: Option<Fd>,
}

impl Outbound {
    /// Connects to one of the receiver's own names and sends it the ring. Nobody need be awake at the other side.
    pub(crate) fn open(opener: &Opener<'_>, peer: &Arc<Peer>, name: &[u8]) -> Result<Outbound, OpenError> {
        let target = peer.info.id;
        let socket = match Socket::connect(name) {
            Ok(socket) => socket,
            Err(ConnectError::Refused) => return Err(OpenError::Gone),
            Err(ConnectError::Busy) => return Err(OpenError::Busy),
            Err(ConnectError::Io(error)) => return Err(OpenError::Io(error)),
        };
        // A name can be taken by anyone once its owner is gone; the credentials were fixed when it was listened on.
        let holder = socket.peer().map_err(OpenError::Io)?;
        if holder.pid != peer.info.pid || !opener.allowed_uids.contains(&holder.uid) {
            return Err(OpenError::Impostor { pid: holder.pid, uid: holder.uid });
        }
        let (mut ring, memory) = Producer::create(limits::RING_BYTES).map_err(OpenError::Io)?;
        ring.keep_room_to_grow();
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
            flights: Flights::default(),
            growth: Growth::new(),
            names: Names::default(),
            ended: false,
            lied: false,
            heard: false,
            starved: false,
            page: None,
        })
    }

    /// Whether a record would find room now, its route's definition included.
    pub(crate) fn has_room(&mut self, route: &Route, id: RouteId, content: &Content<'_>) -> Result<bool, PushError> {
        let descriptors = content.descriptors();
        if descriptors > 0 {
            self.trim()?;
            if !self.flights.allow(descriptors, content.region_bytes()) {
                return Ok(false);
            }
        }
        let bodies = [content.body_len(), 4 + route.encoded.len()];
        let bodies = if self.is_defined(id) { &bodies[..1] } else { &bodies };
        let room = self.ring.has_room(bodies).map_err(|_| PushError::Broken)?;
        if !room {
            self.met_full();
        }
        Ok(room)
    }

    /// Puts a message into the ring and wakes the receiver if it sleeps.
    #[inline]
    pub(crate) fn push(&mut self, route: &Route, id: RouteId, content: &Content<'_>) -> Result<(), PushError> {
        if !self.is_defined(id) {
            self.define(route, id)?;
        }
        let header =
            Header { route: id.index, extension: content.extension.len() as u32, type_id: content.type_id }.encode();
        let descriptors = content.descriptors();
        if descriptors > 0 {
            return self.push_with_descriptors(route, id, content, &header);
        }
        let pushed = self.ring.push(Tag::message(content.flags, 0), &[&header, content.extension, content.payload]);
        self.pushed(pushed)
    }

    /// The same for a message that is nothing but a payload. `false`: nothing was done, and [`Outbound::push`] says what
    /// there is to do first.
    #[inline]
    pub(crate) fn push_plain(&mut self, id: RouteId, type_id: TypeId, payload: &[u8]) -> bool {
        if !self.is_defined(id) {
            return false;
        }
        let header = Header { route: id.index, extension: 0, type_id }.encode();
        let pushed = self.ring.push(Tag::message(0, 0), &[&header, payload]);
        pushed.is_ok() && self.pushed(pushed).is_ok()
    }

    /// The same for several: how many went, and their bytes. The receiver sees them a few at a time, and all of them when
    /// this returns.
    pub(crate) fn push_plain_run<'a>(
        &mut self,
        id: RouteId,
        message: impl Fn(usize) -> Option<(TypeId, &'a [u8])>,
    ) -> (usize, usize) {
        /// Records that are shown together: each time costs a fence, and too many would let the receiver wait.
        const SHOWN: usize = 16;
        let (mut sent, mut bytes) = (0, 0);
        if !self.is_defined(id) {
            return (sent, bytes);
        }
        while let Some((type_id, payload)) = message(sent) {
            let header = Header { route: id.index, extension: 0, type_id }.encode();
            if self.ring.stage(Tag::message(0, 0), &[&header, payload]).is_err() {
                break;
            }
            sent += 1;
            bytes += payload.len();
            if sent % SHOWN == 0 {
                self.show();
            }
        }
        self.show();
        (sent, bytes)
    }

    /// Publishes what is staged. What then cannot be done for want of room or kernel resources is found by the next push.
    fn show(&mut self) {
        let pushed = self.ring.publish();
        let _ = self.pushed(Ok(pushed));
    }

    #[inline]
    pub(super) fn pushed(&mut self, pushed: Result<Pushed, ipmb_transport::PushError>) -> Result<(), PushError> {
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
                // Its word is there, and finds no room in this process: whether it sleeps we cannot see, so it is rung.
                if self.starved {
                    self.socket.ring();
                }
                Ok(())
            }
            Err(ipmb_transport::PushError::Full) => {
                self.met_full();
                Err(PushError::Full)
            }
            Err(ipmb_transport::PushError::TooLarge) => Err(PushError::TooLong),
            Err(ipmb_transport::PushError::Corrupt) => {
                self.lied = true;
                Err(PushError::Broken)
            }
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

    /// Drops our duplicates of what the receiver has taken.
    pub(crate) fn trim(&mut self) -> Result<(), PushError> {
        if self.flights.count() > 0 {
            let tail = self.ring.tail().map_err(|_| PushError::Broken)?;
            self.flights.landed(tail);
        }
        Ok(())
    }

    /// Has the receiver forget regions that are not used any more. Returns how many it may still keep.
    pub(crate) fn forget_regions(&mut self, now: u64) -> usize {
        let mut names = std::mem::take(&mut self.names);
        let left = names.forget(now, |slot| {
            let pushed = self.ring.push(Tag::forget(), &[&slot.to_le_bytes()]);
            self.pushed(pushed).is_ok()
        });
        self.names = names;
        left
    }

    /// Descriptors that the receiver has not taken yet.
    pub(crate) fn descriptors_in_flight(&self) -> usize {
        self.flights.count()
    }

    /// Whether half of the ring is free: any record fits then.
    pub(crate) fn is_half_free(&mut self) -> bool {
        let (head, half) = (self.ring.head(), self.ring.capacity() as u64 / 2);
        self.ring.tail().map_or(true, |tail| head - tail <= half)
    }

    /// Says that we wait for what is in flight to be taken. `false`: some of it is already.
    pub(crate) fn announce_landing(&mut self) -> bool {
        match self.ring.announce_reading() {
            Ok(tail) if self.flights.any_landed(tail) => {
                self.ring.cancel_wait();
                false
            }
            Ok(_) => true,
            // A lie shows at the next message.
            Err(_) => false,
        }
    }

    /// Says that we wait for room. `false`: there is some already.
    pub(crate) fn announce_wait(&mut self) -> bool {
        self.ring.announce_wait().unwrap_or(false)
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        let _ = self.trim();
        self.flights.spend();
    }
}

/// Whether an error of the socket means that the other side is closed.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected)
}
