//! Locks of single bytes that belong to an open file description: how the kernel counts who holds a file.
//!
//! Unlike `flock`, which is one lock for the whole file, each holder has a byte of its own choice, so that the locks
//! tell how many *different* holders there are. Unlike the older locks of `fcntl` they belong to the description: they
//! last while it is a descriptor anywhere, a mapping, or a packet in a socket, and end with the last of these, however
//! that comes to its end. The bytes need not exist: offsets go to 2^63 - 1 in any file.

use std::io;
use std::ops::RangeInclusive;

use super::descriptor::Fd;

/// Locks one byte for reading through this description: true when it is ours (also when it already was), false when
/// somebody keeps others from locking it.
pub(crate) fn lock_byte(fd: &Fd, byte: i64) -> io::Result<bool> {
    match set(fd, libc::F_RDLCK, byte) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives the byte up.
pub(crate) fn unlock_byte(fd: &Fd, byte: i64) {
    // It fails only in a forked child, where the handle is dead, and the lock is the parent's.
    let _ = set(fd, libc::F_UNLCK, byte);
}

/// Some bytes in this range that another description has locked, cut to the range; nothing: nobody has.
pub(crate) fn first_lock(fd: &Fd, range: RangeInclusive<i64>) -> io::Result<Option<RangeInclusive<i64>>> {
    let (first, last) = range.into_inner();
    // A length of 0 is "to the end", which is also the only way to say the longest range.
    let len = if last == i64::MAX { 0 } else { last - first + 1 };
    let mut lock = flock(libc::F_WRLCK, first, len);
    // SAFETY: the kernel reads and writes the one structure.
    let result = unsafe { libc::fcntl(fd.raw(), libc::F_OFD_GETLK, &raw mut lock) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    if libc::c_int::from(lock.l_type) == libc::F_UNLCK {
        return Ok(None);
    }
    let end = if lock.l_len == 0 { i64::MAX } else { lock.l_start.saturating_add(lock.l_len - 1) };
    Ok(Some(lock.l_start.clamp(first, last)..=end.clamp(first, last)))
}

fn set(fd: &Fd, kind: libc::c_int, byte: i64) -> io::Result<()> {
    let lock = flock(kind, byte, 1);
    // SAFETY: the kernel reads the one structure.
    let result = unsafe { libc::fcntl(fd.raw(), libc::F_OFD_SETLK, &raw const lock) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn flock(kind: libc::c_int, start: i64, len: i64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: len,
        l_pid: 0,
    }
}
