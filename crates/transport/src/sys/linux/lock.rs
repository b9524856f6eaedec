//! The lock that decides who is controller.
//!
//! `flock` on a memory file that all candidates share: the kernel drops it when the holder dies, however it
//! dies, and keeps it while the holder is merely stopped. The lock belongs to an open file description, and a
//! description that was ever sent lives on in every receiver and every queue it waits in: a lock on it would
//! outlive its holder. So each process locks a description of its own, opened anew through `/proc`, and only
//! ever sends the other one.
//!
//! That other one, which all share, has a place where reading would go on, and the kernel keeps it as long as anybody
//! holds the lock file: a number for the next holder, in a file in which nobody can store anything.

use std::io;

use rustix::fs::{FlockOperation, Mode, OFlags, SeekFrom, flock, open, seek, tell};
use rustix::io::Errno;

use super::descriptor::{Fd, create};
use super::memfd::{CONSTANT_SEALS, check, create_memfd, seal};
use crate::error::MemoryError;

/// A lock file of the bus, as one process sees it.
#[derive(Debug)]
pub struct LockFile {
    shared: Fd,
    own: Fd,
}

impl LockFile {
    /// A new lock that nobody holds.
    pub fn create() -> io::Result<LockFile> {
        let shared = create_memfd("ipmb-lock")?;
        // Nobody may store anything in it: it is only a place to lock.
        seal(&shared, CONSTANT_SEALS)?;
        LockFile::open(shared)
    }

    /// The lock behind a descriptor that a peer sent: an empty sealed memory file, or it is refused.
    pub fn from_fd(fd: Fd) -> Result<LockFile, MemoryError> {
        let size = check(&fd, CONSTANT_SEALS)?.size;
        if size != 0 {
            return Err(MemoryError::Size { size, min: 0, max: 0 });
        }
        Ok(LockFile::open(fd)?)
    }

    fn open(shared: Fd) -> io::Result<LockFile> {
        let path = format!("/proc/self/fd/{}", shared.raw());
        let own = create(|| Ok(open(path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?))?;
        Ok(LockFile { shared, own })
    }

    /// Takes the lock if nobody has it: true when it is ours (also when it already was).
    pub fn try_lock(&self) -> io::Result<bool> {
        match flock(&self.own, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the lock up.
    pub fn unlock(&self) {
        // It can only fail for a descriptor that is no lock file, which `own` never is.
        let _ = flock(&self.own, FlockOperation::NonBlockingUnlock);
    }

    /// Leaves a number to whoever holds the lock next. Only the one who holds it should, but everybody who has the file
    /// can.
    pub fn leave(&self, number: u32) {
        // It can only fail for what has no place to read at, which a memory file has.
        let _ = seek(&self.shared, SeekFrom::Start(number.into()));
    }

    /// The number that was left last, or 0.
    pub fn left(&self) -> u64 {
        tell(&self.shared).unwrap_or(0)
    }

    /// What to send to the other candidates.
    pub fn fd(&self) -> &Fd {
        &self.shared
    }
}
