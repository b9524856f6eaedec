//! The writing side. It owns the records until the consumer has read them, and can read them back afterwards.
//!
//! A push touches nothing of the consumer's while its last known tail leaves room, except the sleep word,
//! which is on a line of its own and rarely changes. The consumer's memory may come long after the first
//! records: until then the tail is known to be 0 and the caller is told that nobody can be rung yet.

use std::{io, mem, vec};

use super::growth::{Former, Larger};
use super::layout::{
    FRAME, HEAD, HEADER, KIND, MIN_CAPACITY, ROOM, SLEEP, TAIL, check_consumer, frame, is_capacity, max_body,
    parse_frame, place, producer_kind, span, whole_pages,
};
use super::starts::Starts;
use crate::atomic::{Ordering, fence};
use crate::error::{PushError, RingError};
use crate::memory::{MemoryFile, OwnMemory, PeerMemory};

/// What is left to do when a record is in the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// Nothing: the consumer is awake, or was rung already.
    Quiet,
    /// Ring its doorbell: it sleeps.
    Ring,
    /// Its memory is not attached yet: look whether it has come.
    Unattached,
}

/// The writing side of a ring.
#[derive(Debug)]
pub struct Producer {
    memory: OwnMemory,
    peer: Option<PeerMemory>,
    capacity: u64,
    /// What records may use of it: all, or all but the room for a switch.
    usable: u64,
    /// One past the last record that the consumer sees.
    head: u64,
    /// One past the last record, published or only staged.
    end: u64,
    /// The consumer's tail when last looked at; always the start of a record, or `head`.
    tail: u64,
    /// The sleep for which the doorbell was rung last.
    rung: u64,
    /// Number of the last wait for room.
    wait: u64,
    starts: Starts,
    /// The ring before it grew, while the consumer may read there.
    former: Option<Former>,
}

impl Producer {
    /// A new ring of `capacity` bytes, a power of two from [`MIN_CAPACITY`] to
    /// [`MAX_CAPACITY`](super::MAX_CAPACITY). The descriptor is for the consumer.
    pub fn create(capacity: usize) -> io::Result<(Producer, MemoryFile)> {
        if !is_capacity(capacity) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a ring of {capacity} bytes: a power of two from {MIN_CAPACITY} on is needed"),
            ));
        }
        let (memory, file) = OwnMemory::create("ipmb-ring", HEADER + capacity)?;
        memory.word(KIND).store(producer_kind(capacity), Ordering::Relaxed);
        let producer = Producer {
            memory,
            peer: None,
            capacity: capacity as u64,
            usable: capacity as u64,
            head: 0,
            end: 0,
            tail: 0,
            rung: 0,
            wait: 0,
            starts: Starts::new(capacity),
            former: None,
        };
        Ok((producer, file))
    }

    /// Keeps room for the switch of a ring that grows, from before the first record on.
    pub fn keep_room_to_grow(&mut self) {
        debug_assert!(self.end == 0, "records may have that room already");
        self.usable = self.capacity - FRAME;
    }

    /// Goes on in a larger memory, which the consumer is known to have: appends the switch, a record without a body,
    /// and publishes it with all that was staged. What was waited for may be there now.
    ///
    /// # Panics
    /// When the memory is not larger, or the ring has grown before.
    pub fn switch(&mut self, tag: u32, larger: Larger) -> Result<Pushed, PushError> {
        assert!(larger.capacity > self.capacity && self.usable < self.capacity, "a ring grows once");
        // There is room: it was kept.
        self.usable = self.capacity;
        self.stage(tag, &[])?;
        let Larger { memory, capacity, starts } = larger;
        // Whoever waited for room waits on.
        memory.word(ROOM).store(self.memory.word(ROOM).load(Ordering::Relaxed), Ordering::Relaxed);
        memory.word(HEAD).store(self.end, Ordering::Relaxed);
        // From here on the consumer may go over.
        let pushed = self.publish();
        self.former = Some(Former {
            memory: mem::replace(&mut self.memory, memory),
            capacity: mem::replace(&mut self.capacity, capacity),
            starts: mem::replace(&mut self.starts, starts),
            end: self.end,
        });
        self.usable = capacity;
        Ok(pushed)
    }

    /// Takes the consumer's memory, once. Ask [`must_ring`](Producer::must_ring) next.
    pub fn attach(&mut self, consumer_memory: &MemoryFile) -> Result<(), RingError> {
        if self.peer.is_some() {
            return Err(RingError::Corrupt);
        }
        let peer = PeerMemory::open(consumer_memory, HEADER, whole_pages(HEADER))?;
        check_consumer(&peer)?;
        self.peer = Some(peer);
        Ok(())
    }

    /// Whether the consumer's memory has come.
    pub fn attached(&self) -> bool {
        self.peer.is_some()
    }

    /// Whether records with bodies of these lengths fit now, one behind the other.
    pub fn has_room(&mut self, bodies: &[usize]) -> Result<bool, RingError> {
        let longest = self.max_body();
        Ok(bodies.iter().all(|&len| len <= longest) && self.make_room(bodies.iter().map(|&len| span(len)).sum())?)
    }

    /// Appends a record, its body being `parts` one after the other, and publishes it.
    ///
    /// # Panics
    /// In debug builds, when records are staged: if this one did not fit they would stay unseen.
    #[inline(always)]
    pub fn push(&mut self, tag: u32, parts: &[&[u8]]) -> Result<Pushed, PushError> {
        debug_assert!(self.head == self.end, "publish what is staged first");
        self.stage(tag, parts)?;
        Ok(self.publish())
    }

    /// Appends a record that the consumer sees only after [`publish`](Producer::publish): a burst then costs
    /// one fence. What is staged and not published is lost when this process dies, and a consumer that does
    /// not see it cannot make room: publish when the ring is full.
    #[inline(always)]
    pub fn stage(&mut self, tag: u32, parts: &[&[u8]]) -> Result<(), PushError> {
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        if len > self.max_body() {
            return Err(PushError::TooLarge);
        }
        let span = span(len);
        if !self.make_room(span).map_err(|_| PushError::Corrupt)? {
            return Err(PushError::Full);
        }
        let whole = FRAME as usize + len;
        let (start, straight) = place(self.end, whole, self.capacity);
        if straight == whole {
            self.memory.put(start, &frame(tag, len));
            let mut at = start + FRAME as usize;
            for part in parts {
                self.memory.put(at, part);
                at += part.len();
            }
        } else {
            self.put_around(tag, len, parts);
        }
        self.starts.set(self.end);
        self.end += span;
        Ok(())
    }

    /// Writes a record that goes round the end. Its frame word never does.
    #[cold]
    fn put_around(&mut self, tag: u32, len: usize, parts: &[&[u8]]) {
        let (offset, _) = place(self.end, FRAME as usize, self.capacity);
        self.memory.put(offset, &frame(tag, len));
        let mut at = self.end + FRAME;
        for part in parts {
            let (offset, straight) = place(at, part.len(), self.capacity);
            let (before, after) = part.split_at(straight);
            self.memory.put(offset, before);
            self.memory.put(HEADER, after);
            at += part.len() as u64;
        }
    }

    /// Shows the consumer all that was staged.
    #[inline]
    pub fn publish(&mut self) -> Pushed {
        self.head = self.end;
        self.memory.word(HEAD).publish(self.end);
        self.knock()
    }

    /// Whether the consumer sleeps and was not rung for it: for use after [`attach`](Producer::attach), when
    /// records were pushed that nobody could be rung for. The fence that the question needs was in their
    /// [`publish`](Producer::publish).
    pub fn must_ring(&mut self) -> bool {
        self.knock() == Pushed::Ring
    }

    #[inline(always)]
    fn knock(&mut self) -> Pushed {
        let Some(peer) = &self.peer else {
            return Pushed::Unattached;
        };
        let sleep = peer.word(SLEEP).load(Ordering::Relaxed);
        if sleep & 1 == 1 && sleep != self.rung {
            self.rung = sleep;
            return Pushed::Ring;
        }
        Pushed::Quiet
    }

    /// Says that this side is about to wait for room, and looks again. True: the consumer will say when half
    /// the ring is free. False: it is already, push on. Publish first what was staged.
    pub fn announce_wait(&mut self) -> Result<bool, RingError> {
        debug_assert!(self.head == self.end, "a consumer never makes room for what it cannot see");
        self.wait += 1;
        self.memory.word(ROOM).store(self.wait << 1 | 1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let looked = self.refresh();
        let used = self.head - self.tail;
        if looked.is_err() || used <= self.capacity / 2 {
            self.cancel_wait();
        }
        looked.map(|()| used > self.capacity / 2)
    }

    /// Says that this side is about to wait until records are read, whatever room there is, and looks again. The consumer
    /// says when it has read all that it knew of, or half of what there was: it may read a few without a word. Returns
    /// how far it has read.
    pub fn announce_reading(&mut self) -> Result<u64, RingError> {
        self.wait += 1;
        self.memory.word(ROOM).store(self.wait << 1 | 1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let looked = self.refresh();
        if looked.is_err() || self.tail == self.head {
            self.cancel_wait();
        }
        looked.map(|()| self.tail)
    }

    /// Says that this side no longer waits for room.
    pub fn cancel_wait(&mut self) {
        self.memory.word(ROOM).store(self.wait << 1, Ordering::Relaxed);
    }

    /// Bytes for records.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// The longest body that will ever fit.
    #[inline(always)]
    pub fn max_body(&self) -> usize {
        max_body(self.capacity)
    }

    /// One past the last published record.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// How far the consumer has read, looked at anew.
    pub fn tail(&mut self) -> Result<u64, RingError> {
        self.refresh()?;
        Ok(self.tail)
    }

    /// The records that the consumer has not read, oldest first, as `(tag, position, length)`; their bodies by
    /// [`read`](Producer::read). Of a consumer that lied, those that it had not read when it last told the
    /// truth.
    pub fn unread(&mut self) -> Unread {
        // A lie leaves the last good tail in place.
        let _ = self.refresh();
        let mut at = self.tail;
        let mut found = Vec::new();
        while at < self.head {
            let (tag, len) = self.frame_at(at);
            found.push((tag, at, len));
            at += span(len);
        }
        Unread(found.into_iter())
    }

    /// Copies a piece of the body of the record at `position`, one of [`unread`](Producer::unread)'s.
    ///
    /// # Panics
    /// When the record is not in the ring or has no such piece.
    pub fn read(&self, position: u64, offset: usize, buf: &mut [u8]) {
        let (memory, capacity, starts) = self.part(position);
        let known = (self.tail..self.end).contains(&position) && starts.is_set(position);
        assert!(known && position.is_multiple_of(8), "no record at {position}");
        let (_, len) = self.frame_at(position);
        assert!(offset <= len && buf.len() <= len - offset, "no such piece in the record at {position}");
        let (start, straight) = place(position + FRAME + offset as u64, buf.len(), capacity);
        let (before, after) = buf.split_at_mut(straight);
        memory.copy_out(start, before);
        memory.copy_out(HEADER, after);
    }

    fn frame_at(&self, position: u64) -> (u32, usize) {
        let (memory, capacity, _) = self.part(position);
        let mut word = [0; FRAME as usize];
        memory.copy_out(place(position, word.len(), capacity).0, &mut word);
        parse_frame(word)
    }

    /// Where the record at `position` stands: a ring that has grown has some in each memory for a while.
    fn part(&self, position: u64) -> (&OwnMemory, u64, &Starts) {
        match &self.former {
            Some(former) if position < former.end => (&former.memory, former.capacity, &former.starts),
            _ => (&self.memory, self.capacity, &self.starts),
        }
    }

    /// Whether `span` bytes fit behind the head, looking at the consumer's tail only when they seem not to.
    #[inline(always)]
    fn make_room(&mut self, span: u64) -> Result<bool, RingError> {
        if span <= self.usable - (self.end - self.tail) {
            return Ok(true);
        }
        self.refresh()?;
        Ok(span <= self.usable - (self.end - self.tail))
    }

    /// Takes over the consumer's tail if it is a possible one.
    #[inline(never)]
    fn refresh(&mut self) -> Result<(), RingError> {
        let Some(peer) = &self.peer else {
            return Ok(());
        };
        let tail = peer.word(TAIL).load(Ordering::Acquire);
        if tail == self.tail {
            return Ok(());
        }
        let possible = tail > self.tail
            && tail <= self.head
            && tail.is_multiple_of(8)
            && (tail == self.head || self.part(tail).2.is_set(tail));
        if !possible {
            return Err(RingError::Corrupt);
        }
        match &mut self.former {
            None => self.starts.clear(self.tail, tail),
            Some(former) if tail < former.end => former.starts.clear(self.tail, tail),
            Some(former) => {
                self.starts.clear(former.end, tail);
                self.former = None;
            }
        }
        self.tail = tail;
        Ok(())
    }
}

/// What a consumer has left unread: `(tag, position, length of the body)` of each record.
#[derive(Debug)]
pub struct Unread(vec::IntoIter<(u32, u64, usize)>);

impl Iterator for Unread {
    type Item = (u32, u64, usize);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Unread {}
