//! What a receiver says to its sender: that it has taken up the channel, made room, grown with it, or ended.

use ipmb_transport::RingError;
use ipmb_transport::error::is_want;
use ipmb_transport::sys::{Fd, Received};

use super::outbound::Outbound;
use super::{GROWN, KEPT, PACKETS, ROOM, STAYS};
use crate::limits;
use crate::proof;
use crate::wire::{self, PeerFrame};

/// What a look at the socket found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serviced {
    /// Nothing was there.
    Nothing,
    /// The receiver made room, or took up the channel, or said much: look again.
    Progress,
    /// The receiver's end is closed.
    Ended,
}

impl Outbound {
    /// Reads what the receiver sent, so much at a visit: its tail page, room, whether the ring may grow, its end.
    pub(crate) fn service(&mut self) -> Serviced {
        let mut seen = Serviced::Nothing;
        let mut packet = [0; limits::PEER_PACKET_BYTES];
        self.starved = false;
        if self.page.is_some() {
            self.lied = !self.take_page();
            self.ended |= self.lied;
        }
        let mut taken = 0;
        while !self.ended {
            // What one who is gone has sent is all there will be.
            if taken >= PACKETS && !self.socket.has_hung_up() {
                return Serviced::Progress;
            }
            taken += 1;
            match self.socket.receive(&mut packet) {
                Ok(Received::Packet { len: 1, fds, .. }) if fds.is_empty() => {
                    self.lied = !match packet[0] {
                        ROOM => true,
                        GROWN => self.answered(true),
                        STAYS => self.answered(false),
                        _ => false,
                    };
                    self.ended = self.lied;
                    self.heard = true;
                    seen = Serviced::Progress;
                }
                Ok(Received::Packet { len: 5, fds, .. }) if packet[0] == KEPT && fds.is_empty() => {
                    let [_, a, b, c, d, ..] = packet;
                    self.names.kept(u32::from_le_bytes([a, b, c, d]));
                }
                Ok(Received::Packet { len, truncated: false, fds }) => {
                    self.lied = !self.attach(&packet[..len], fds);
                    self.ended = self.lied;
                    self.heard = true;
                    seen = Serviced::Progress;
                }
                Ok(Received::Empty) => return seen,
                // Our own table is full: the tail page stays queued, the ring counts as full until there is room.
                Ok(Received::NoRoomForFds) => {
                    self.starved = true;
                    return seen;
                }
                Ok(Received::Packet { .. }) => (self.ended, self.lied) = (true, true),
                // Our own want says nothing of the receiver.
                Err(error) if is_want(&error) => {
                    self.starved = true;
                    return seen;
                }
                Ok(Received::End) | Err(_) => self.ended = true,
            }
        }
        if self.lied {
            // The core thread, which waits for the end of the connection, takes what it left unread elsewhere.
            self.socket.hang_up();
        }
        Serviced::Ended
    }

    /// Whether the receiver broke the protocol.
    pub(crate) fn lied(&self) -> bool {
        self.lied
    }

    /// Whether this process lacks a descriptor for what the receiver has sent.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved
    }

    fn attach(&mut self, packet: &[u8], mut fds: Vec<Fd>) -> bool {
        let (Ok(PeerFrame::Attach { proof }), 1) = (wire::decode(packet), fds.len()) else { return false };
        if !proof::verify(&proof, &self.attach_proof) || self.ring.attached() || self.page.is_some() {
            return false;
        }
        self.page = Some(fds.remove(0));
        self.take_page()
    }

    /// Maps the receiver's page, now or when there is memory for it: that there is none is no lie of the receiver's, who may
    /// have read what a new channel would bring again. `false`: it is no page.
    fn take_page(&mut self) -> bool {
        let Some(page) = self.page.take() else { return true };
        match self.ring.attach(&page) {
            Ok(()) => {
                if self.ring.must_ring() {
                    self.socket.ring();
                }
                true
            }
            Err(RingError::Io(_)) => {
                self.page = Some(page);
                self.starved = true;
                true
            }
            Err(_) => false,
        }
    }

    /// Whether the receiver said something since the last call.
    #[inline]
    pub(crate) fn heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }
}
