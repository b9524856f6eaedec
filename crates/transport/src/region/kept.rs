//! Mappings of others' regions that are kept for a while, for the next message in the same memory.
//!
//! A sender's pool hands out the same few regions over and over, and reading through a new mapping costs four times what
//! it does through one whose pages are there. So the mapping of a large region that this process only reads outlives its
//! last hold. It must not *be* a hold: it is made through a description of its own, without a lock, and shows memory that
//! is somebody else's until the region comes again. What holds the region is, as ever, the description that was sent; a
//! page of it is mapped too, because a forked child inherits mappings and not descriptors.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::body::Mapped;
use crate::fork;
use crate::sys::{self, Fd, Inherit, Mapping};

/// Smaller regions cost more to look up than to map.
const WORTH_KEEPING: usize = 256 << 10;
/// Mappings kept, and bytes in them. The memory is the sender's pool's in any case, for as long as it keeps it.
const MOST: usize = 32;
const MOST_BYTES: usize = 256 << 20;

#[derive(Debug)]
struct Kept {
    identity: (u64, u64),
    size: usize,
    mapped: Arc<Mapped>,
    /// When it was last asked for, nanoseconds.
    used: u64,
}

/// The fork generation that they belong to, and the last used last.
static KEPT: Mutex<(u64, Vec<Kept>)> = Mutex::new((0, Vec::new()));

/// Works on what is kept. What goes is dropped without the lock: unmapping takes its time.
fn with<R>(work: impl FnOnce(&mut Vec<Kept>, &mut Vec<Kept>) -> R) -> R {
    let mut gone = Vec::new();
    let guard = fork::guard();
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.0 != fork::generation() {
        gone.append(&mut kept.1);
        kept.0 = fork::generation();
    }
    let result = work(&mut kept.1, &mut gone);
    drop(kept);
    drop(guard);
    drop(gone);
    result
}

/// A mapping for reading of the region behind `fd`, kept from the last time or new and kept from now on; and what keeps
/// the region held in forked children. `None`: it is to be mapped as it is.
pub(super) fn mapping(fd: &Fd, identity: (u64, u64), size: usize) -> Option<(Arc<Mapped>, Mapping)> {
    if !(WORTH_KEEPING..=MOST_BYTES).contains(&size) {
        return None;
    }
    let hold = Mapping::read_only(fd, sys::page_size(), Inherit::Yes).ok()?;
    let now = sys::now();
    let known = with(|kept, _| {
        // A number of a file can come again when it wraps around; one of another size would be read beyond its end.
        let place = kept.iter().position(|known| known.identity == identity && known.size == size)?;
        let mut known = kept.remove(place);
        known.used = now;
        let mapped = known.mapped.clone();
        kept.push(known);
        Some(mapped)
    });
    if let Some(mapped) = known {
        return Some((mapped, hold));
    }
    let mapped = unlocked(fd, size).ok()?;
    with(|kept, gone| {
        kept.push(Kept { identity, size, mapped: mapped.clone(), used: now });
        while kept.len() > MOST || kept.iter().map(|kept| kept.size).sum::<usize>() > MOST_BYTES {
            gone.push(kept.remove(0));
        }
    });
    Some((mapped, hold))
}

fn unlocked(fd: &Fd, size: usize) -> io::Result<Arc<Mapped>> {
    let own = sys::reopen(fd, false)?;
    Ok(Mapped::new(Mapping::read_only(&own, size, Inherit::Yes)?, false))
}

/// Unmaps what nobody has asked for since `idle_since`, nanoseconds of the monotonic clock. Returns how many are left.
pub fn forget_mappings(idle_since: u64) -> usize {
    with(|kept, gone| {
        let (old, recent) = std::mem::take(kept).into_iter().partition(|known| known.used < idle_since);
        *kept = recent;
        *gone = old;
        kept.len()
    })
}
