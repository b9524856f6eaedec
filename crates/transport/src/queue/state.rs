//! The one place that says what is in a queue, written so that a death at any instruction leaves the old or the new.
//!
//! Two slots at the beginning of the file take turns: the next state goes over the older one, under a higher number and
//! with a sum over all its words. The valid slot with the highest number counts. A write that was cut short has a wrong
//! sum, and then the other slot, which nobody touched, still says how it was before. The same makes it safe to look
//! without the lock: a slot that changes under the reader has a wrong sum too.

use std::io;
use std::os::fd::BorrowedFd;

/// Where the first record of an empty queue goes; what is before it belongs to the slots.
pub(super) const FIRST: u64 = 4096;

/// Bytes from one slot to the next.
const SLOT: usize = 64;
/// Words in a slot, the sum included.
const WORDS: usize = 6;

/// The flag "there are items" is known to be up.
pub(super) const ITEMS: u64 = 1;
/// The flag "there is room" is known to be up.
pub(super) const ROOM: u64 = 2;

/// What is in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    /// Counts the changes.
    number: u64,
    /// Where the oldest record begins.
    pub(super) start: u64,
    /// Where the next one goes.
    pub(super) end: u64,
    /// Records from `start` to `end`.
    pub(super) count: u64,
    /// Which flags are known to be up. One that is not may be up all the same.
    pub(super) raised: u64,
}

impl State {
    /// Makes the file a queue with nothing in it.
    pub(super) fn found(file: BorrowedFd<'_>, raised: u64) -> io::Result<()> {
        State { number: 0, start: FIRST, end: FIRST, count: 0, raised }.commit(file)
    }

    /// The state now; `None` when no slot is whole, which is a damaged file unless somebody is writing.
    pub(super) fn read(file: BorrowedFd<'_>) -> io::Result<Option<State>> {
        let mut slots = [0; 2 * SLOT];
        // What a short file lacks stays zero, and no slot of zeros is whole.
        rustix::io::pread(file, &mut slots[..], 0)?;
        let (one, two) = slots.split_at(SLOT);
        Ok(match (State::parse(one), State::parse(two)) {
            (Some(one), Some(two)) if one.number > two.number => Some(one),
            (one, two) => two.or(one),
        })
    }

    /// Makes this the state, under the next number. One write, after which it counts.
    pub(super) fn commit(mut self, file: BorrowedFd<'_>) -> io::Result<()> {
        self.number += 1;
        let place = (self.number % 2) * SLOT as u64;
        let words = [self.number, self.start, self.end, self.count, self.raised, 0];
        let mut bytes = [0; WORDS * 8];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        let (body, sum) = bytes.split_at_mut((WORDS - 1) * 8);
        sum.copy_from_slice(&checksum(body).to_le_bytes());
        match rustix::io::pwrite(file, &bytes, place)? {
            written if written == bytes.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    /// Whether this is one of every so many changes.
    pub(super) fn is_nth(&self, every: u64) -> bool {
        self.number.is_multiple_of(every)
    }

    fn parse(slot: &[u8]) -> Option<State> {
        let (body, rest) = slot.split_at((WORDS - 1) * 8);
        let mut words = body.chunks_exact(8).map(word);
        let (number, start, end) = (words.next()?, words.next()?, words.next()?);
        let (count, raised) = (words.next()?, words.next()?);
        let state = State { number, start, end, count, raised };
        (word(&rest[..8]) == checksum(body) && state.is_sound()).then_some(state)
    }

    fn is_sound(&self) -> bool {
        let room = self.end.checked_sub(self.start).map(|bytes| bytes / super::PREFIX);
        self.start >= FIRST && room.is_some_and(|room| self.count <= room && (self.count == 0) == (room == 0))
    }
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

/// Not for security: it tells a whole slot from one that was being written.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.chunks_exact(8).map(word).fold(0x9E37_79B9_7F4A_7C15, |sum: u64, word| {
        (sum ^ word).wrapping_mul(0xFF51_AFD7_ED55_8CCD).rotate_left(31).wrapping_add(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_slot_cut_short_anywhere_leaves_the_state_before_it() {
        let memory = crate::sys::create_memfd("test").unwrap();
        let file = memory.as_fd();
        State::found(file, ROOM).unwrap();
        for round in 1..20 {
            let before = State::read(file).unwrap().unwrap();
            let mut old = [0; 2 * SLOT];
            rustix::io::pread(file, &mut old[..], 0).unwrap();
            let next = State { end: FIRST + round * 100, count: round, ..before };
            next.commit(file).unwrap();
            let mut new = [0; 2 * SLOT];
            rustix::io::pread(file, &mut new[..], 0).unwrap();
            let place = (((before.number + 1) % 2) * SLOT as u64) as usize;
            for cut in 0..WORDS * 8 {
                let mut torn = old;
                torn[place..place + cut].copy_from_slice(&new[place..place + cut]);
                rustix::io::pwrite(file, &torn, 0).unwrap();
                let found = State::read(file).unwrap().unwrap();
                let whole = torn == new;
                assert_eq!(
                    (found.count, found.end),
                    if whole { (round, next.end) } else { (before.count, before.end) }
                );
            }
            rustix::io::pwrite(file, &new, 0).unwrap();
            assert_eq!(State::read(file).unwrap().unwrap(), State { number: before.number + 1, ..next });
        }
    }

    #[test]
    fn what_is_no_queue_is_none() {
        let memory = crate::sys::create_memfd("test").unwrap();
        assert_eq!(State::read(memory.as_fd()).unwrap(), None);
        rustix::io::pwrite(&memory, &[0xFF; 128], 0).unwrap();
        assert_eq!(State::read(memory.as_fd()).unwrap(), None);
    }
}
