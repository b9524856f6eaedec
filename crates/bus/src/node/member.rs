//! The endpoint's side of its connection to the controller: joining, registering again after a takeover, leaving.
//!
//! One road for everybody and every time: connect to the name of the bus, hello, challenge, join, welcome. Who finds
//! nobody there and may be controller takes the name and goes the same road to itself. Who loses its controller asks
//! the kernel for the lock; the one who gets it serves the connections of the others, which wait in the queue of the
//! listening socket they all hold. Runs on the core thread.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use ipmb_transport::ConnectError;
use ipmb_transport::error::is_want;
use ipmb_transport::memory::PeerMemory;
use ipmb_transport::sys::{self, Fd, Interest, Listener, LockFile, Signal, Socket};

use super::succession::Succession;
use super::told::Told;
use super::{MEMBER_TAG, MEMBER_TIMER, Node};
use crate::error::{JoinError, Seen};
use crate::identity::EndpointId;
use crate::incidents::Incident;
use crate::names;
use crate::proof::Challenge;
use crate::reactor::{Key, TimerKey, lock};
use crate::stats::{RefuseReason, Shortage};
use crate::wire::{self, ClientFrame};

/// First and longest pause between two attempts to find a controller, in nanoseconds.
pub(super) const FIRST_PAUSE: u64 = 1_000_000;
const LONGEST_PAUSE: u64 = 250_000_000;

pub(super) enum Phase {
    /// Not connected; a timer is set.
    Away,
    /// Hello is sent.
    Greeting { nonce: Challenge },
    /// The join request is sent.
    Proving { nonce: Challenge, challenge: Challenge },
    /// Registered.
    Joined,
    /// Registered, and it has said that it leaves. If the connection ends without an answer, the next controller is told.
    Leaving,
    /// For good.
    Closed,
}

/// The connection to the controller, and what it needs to become one.
pub(crate) struct Membership {
    pub(super) phase: Phase,
    pub(super) connection: Option<(Socket, Key)>,
    /// Held by every member that may be controller, so that the name is never free while the bus lives.
    pub(super) listener: Option<Listener>,
    pub(super) lock: Option<Arc<LockFile>>,
    /// Where messages wait in the controller's own memory, in case it dies and we follow.
    pub(super) predecessor: Option<(EndpointId, PeerMemory)>,
    pub(super) last_term: u32,
    pub(super) succession: Succession,
    /// The directory last read: a controller that founded the bus anew learns from it who else was there.
    pub(super) directory: Option<Fd>,
    pub(super) pause: u64,
    pub(super) timer: Option<TimerKey>,
    /// The welcome waits in the socket for room for its descriptors.
    pub(super) starved: bool,
    pub(super) seen: Seen,
    pub(super) told: Told,
    /// How the first joining ended.
    outcome: Option<Result<(), JoinError>>,
    pub(super) settled: bool,
    /// Set when `outcome` is there.
    pub(crate) done: Arc<Signal>,
}

impl Membership {
    pub(crate) fn new() -> std::io::Result<Membership> {
        Ok(Membership {
            phase: Phase::Away,
            connection: None,
            listener: None,
            lock: None,
            predecessor: None,
            last_term: 0,
            succession: Succession::default(),
            directory: None,
            pause: FIRST_PAUSE,
            timer: None,
            starved: false,
            seen: Seen::NotYet,
            told: Told::default(),
            outcome: None,
            settled: false,
            done: Arc::new(Signal::new()?),
        })
    }

    /// The end of the first joining, told once.
    pub(crate) fn outcome(&mut self) -> Option<Result<(), JoinError>> {
        self.outcome.take()
    }

    /// What stands in the way of joining.
    pub(crate) fn seen(&self) -> Seen {
        self.seen
    }

    /// Whether it is under way. A controller that does not read is as good as none; its end is told by the socket.
    pub(super) fn send(&self, frame: &ClientFrame, descriptors: &[&Fd]) -> bool {
        let Some((socket, _)) = &self.connection else { return false };
        let descriptors: Vec<_> = descriptors.iter().map(|fd| fd.as_fd()).collect();
        matches!(socket.send(&wire::encode(frame), &descriptors), Ok(true))
    }

    pub(super) fn settle(&mut self, outcome: Result<(), JoinError>) {
        if !self.settled {
            self.settled = true;
            self.outcome = Some(outcome);
            self.done.set();
        }
    }
}

impl Node {
    /// Looks for a controller, or becomes it.
    pub(crate) fn seek(self: &Arc<Node>) {
        let mut member = lock(&self.member);
        if matches!(member.phase, Phase::Closed) {
            return;
        }
        self.disconnect(&mut member);
        member.phase = Phase::Away;
        self.try_to_succeed(&mut member);
        // The second round is for one who has just taken the name, the third for one who lost the race for it.
        for _ in 0..3 {
            match Socket::connect(&names::rendezvous(&self.me.identifier)) {
                Ok(socket) => return self.greet(&mut member, socket),
                Err(ConnectError::Busy) => {
                    member.seen = Seen::Busy;
                    break;
                }
                Err(ConnectError::Refused) if self.me.affinity && member.listener.is_none() && !self.has_left() => {
                    if let Err(error) = self.found(&mut member) {
                        return self.lack(&mut member, error);
                    }
                }
                Err(ConnectError::Refused) => {
                    member.seen = Seen::Nobody;
                    break;
                }
                Err(ConnectError::Io(error)) => return self.lack(&mut member, error),
            }
        }
        self.pause(&mut member);
    }

    fn greet(self: &Arc<Node>, member: &mut Membership, socket: Socket) {
        let holder = match socket.peer() {
            Ok(holder) => holder,
            Err(error) => return self.lack(member, error),
        };
        // Anybody can take an abstract name first; the kernel tells who listened on it.
        if !self.me.allowed_uids.contains(&holder.uid) {
            return self.fail(member, JoinError::Permission { uid: holder.uid });
        }
        member.seen = Seen::Silent { pid: holder.pid };
        let key = match self.reactor.register(socket.fd(), Interest::READ, self.clone(), MEMBER_TAG) {
            Ok(key) => key,
            Err(error) => return self.lack(member, error),
        };
        let mut nonce = [0; 32];
        sys::fill_random(&mut nonce);
        member.connection = Some((socket, key));
        let greeted = member.send(&ClientFrame::Hello { id: self.me.id, nonce }, &[]);
        member.phase = Phase::Greeting { nonce };
        if !greeted {
            // Whoever refuses us for our user does so before we speak, and has closed behind its word.
            self.hear_all(member);
            if matches!(member.phase, Phase::Greeting { .. }) {
                self.away_for_now(member);
            }
            return;
        }
        // The dying controller's lock may outlive its sockets by a moment, and then nobody serves the queue we are in.
        if member.lock.is_some() {
            self.pause(member);
        }
    }

    /// Something that looking for a controller needs was not to be had. One that joins is told so; a member that only lacks
    /// descriptors or memory now tries again, and nobody has refused it.
    pub(super) fn lack(self: &Arc<Node>, member: &mut Membership, error: io::Error) {
        if !member.settled || !is_want(&error) {
            return self.fail(member, JoinError::Io(error));
        }
        self.tally.count_saying(Incident::Short(Shortage::OpenFiles), &error);
        member.pause = LONGEST_PAUSE;
        self.away_for_now(member);
    }

    /// The timer of [`Node::pause`] is due.
    pub(crate) fn seek_again(self: &Arc<Node>) {
        let mut member = lock(&self.member);
        member.timer = None;
        match member.phase {
            Phase::Joined => self.tell(&mut member),
            Phase::Leaving | Phase::Closed => {}
            Phase::Away => {
                drop(member);
                self.seek();
            }
            Phase::Greeting { .. } | Phase::Proving { .. } => {
                if std::mem::take(&mut member.starved)
                    && let Some((socket, key)) = &member.connection
                {
                    self.reactor.modify(*key, socket.fd(), Interest::READ);
                }
                self.try_to_succeed(&mut member);
                self.pause(&mut member);
            }
        }
    }

    /// What joining needs could not be sent: it begins anew.
    pub(super) fn away_for_now(self: &Arc<Node>, member: &mut Membership) {
        self.disconnect(member);
        member.phase = Phase::Away;
        self.pause(member);
    }

    pub(super) fn pause(self: &Arc<Node>, member: &mut Membership) {
        if let Some(timer) = member.timer.take() {
            self.reactor.cancel(timer);
        }
        let at = sys::now() + member.pause;
        member.pause = (member.pause * 2).min(LONGEST_PAUSE);
        member.timer = Some(self.reactor.timer(at, self.clone(), MEMBER_TIMER));
    }

    /// Tells the controller what it does not know of us yet, and looks again later where that finds no room. Who leaves
    /// says only that.
    pub(crate) fn tell(self: &Arc<Node>, member: &mut Membership) {
        if !matches!(member.phase, Phase::Joined) || self.has_left() {
            return;
        }
        let mut told = member.told;
        let all = told.say(self.wants_nudges(), !self.inbox.is_closed(), |frame| member.send(frame, &[]));
        member.told = told;
        if all {
            member.pause = FIRST_PAUSE;
        } else if member.timer.is_none() {
            self.pause(member);
        }
    }

    /// The first joining ends with an error; a member that was refused later tries again, in the hope of a better
    /// controller, and goes on with the directory it has.
    pub(super) fn fail(self: &Arc<Node>, member: &mut Membership, error: JoinError) {
        self.disconnect(member);
        if matches!(member.phase, Phase::Closed) {
            return;
        }
        if member.settled {
            self.tally.count_saying(Incident::Refused(RefuseReason::Rejoin), &error);
            member.phase = Phase::Away;
            member.pause = LONGEST_PAUSE;
            return self.pause(member);
        }
        member.phase = Phase::Closed;
        member.settle(Err(error));
    }

    pub(super) fn disconnect(&self, member: &mut Membership) {
        if let Some((socket, key)) = member.connection.take() {
            self.reactor.deregister(key, socket.fd());
        }
        if let Some(timer) = member.timer.take() {
            self.reactor.cancel(timer);
        }
        member.starved = false;
        lock(&self.view).away();
    }
}
