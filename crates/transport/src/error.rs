//! What can be wrong, by what the caller may conclude from it.
//!
//! A peer's memory is either what it promised or it is refused, and each way of not being so has its own
//! variant: a refusal that does not say which check failed cannot be tested, nor explained to the user whose
//! peer runs another version. Errors of the operating system that no caller here handles stay `io::Error`
//! and pass on untouched.

use std::io;

/// Why a peer's memory file was refused. Nothing of it is mapped then.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// A pipe, socket, directory or device.
    #[error("the descriptor is not a regular file")]
    NotAFile,
    /// A regular file outside memory, whose pages could be changed or lost behind the mapping.
    #[error("the file is not a memory file")]
    NotMemory,
    /// Some of the seals that make reading safe are missing; the names say which.
    #[error("the memory file is not sealed: {missing} missing")]
    Unsealed {
        /// Names of the missing seals, separated by `+`.
        missing: String,
    },
    /// Smaller or larger than what was agreed.
    #[error("the memory file has {size} bytes, expected {min} to {max}")]
    Size {
        /// What the kernel says its size is.
        size: u64,
        /// Smallest size accepted.
        min: u64,
        /// Largest size accepted.
        max: u64,
    },
    /// Not a whole number of pages.
    #[error("the memory file has {size} bytes, which is not a whole number of pages")]
    PartialPage {
        /// What the kernel says its size is.
        size: u64,
    },
    /// Has holes: reading it through a mapping would allocate memory on our account.
    #[error("the memory file of {size} bytes holds only {allocated}")]
    Sparse {
        /// What the kernel says its size is.
        size: u64,
        /// Bytes that are really there.
        allocated: u64,
    },
    /// The kernel refused a call that every good memory file passes.
    #[error("the memory file cannot be used: {0}")]
    Io(#[from] io::Error),
}

/// Why a region was not frozen. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// Others hold it, so many: they would lose the right to write that they count on.
    #[error("{0} other(s) hold the region")]
    Held(usize),
    /// This process looks at it, and could write through that.
    #[error("a view of the region is alive in this process")]
    Viewed,
    /// The kernel knows of somebody who has it mapped for writing, e.g. the pool that it came from.
    #[error("the region is mapped for writing elsewhere")]
    Busy,
    /// Not a region that we may seal, e.g. one that somebody else has sealed against that.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A read beyond the end of a peer's memory: the peer named a place that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{length} bytes at {offset} are beyond the end of the memory")]
pub struct OutOfRange {
    /// First byte asked for.
    pub offset: usize,
    /// How many bytes were asked for.
    pub length: usize,
}

/// Why nobody answered under a name.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there: its owner is gone, or was never there.
    #[error("nobody listens under this name")]
    Refused,
    /// Somebody listens, but its backlog is full: try again later.
    #[error("the listener's backlog is full")]
    Busy,
    /// The machine is out of something, or forbids it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Why a ring cannot be used (any longer). Only this channel dies of it.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The other side broke the protocol: a position out of range, backwards or inside a record, a record
    /// that is not all there, a header of another version.
    #[error("the other side of the ring broke its protocol")]
    Corrupt,
    /// The other side's memory was refused.
    #[error(transparent)]
    Memory(MemoryError),
    /// Our own side could not be made, for want of something that may be there later.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<MemoryError> for RingError {
    /// That this process has no room to map it is no fault of the memory's.
    fn from(error: MemoryError) -> RingError {
        match error {
            MemoryError::Io(error) if is_want(&error) => RingError::Io(error),
            refused => RingError::Memory(refused),
        }
    }
}

/// Whether the system said that it, or this process, has run out of something: it may go another time. Whatever else a peer's
/// descriptor brings about is the peer's doing.
pub fn is_want(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::EAGAIN | libc::EINTR)
    )
}

/// Why a record was not pushed. Nothing of it is in the ring then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// No room now; there will be when the consumer reads on.
    #[error("the ring is full")]
    Full,
    /// Longer than [`max_body`](crate::ring::Producer::max_body): it will never fit.
    #[error("the record is too large for the ring")]
    TooLarge,
    /// The consumer broke the protocol.
    #[error("the other side of the ring broke its protocol")]
    Corrupt,
}
