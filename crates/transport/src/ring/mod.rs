//! Records in order from one producer to one consumer, without a system call while both are awake.
//!
//! Each side owns one memory file that only it writes. The producer's holds a header and the records, the
//! consumer's one page with how far it has read:
//!
//! ```text
//! producer's memory   | what it is | head | room wait |   ...page...  | records, capacity bytes, round |
//! consumer's memory   | what it is | tail | sleep     |   ...page...  |
//! ```
//!
//! Head and tail are byte counts that never wrap, multiples of 8; the place of a position is its remainder by
//! the capacity. A record is a frame word (length of the body, and a tag that the ring does not look into) and
//! the body, padded to 8 bytes; a body may go round the end.
//!
//! Each side keeps what it knows of the other's position and looks again only when that is not enough.
//! Whatever it then reads is copied once and checked: a position that is out of range, moves backwards or
//! (for the tail) is not between two records, or a record that is longer than what is there, is
//! [`RingError::Corrupt`](crate::RingError), and only this ring is lost.
//!
//! **Going to sleep.** A side that is about to block publishes that, fences, and looks once more; the other
//! side publishes its progress, fences, and looks whether it has to wake somebody. One of the two sees the
//! other. What is published is a sequence number, odd while it holds, so a doorbell is rung once per sleep and
//! not once per record. Doorbells themselves are sockets and are rung by the caller.
//!
//! **Growing.** A ring begins small and can go on, once, in a larger memory: see `growth.rs`.

mod consumer;
#[cfg(any(fuzzing, all(test, not(loom))))]
pub mod fuzzing;
mod growth;
#[cfg(all(test, not(loom)))]
mod hostile;
mod layout;
mod producer;
mod starts;

pub use consumer::{Consumer, Record};
pub use growth::Larger;
pub use layout::{MAX_CAPACITY, MIN_CAPACITY};
pub use producer::{Producer, Pushed, Unread};

/// Why a record was not pushed.
pub use crate::error::PushError;
/// The memory of one side, as it is sent to the other.
pub use crate::memory::MemoryFile;
