//! How a ring grows: it goes on in a second, larger memory file.
//!
//! The producer makes the file ([`Larger`]) and the caller sends it to the consumer, which maps it and waits. Once
//! the caller knows that it has, the producer pushes one last record into the old memory, the *switch*, and the
//! next record stands in the new memory: at the same position, for positions go on. The consumer goes over when
//! it comes to the switch. Its own page stays what it is, the head and the wait for room move.
//!
//! The order that makes this safe at every instruction: the new head says where the switch ends before the old
//! head shows the switch. A producer that dies before that has not grown; one that dies after it has left records
//! in both memories, and the consumer has both. The producer keeps the old memory, and with it what it knows of
//! the records there, until the consumer's tail has passed the switch.

use std::io;

use super::layout::{HEADER, KIND, is_capacity, producer_kind};
use super::starts::Starts;
use crate::atomic::Ordering;
use crate::memory::{MemoryFile, OwnMemory, PeerMemory};

/// Memory for a ring that is to grow.
#[derive(Debug)]
pub struct Larger {
    pub(super) memory: OwnMemory,
    pub(super) capacity: u64,
    pub(super) starts: Starts,
}

impl Larger {
    /// A memory of `capacity` bytes for records, a power of two, all of it there from birth: a full machine is an
    /// error now, when the ring can stay as it is. The descriptor is for the consumer.
    pub fn create(capacity: usize) -> io::Result<(Larger, MemoryFile)> {
        if !is_capacity(capacity) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("a ring of {capacity} bytes")));
        }
        let (memory, file) = OwnMemory::create_whole("ipmb-ring", HEADER + capacity)?;
        memory.word(KIND).store(producer_kind(capacity), Ordering::Relaxed);
        Ok((Larger { memory, capacity: capacity as u64, starts: Starts::new(capacity) }, file))
    }
}

/// What a producer keeps of its ring before it grew.
#[derive(Debug)]
pub(super) struct Former {
    pub(super) memory: OwnMemory,
    pub(super) capacity: u64,
    pub(super) starts: Starts,
    /// One past the switch.
    pub(super) end: u64,
}

/// The larger memory as its consumer has it.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) peer: PeerMemory,
    pub(super) capacity: u64,
}
