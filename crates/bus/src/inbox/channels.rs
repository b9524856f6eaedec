//! The channels of an inbox: which are looked at, which ring, and the next message of them all.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use ipmb_transport::RingError;
use ipmb_transport::ring::Consumer;
use ipmb_transport::sys::{self, Events, Interest, Poller, Socket};

use super::{ACCEPTS, BURST, Build, CHANNEL, IDLE_LOOKS, Inbox, Incoming, PASSED, PENDING, POLL_NANOS, State, Visit};
use crate::admission;
use crate::channel::{Front, Inbound, Lie, Luggage};
use crate::error::RecvError;
use crate::incidents::{Incident, Tally, Who};
use crate::limits;
use crate::local::Local;
use crate::roster::{Peer, View};
use crate::stats::{RefuseReason, Shortage};

/// Who has really sent a message, where that is not the channel's peer, and what came with it.
type Inspected = (Option<Arc<Peer>>, Option<Box<Luggage>>);

impl State {
    /// Has `build` take the next messages, up to `limit` of one channel; the hot ones have their turns.
    #[inline]
    pub(super) fn next(
        &mut self,
        view: &Mutex<View>,
        limit: usize,
        mut build: impl FnMut(&mut Incoming<'_>) -> Build<()>,
    ) -> Result<Visit, RecvError> {
        let (mut empty, mut passed) = (0, 0);
        while empty < self.hot.len() {
            if passed > PASSED {
                return Ok(Visit::Unfinished);
            }
            if self.cursor >= self.hot.len() {
                self.cursor = 0;
            }
            let place = self.hot[self.cursor];
            let Some(channel) = self.channels[place].as_deref_mut() else {
                self.hot.swap_remove(self.cursor);
                continue;
            };
            match channel.front() {
                Ok(Front::Message) => {}
                Ok(Front::Empty) => {
                    channel.idle = channel.idle.saturating_add(1);
                    if channel.ended() {
                        self.remove(place);
                    } else if channel.idle > IDLE_LOOKS && self.hot.len() > 1 && channel.ring.sleep().unwrap_or(false) {
                        channel.hot = false;
                        self.hot.swap_remove(self.cursor);
                    } else {
                        empty += 1;
                        self.turn();
                    }
                    continue;
                }
                Ok(Front::News) => {
                    empty = 0;
                    passed += PASSED / 4;
                    self.turn();
                    continue;
                }
                Ok(Front::TooManyOpenFiles) => {
                    // The others' messages come first next time, or one message could hold them all up.
                    self.turn();
                    self.starving = true;
                    self.tally.count(Incident::Short(Shortage::OpenFiles), 1);
                    return Err(RecvError::TooManyOpenFiles);
                }
                Err(Lie) => {
                    self.cut_off(place);
                    continue;
                }
            }
            empty = 0;
            channel.idle = 0;
            let several = self.hot.len() > 1;
            match self.take(place, view, &mut build) {
                Ok(Some(more)) => {
                    let more = more && limit > 1;
                    let taken = if more { 1 + self.drain(place, limit - 1, view, &mut build) } else { 1 };
                    self.publish(place);
                    if several && self.burst >= BURST {
                        self.turn();
                    }
                    return Ok(Visit::Took(taken));
                }
                Ok(None) => {
                    self.publish(place);
                    passed += 1;
                    if several && self.burst >= BURST {
                        self.turn();
                    }
                }
                Err(Lie) => self.cut_off(place),
            }
        }
        Ok(Visit::Nothing)
    }

    /// Takes what else the channel has, in one visit. Whatever is no message is left for the next one.
    fn drain(
        &mut self,
        place: usize,
        limit: usize,
        view: &Mutex<View>,
        build: &mut impl FnMut(&mut Incoming<'_>) -> Build<()>,
    ) -> usize {
        let mut taken = 0;
        while taken < limit && (self.hot.len() == 1 || self.burst < BURST) {
            let Some(channel) = self.channels[place].as_deref_mut() else { break };
            let Ok(Front::Message) = channel.front() else { break };
            let Ok(Some(more)) = self.take(place, view, build) else { break };
            taken += 1;
            if !more {
                break;
            }
        }
        taken
    }

    /// Lets the sender know how far its messages were read.
    #[inline]
    fn publish(&mut self, place: usize) {
        if let Some(channel) = self.channels[place].as_deref_mut() {
            channel.publish();
        }
    }

    /// Whether the doorbells have not been looked at for a while.
    pub(super) fn poll_is_due(&mut self) -> bool {
        self.looks = 0;
        let now = sys::now();
        let due = now >= self.polled + POLL_NANOS;
        if due {
            self.polled = now;
        }
        due
    }

    pub(super) fn turn(&mut self) {
        self.cursor += 1;
        self.burst = 0;
    }

    /// Shows the message that a channel has found to `build` and goes past it. `None`: it is not taken, or not now; else
    /// whether more are wanted.
    #[inline]
    fn take(
        &mut self,
        place: usize,
        view: &Mutex<View>,
        build: &mut impl FnMut(&mut Incoming<'_>) -> Build<()>,
    ) -> Result<Option<bool>, Lie> {
        self.burst = self.burst.saturating_add(1);
        let Some(mut channel) = self.channels[place].as_deref_mut() else { return Ok(None) };
        let (mut origin, mut luggage) = (None, None);
        if channel.at.special.is_some() {
            match self.inspect(place, view)? {
                Some(found) => (origin, luggage) = found,
                None => return Ok(None),
            }
            let Some(again) = self.channels[place].as_deref_mut() else { return Ok(None) };
            channel = again;
        }
        let mut incoming = Incoming { channel, origin, luggage };
        let bytes = incoming.payload_bytes();
        let built = build(&mut incoming);
        incoming.channel.pass();
        let more = match built {
            Build::Take(()) => true,
            Build::Enough(()) => false,
            Build::Skip => {
                self.counters.skipped += 1;
                if self.counters.skipped == 1 {
                    self.tally.tell(Incident::Skipped, None);
                }
                // Until its sender knows that it was read, what came with it is held.
                incoming.channel.publish();
                return Ok(None);
            }
        };
        self.counters.received += 1;
        self.counters.bytes += bytes;
        Ok(Some(more))
    }

    /// Looks at a message that says more than its payload. `None`: it has to wait, or has been here before.
    #[cold]
    fn inspect(&mut self, place: usize, view: &Mutex<View>) -> Result<Option<Inspected>, Lie> {
        let Some(channel) = self.channels[place].as_deref_mut() else { return Ok(None) };
        let Some(mut special) = channel.at.special.take() else { return Ok(None) };
        let mut origin = None;
        if special.extension.parked.is_some() || special.extension.origin.is_some() {
            match admission::judge(&special.extension, &channel.peer, view) {
                admission::Verdict::Accept(first) => origin = first,
                admission::Verdict::Later | admission::Verdict::Unknown => {
                    channel.hot = false;
                    self.hot.retain(|&hot| hot != place);
                    self.suspended.push(place);
                    return Ok(None);
                }
                admission::Verdict::Refuse => return Err(Lie),
            }
            if let Some(number) = special.extension.parked
                && !self.seen.insert(number)
            {
                self.tally.count(Incident::Duplicate, 1);
                channel.pass();
                channel.publish();
                channel.drop_luggage(&special);
                return Ok(None);
            }
        }
        let luggage = channel.take_luggage(&mut special)?;
        channel.at.special = Some(special);
        Ok(Some((origin, luggage)))
    }

    pub(super) fn anything(&mut self) -> bool {
        let State { hot, channels, .. } = self;
        hot.iter().any(|&place| match channels[place].as_deref_mut() {
            Some(channel) => channel.ended() || !matches!(channel.ring.peek(), Ok(None)),
            None => true,
        })
    }

    /// Looks again at whatever waits for descriptors of this process. Whether something still does.
    pub(super) fn starves(&mut self, poller: &Poller, me: &Local, view: &Mutex<View>) -> bool {
        if std::mem::take(&mut self.starving) {
            for key in self.pending.starved() {
                let _ = self.opened(poller, me, view, key);
            }
            let _ = self.admit_all(poller, me, view);
            for place in 0..self.channels.len() {
                if let Some(channel) = self.channels[place].as_deref_mut()
                    && channel.starved()
                {
                    channel.show_page();
                    self.rung(poller, place);
                }
            }
        }
        self.starving
    }

    /// Whether one channel has rung, and nothing else is to be seen to, and its message is there. Then whoever waits for
    /// the message gets it first: reading the doorbell off the socket takes three system calls.
    pub(super) fn rang_for_message(&mut self, events: &Events) -> bool {
        let mut events = events.iter();
        let (Some(event), None) = (events.next(), events.next()) else { return false };
        if event.token & CHANNEL == 0 {
            return false;
        }
        let place = (event.token & !CHANNEL) as usize;
        let found = self.channels.get_mut(place).and_then(|channel| channel.as_deref_mut());
        let Some(Ok(Some(_))) = found.map(|channel| channel.ring.peek()) else { return false };
        self.unheard.push(place);
        self.heat(place);
        true
    }

    /// Arms every hot channel. `true`: none has anything, all ring from now on; the signal is taken down.
    pub(super) fn settle(&mut self, inbox: &Inbox) -> bool {
        while let Some(place) = self.unheard.pop() {
            self.rung(&inbox.poller, place);
        }
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

    pub(super) fn arm_all(&mut self) -> bool {
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
    pub(super) fn rung(&mut self, poller: &Poller, place: usize) {
        let Some(channel) = self.channels.get_mut(place).and_then(|channel| channel.as_deref_mut()) else { return };
        if channel.service().is_err() {
            return self.cut_off(place);
        }
        self.starving |= channel.starved();
        if channel.ended() {
            let _ = poller.remove(channel.socket.fd().as_fd());
        }
        self.heat(place);
    }

    pub(super) fn heat(&mut self, place: usize) {
        if let Some(channel) = self.channels[place].as_deref_mut() {
            channel.idle = 0;
            if !channel.hot && !self.suspended.contains(&place) {
                channel.hot = true;
                channel.ring.wake();
                self.hot.push(place);
            }
        }
    }

    pub(super) fn resume(&mut self) {
        for place in std::mem::take(&mut self.suspended) {
            self.heat(place);
        }
    }

    /// Ends the channel of one that lied.
    #[cold]
    fn cut_off(&mut self, place: usize) {
        if let Some(channel) = &self.channels[place] {
            let Peer { info, uid, .. } = &*channel.peer;
            self.tally.refuse(channel.fault(), Who { pid: info.pid, uid: *uid });
        }
        self.remove(place);
    }

    pub(super) fn remove(&mut self, place: usize) {
        self.channels[place] = None;
        self.hot.retain(|&hot| hot != place);
        self.suspended.retain(|&suspended| suspended != place);
    }

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
        for (key, peer, proof) in self.pending.judge(me, view) {
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
