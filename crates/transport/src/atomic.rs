//! The only file that imports atomics.
//!
//! Under `--cfg loom` the same names come from the model checker, so the ring that loom explores is the ring
//! that ships. [`Word`] and [`ReadWord`] are what memory hands out: the type of a word tells whether we may
//! write it, so storing into a peer's memory does not compile.

#[cfg(loom)]
use loom::sync::atomic::AtomicU64;
#[cfg(loom)]
pub use loom::sync::atomic::{Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, compiler_fence};
#[cfg(not(loom))]
pub use std::sync::atomic::{Ordering, fence};

/// A 64-bit word of memory that we write and others read.
#[derive(Debug)]
#[repr(transparent)]
pub struct Word(AtomicU64);

impl Word {
    /// A word outside of any memory file.
    #[cfg(loom)]
    pub(crate) fn new(value: u64) -> Word {
        Word(AtomicU64::new(value))
    }

    /// Reads the word.
    #[inline(always)]
    pub fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    /// Writes the word.
    #[inline(always)]
    pub fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }

    /// Writes the word and returns what was there.
    #[inline(always)]
    pub fn swap(&self, value: u64, order: Ordering) -> u64 {
        self.0.swap(value, order)
    }

    /// Publishes `value` (Release), then orders every later load after it: the first half of each "I changed
    /// this; did you go to sleep?" question. (An exchange instead of store and fence measures the same.)
    #[inline(always)]
    pub(crate) fn publish(&self, value: u64) {
        self.0.store(value, Ordering::Release);
        fence(Ordering::SeqCst);
    }
}

/// A 64-bit word of a peer's memory: it may change at any moment, and only the peer changes it.
#[derive(Debug)]
#[repr(transparent)]
pub struct ReadWord(AtomicU64);

impl ReadWord {
    /// Reads the word.
    #[inline(always)]
    pub fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }
}

#[cfg(loom)]
impl Word {
    /// The same word as its reader sees it.
    pub(crate) fn as_read(&self) -> &ReadWord {
        // SAFETY: both are transparent wrappers of the same atomic.
        unsafe { &*(self as *const Word).cast::<ReadWord>() }
    }
}
