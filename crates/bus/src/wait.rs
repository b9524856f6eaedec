//! Waiting in a user's thread: until a point of the monotonic clock, and never deaf to signals.

use std::io::ErrorKind;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use ipmb_transport::sys;

use crate::error::Interrupted;

/// A point of the monotonic clock, in nanoseconds; `None` is never.
pub fn deadline(timeout: Option<Duration>) -> Option<u64> {
    let nanos = u64::try_from(timeout?.as_nanos()).unwrap_or(u64::MAX);
    sys::now().checked_add(nanos)
}

/// Whether a deadline has passed.
pub fn is_over(deadline: Option<u64>) -> bool {
    deadline.is_some_and(|at| sys::now() >= at)
}

/// What is left until the earliest of some deadlines.
pub(crate) fn left(deadlines: impl IntoIterator<Item = Option<u64>>) -> Option<Duration> {
    let at = deadlines.into_iter().flatten().min()?;
    Some(Duration::from_nanos(at.saturating_sub(sys::now())))
}

/// Sleeps until a descriptor is readable or its peer gone (`true`), or until `timeout` is over.
pub(crate) fn on(descriptors: &[BorrowedFd<'_>], timeout: Option<Duration>) -> Result<bool, Interrupted> {
    match sys::poll(descriptors, timeout) {
        Err(error) if error.kind() == ErrorKind::Interrupted => Err(Interrupted),
        ready => Ok(!matches!(ready, Ok(0))),
    }
}
