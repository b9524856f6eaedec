//! What an endpoint has counted.

use std::ffi::c_char;

use ipmb_bus::stats::{DropReason, RefuseReason, Shortage, Stats};

use crate::boundary;
use crate::endpoint::{Sender, Sending};
use crate::error::{ErrorCode, Refused};

/// Counters of an endpoint. Later versions may have more of them, behind these.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct EndpointStats {
    /// Copies put into receivers' rings; a multicast to three counts three.
    pub sent: u64,
    /// Messages received, and replies.
    pub received: u64,
    /// Messages this receiver does not take, passed over.
    pub skipped: u64,
    /// Messages given up, for any reason.
    pub dropped: u64,
    /// Messages whose ttl ended before they were delivered.
    pub expired: u64,
    /// Messages that another receiver got after the first one died with them unread.
    pub redelivered: u64,
    /// Messages that wait now.
    pub waiting: u64,
    /// Payload bytes of `sent`.
    pub bytes_sent: u64,
    /// Payload bytes of `received`.
    pub bytes_received: u64,
    /// Second copies of messages that had waited, dropped.
    pub duplicates: u64,
    /// Times that somebody was refused or cut off, for any reason.
    pub refused: u64,
    /// Times that there was too little of something: descriptors, or room.
    pub shortages: u64,
    /// New controllers this endpoint has noticed.
    pub takeovers: u64,
}

impl EndpointStats {
    fn new(stats: &Stats) -> EndpointStats {
        EndpointStats {
            sent: stats.sent,
            received: stats.received,
            skipped: stats.skipped,
            dropped: stats.dropped.iter().sum(),
            expired: stats.expired,
            redelivered: stats.redelivered,
            waiting: stats.waiting,
            bytes_sent: stats.bytes_sent,
            bytes_received: stats.bytes_received,
            duplicates: stats.duplicates,
            refused: stats.refused.iter().sum(),
            shortages: stats.shortages.iter().sum(),
            takeovers: stats.takeovers,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let EndpointStats { sent, received, skipped, dropped, expired, redelivered, waiting, bytes_sent, .. } = self;
        let EndpointStats { bytes_received, duplicates, refused, shortages, takeovers, .. } = self;
        let first = [sent, received, skipped, dropped, expired, redelivered, waiting, bytes_sent];
        let last = [bytes_received, duplicates, refused, shortages, takeovers];
        first.into_iter().chain(last).flat_map(|count| count.to_ne_bytes()).collect()
    }
}

/// Copies the counters of an endpoint, the first `size` bytes of them: give `sizeof(EndpointStats)`. What a library that is older than the
/// header does not count is 0.
///
/// Any threads at once.
///
/// # Safety
/// `sender` points to a handle; `stats` has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_stats(sender: *mut Sender, stats: *mut EndpointStats, size: usize) -> ErrorCode {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::code(|caller| {
            caller.place_for("stats", stats)?;
            const MOST: usize = 4096;
            if size > MOST {
                return Err(Refused::invalid(format!("size is {size}: give sizeof(EndpointStats)")));
            }
            let mut bytes = EndpointStats::new(&caller.get::<Sending>(sender)?.endpoint.stats()?).bytes();
            bytes.resize(size, 0);
            caller.put_bytes(stats.cast(), &bytes);
            Ok(())
        })
    }
}

/// One counter by its name, among those that tell reasons apart: `dropped.no_route`, `refused.join_token`, `shortages.open_files`, as
/// Python's `stats()` names them.
///
/// Any threads at once.
///
/// # Safety
/// `sender` points to a handle; `name` ends with a NUL; `count` is null or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_stats_of(sender: *mut Sender, name: *const c_char, count: *mut u64) -> ErrorCode {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::code(|caller| {
            caller.put(count, 0);
            let name = caller.text("name", name)?;
            let stats = caller.get::<Sending>(sender)?.endpoint.stats()?;
            let found = of(&stats, name)
                .ok_or_else(|| Refused::invalid(format!("name is {name:?}: give one of {}", names())))?;
            caller.place_for("count", count)?;
            caller.put(count, found);
            Ok(())
        })
    }
}

fn names() -> String {
    let of = |group: &str, names: &[&str]| names.iter().map(|name| format!("{group}.{name}")).collect::<Vec<_>>();
    let dropped = of("dropped", &DropReason::ALL.map(DropReason::name));
    let refused = of("refused", &RefuseReason::ALL.map(RefuseReason::name));
    let shortages = of("shortages", &Shortage::ALL.map(Shortage::name));
    [dropped, refused, shortages].concat().join(", ")
}

fn of(stats: &Stats, name: &str) -> Option<u64> {
    let (group, reason) = name.split_once('.')?;
    match group {
        "dropped" => at(DropReason::ALL.map(DropReason::name), stats.dropped, reason),
        "refused" => at(RefuseReason::ALL.map(RefuseReason::name), stats.refused, reason),
        "shortages" => at(Shortage::ALL.map(Shortage::name), stats.shortages, reason),
        _ => None,
    }
}

fn at<const N: usize>(names: [&str; N], counts: [u64; N], reason: &str) -> Option<u64> {
    names.into_iter().zip(counts).find(|(name, _)| *name == reason).map(|(_, count)| count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_the_structure() {
        let stats = EndpointStats { sent: 1, takeovers: 13, bytes_received: 9, ..EndpointStats::default() };
        let bytes = stats.bytes();
        assert_eq!(bytes.len(), size_of::<EndpointStats>());
        assert_eq!(bytes[..8], 1_u64.to_ne_bytes());
        assert_eq!(bytes[12 * 8..], 13_u64.to_ne_bytes());
        assert_eq!(bytes[std::mem::offset_of!(EndpointStats, bytes_received)..][..8], 9_u64.to_ne_bytes());
    }

    #[test]
    fn reasons_have_names() {
        let stats = Stats { dropped: [1, 2, 3, 4, 5, 6], ..Stats::default() };
        assert_eq!(of(&stats, "dropped.full"), Some(2));
        assert_eq!((of(&stats, "dropped"), of(&stats, "dropped.nothing"), of(&stats, "sent.full")), (None, None, None));
    }
}
