//! The receiving half: every channel that leads to this endpoint, read fairly by whoever calls `recv`.
//!
//! All of it runs in the threads that receive; no core thread stands between a sender and them. One epoll descriptor
//! gathers what wakes a receiver: new channels, doorbells, the signal of this file. A channel is *hot* while it is
//! looked at, *armed* while it rings for its next message, so that a thousand silent channels cost nothing.
//!
//! The signal is readable while it has to be: the receiver is closed, the directory changed, or there are hot channels
//! and somebody else may wait (another thread, or an event loop on `fileno`).

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipmb_transport::blob::Blob;
use ipmb_transport::sys::{self, Events, Fd, Interest, Listener, Poller, Signal};

use crate::admission::{self, Admitted, Pending};
use crate::channel::{Front, Inbound, Lie, Popped, is_large, large_len};
use crate::error::{Interrupted, RecvError};
use crate::local::Local;
use crate::reactor::lock;
use crate::record::{REDELIVERED, REQUEST, TypeId};
use crate::roster::{Peer, View};
use crate::seen::Seen;
use crate::selector::Selector;
use crate::stats::RecvCounters;
use crate::wait;

/// Looks at hot channels between two looks at the doorbells: bounds how long a newly rung channel waits behind busy ones.
const POLL_EVERY: u32 = 32;
/// Messages in a row from one channel while others are hot too.
const BURST: u32 = 16;
/// Empty looks after which a channel is armed although others are busy.
const IDLE_LOOKS: u32 = 256;
/// Looks before the receiver sleeps: about 14 us, what a wake-up across cores costs.
const SPIN: u32 = 500;

const LISTENER: u64 = 0;
const SIGNAL: u64 = 1;
const PENDING: u64 = 1 << 62;
const CHANNEL: u64 = 1 << 63;

/// What a caller makes of a message.
pub enum Build<R> {
    /// It is taken.
    Take(R),
    /// It is not for this receiver: counted as skipped, and the next one is looked at.
    Skip,
}

/// What `try_recv` found.
pub enum Polled<R> {
    /// A message.
    Got(R),
    /// Nothing now.
    Empty,
}

/// A message at the front of its ring, about to be read.
pub struct Incoming<'a> {
    channel: &'a mut Inbound,
    popped: &'a Popped,
    sender: Arc<Peer>,
    descriptors: Vec<Fd>,
    blob: Option<Blob>,
}

impl Incoming<'_> {
    /// The payload's type.
    pub fn type_id(&self) -> TypeId {
        self.popped.header.type_id
    }

    /// Bytes of the payload.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.blob.as_ref().map_or(self.popped.payload_len, |blob| blob.len())
    }

    /// Copies a payload that travelled in the ring; `into` is as long as the payload. Large ones: [`Incoming::take_blob`].
    #[inline]
    pub fn read(&self, into: &mut [u8]) {
        self.channel.ring.copy_out(&self.popped.record, self.popped.payload_at, into);
    }

    /// The memory file of a large payload.
    pub fn take_blob(&mut self) -> Option<Blob> {
        self.blob.take()
    }

    /// Who sent it.
    #[inline]
    pub fn sender(&self) -> &Arc<Peer> {
        &self.sender
    }

    /// The selector it was sent with.
    #[inline]
    pub fn selector(&self) -> Option<&Arc<Selector>> {
        self.channel.selector(self.popped.header.route)
    }

    /// The first receiver died before it had read it.
    pub fn redelivered(&self) -> bool {
        self.popped.tag.flags & REDELIVERED != 0
    }

    /// Whether the sender waits for a reply.
    pub fn is_request(&self) -> bool {
        self.popped.tag.flags & REQUEST != 0
    }

    /// Pairs requests and replies.
    pub fn correlation(&self) -> Option<u64> {
        self.popped.extension.correlation
    }

    /// The attached descriptors, which are the caller's from now on.
    pub fn take_descriptors(&mut self) -> Vec<Fd> {
        std::mem::take(&mut self.descriptors)
    }
}

/// The receiving half's part of an endpoint.
pub(crate) struct Inbox {
    state: Mutex<State>,
    poller: Poller,
    signal: Signal,
    closed: AtomicBool,
    /// Spins that found nothing, in a row: the spin gets shorter with them.
    misses: AtomicU32,
}

struct State {
    listener: Option<Listener>,
    channels: Vec<Option<Box<Inbound>>>,
    hot: Vec<usize>,
    cursor: usize,
    burst: u32,
    since_poll: u32,
    pending: Pending,
    /// Channels whose next message needs a newer directory to be judged.
    suspended: Vec<usize>,
    seen: Seen,
    waiters: u32,
    watched: bool,
    raised: bool,
    counters: RecvCounters,
}

impl Inbox {
    pub(crate) fn create(listener: Listener) -> io::Result<Inbox> {
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
                since_poll: 0,
                pending: Pending::default(),
                suspended: Vec::new(),
                seen: Seen::default(),
                waiters: 0,
                watched: false,
                raised: false,
                counters: RecvCounters::default(),
            }),
            poller,
            signal,
            closed: AtomicBool::new(false),
            misses: AtomicU32::new(0),
        })
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
        state.pending = Pending::default();
        let listener = state.listener.take();
        if let Some(listener) = &listener {
            let _ = self.poller.remove(listener.fd().as_fd());
        }
        listener
    }

    /// A descriptor for event loops: readable whenever `try_recv` would give a message.
    pub(crate) fn fileno(&self) -> i32 {
        let mut state = lock(&self.state);
        if !state.watched {
            state.watched = true;
            if !state.arm_all() {
                self.raise(&mut state);
            }
        }
        std::os::fd::AsRawFd::as_raw_fd(&self.poller.as_fd())
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
        build: &mut dyn FnMut(&mut Incoming<'_>) -> Build<R>,
    ) -> Result<Polled<R>, RecvError> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if self.is_closed() {
            return Err(RecvError::Closed);
        }
        state.since_poll += 1;
        if state.hot.is_empty() || state.since_poll >= POLL_EVERY {
            self.look(state, me, view)?;
        }
        loop {
            match state.next(view, &mut *build) {
                Ok(Some(taken)) => {
                    if (state.watched || state.waiters > 0) && !state.hot.is_empty() {
                        self.raise(state);
                    }
                    return Ok(Polled::Got(taken));
                }
                Ok(None) if state.starving() => return Err(RecvError::TooManyOpenFiles),
                // An event loop waits on the descriptor next: from here on every channel must ring.
                Ok(None) if state.watched && !state.settle(self) => {}
                Ok(None) => return Ok(Polled::Empty),
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks at the hot channels for a short while. `true`: there is something, or the receiver is closed.
    pub(crate) fn spin(&self) -> bool {
        let misses = self.misses.load(Ordering::Relaxed);
        // Where spinning keeps failing the peer is slow, or needs this core: one look in eight is still tried.
        let budget = if misses < 8 || misses.is_multiple_of(8) { SPIN } else { SPIN / 32 };
        let mut state = lock(&self.state);
        if state.hot.is_empty() {
            return self.is_closed();
        }
        for _ in 0..budget {
            if state.anything() || self.is_closed() {
                self.misses.store(0, Ordering::Relaxed);
                return true;
            }
            std::hint::spin_loop();
        }
        self.misses.store(misses.wrapping_add(1), Ordering::Relaxed);
        false
    }

    /// Sleeps until something may be there, or `deadline`. `false`: the deadline passed.
    pub(crate) fn park(&self, view: &Mutex<View>, me: &Local, deadline: Option<u64>) -> Result<bool, Interrupted> {
        let timeout = {
            let mut guard = lock(&self.state);
            if self.is_closed() || !guard.settle(self) {
                return Ok(true);
            }
            guard.waiters += 1;
            wait::left([deadline, guard.pending.deadline()])
        };
        let mut events = Events::new();
        let slept = self.poller.wait(&mut events, timeout);
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.waiters -= 1;
        match slept {
            Ok(0) => {
                state.pending.expire(sys::now());
                Ok(!wait::is_over(deadline))
            }
            Ok(_) => {
                let _ = self.handle(state, &events, me, view);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Interrupted),
            Err(_) => Ok(true),
        }
    }

    /// Handles what is readable now.
    #[cold]
    fn look(&self, state: &mut State, me: &Local, view: &Mutex<View>) -> Result<(), RecvError> {
        state.since_poll = 0;
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
                    state.pending.read(token & !PENDING);
                    state.admit_all(&self.poller, me, view)?;
                }
                _ => {}
            }
        }
        state.pending.expire(sys::now());
        result
    }
}

impl State {
    /// The next message that `build` takes, from the hot channels in turn.
    #[inline]
    fn next<R>(
        &mut self,
        view: &Mutex<View>,
        build: &mut dyn FnMut(&mut Incoming<'_>) -> Build<R>,
    ) -> Result<Option<R>, RecvError> {
        let mut empty = 0;
        while empty < self.hot.len() {
            if self.cursor >= self.hot.len() {
                self.cursor = 0;
            }
            let place = self.hot[self.cursor];
            let Some(channel) = self.channels[place].as_deref_mut() else {
                self.hot.swap_remove(self.cursor);
                continue;
            };
            let popped = match channel.front() {
                Ok(Front::Message(popped)) => popped,
                Ok(Front::Empty) => {
                    channel.idle += 1;
                    if channel.ended() {
                        self.remove(place);
                    } else if channel.idle > IDLE_LOOKS && channel.ring.sleep().unwrap_or(false) {
                        channel.hot = false;
                        self.hot.swap_remove(self.cursor);
                    } else {
                        empty += 1;
                        self.turn();
                    }
                    continue;
                }
                Ok(Front::TooManyOpenFiles) => return Err(RecvError::TooManyOpenFiles),
                Err(Lie) => {
                    self.remove(place);
                    continue;
                }
            };
            empty = 0;
            channel.idle = 0;
            self.burst += 1;
            let several = self.hot.len() > 1;
            match self.take(place, popped, view, build) {
                Ok(Some(taken)) => {
                    if several && self.burst >= BURST {
                        self.turn();
                    }
                    return Ok(Some(taken));
                }
                Ok(None) => {}
                Err(Lie) => self.remove(place),
            }
        }
        Ok(None)
    }

    fn turn(&mut self) {
        self.cursor += 1;
        self.burst = 0;
    }

    #[inline]
    fn take<R>(
        &mut self,
        place: usize,
        popped: Popped,
        view: &Mutex<View>,
        build: &mut dyn FnMut(&mut Incoming<'_>) -> Build<R>,
    ) -> Result<Option<R>, Lie> {
        let Some(channel) = self.channels[place].as_deref_mut() else { return Ok(None) };
        let mut sender = channel.peer.clone();
        if popped.extension.parked.is_some() || popped.extension.origin.is_some() {
            match admission::judge(&popped.extension, &channel.peer, view) {
                admission::Verdict::Accept(origin) => sender = origin.unwrap_or(sender),
                admission::Verdict::Later => {
                    channel.hot = false;
                    self.hot.retain(|&hot| hot != place);
                    self.suspended.push(place);
                    return Ok(None);
                }
                admission::Verdict::Refuse => return Err(Lie),
            }
            if let Some(number) = popped.extension.parked
                && !self.seen.insert(number)
            {
                channel.take_descriptors(popped.tag);
                channel.consume(popped.record);
                return Ok(None);
            }
        }
        let mut descriptors = channel.take_descriptors(popped.tag);
        let blob = if is_large(popped.tag.flags) {
            let mut len = [0; 8];
            channel.ring.copy_out(&popped.record, popped.payload_at, &mut len);
            let len = large_len(&len).ok_or(Lie)?;
            Some(Blob::open(descriptors.remove(0), len).map_err(|_| Lie)?)
        } else {
            None
        };
        let mut incoming = Incoming { channel, popped: &popped, sender, descriptors, blob };
        let bytes = incoming.len() as u64;
        let built = build(&mut incoming);
        drop(incoming);
        channel.consume(popped.record);
        Ok(match built {
            Build::Take(taken) => {
                self.counters.received += 1;
                self.counters.bytes += bytes;
                Some(taken)
            }
            Build::Skip => {
                self.counters.skipped += 1;
                None
            }
        })
    }

    fn anything(&mut self) -> bool {
        let State { hot, channels, .. } = self;
        hot.iter().any(|&place| match channels[place].as_deref_mut() {
            Some(channel) => channel.ended() || !matches!(channel.ring.peek(), Ok(None)),
            None => true,
        })
    }

    fn starving(&self) -> bool {
        self.channels.iter().flatten().any(|channel| channel.starved())
    }

    /// Arms every hot channel. `true`: none has anything, all ring from now on; the signal is taken down.
    fn settle(&mut self, inbox: &Inbox) -> bool {
        if !self.arm_all() {
            return false;
        }
        if self.raised {
            self.raised = false;
            inbox.signal.clear();
            // A close or a change of the directory may have been in the same signal.
            if inbox.is_closed() || self.pending.anyone_waits() || !self.suspended.is_empty() {
                inbox.signal.set();
            }
        }
        true
    }

    fn arm_all(&mut self) -> bool {
        let mut place = 0;
        while place < self.hot.len() {
            let index = self.hot[place];
            let asleep = match self.channels[index].as_deref_mut() {
                Some(channel) if channel.ended() => false,
                Some(channel) => {
                    let asleep = channel.ring.sleep().unwrap_or(false);
                    channel.hot = !asleep;
                    asleep
                }
                None => true,
            };
            if asleep {
                self.hot.swap_remove(place);
            } else {
                place += 1;
            }
        }
        self.hot.is_empty()
    }

    /// A channel's socket is readable: a doorbell, descriptors, or its end.
    fn rung(&mut self, poller: &Poller, place: usize) {
        let Some(channel) = self.channels.get_mut(place).and_then(|channel| channel.as_deref_mut()) else { return };
        if channel.service().is_err() {
            return self.remove(place);
        }
        if channel.ended() {
            let _ = poller.remove(channel.socket.fd().as_fd());
        }
        self.heat(place);
    }

    fn heat(&mut self, place: usize) {
        if let Some(channel) = self.channels[place].as_deref_mut() {
            channel.idle = 0;
            if !channel.hot && !self.suspended.contains(&place) {
                channel.hot = true;
                channel.ring.wake();
                self.hot.push(place);
            }
        }
    }

    fn resume(&mut self) {
        for place in std::mem::take(&mut self.suspended) {
            self.heat(place);
        }
    }

    fn remove(&mut self, place: usize) {
        self.channels[place] = None;
        self.hot.retain(|&hot| hot != place);
        self.suspended.retain(|&suspended| suspended != place);
    }

    fn accept(&mut self, poller: &Poller, me: &Local, view: &Mutex<View>) -> Result<(), RecvError> {
        while let Some(listener) = &self.listener
            && let Some(socket) = listener.accept().map_err(no_descriptors)?
        {
            if let Some(key) = self.pending.add(socket, me, sys::now())
                && let Some(socket) = self.pending.socket(key)
            {
                poller.add(socket.fd().as_fd(), PENDING | key, Interest::READ).map_err(RecvError::Io)?;
                self.pending.read(key);
                self.admit_all(poller, me, view)?;
            }
        }
        Ok(())
    }

    /// Turns every opener whose proof and identity are checked into a channel.
    fn admit_all(&mut self, poller: &Poller, me: &Local, view: &Mutex<View>) -> Result<(), RecvError> {
        for Admitted { socket, memory, peer, proof } in self.pending.admit(me, view) {
            let place = self.channels.iter().position(Option::is_none).unwrap_or(self.channels.len());
            poller.modify(socket.fd().as_fd(), CHANNEL | place as u64, Interest::READ).map_err(RecvError::Io)?;
            let Ok(mut channel) = Inbound::open(socket, &memory, peer, proof) else { continue };
            if channel.service().is_err() {
                continue;
            }
            if channel.ended() {
                let _ = poller.remove(channel.socket.fd().as_fd());
            }
            if place == self.channels.len() {
                self.channels.push(None);
            }
            self.channels[place] = Some(Box::new(channel));
            self.heat(place);
        }
        Ok(())
    }
}

fn no_descriptors(error: io::Error) -> RecvError {
    match error.raw_os_error() {
        Some(code) if sys::is_descriptor_limit(code) => RecvError::TooManyOpenFiles,
        _ => RecvError::Io(error),
    }
}
