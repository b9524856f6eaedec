//! One endpoint from the inside: its two halves, its membership, its office if it has one, and how events of the core
//! thread find them.
//!
//! Locks are taken in this order: member, host, outbox, inbox, view. None is held while anybody waits.

mod bequest;
mod election;
mod hearing;
pub(crate) mod heritage;
mod host;
mod leaving;
mod member;
mod probe;
pub(crate) mod succession;
#[cfg(test)]
mod tests;
pub(crate) mod told;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use ipmb_transport::sys::{self, Fd, Interest, Listener, Signal};

use self::host::Host;
pub use self::leaving::see_off;
use self::leaving::{LEAVE_TIMER, Parting};
use self::member::Membership;
use crate::bulk::{self, House};
use crate::error::JoinError;
use crate::inbox::Inbox;
use crate::incidents::{Incident, Tally};
use crate::limits;
use crate::local::Local;
use crate::names;
use crate::outbox::{CHANNEL_TAG, DOOR_TAG, Outbox, TIMER_TAG};
use crate::parking::Parking;
use crate::reactor::{self, Key, Owner, Reactor, Source, lock};
use crate::roster::View;
use crate::stats::{DropReason, RefuseReason, Shortage, Stats};

pub(crate) const MEMBER_TAG: u64 = 1;
pub(crate) const LISTENER_TAG: u64 = 2;
pub(crate) const REFUSE_TAG: u64 = 3;
pub(crate) const MEMBER_TIMER: u64 = 1;
pub(crate) const HOST_TIMER: u64 = 2;
/// Connections that whoever does not receive turns away at a time.
const REFUSALS: usize = 64;
/// Connections of members to the controller; the channels of the outbox have a tag above it.
pub(crate) const CONN_TAG: u64 = 1 << 62;

pub(crate) struct Node {
    pub(crate) me: Arc<Local>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) view: Arc<Mutex<View>>,
    pub(crate) reactor: Arc<Reactor>,
    pub(crate) inbox: Inbox,
    pub(crate) outbox: Outbox,
    pub(crate) member: Mutex<Membership>,
    pub(crate) host: Mutex<Option<Host>>,
    /// What the controller maps, to read what we left when we are gone.
    pub(crate) parking_memory: Fd,
    /// The listening socket of a closed receiver: it shows that we live, and refuses every channel.
    refusing: Mutex<Option<(Listener, Key)>>,
    /// Raised at every change of the directory while somebody watches.
    watchers: Mutex<Vec<std::sync::Weak<Signal>>>,
    left: AtomicBool,
    parting: Parting,
}

impl Node {
    /// Makes an endpoint that nobody knows yet, and starts to look for the bus.
    pub(crate) fn start(me: Local, receiving: bool) -> Result<Arc<Node>, JoinError> {
        let me = Arc::new(me);
        sys::raise_descriptor_limit();
        let reactor = reactor::get()?;
        let listener = Listener::bind(&names::endpoint(&me.identifier, me.id), limits::LISTEN_BACKLOG)?;
        let (parking, parking_memory) = Parking::create()?;
        let tally = Tally::new(&me.identifier, me.id);
        let inbox = Inbox::create(listener, tally.clone())?;
        let member = Mutex::new(Membership::new()?);
        let view = Arc::new(Mutex::new(View::default()));
        let node = Arc::new_cyclic(|weak: &std::sync::Weak<Node>| Node {
            outbox: Outbox::new(me.clone(), view.clone(), reactor.clone(), weak.clone(), parking, tally.clone()),
            inbox: inbox.of(weak.clone()),
            tally,
            me,
            view,
            reactor,
            member,
            host: Mutex::new(None),
            parking_memory,
            refusing: Mutex::new(None),
            watchers: Mutex::default(),
            left: AtomicBool::new(false),
            parting: Parting::default(),
        });
        let house: std::sync::Weak<Node> = Arc::downgrade(&node);
        bulk::look_after(house);
        if !receiving {
            node.close_receiver();
        }
        let seeker = node.clone();
        node.reactor.run_soon(move || seeker.seek());
        Ok(node)
    }

    pub(crate) fn is_controller(&self) -> bool {
        lock(&self.host).is_some()
    }

    /// Has a host that was just installed look at what it took over.
    pub(crate) fn serve_first(self: &Arc<Node>) {
        if let Some(host) = &mut *lock(&self.host) {
            host.begin(self);
        }
    }

    /// Closes the sending half; with both closed the endpoint leaves.
    pub(crate) fn close_sender(self: &Arc<Node>) {
        if self.me.forked() {
            return;
        }
        self.outbox.close();
        if self.inbox.is_closed() {
            self.leave();
        }
    }

    /// Closes the receiving half; with both closed the endpoint leaves.
    pub(crate) fn close_receiver(self: &Arc<Node>) {
        if self.me.forked() {
            return;
        }
        if let Some(listener) = self.inbox.close() {
            if self.outbox.is_closed() {
                drop(listener);
            } else if let Ok(key) = self.reactor.register(listener.fd(), Interest::READ, self.clone(), REFUSE_TAG) {
                *lock(&self.refusing) = Some((listener, key));
                let node = self.clone();
                self.reactor.run_soon(move || node.tell(&mut lock(&node.member)));
                if self.has_left() {
                    // Another thread closed the other half meanwhile, and has looked here already.
                    self.stop_refusing();
                }
            }
        }
        if self.outbox.is_closed() {
            self.leave();
        }
    }

    fn stop_refusing(&self) {
        if let Some((listener, key)) = lock(&self.refusing).take() {
            self.reactor.deregister(key, listener.fd());
        }
    }

    pub(crate) fn directory_changed(&self) {
        self.outbox.directory_changed();
        self.inbox.directory_changed();
        self.watchers_changed();
    }

    /// Term and epoch of what we have read.
    pub(crate) fn read_up_to(&self) -> (u32, u32) {
        let roster = lock(&self.view).refresh();
        (roster.term, roster.epoch)
    }

    /// Whoever watches the directory looks again.
    pub(crate) fn watchers_changed(&self) {
        lock(&self.watchers).retain(|watcher| watcher.upgrade().inspect(|signal| signal.set()).is_some());
    }

    /// Has `signal` set at every change of the directory, as long as it lives.
    pub(crate) fn watch(self: &Arc<Node>, signal: &Arc<Signal>) {
        lock(&self.watchers).push(Arc::downgrade(signal));
        self.clone().interest();
    }

    /// The end of [`Node::watch`].
    pub(crate) fn unwatch(self: &Arc<Node>, signal: &Arc<Signal>) {
        if !self.me.forked() {
            lock(&self.watchers).retain(|watcher| !std::ptr::eq(watcher.as_ptr(), Arc::as_ptr(signal)));
            self.clone().interest();
        }
    }

    /// Whether it is off the bus for good.
    pub(crate) fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    pub(crate) fn wants_nudges(&self) -> bool {
        self.outbox.interested()
            || self.inbox.interested()
            || lock(&self.watchers).iter().any(|watcher| watcher.strong_count() > 0)
    }

    pub(crate) fn stats(&self) -> Stats {
        let (sent, waiting) = self.outbox.counters();
        let received = self.inbox.counters();
        let (replies, reply_bytes) = self.outbox.replies();
        Stats {
            sent: sent.sent,
            received: received.received + replies,
            skipped: received.skipped,
            dropped: DropReason::ALL.map(|reason| self.tally.of(Incident::Dropped(reason))),
            expired: self.tally.of(Incident::Expired),
            redelivered: self.tally.of(Incident::Redelivered),
            duplicates: self.tally.of(Incident::Duplicate),
            refused: RefuseReason::ALL.map(|reason| self.tally.of(Incident::Refused(reason))),
            shortages: Shortage::ALL.map(|what| self.tally.of(Incident::Short(what))),
            takeovers: self.tally.of(Incident::Takeover),
            // What was handed over waits in our memory, and is another's.
            waiting: if self.is_gone() { 0 } else { waiting },
            bytes_sent: sent.bytes,
            bytes_received: received.bytes + reply_bytes,
        }
    }
}

impl Source for Node {
    fn ready(self: Arc<Self>, tag: u64) {
        match tag {
            MEMBER_TAG => self.hear(),
            LISTENER_TAG => {
                if let Some(host) = &mut *lock(&self.host) {
                    host.accept(&self);
                }
            }
            REFUSE_TAG => {
                if let Some((listener, _)) = &*lock(&self.refusing) {
                    // The others are told of next: whoever connects, however fast, must not keep the core thread.
                    for _ in 0..REFUSALS {
                        let Ok(Some(_socket)) = listener.accept() else { break };
                    }
                }
            }
            DOOR_TAG => self.outbox.read_late(),
            tag if tag & CHANNEL_TAG != 0 => self.outbox.hangup(tag),
            tag => {
                if let Some(host) = &mut *lock(&self.host) {
                    host.read(&self, tag & !CONN_TAG);
                }
            }
        }
    }

    fn due(self: Arc<Self>, tag: u64) {
        match tag {
            MEMBER_TIMER => self.seek_again(),
            HOST_TIMER => {
                if let Some(host) = &mut *lock(&self.host) {
                    host.tick(&self);
                }
            }
            LEAVE_TIMER => self.go_on_leaving(),
            TIMER_TAG => self.outbox.tick(),
            _ => {}
        }
    }
}

impl House for Node {
    fn tidy(&self) -> usize {
        if self.me.forked() { 0 } else { self.inbox.tidy() + self.outbox.tidy() }
    }
}

impl Owner for Node {
    fn interest(self: Arc<Self>) {
        let node = self.clone();
        // Asked for with the outbox or the inbox locked, and the membership is locked before these.
        self.reactor.run_soon(move || node.tell(&mut lock(&node.member)));
    }
}
