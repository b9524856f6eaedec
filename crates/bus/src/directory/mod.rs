//! The directory: who is on the bus, as the controller publishes it and everybody reads it.
//!
//! [`Snapshot`] is the content and its encoding; the memory it is published in is in [`memory`]'s writer and reader. The
//! two are apart because the controller, a pure state machine, speaks of snapshots only.

mod memory;
mod snapshot;

#[cfg(test)]
pub(crate) use memory::MEMORY_BYTES;
#[cfg(any(test, fuzzing))]
pub(crate) use memory::hostile;
pub use memory::{DirectoryError, DirectoryFull, DirectoryReader, DirectoryWriter};
pub(crate) use snapshot::{Departed, HALF_BYTES, entry_bound, tombstone_bound};
pub use snapshot::{Departure, Entry, Living, Snapshot, SnapshotError, Tombstone, word};
