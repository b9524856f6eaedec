//! Where regions are mapped in this process: from an address back to the region that it lies in.
//!
//! Libraries hand on pointers, not regions. An array that somebody sliced, reshaped or wrapped anew is still in the
//! region it came from, and is sent without a copy when it is found here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::body::Body;
use crate::fork;

/// By first address: how many bytes, and whose.
type Places = BTreeMap<usize, (usize, Weak<Body>)>;

static PLACES: Mutex<Places> = Mutex::new(BTreeMap::new());

fn lock() -> MutexGuard<'static, Places> {
    PLACES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A region was mapped.
pub(super) fn add(base: usize, len: usize, body: Weak<Body>) {
    let _guard = fork::guard();
    lock().insert(base, (len, body));
}

/// It is about to be unmapped.
pub(super) fn remove(base: usize) {
    let _guard = fork::guard();
    let removed = lock().remove(&base);
    drop(removed);
}

/// The region of this process, not of one that it was forked from, in which all these bytes lie, and their offset.
pub(super) fn find(address: usize, len: usize) -> Option<(Arc<Body>, usize)> {
    let _guard = fork::guard();
    let body = {
        let places = lock();
        let (&base, (size, body)) = places.range(..=address).next_back()?;
        let offset = address - base;
        if offset > *size || len > *size - offset {
            return None;
        }
        (body.upgrade()?, offset)
    };
    body.0.alive().then_some(body)
}
