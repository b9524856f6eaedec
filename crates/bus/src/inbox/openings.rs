//! Who connects to an inbox, until it is a channel.

use std::io;
use std::os::fd::AsFd;
use std::sync::Mutex;

use ipmb_transport::RingError;
use ipmb_transport::ring::Consumer;
use ipmb_transport::sys::{self, Interest, Poller, Socket};

use super::{ACCEPTS, CHANNEL, PENDING, State};
use crate::channel::Inbound;
use crate::error::RecvError;
use crate::incidents::{Incident, Tally, Who};
use crate::limits;
use crate::local::Local;
use crate::roster::View;
use crate::stats::{RefuseReason, Shortage};

impl State {
    pub(super) fn accept(&mut self, poller: &Poller, me: &Local, view: &Mutex<View>) -> Result<(), RecvError> {
        for _ in 0..ACCEPTS {
            let Some(listener) = &self.listener else { break };
            let accepted = listener.accept().map_err(|error| no_descriptors(error, &self.tally))?;
            let Some(socket) = accepted else { break };
            if let Some(key) = self.pending.add(socket, me, sys::now())
                && let Some(socket) = self.pending.socket(key)
            {
                if poller.add(socket.fd().as_fd(), PENDING | key, Interest::READ).is_err() {
                    // Nobody tells when it has sent something; it is kept, for what it sends may be there already.
                    self.pending.starve(key);
                    self.starving = true;
                }
                self.opened(poller, me, view, key)?;
            }
        }
        Ok(())
    }

    /// Reads a connection that is no channel yet.
    pub(super) fn opened(
        &mut self,
        poller: &Poller,
        me: &Local,
        view: &Mutex<View>,
        key: u64,
    ) -> Result<(), RecvError> {
        self.pending.read(key);
        let admitted = self.admit_all(poller, me, view);
        let starved = self.pending.starved().contains(&key);
        self.starving |= starved;
        if let Some(socket) = self.pending.socket(key)
            && (starved || self.pending.has_opened(key))
        {
            // It waits for our directory, or for our descriptors; what it has sent must not keep us awake meanwhile.
            let _ = poller.modify(socket.fd().as_fd(), PENDING | key, Interest::NONE);
        }
        admitted
    }

    /// Turns every opener whose proof and identity are checked into a channel.
    pub(super) fn admit_all(&mut self, poller: &Poller, me: &Local, view: &Mutex<View>) -> Result<(), RecvError> {
        for (key, peer, proof) in self.pending.judge(me, view, sys::now()) {
            let same = self.channels.iter().flatten().filter(|channel| channel.peer.info.id == peer.info.id).count();
            if same >= limits::CHANNELS_PER_PEER {
                self.tally.refuse(RefuseReason::ChannelCrowded, Who { pid: peer.info.pid, uid: peer.uid });
                self.pending.take(key);
                continue;
            }
            let Some(memory) = self.pending.memory(key) else { continue };
            let ring = match Consumer::open(memory) {
                Ok(ring) => Some(ring),
                // Our own want is no fault of the sender's: it stays where it is, and is tried again.
                Err(RingError::Io(error)) => {
                    self.starving = true;
                    return Err(no_descriptors(error, &self.tally));
                }
                Err(_) => {
                    self.tally.refuse(RefuseReason::Memory, Who { pid: peer.info.pid, uid: peer.uid });
                    None
                }
            };
            let place = self.channels.iter().position(Option::is_none).unwrap_or(self.channels.len());
            if place == self.channels.len() {
                self.channels.push(None);
            }
            if ring.is_some()
                && let Some(socket) = self.pending.socket(key)
                && let Err(error) = watch(poller, socket, CHANNEL | place as u64)
            {
                self.starving = true;
                return Err(no_descriptors(error, &self.tally));
            }
            let (Some(socket), Some((ring, page))) = (self.pending.take(key), ring) else { continue };
            self.channels[place] = Some(Box::new(Inbound::new(socket, ring, page, peer, proof, me.id)));
            self.rung(poller, place);
        }
        Ok(())
    }
}

/// Has a connection ring as a channel, whether it was watched before or could not be.
fn watch(poller: &Poller, socket: &Socket, token: u64) -> io::Result<()> {
    match poller.modify(socket.fd().as_fd(), token, Interest::READ) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => poller.add(socket.fd().as_fd(), token, Interest::READ),
        result => result,
    }
}

/// The process is out of descriptors: said in the user's words.
fn no_descriptors(error: io::Error, tally: &Tally) -> RecvError {
    match error.raw_os_error() {
        Some(code) if sys::is_descriptor_limit(code) => {
            tally.count(Incident::Short(Shortage::OpenFiles), 1);
            RecvError::TooManyOpenFiles
        }
        _ => RecvError::Io(error),
    }
}
