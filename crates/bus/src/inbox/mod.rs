//! The receiving half: every channel that leads to this endpoint, read fairly by whoever calls `recv`.
//!
//! All of it runs in the threads that receive; no core thread stands between a sender and them. One epoll descriptor
//! gathers what wakes a receiver: new channels, doorbells, the signal of this file. A channel is *hot* while it is
//! looked at, *armed* while it rings for its next message, so that a thousand silent channels cost nothing.
//!
//! The signal is readable while it has to be: the receiver is closed, the directory changed, or there are hot channels
//! and somebody else may wait (another thread, or an event loop on `fileno`).

mod channels;
mod door;
mod incoming;
mod openings;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use ipmb_transport::sys::{self, Events, Interest, Listener, Poller, Signal};

use crate::admission::Pending;
use crate::channel::Inbound;
use crate::error::{Interrupted, RecvError};
use crate::incidents::{Incident, Tally};
use crate::local::Local;
use crate::reactor::{Owner, lock};
use crate::roster::View;
use crate::seen::Seen;
use crate::stats::{RecvCounters, Shortage};
use crate::wait;

/// Looks at hot channels between two looks at the clock, and the time between two looks at the doorbells while channels
/// are hot: together they bound how long a newly rung channel waits behind busy ones, and keep system calls off the
/// path of a message.
const CLOCK_EVERY: u32 = 32;
const POLL_NANOS: u64 = 200_000;
/// Messages in a row from one channel while others are hot too.
const BURST: u32 = 16;
/// Messages that are passed over in one visit, all channels together: whoever sends what is not taken, however fast, must
/// not keep the receiver's lock, nor its caller.
const PASSED: u32 = 1024;
/// Visits of which nothing is taken that a look for one message makes at most.
const VISITS: u32 = 64;
/// Connections that are taken in at one look: whoever connects, however fast, must not keep the receiver's lock. The others
/// are told of at the next look.
const ACCEPTS: usize = 64;
/// Empty looks after which a channel is armed while others stay hot; the last one stays, for one who polls.
const IDLE_LOOKS: u32 = 4096;
/// Looks before the receiver sleeps: about 14 us, what a wake-up across cores costs.
const SPIN: u32 = 500;
/// How often a receiver whose spinning keeps failing lets others have the core before it sleeps.
const YIELDS: u32 = 4;

pub use incoming::{Build, Incoming, Polled, Visit};

const LISTENER: u64 = 0;
const SIGNAL: u64 = 1;
const PENDING: u64 = 1 << 62;
const CHANNEL: u64 = 1 << 63;

/// The receiving half's part of an endpoint.
pub(crate) struct Inbox {
    state: Mutex<State>,
    poller: Poller,
    signal: Signal,
    closed: AtomicBool,
    /// Spins that found nothing, in a row: the spin gets shorter with them.
    misses: AtomicU32,
    /// Whose changes of the directory are to be heard of, while somebody waits whom it does not name.
    owner: Option<Weak<dyn Owner>>,
    interested: AtomicBool,
}

struct State {
    listener: Option<Listener>,
    channels: Vec<Option<Box<Inbound>>>,
    hot: Vec<usize>,
    cursor: usize,
    burst: u32,
    looks: u32,
    polled: u64,
    pending: Pending,
    /// Channels whose next message needs a newer directory to be judged.
    suspended: Vec<usize>,
    /// Channels that rang for a message that was there: their sockets are read before the next sleep.
    unheard: Vec<usize>,
    seen: Seen,
    /// Some channel may hold descriptors that this process has no room for.
    starving: bool,
    waiters: u32,
    watched: bool,
    raised: bool,
    counters: RecvCounters,
    tally: Arc<Tally>,
}

impl Inbox {
    pub(crate) fn create(listener: Listener, tally: Arc<Tally>) -> io::Result<Inbox> {
        let poller = Poller::new()?;
        let signal = Signal::new()?;
        poller.add(signal.as_fd(), SIGNAL, Interest::READ)?;
        poller.add(listener.fd().as_fd(), LISTENER, Interest::READ)?;
        Ok(Inbox {
            state: Mutex::new(State {
                listener: Some(listener),
                channels: Vec::new(),
                hot: Vec::new(),
                cursor: 0,
                burst: 0,
                looks: 0,
                polled: 0,
                pending: Pending::new(tally.clone()),
                suspended: Vec::new(),
                unheard: Vec::new(),
                seen: Seen::default(),
                starving: false,
                waiters: 0,
                watched: false,
                raised: false,
                counters: RecvCounters::default(),
                tally,
            }),
            poller,
            signal,
            closed: AtomicBool::new(false),
            misses: AtomicU32::new(0),
            owner: None,
            interested: AtomicBool::new(false),
        })
    }

    /// The same as a part of an endpoint.
    pub(crate) fn of(mut self, owner: Weak<dyn Owner>) -> Inbox {
        self.owner = Some(owner);
        self
    }

    /// Whether it has to hear of changes of the directory.
    pub(crate) fn interested(&self) -> bool {
        self.interested.load(Ordering::Relaxed)
    }

    /// Notes whether somebody waits whom the directory does not name.
    fn update_interest(&self, state: &State) {
        let interested = state.pending.anyone_unknown();
        if self.interested.swap(interested, Ordering::Relaxed) != interested
            && let Some(owner) = self.owner.as_ref().and_then(Weak::upgrade)
        {
            owner.interest();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn counters(&self) -> RecvCounters {
        lock(&self.state).counters
    }

    /// The directory changed hands: whoever waits for that is looked at again.
    pub(crate) fn directory_changed(&self) {
        self.signal.set();
    }

    /// Ends the half: everybody who waits comes back, senders see their channels end. The listening socket is handed
    /// out: while it is open the endpoint counts as alive.
    pub(crate) fn close(&self) -> Option<Listener> {
        self.closed.store(true, Ordering::Release);
        self.signal.set();
        let mut state = lock(&self.state);
        state.channels.clear();
        state.hot.clear();
        state.suspended.clear();
        state.pending.clear();
        let listener = state.listener.take();
        if let Some(listener) = &listener {
            let _ = self.poller.remove(listener.fd().as_fd());
        }
        listener
    }

    /// Lets go of the regions that senders need kept no more, where nobody reads. Returns how many are kept.
    pub(crate) fn tidy(&self) -> usize {
        // Whoever has the lock reads.
        let Ok(mut state) = self.state.try_lock() else { return 1 };
        state.channels.iter_mut().flatten().map(|channel| channel.tidy()).sum()
    }

    /// A descriptor for event loops: readable whenever `try_recv` would give a message.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        let mut state = lock(&self.state);
        if !state.watched {
            state.watched = true;
            if !state.arm_all() {
                self.raise(&mut state);
            }
        }
        self.poller.as_fd()
    }

    fn raise(&self, state: &mut State) {
        if !state.raised {
            state.raised = true;
            self.signal.set();
        }
    }

    /// Takes the next message, if there is one.
    #[inline]
    pub(crate) fn try_recv<R>(
        &self,
        view: &Mutex<View>,
        me: &Local,
        mut build: impl FnMut(&mut Incoming<'_>) -> Build<R>,
    ) -> Result<Polled<R>, RecvError> {
        let mut taken = None;
        let mut take = |incoming: &mut Incoming<'_>| match build(incoming) {
            Build::Take(message) | Build::Enough(message) => {
                taken = Some(message);
                Build::Take(())
            }
            Build::Skip => Build::Skip,
        };
        for _ in 0..VISITS {
            if self.try_drain(view, me, 1, &mut take)? != Visit::Unfinished {
                break;
            }
        }
        Ok(taken.map_or(Polled::Empty, Polled::Got))
    }

    /// Takes up to `limit` messages that are there, in one visit of one channel. They count as read when this returns, all at
    /// once.
    #[inline]
    pub(crate) fn try_drain(
        &self,
        view: &Mutex<View>,
        me: &Local,
        limit: usize,
        mut build: impl FnMut(&mut Incoming<'_>) -> Build<()>,
    ) -> Result<Visit, RecvError> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if self.is_closed() {
            return Err(RecvError::Closed);
        }
        state.looks = state.looks.saturating_add(1);
        if state.hot.is_empty() || (state.looks >= CLOCK_EVERY && state.poll_is_due()) {
            self.look(state, me, view)?;
        }
        loop {
            match state.next(view, limit, &mut build) {
                Ok(Visit::Nothing) if state.starving => {
                    if state.starves(&self.poller, me, view) {
                        state.tally.count(Incident::Short(Shortage::OpenFiles), 1);
                        return Err(RecvError::TooManyOpenFiles);
                    }
                }
                // An event loop waits on the descriptor next: from here on every channel must ring.
                Ok(Visit::Nothing) if state.watched && !state.settle(self) => {}
                Ok(Visit::Nothing) => return Ok(Visit::Nothing),
                Ok(visit) => {
                    // The first one was counted before.
                    if let Visit::Took(taken) = visit {
                        state.looks = state.looks.saturating_add(taken as u32 - 1);
                    }
                    if (state.watched || state.waiters > 0) && !state.hot.is_empty() {
                        self.raise(state);
                    }
                    return Ok(visit);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks at the hot channels for a short while. `true`: there is something, or the receiver is closed.
    pub(crate) fn spin(&self) -> bool {
        let misses = self.misses.load(Ordering::Relaxed);
        // Where spinning keeps failing the peer is slow, or needs this core: one look in eight is still tried.
        let tired = misses >= 8 && !misses.is_multiple_of(8);
        {
            let mut state = lock(&self.state);
            if state.hot.is_empty() {
                return self.is_closed();
            }
            for _ in 0..if tired { SPIN / 32 } else { SPIN } {
                if state.anything() || self.is_closed() {
                    self.misses.store(0, Ordering::Relaxed);
                    return true;
                }
                std::hint::spin_loop();
            }
        }
        self.misses.store(misses.wrapping_add(1), Ordering::Relaxed);
        tired && self.step_aside()
    }

    /// Lets others have the core before a sleep. Where there are more processes than cores the senders are among them, and
    /// what they send meanwhile costs them no doorbell and us no sleep; alone on its core this returns at once.
    fn step_aside(&self) -> bool {
        (0..YIELDS).any(|_| {
            std::thread::yield_now();
            lock(&self.state).anything() || self.is_closed()
        })
    }

    /// Sleeps until something may be there, or `deadline`. `false`: the deadline passed.
    pub(crate) fn park(&self, view: &Mutex<View>, me: &Local, deadline: Option<u64>) -> Result<bool, Interrupted> {
        let timeout = {
            let mut guard = lock(&self.state);
            if self.is_closed() || !guard.settle(self) {
                return Ok(true);
            }
            guard.waiters += 1;
            wait::left([deadline, guard.deadline()])
        };
        let mut events = Events::new();
        let slept = self.poller.wait(&mut events, timeout);
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.waiters -= 1;
        match slept {
            Ok(0) => {
                state.expire(sys::now());
                self.update_interest(state);
                Ok(!wait::is_over(deadline))
            }
            Ok(_) if state.rang_for_message(&events) => Ok(true),
            Ok(_) => {
                let _ = self.handle(state, &events, me, view);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Interrupted),
            Err(_) => Ok(true),
        }
    }

    /// Hears of whoever has rung, also while others keep sending; no news where an event loop watches, which hears it by itself.
    pub(crate) fn listen(&self, view: &Mutex<View>, me: &Local) -> Result<(), RecvError> {
        let mut state = lock(&self.state);
        if state.watched { Ok(()) } else { self.look(&mut state, me, view) }
    }

    /// Handles what is readable now.
    #[cold]
    fn look(&self, state: &mut State, me: &Local, view: &Mutex<View>) -> Result<(), RecvError> {
        let mut events = Events::new();
        match self.poller.wait(&mut events, Some(Duration::ZERO)) {
            Ok(_) => self.handle(state, &events, me, view),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(RecvError::Io(error)),
        }
    }

    fn handle(&self, state: &mut State, events: &Events, me: &Local, view: &Mutex<View>) -> Result<(), RecvError> {
        let mut result = Ok(());
        for event in events.iter() {
            match event.token {
                LISTENER => {
                    if let Err(error) = state.accept(&self.poller, me, view) {
                        result = Err(error);
                    }
                }
                SIGNAL => {
                    if !self.is_closed() && !state.raised {
                        self.signal.clear();
                    }
                    state.resume();
                    state.admit_all(&self.poller, me, view)?;
                }
                token if token & CHANNEL != 0 => state.rung(&self.poller, (token & !CHANNEL) as usize),
                token if token & PENDING != 0 => {
                    state.opened(&self.poller, me, view, token & !PENDING)?;
                }
                _ => {}
            }
        }
        state.expire(sys::now());
        self.update_interest(state);
        result
    }
}
