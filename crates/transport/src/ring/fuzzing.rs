//! What a fuzzer runs of the ring: one honest side, and across from it memory in which the case writes whatever it likes.
//!
//! The case is a program. Its steps write to the hostile memory and call the honest side in any order that its contract
//! allows, so that memory also changes between a look and the use of what was looked at. What must hold is asserted here:
//! nothing is read outside, positions only rise, nothing is consumed that was never published, and what a producer has
//! pushed it can read back whole, whatever the consumer said.

use super::layout::{
    FRAME, HEAD, HEADER, KIND, ROOM, SLEEP, TAIL, consumer_kind, frame, max_body, producer_kind, span,
};
use super::{Consumer, Larger, Producer};
use crate::atomic::Ordering;
use crate::case::Case;
use crate::error::PushError;
use crate::memory::{MemoryFile, OwnMemory};

/// Small, so that a case goes round the end soon.
const CAPACITY: usize = 1024;
const LARGER: usize = CAPACITY * 4;

/// A case for either side; its first byte says for which.
pub fn ring(data: &[u8]) {
    let mut case = Case::new(data);
    match case.byte() % 2 {
        0 => consumer(case),
        _ => producer(case),
    }
}

fn forged(case: &mut Case<'_>, kind: u64, size: usize) -> Option<(OwnMemory, MemoryFile)> {
    let kind = match case.byte() {
        0xff => case.word(),
        0xfe => kind ^ 1 << (case.byte() % 64),
        _ => kind,
    };
    let (memory, file) = OwnMemory::create("forged", size).ok()?;
    memory.word(KIND).store(kind, Ordering::Relaxed);
    Some((memory, file))
}

/// What a hostile producer writes, in the memory that the ring began in or in the larger one.
struct Forger {
    memory: OwnMemory,
    capacity: usize,
    /// The highest position that was ever shown.
    shown: u64,
}

impl Forger {
    fn new(case: &mut Case<'_>, capacity: usize) -> Option<(Forger, MemoryFile)> {
        let (memory, file) = forged(case, producer_kind(capacity), HEADER + capacity)?;
        Some((Forger { memory, capacity, shown: 0 }, file))
    }

    fn head(&mut self, head: u64) {
        self.memory.word(HEAD).store(head, Ordering::Release);
        self.shown = self.shown.max(head);
    }

    /// One lie, or the truth.
    fn scribble(&mut self, case: &mut Case<'_>, tail: u64) {
        match case.byte() % 6 {
            0 => self.head(case.word()),
            1 => self.head(tail.wrapping_add(case.word().wrapping_mul(8))),
            2 => self.memory.word(ROOM).store(case.word(), Ordering::Relaxed),
            3 => {
                // A record where the consumer looks next, with a length of the case's choice.
                let at = (tail as usize + 8 * usize::from(case.byte() % 8)) & (self.capacity - 1);
                self.memory.copy_in(HEADER + at, &frame(u32::from(case.byte()), case.short().into()));
            }
            4 => {
                let at = usize::from(case.short()) % (self.capacity / 8) * 8;
                self.memory.copy_in(HEADER + at, &case.word().to_ne_bytes());
            }
            _ => {
                // An honest record, so that the case gets on.
                let len = usize::from(case.byte());
                let at = tail as usize & (self.capacity - 1);
                self.memory.copy_in(HEADER + at, &frame(u32::from(case.byte()), len));
                self.head(tail + span(len));
            }
        }
    }
}

fn consumer(mut case: Case<'_>) {
    let Some((mut forger, file)) = Forger::new(&mut case, CAPACITY) else { return };
    let Ok((mut consumer, _page)) = Consumer::open(&file) else { return };
    let mut larger: Option<Forger> = None;
    let mut peeked = None;
    let mut buf = [0; LARGER];
    while let Some(step) = case.step() {
        let before = consumer.tail();
        match step % 8 {
            0 => forger.scribble(&mut case, before),
            1 => match &mut larger {
                Some(larger) => larger.scribble(&mut case, before),
                None => {
                    let capacity = 1 << (7 + case.byte() % 8);
                    let Some((offered, file)) = Forger::new(&mut case, capacity) else { return };
                    if consumer.accept(&file, LARGER).is_ok() {
                        // It may say another capacity than it was made for, as long as that is in its pages.
                        let said = 1 << (offered.memory.word(KIND).load(Ordering::Relaxed) & 0xff);
                        let there = offered.memory.size();
                        assert!(said > CAPACITY && said <= LARGER, "{said} accepted");
                        assert!(HEADER + said <= there, "{said} of {there} bytes accepted");
                        larger = Some(offered);
                    }
                }
            },
            2 | 3 => {
                peeked = consumer.peek().unwrap_or(None);
                if let Some(record) = peeked {
                    assert!(record.position == before && record.len <= max_body(consumer.capacity() as u64));
                }
            }
            4 => {
                if let Some(record) = peeked {
                    let from = usize::from(case.byte()).min(record.len);
                    consumer.copy_out(&record, from, &mut buf[..record.len - from]);
                    if record.len >= 16 {
                        let _: [u64; 2] = consumer.words(&record);
                    }
                }
            }
            5 => {
                if let Some(record) = peeked.take() {
                    match case.byte() % 4 {
                        0 => consumer.advance(record),
                        1 => drop(consumer.switch(record)),
                        _ => drop(consumer.consume(record)),
                    }
                }
            }
            6 => drop(consumer.publish()),
            _ => match consumer.sleep() {
                Ok(asleep) => {
                    assert_eq!(consumer.asleep(), asleep);
                    consumer.wake();
                }
                Err(_) => assert!(!consumer.asleep()),
            },
        }
        let shown = larger.as_ref().map_or(0, |larger| larger.shown).max(forger.shown);
        let tail = consumer.tail();
        assert!(tail >= before && tail.is_multiple_of(8), "{before} to {tail}");
        assert!(tail == before || tail <= shown, "{tail} was never shown");
    }
}

/// What the honest producer has pushed: position, length.
type Pushes = Vec<(u64, usize)>;

fn producer(mut case: Case<'_>) {
    let Some((memory, page)) = forged(&mut case, consumer_kind(), HEADER) else { return };
    let Ok((mut producer, _file)) = Producer::create(CAPACITY) else { return };
    producer.keep_room_to_grow();
    let mut pushes = Pushes::new();
    let mut end = 0;
    let mut switched = false;
    while let Some(step) = case.step() {
        match step % 12 {
            0 => memory.word(TAIL).store(case.word(), Ordering::Release),
            1 | 2 => {
                // Between two records, as an honest consumer would be.
                let place = usize::from(case.byte());
                let tail = pushes.get(place).map_or(producer.head(), |(position, _)| *position);
                memory.word(TAIL).store(tail, Ordering::Release);
            }
            3 => memory.word(SLEEP).store(case.word(), Ordering::Relaxed),
            4 => drop(producer.attach(&page)),
            5 | 6 => {
                let len = usize::from(case.short() % 1200);
                let room = producer.has_room(&[len]);
                let staged = stage(&mut producer, len, end);
                if let Ok(room) = room {
                    assert_eq!(room, staged.is_ok(), "{len} bytes: {staged:?}");
                }
                if staged.is_ok() {
                    pushes.push((end, len));
                    end += span(len);
                }
                if step % 12 == 5 {
                    let _ = producer.publish();
                }
            }
            7 => {
                let _ = producer.publish();
                let waits = if case.byte().is_multiple_of(2) {
                    producer.announce_wait()
                } else {
                    producer.announce_reading().map(|tail| tail < producer.head())
                };
                if !waits.unwrap_or(false) {
                    producer.cancel_wait();
                }
            }
            8 => drop(producer.must_ring()),
            9 if !switched => {
                switched = true;
                let Ok((larger, _file)) = Larger::create(LARGER) else { return };
                if producer.switch(0, larger).is_ok() {
                    pushes.push((end, 0));
                    end += FRAME;
                }
            }
            10 => drop(producer.tail()),
            _ => {
                let _ = producer.publish();
                check_unread(&mut producer, &pushes, end);
            }
        }
    }
    let _ = producer.publish();
    check_unread(&mut producer, &pushes, end);
}

/// Stages a record in two parts, whose bytes follow from its position.
fn stage(producer: &mut Producer, len: usize, position: u64) -> Result<(), PushError> {
    let body = vec![position as u8; len];
    let (first, second) = body.split_at(len / 3);
    producer.stage(position as u32, &[first, second])
}

/// Whatever the consumer said, what it has not read is the last of our own records, whole.
fn check_unread(producer: &mut Producer, pushes: &Pushes, end: u64) {
    assert_eq!(producer.head(), end);
    let unread: Vec<_> = producer.unread().collect();
    let expected = &pushes[pushes.len() - unread.len()..];
    for ((tag, position, len), (pushed_at, pushed)) in unread.into_iter().zip(expected) {
        assert_eq!((position, len), (*pushed_at, *pushed));
        let mut body = vec![0; len];
        producer.read(position, 0, &mut body);
        assert!(len == 0 || tag == position as u32 && body.iter().all(|byte| *byte == position as u8));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_is_harmless() {
        crate::case::replay("ring", super::ring);
    }
}
