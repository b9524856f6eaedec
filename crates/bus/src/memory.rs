//! The stores and loads of which the protocols in shared memory are made, one by one.
//!
//! One process writes, others read, and the writer may be killed between any two stores: what it leaves has to be whole. So
//! the directory and the area of waiting messages are written against these two traits and not against the memory itself:
//! the simulator ends a writer at every store there is, and lets readers look between any two.

use ipmb_transport::memory::{OwnMemory, PeerMemory};
use ipmb_transport::{Ordering, OutOfRange};

/// Memory as the one who writes it has it.
pub trait Written {
    /// Reads a word back.
    fn load(&self, offset: usize, order: Ordering) -> u64;
    /// Stores a word.
    fn store(&self, offset: usize, value: u64, order: Ordering);
    /// Copies bytes in, after everything stored before.
    fn copy_in(&mut self, offset: usize, bytes: &[u8]);
    /// Copies bytes out again.
    fn copy_out(&self, offset: usize, buf: &mut [u8]);
}

/// Memory as everybody else has it.
pub trait Watched {
    /// Reads a word.
    fn load(&self, offset: usize, order: Ordering) -> u64;
    /// Copies bytes out, once; they may be torn.
    ///
    /// # Errors
    /// When the range is not inside the memory.
    fn copy_out(&self, offset: usize, buf: &mut [u8]) -> Result<(), OutOfRange>;
}

impl Written for OwnMemory {
    #[inline(always)]
    fn load(&self, offset: usize, order: Ordering) -> u64 {
        self.word(offset).load(order)
    }

    #[inline(always)]
    fn store(&self, offset: usize, value: u64, order: Ordering) {
        self.word(offset).store(value, order);
    }

    #[inline(always)]
    fn copy_in(&mut self, offset: usize, bytes: &[u8]) {
        OwnMemory::copy_in(self, offset, bytes);
    }

    #[inline(always)]
    fn copy_out(&self, offset: usize, buf: &mut [u8]) {
        OwnMemory::copy_out(self, offset, buf);
    }
}

impl Watched for PeerMemory {
    #[inline(always)]
    fn load(&self, offset: usize, order: Ordering) -> u64 {
        self.word(offset).load(order)
    }

    #[inline(always)]
    fn copy_out(&self, offset: usize, buf: &mut [u8]) -> Result<(), OutOfRange> {
        PeerMemory::copy_out(self, offset, buf)
    }
}
