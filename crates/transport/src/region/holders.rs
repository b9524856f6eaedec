//! Who holds a region, as the kernel knows it.
//!
//! Each holder has an open file description of its own, with a read lock on one byte: the holder's number. The lock
//! lives as long as the description, be it a descriptor, a mapping, or a packet in a socket, and it ends with SIGKILL
//! too. Different bytes tell different holders apart, so a message in flight counts as its receiver and two views of
//! one holder count once. (A lock for the whole file could only say that there is somebody.) The numbers are far beyond
//! any size, which locks do not mind.

use std::io;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use crate::fork;
use crate::sys::{self, Fd};

/// Where counting stops: somebody plays with locks, each of which makes finding the next one slower.
const MOST: usize = 1 << 12;

/// The byte that stands for a holder.
pub(super) fn byte_of(holder: u64) -> i64 {
    (holder & i64::MAX as u64) as i64
}

/// The number under which this process holds what it has made. A forked child has another.
pub(super) fn of_this_process() -> u64 {
    static NUMBER: Mutex<Option<(u64, u64)>> = Mutex::new(None);
    let _guard = fork::guard();
    let mut number = NUMBER.lock().unwrap_or_else(PoisonError::into_inner);
    match *number {
        Some((born, token)) if born == fork::generation() => token,
        _ => {
            let mut bytes = [0; 8];
            sys::fill_random(&mut bytes);
            let token = u64::from_le_bytes(bytes);
            *number = Some((fork::generation(), token));
            token
        }
    }
}

/// Whether any other description of the same file is held.
pub(super) fn anybody(fd: &Fd) -> io::Result<bool> {
    Ok(sys::first_lock(fd, 0..=i64::MAX)?.is_some())
}

/// How many different holders other descriptions have, not counting the one with the byte `own`.
pub(super) fn others(fd: &Fd, own: i64) -> io::Result<usize> {
    let mut count = 0;
    let mut unknown: Vec<RangeInclusive<i64>> = vec![0..=i64::MAX];
    while let Some(range) = unknown.pop()
        && count < MOST
    {
        let (first, last) = (*range.start(), *range.end());
        let Some(locked) = sys::first_lock(fd, range)? else { continue };
        count += usize::from(locked != (own..=own));
        if *locked.start() > first {
            unknown.push(first..=*locked.start() - 1);
        }
        if *locked.end() < last {
            unknown.push(*locked.end() + 1..=last);
        }
    }
    Ok(count)
}
