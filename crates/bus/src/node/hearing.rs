//! What a member hears from the controller: challenge, welcome, nudges, refusals, and the end of the connection.
//!
//! A controller is a peer like others: all that it sends is checked before any of it is used. Runs on the core thread.

use std::sync::Arc;

use ipmb_transport::MemoryError;
use ipmb_transport::sys::{self, Fd, Interest, Listener, LockFile, Received};

use super::Node;
use super::member::{FIRST_PAUSE, Membership, Phase};
use super::succession::believed;
use super::told::Told;
use crate::directory::{DirectoryError, DirectoryReader};
use crate::error::{JoinError, Seen};
use crate::identity::EndpointId;
use crate::incidents::Incident;
use crate::limits;
use crate::parking;
use crate::proof;
use crate::reactor::lock;
use crate::stats::Shortage;
use crate::wire::{self, ClientFrame, JoinRequest, Refusal, ServerFrame, WireError};

/// Pause before a welcome that found no descriptors free is looked at again, in nanoseconds.
const STARVED_PAUSE: u64 = 20_000_000;

impl Node {
    /// The connection to the controller is readable.
    pub(crate) fn hear(self: &Arc<Node>) {
        let mut member = lock(&self.member);
        if self.hear_all(&mut member) {
            drop(member);
            self.seek();
        }
    }

    /// Takes in all that the controller has sent. True: it is gone, and another one is to be looked for at once.
    pub(super) fn hear_all(self: &Arc<Node>, member: &mut Membership) -> bool {
        loop {
            let mut packet = vec![0; limits::PACKET_BYTES];
            let Some((socket, _)) = &member.connection else { return false };
            match socket.receive(&mut packet) {
                Ok(Received::Packet { len, truncated: false, fds }) => match wire::decode(&packet[..len]) {
                    Ok(frame) => {
                        if !self.heard(member, frame, fds) {
                            return false;
                        }
                    }
                    Err(WireError::Version(theirs)) => {
                        let ours = wire::PROTOCOL_VERSION;
                        self.fail(member, JoinError::Version { theirs, ours });
                        return false;
                    }
                    Err(WireError::Malformed) => {
                        self.fail(member, JoinError::Malformed);
                        return false;
                    }
                },
                Ok(Received::Empty) => return false,
                Ok(Received::NoRoomForFds) => {
                    self.starve(member);
                    return false;
                }
                Ok(Received::Packet { .. } | Received::End) | Err(_) => break,
            }
        }
        // The controller is gone, or threw us out without a word; or we are leaving.
        self.disconnect(member);
        if matches!(member.phase, Phase::Closed) {
            return false;
        }
        let was_joined = matches!(member.phase, Phase::Joined | Phase::Leaving);
        member.phase = Phase::Away;
        if was_joined {
            member.pause = FIRST_PAUSE;
        } else {
            self.pause(member);
        }
        was_joined
    }

    /// The welcome finds no descriptors free. One that joins is told so. A member that registers again waits with it: to
    /// the controller, who knows it already, hanging up would be leaving, and whoever talks with it would lose it.
    fn starve(self: &Arc<Node>, member: &mut Membership) {
        let Some((socket, key)) = &member.connection else { return };
        if !member.settled {
            return self.fail(member, JoinError::Io(std::io::Error::from_raw_os_error(24)));
        }
        self.reactor.modify(*key, socket.fd(), Interest::NONE);
        self.tally.count(Incident::Short(Shortage::OpenFiles), 1);
        member.starved = true;
        member.pause = STARVED_PAUSE;
        self.pause(member);
    }

    /// Takes one frame in. `false`: the connection is no more.
    fn heard(self: &Arc<Node>, member: &mut Membership, frame: ServerFrame, fds: Vec<Fd>) -> bool {
        if matches!(member.phase, Phase::Leaving | Phase::Closed) {
            // We are leaving, and say so ourselves.
            if frame == ServerFrame::Farewell {
                member.phase = Phase::Closed;
            }
            return true;
        }
        match (&member.phase, frame) {
            (&Phase::Greeting { nonce }, ServerFrame::Challenge { nonce: challenge }) => {
                let receiving = !self.inbox.is_closed();
                let request = JoinRequest {
                    label: self.me.label.clone(),
                    nonce: self.me.nonce,
                    affinity: self.me.affinity,
                    receiving,
                    last_term: self.last_term(member),
                    proof: proof::joiner_proof(&self.me.key, &nonce, &challenge, self.me.id),
                };
                let memories: Vec<_> = [&self.parking_memory].into_iter().chain(&member.directory).collect();
                if !member.send(&ClientFrame::Join(request), &memories) {
                    self.away_for_now(member);
                    return false;
                }
                member.told = Told::joining(receiving);
                member.phase = Phase::Proving { nonce, challenge };
                true
            }
            (&Phase::Proving { nonce, challenge }, ServerFrame::Welcome { term, proof: shown, controller, .. }) => {
                let expected = proof::controller_proof(&self.me.key, &nonce, &challenge, self.me.id);
                if !proof::verify(&expected, &shown) {
                    self.fail(member, JoinError::Token);
                    return false;
                }
                match self.welcome(member, term, controller, fds) {
                    Ok(()) => true,
                    Err(JoinError::Io(error)) => {
                        self.lack(member, error);
                        false
                    }
                    Err(error) => {
                        self.fail(member, error);
                        false
                    }
                }
            }
            (Phase::Joined, ServerFrame::Nudge) => {
                // What comes after this look, and perhaps after that of the others, is behind what we say: a nudge follows.
                let (term, epoch) = self.read_up_to();
                self.directory_changed();
                member.told.nudged(term, epoch);
                self.tell(member);
                true
            }
            (_, ServerFrame::Refused(refusal)) => {
                let error = match refusal {
                    Refusal::Version { ours: theirs } => JoinError::Version { theirs, ours: wire::PROTOCOL_VERSION },
                    Refusal::Token => JoinError::Token,
                    Refusal::Permission => JoinError::Permission { uid: sys::effective_uid() },
                    Refusal::IdInUse => JoinError::IdInUse,
                    Refusal::Full => JoinError::Full,
                    Refusal::Malformed => JoinError::Malformed,
                };
                self.fail(member, error);
                false
            }
            _ => {
                self.fail(member, JoinError::Malformed);
                false
            }
        }
    }

    /// The last term we know of. A controller may raise its own while it is in office, but none leaps so far that the next
    /// one would not believe us.
    fn last_term(&self, member: &Membership) -> u32 {
        let committed = lock(&self.view).committed_term();
        member.last_term.max(believed(member.last_term, committed.into()))
    }

    /// Everything a member gets from the controller, checked before any of it is used.
    fn welcome(
        self: &Arc<Node>,
        member: &mut Membership,
        term: u32,
        controller: EndpointId,
        fds: Vec<Fd>,
    ) -> Result<(), JoinError> {
        if member.settled && believed(member.last_term, term.into()) != term {
            return Err(JoinError::Malformed);
        }
        let mut fds = fds.into_iter();
        let (Some(directory), Some(election)) = (fds.next(), fds.next()) else { return Err(JoinError::Malformed) };
        let reader = Arc::new(DirectoryReader::open(&directory).map_err(|error| match error {
            DirectoryError::Memory(error) => refused(error),
            _ => JoinError::Malformed,
        })?);
        if self.me.affinity {
            let (Some(listener), Some(waiting)) = (fds.next(), fds.next()) else { return Err(JoinError::Malformed) };
            member.listener = Some(Listener::from_fd(listener)?);
            // The lock opens a description of its own. What the one before held makes room for it: a member that has no
            // other descriptor free must not fail here, for the controller has registered it.
            member.lock = None;
            member.lock = Some(Arc::new(LockFile::from_fd(election).map_err(refused)?));
            let memory = parking::open(&waiting).map_err(refused)?;
            member.predecessor = (controller != self.me.id).then_some((controller, memory));
        }
        if member.settled && term != member.last_term {
            let pid = match member.seen {
                Seen::Silent { pid } => pid,
                _ => 0,
            };
            self.tally.count_saying(Incident::Takeover, &format_args!("now process {pid}"));
        }
        member.last_term = term;
        member.succession.registered();
        member.directory = Some(directory);
        member.phase = Phase::Joined;
        member.pause = FIRST_PAUSE;
        if let Some(timer) = member.timer.take() {
            self.reactor.cancel(timer);
        }
        {
            let mut view = lock(&self.view);
            view.replace(reader.clone());
            view.registered(sys::now());
        }
        self.outbox.directory_replaced(reader);
        self.inbox.directory_changed();
        self.watchers_changed();
        // What changed since the request was sent.
        self.tell(member);
        member.settle(Ok(()));
        Ok(())
    }
}

/// What is in the way of memory that the controller has sent: the system, or that it is none.
fn refused(error: MemoryError) -> JoinError {
    match error {
        MemoryError::Io(error) => JoinError::Io(error),
        _ => JoinError::Malformed,
    }
}
