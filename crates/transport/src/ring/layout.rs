//! Where everything is: the one file both sides of a ring agree on.
//!
//! Words that different sides write, or that one side writes at different rates, are 128 bytes apart: two
//! cache lines, since processors fetch them in pairs.

use crate::atomic::Ordering;
use crate::error::RingError;
use crate::memory::PeerMemory;

/// Smallest ring.
pub const MIN_CAPACITY: usize = 64;
/// Largest ring: what reading a hostile producer's memory can cost at most.
pub const MAX_CAPACITY: usize = 4 << 20;

/// Bytes before the records, whatever the size of a page.
pub(super) const HEADER: usize = 4096;
/// What this memory is: magic, version, side and capacity in one word, so that it is read once.
pub(super) const KIND: usize = 0;
/// Producer: one past the last record.
pub(super) const HEAD: usize = 128;
/// Producer: waits for room while odd.
pub(super) const ROOM: usize = 256;
/// Consumer: how far it has read.
pub(super) const TAIL: usize = 128;
/// Consumer: sleeps while odd.
pub(super) const SLEEP: usize = 256;

/// Bytes of a frame word.
pub(super) const FRAME: u64 = 8;

const MAGIC: u64 = 0x6970_6d62 << 32;
const VERSION: u64 = 1 << 16;
const PRODUCER: u64 = 1 << 8;
const CONSUMER: u64 = 2 << 8;
const LOG_MASK: u64 = 0xff;

/// The kind word of a producer's memory.
pub(super) fn producer_kind(capacity: usize) -> u64 {
    MAGIC | VERSION | PRODUCER | u64::from(capacity.trailing_zeros())
}

/// The kind word of a consumer's memory.
pub(super) const fn consumer_kind() -> u64 {
    MAGIC | VERSION | CONSUMER
}

/// Whether a ring can have this capacity.
pub(super) fn is_capacity(capacity: usize) -> bool {
    capacity.is_power_of_two() && (MIN_CAPACITY..=MAX_CAPACITY).contains(&capacity)
}

/// The capacity that a producer's memory claims and really has.
pub(super) fn read_capacity(memory: &PeerMemory) -> Result<usize, RingError> {
    let kind = memory.word(KIND).load(Ordering::Relaxed);
    let capacity = u32::try_from(kind & LOG_MASK).ok().and_then(|log| 1_usize.checked_shl(log));
    match capacity {
        Some(capacity)
            if is_capacity(capacity) && kind == producer_kind(capacity) && memory.size() >= HEADER + capacity =>
        {
            Ok(capacity)
        }
        _ => Err(RingError::Corrupt),
    }
}

/// The largest memory that holds so many bytes, whatever the size of a page.
pub(super) fn whole_pages(bytes: usize) -> usize {
    const LARGEST_PAGE: usize = 64 << 10;
    bytes.next_multiple_of(LARGEST_PAGE)
}

/// Checks that a memory is a consumer's.
pub(super) fn check_consumer(memory: &PeerMemory) -> Result<(), RingError> {
    if memory.word(KIND).load(Ordering::Relaxed) == consumer_kind() { Ok(()) } else { Err(RingError::Corrupt) }
}

/// The frame word of a record.
#[inline(always)]
pub(super) fn frame(tag: u32, len: usize) -> [u8; 8] {
    (u64::from(tag) << 32 | len as u64).to_ne_bytes()
}

/// Tag and body length of a frame word.
#[inline(always)]
pub(super) fn parse_frame(bytes: [u8; 8]) -> (u32, usize) {
    let word = u64::from_ne_bytes(bytes);
    ((word >> 32) as u32, (word & 0xffff_ffff) as usize)
}

/// What a record with a body of `len` bytes takes in the ring. `len` is no more than a frame can say.
#[inline(always)]
pub(super) fn span(len: usize) -> u64 {
    FRAME + ((len as u64 + 7) & !7)
}

/// Longest body in a ring of this capacity: a quarter, so that half a ring of room takes any record.
#[inline(always)]
pub(super) fn max_body(capacity: u64) -> usize {
    (capacity / 4) as usize
}

/// The places of `len` bytes from position `at`: the offset in the memory, and how many are before the end;
/// the rest is at [`HEADER`].
#[inline(always)]
pub(super) fn place(at: u64, len: usize, capacity: u64) -> (usize, usize) {
    let offset = at & (capacity - 1);
    let straight = ((capacity - offset) as usize).min(len);
    (HEADER + offset as usize, straight)
}
