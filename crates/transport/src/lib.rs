//! All the unsafe code of the bus, and no notion of a bus.
//!
//! Read it from the floor upwards; each module uses only those above it in this list.
//!
//! | module | what it hands out |
//! |---|---|
//! | [`error`] | what can be wrong with a peer's memory, ring or name |
//! | [`atomic`](Word) | the only importer of atomics, so that loom can take their place |
//! | [`fork`] | a child holds nothing of its parent's open and knows that it is a child |
//! | [`sys`] | descriptors, sockets, polling, locks and clocks behind one contract per system |
//! | [`memory`] | memory files with exactly one writer: [`OwnMemory`](memory::OwnMemory), [`PeerMemory`](memory::PeerMemory) |
//! | [`region`] | memory that several processes hold, and pools that reuse it once nobody does |
//! | [`queue`] | records from many writers to many readers in one memory file that no death spoils |
//! | `export` | regions as Python's buffers (feature `python`) |
//! | [`ring`] | records in order from one [`Producer`](ring::Producer) to one [`Consumer`](ring::Consumer) |
//!
//! Three rules hold throughout. Nothing blocks unless its name says so. No memory but a region that is
//! shared or a queue, which are made for it, is ever writable by two processes, and whatever is read from another's is
//! copied out once, then checked, then used. Every descriptor is an [`sys::Fd`]: close-on-exec from birth and closed in
//! a forked child (a queue's own are not: it is to be used there).

mod atomic;
#[cfg(any(fuzzing, all(test, not(loom))))]
mod case;
pub mod error;

#[cfg(all(feature = "python", not(loom)))]
pub mod export;
#[cfg(not(loom))]
pub mod fork;
#[cfg(not(loom))]
pub mod memory;
#[cfg(loom)]
#[path = "memory_model.rs"]
pub mod memory;
#[cfg(not(loom))]
pub mod queue;
#[cfg(not(loom))]
pub mod region;
pub mod ring;
#[cfg(not(loom))]
pub mod sys;

pub use atomic::{Ordering, ReadWord, Word, fence};
pub use error::{ConnectError, FreezeError, MemoryError, OutOfRange, PushError, RingError};
