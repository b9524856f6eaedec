//! Leaving the bus, in steps.
//!
//! What waits for a match is the controller's to deliver once we are gone. So who leaves says so, waits until the controller has
//! taken that over, and if it dies instead, until the next one has; a moment at most. A controller that leaves waits for the
//! one who follows. Whoever closes waits for that, or, where he must not (an event loop, a finalizer), the core thread does.
//!
//! What nobody has taken over by then, or can, is counted as dropped. It stays in our memory as it is: a controller that only
//! stood still finds it there when it goes on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipmb_transport::sys;

use super::Node;
use super::bequest::Bequest;
use super::member::Phase;
use crate::error::JoinError;
use crate::incidents::Incident;
use crate::reactor::{self, Reactor, lock};
use crate::stats::DropReason;
use crate::wire::ClientFrame;

pub(super) const LEAVE_TIMER: u64 = 3;
/// How long a controller is waited for that has not taken over what waits.
const PATIENCE: u64 = 1_000_000_000;
const LOOK: u64 = 200_000;

/// How an endpoint leaves.
#[derive(Default)]
pub(super) struct Parting {
    at_once: AtomicBool,
    /// When whoever waits gives up.
    end: AtomicU64,
    stage: Mutex<Stage>,
    /// It is decided what becomes of all that waited.
    over: AtomicBool,
    /// While the core thread waits.
    under_way: Mutex<Option<UnderWay>>,
}

/// How far it has come. One thread at a time goes on with it.
#[derive(Default)]
enum Stage {
    /// The controller is to take over what waits here, or there is none, or we are it.
    #[default]
    Here,
    /// Off the bus. Somebody is to follow us as controller, and to take over what waits here.
    Succeeded(Bequest),
    Gone,
}

/// An endpoint that leaves and is not gone yet, whoever waits.
struct UnderWay(Arc<Reactor>);

impl UnderWay {
    fn begin(reactor: &Arc<Reactor>) -> UnderWay {
        reactor.leaving.fetch_add(1, Ordering::AcqRel);
        UnderWay(reactor.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.leaving.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Waits until whoever leaves, in whatever thread, is gone, a second at most. For a process that ends.
pub fn see_off() {
    let Some(reactor) = reactor::current() else { return };
    let end = sys::now() + PATIENCE;
    while reactor.leaving.load(Ordering::Acquire) > 0 && sys::now() < end {
        std::thread::sleep(Duration::from_nanos(LOOK));
    }
}

impl Node {
    /// Whether whoever closes the endpoint returns at once, and the core thread waits instead.
    pub(crate) fn close_at_once(&self, yes: bool) {
        self.parting.at_once.store(yes, Ordering::Relaxed);
    }

    /// Leaves the bus: whoever had something unread from us reads on, our office passes on.
    pub(crate) fn leave(self: &Arc<Node>) {
        if self.me.forked() {
            return;
        }
        let under_way = UnderWay::begin(&self.reactor);
        if self.left.swap(true, Ordering::AcqRel) {
            return;
        }
        self.outbox.close();
        drop(self.inbox.close());
        self.outbox.hand_on();
        self.parting.end.store(sys::now() + PATIENCE, Ordering::Relaxed);
        while !self.goes() {
            if self.parting.at_once.load(Ordering::Relaxed) {
                *lock(&self.parting.under_way) = Some(under_way);
                return self.look_again();
            }
            std::thread::sleep(Duration::from_nanos(LOOK));
        }
    }

    fn look_again(self: &Arc<Node>) {
        self.reactor.timer(sys::now() + LOOK, self.clone(), LEAVE_TIMER);
    }

    /// The core thread goes on where [`Node::leave`] did not wait.
    pub(super) fn go_on_leaving(self: &Arc<Node>) {
        if self.goes() {
            let _under_way = lock(&self.parting.under_way).take();
        } else {
            self.look_again();
        }
    }

    /// Whether nothing waits here any more: it was handed over, or dropped and counted.
    pub(super) fn is_gone(&self) -> bool {
        self.parting.over.load(Ordering::Acquire)
    }

    /// Goes as far as it can without waiting. True: there is nothing more to wait for.
    fn goes(self: &Arc<Node>) -> bool {
        let late = sys::now() >= self.parting.end.load(Ordering::Relaxed);
        let mut stage = lock(&self.parting.stage);
        if matches!(*stage, Stage::Here) && (late || self.has_handed_over()) {
            *stage = self.go();
        }
        if let Stage::Succeeded(bequest) = &mut *stage {
            let over = late || bequest.is_nobodys(&self.me.identifier);
            let taken = bequest.is_taken();
            if taken || over {
                if !taken {
                    self.give_up();
                }
                *stage = Stage::Gone;
            }
        }
        let gone = matches!(*stage, Stage::Gone);
        self.parting.over.store(gone, Ordering::Release);
        gone
    }

    /// Whether nothing waits here that a controller has not taken over, or we are controller.
    fn has_handed_over(&self) -> bool {
        self.outbox.counters().1 == 0 || self.is_controller() || self.take_leave()
    }

    /// Says that we leave to the controller that knows us. True: it has heard it, and taken over what waits here.
    fn take_leave(&self) -> bool {
        let mut member = lock(&self.member);
        if matches!(member.phase, Phase::Joined) {
            // Nothing goes out by ourselves any more, and our name refuses: the signs for it to take over.
            self.outbox.shut_down();
            self.stop_refusing();
            // Otherwise whoever waits for us comes here again.
            if member.send(&ClientFrame::Leave, &[]) {
                member.phase = Phase::Leaving;
            }
        }
        matches!(member.phase, Phase::Closed)
    }

    /// The steps off the bus, none of which waits.
    fn go(self: &Arc<Node>) -> Stage {
        let standing = self.retire();
        let mut host = lock(&self.host).take();
        if let Some(host) = &mut host {
            host.farewell(self);
        }
        self.outbox.shut_down();
        // From here on our name refuses, which is how the controller knows that what waits is its to deliver, and our
        // successor has what waits here.
        self.stop_refusing();
        let said_farewell = host.is_none() && matches!(standing, Phase::Closed);
        let bequest = host.and_then(|host| host.stop(self));
        self.part(standing);
        self.watchers_changed();
        match bequest {
            Some(bequest) if self.outbox.waiting() > 0 => return Stage::Succeeded(bequest),
            _ if said_farewell => {}
            _ => self.give_up(),
        }
        Stage::Gone
    }

    /// Nobody has taken over what waits here.
    fn give_up(&self) {
        self.tally.count(Incident::Dropped(DropReason::Closed), self.outbox.waiting());
    }

    /// From here on the endpoint looks for no controller and becomes none. How it stood with one.
    fn retire(&self) -> Phase {
        std::mem::replace(&mut lock(&self.member).phase, Phase::Closed)
    }

    /// Ends the connection for good, after [`Node::retire`].
    fn part(&self, standing: Phase) {
        let mut member = lock(&self.member);
        if matches!(standing, Phase::Joined) {
            // Where there is no room for it, the end of the connection says that we are gone, though not that we meant to.
            member.send(&ClientFrame::Leave, &[]);
        }
        self.disconnect(&mut member);
        member.listener = None;
        member.directory = None;
        member.lock = None;
        member.predecessor = None;
        member.settle(Err(JoinError::Closed));
    }
}
