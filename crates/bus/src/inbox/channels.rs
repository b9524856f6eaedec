//! The channels of an inbox: which are looked at, which ring, and the next message of them all.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use ipmb_transport::sys::{self, Events, Poller};

use super::{BURST, Build, CHANNEL, IDLE_LOOKS, Inbox, Incoming, PASSED, POLL_NANOS, State, Visit};
use crate::admission;
use crate::channel::{Front, Lie, Luggage, Special};
use crate::error::RecvError;
use crate::incidents::{Incident, Who};
use crate::local::Local;
use crate::roster::{Peer, View};
use crate::stats::{DropReason, Shortage};

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
                    self.doubt(place, &special, view);
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

    /// A message in the name of another, from one who is not known as a controller: it waits until the directory says that it
    /// is, or was. That of one who is gone does not wait for ever, or whoever comes, lies and goes would leave us a channel
    /// each time.
    #[cold]
    fn doubt(&mut self, place: usize, special: &Special, view: &Mutex<View>) {
        let Some(channel) = self.channels[place].as_deref_mut() else { return };
        if channel.ended() {
            let now = sys::now();
            let since = *channel.doubted.get_or_insert(now);
            channel.doubt_ends = admission::doubt_ends(since, view);
            if channel.doubt_ends.is_some_and(|end| end <= now) {
                self.tally.count(Incident::Dropped(DropReason::SenderGone), 1);
                channel.pass();
                channel.publish();
                return channel.drop_luggage(special);
            }
        }
        channel.hot = false;
        self.hot.retain(|&hot| hot != place);
        self.suspended.push(place);
    }

    /// When the time of somebody at the door ends, or of a message that is not believed.
    pub(super) fn deadline(&self) -> Option<u64> {
        let ends = |&place: &usize| self.channels[place].as_ref()?.doubt_ends;
        self.suspended.iter().filter_map(ends).chain(self.pending.deadline()).min()
    }

    /// Sees to those whose time is over.
    pub(super) fn expire(&mut self, now: u64) {
        self.pending.expire(now);
        let ends = |place: usize| self.channels[place].as_ref().and_then(|channel| channel.doubt_ends);
        let (over, still) = self.suspended.iter().partition(|&&place| ends(place).is_some_and(|end| end <= now));
        self.suspended = still;
        let over: Vec<usize> = over;
        over.into_iter().for_each(|place| self.heat(place));
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
            // What was not believed of one who lives is looked at once more.
            self.suspended.retain(|&suspended| suspended != place);
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
}
