//! Where the records of a ring begin: the producer's private proof against a lying tail.
//!
//! The tail of a consumer decides what is delivered again after its death, so it is believed only between two
//! records. One bit for each eight bytes of the ring answers that at once: setting one is part of a push,
//! clearing them happens 64 at a time when the tail is found to have moved.

/// One bit per possible record start.
#[derive(Debug)]
pub(super) struct Starts {
    words: Box<[u64]>,
    bits: u64,
}

impl Starts {
    /// For a ring of `capacity` bytes, a power of two.
    pub(super) fn new(capacity: usize) -> Starts {
        let bits = capacity / 8;
        Starts { words: vec![0; bits.div_ceil(64)].into_boxed_slice(), bits: bits as u64 }
    }

    /// A record begins at `position`.
    #[inline(always)]
    pub(super) fn set(&mut self, position: u64) {
        let bit = self.bit(position);
        self.words[(bit / 64) as usize] |= 1 << (bit % 64);
    }

    /// Whether a record begins at `position`.
    #[inline]
    pub(super) fn is_set(&self, position: u64) -> bool {
        let bit = self.bit(position);
        (self.words[(bit / 64) as usize] >> (bit % 64)) & 1 == 1
    }

    /// Forgets the records from one position up to another, at most once around.
    pub(super) fn clear(&mut self, from: u64, to: u64) {
        let mut bit = self.bit(from);
        let mut left = (to - from) / 8;
        while left > 0 {
            let first = bit % 64;
            let count = left.min(64 - first).min(self.bits - bit);
            let mask = if count == 64 { u64::MAX } else { ((1 << count) - 1) << first };
            self.words[(bit / 64) as usize] &= !mask;
            bit = (bit + count) & (self.bits - 1);
            left -= count;
        }
    }

    #[inline(always)]
    fn bit(&self, position: u64) -> u64 {
        (position / 8) & (self.bits - 1)
    }
}
