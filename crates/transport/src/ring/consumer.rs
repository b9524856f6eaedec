//! The reading side. It believes nothing of what it reads, and tells how far it is.
//!
//! The tail is published with every record, before the record's receiver returns. Looking whether the
//! producer waits for room costs a fence, and is needed only where the answer can be yes: when the tail
//! passes the place from which half the ring is free, and when it has caught up with the head as last seen.

use super::growth::Offered;
use super::layout::{
    FRAME, HEAD, HEADER, KIND, MAX_CAPACITY, ROOM, SLEEP, TAIL, consumer_kind, max_body, parse_frame, place,
    read_capacity, span, whole_pages,
};
use crate::atomic::{Ordering, fence};
use crate::error::RingError;
use crate::memory::{MemoryFile, OwnMemory, PeerMemory};

/// The record at the tail, as checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// What the producer gave with it.
    pub tag: u32,
    /// Bytes in its body.
    pub len: usize,
    /// Where it is, in bytes since the ring began.
    pub position: u64,
}

/// The reading side of a ring.
#[derive(Debug)]
pub struct Consumer {
    memory: OwnMemory,
    peer: PeerMemory,
    capacity: u64,
    tail: u64,
    /// The tail as the producer sees it.
    shown: u64,
    /// The producer's head when last looked at.
    head: u64,
    /// The tail from which on the producer's room word has to be looked at.
    look_from: u64,
    /// The wait for which the producer was woken last.
    woken: u64,
    /// Number of the last sleep.
    slept: u64,
    asleep: bool,
    /// The memory that the ring is to go on in, until it does.
    offered: Option<Offered>,
    grown: bool,
}

impl Consumer {
    /// Opens the ring in a producer's memory, at its beginning. The descriptor is for the producer and is to
    /// be sent before the first record is consumed.
    pub fn open(producer_memory: &MemoryFile) -> Result<(Consumer, MemoryFile), RingError> {
        let peer = PeerMemory::open(producer_memory, HEADER, whole_pages(HEADER + MAX_CAPACITY))?;
        let capacity = read_capacity(&peer)? as u64;
        let (memory, file) = OwnMemory::create("ipmb-tail", HEADER)?;
        memory.word(KIND).store(consumer_kind(), Ordering::Relaxed);
        let consumer = Consumer {
            memory,
            peer,
            capacity,
            tail: 0,
            shown: 0,
            head: 0,
            look_from: 0,
            woken: 0,
            slept: 0,
            asleep: false,
            offered: None,
            grown: false,
        };
        Ok((consumer, file))
    }

    /// Takes the larger memory that the producer goes on in when it says so in the ring: once, and of at most
    /// `most` bytes for records.
    pub fn accept(&mut self, larger: &MemoryFile, most: usize) -> Result<(), RingError> {
        if self.grown {
            return Err(RingError::Corrupt);
        }
        let peer = PeerMemory::open(larger, HEADER, whole_pages(HEADER + most))?;
        let capacity = read_capacity(&peer)? as u64;
        if capacity <= self.capacity || capacity > most as u64 {
            return Err(RingError::Corrupt);
        }
        self.grown = true;
        self.offered = Some(Offered { peer, capacity });
        Ok(())
    }

    /// Consumes the switch, which was just peeked at, and goes over to the memory that was accepted. True: wake the
    /// producer, as after [`consume`](Consumer::consume).
    ///
    /// # Panics
    /// When it is not the record at the tail.
    pub fn switch(&mut self, record: Record) -> Result<bool, RingError> {
        assert!(record.position == self.tail, "a record that is consumed already");
        let Some(Offered { peer, capacity }) = self.offered.take() else { return Err(RingError::Corrupt) };
        // Nothing follows it in the old memory.
        if record.len != 0 || self.head != self.tail + FRAME {
            return Err(RingError::Corrupt);
        }
        self.peer = peer;
        self.capacity = capacity;
        // The word of a wait for room has moved too.
        self.look_from = 0;
        Ok(self.consume(record))
    }

    /// The next record, if there is one. It stays until it is consumed.
    #[inline(always)]
    pub fn peek(&mut self) -> Result<Option<Record>, RingError> {
        if self.tail == self.head && !self.refresh()? {
            return Ok(None);
        }
        let mut word = [0; FRAME as usize];
        let (offset, _) = place(self.tail, word.len(), self.capacity);
        self.peer.get(offset, &mut word).map_err(|_| RingError::Corrupt)?;
        let (tag, len) = parse_frame(word);
        if len > max_body(self.capacity) || span(len) > self.head - self.tail {
            return Err(RingError::Corrupt);
        }
        Ok(Some(Record { tag, len, position: self.tail }))
    }

    /// The first words of the body of the record just peeked at, which has as many. Words never go round the end.
    ///
    /// # Panics
    /// When it is not the record at the tail or is shorter.
    #[inline(always)]
    pub fn words<const N: usize>(&self, record: &Record) -> [u64; N] {
        assert!(record.position == self.tail, "a record that is consumed already");
        assert!(8 * N <= record.len, "no such piece in the record");
        std::array::from_fn(|number| {
            let mut word = [0; 8];
            let (offset, _) = place(record.position + FRAME + 8 * number as u64, word.len(), self.capacity);
            self.get(offset, &mut word);
            u64::from_le_bytes(word)
        })
    }

    /// Copies a piece of the body of the record just peeked at.
    ///
    /// # Panics
    /// When it is not the record at the tail or has no such piece.
    #[inline(always)]
    pub fn copy_out(&self, record: &Record, offset: usize, buf: &mut [u8]) {
        assert!(record.position == self.tail, "a record that is consumed already");
        let inside = offset <= record.len && buf.len() <= record.len - offset;
        assert!(inside, "no such piece in the record");
        let at = record.position + FRAME + offset as u64;
        let (start, straight) = place(at, buf.len(), self.capacity);
        if straight == buf.len() {
            self.get(start, buf);
        } else {
            self.get_around(start, buf.split_at_mut(straight));
        }
    }

    /// Gives the record's room back. True: the producer waits for room and there is enough now, wake it.
    ///
    /// # Panics
    /// When it is not the record at the tail.
    #[inline]
    pub fn consume(&mut self, record: Record) -> bool {
        self.advance(record);
        self.publish()
    }

    /// Goes on to the next record. This one counts as unread until [`publish`](Consumer::publish): a burst that is read
    /// in one go costs one look for a producer that waits.
    ///
    /// # Panics
    /// When it is not the record at the tail.
    #[inline(always)]
    pub fn advance(&mut self, record: Record) {
        assert!(record.position == self.tail, "a record that is consumed already");
        self.tail += span(record.len);
    }

    /// Gives back the room of all that was read. True: the producer waits for room and there is enough now, wake it.
    #[inline]
    pub fn publish(&mut self) -> bool {
        self.shown = self.tail;
        if self.tail < self.look_from {
            self.memory.word(TAIL).store(self.tail, Ordering::Release);
            return false;
        }
        self.memory.word(TAIL).publish(self.tail);
        self.look_from = self.head;
        let room = self.peer.word(ROOM).load(Ordering::Relaxed);
        room & 1 == 1 && room != self.woken && self.wakes(room)
    }

    /// Says that this side is about to block, and looks again. True: the producer will ring when there is
    /// something. False: there is already, and this side counts as awake.
    pub fn sleep(&mut self) -> Result<bool, RingError> {
        self.slept += 1;
        self.asleep = true;
        self.memory.word(SLEEP).store(self.slept << 1 | 1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let looked = if self.tail == self.head { self.refresh() } else { Ok(true) };
        if !matches!(looked, Ok(false)) {
            self.wake();
        }
        looked.map(|something| !something)
    }

    /// Says that this side looks at the ring by itself again.
    #[inline]
    pub fn wake(&mut self) {
        if self.asleep {
            self.asleep = false;
            self.memory.word(SLEEP).store(self.slept << 1, Ordering::Relaxed);
        }
    }

    /// Whether the producer would ring for the next record.
    pub fn asleep(&self) -> bool {
        self.asleep
    }

    /// Bytes for records.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// How far this side has read, in bytes since the ring began.
    pub fn tail(&self) -> u64 {
        self.tail
    }

    /// Whether a producer that waits for room has enough now. A head that cannot be is left for `peek` to
    /// report.
    #[cold]
    fn wakes(&mut self, room: u64) -> bool {
        let _ = self.refresh();
        if self.head - self.tail > self.capacity / 2 {
            return false;
        }
        self.woken = room;
        true
    }

    /// Takes over the producer's head if it is a possible one; tells whether there are records.
    #[inline]
    fn refresh(&mut self) -> Result<bool, RingError> {
        let head = self.peer.word(HEAD).load(Ordering::Acquire);
        if head < self.head || !head.is_multiple_of(8) || head - self.tail > self.capacity {
            return Err(RingError::Corrupt);
        }
        self.head = head;
        let half_free = head.saturating_sub(self.capacity / 2);
        // What was read and not shown yet may be what a producer waits for.
        self.look_from = if half_free > self.shown { half_free } else { head };
        Ok(head != self.tail)
    }

    /// Reads a piece that goes round the end.
    #[cold]
    fn get_around(&self, start: usize, (before, after): (&mut [u8], &mut [u8])) {
        self.get(start, before);
        self.get(HEADER, after);
    }

    #[inline(always)]
    fn get(&self, offset: usize, buf: &mut [u8]) {
        self.peer.get(offset, buf).expect("places in the ring are inside the memory");
    }
}
