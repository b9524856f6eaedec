//! A pool of regions whose users are told when one is free again.
//!
//! The pool below says which regions came back, each once; what is to be done then is kept here and handed out, to be done
//! with no lock held: it may do anything, allocating from the same registry included.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipmb_transport::fork::{self, ForkGuard};
use ipmb_transport::region::{Access, Pool, Region};
use ipmb_transport::sys;

/// How long [`Registry::trim`] keeps memory that nobody holds, in nanoseconds: longer than any pause of a steady stream.
const KEPT: u64 = 10_000_000_000;

/// A pool of regions; `F` is what is done when one is free again.
#[derive(Debug)]
pub struct Registry<F> {
    pool: Pool<Option<u64>>,
    /// For the regions that are held.
    callbacks: Mutex<HashMap<u64, F>>,
    next: AtomicU64,
}

/// The lock is let go before forks are.
struct Locked<'a, F> {
    callbacks: MutexGuard<'a, HashMap<u64, F>>,
    _fork: ForkGuard,
}

impl<F> Default for Registry<F> {
    fn default() -> Self {
        let pool = Pool::new("ipmb-region", Access::Shared);
        Registry { pool, callbacks: Mutex::default(), next: AtomicU64::new(0) }
    }
}

impl<F> Registry<F> {
    /// Forks wait meanwhile, or a child could find it locked for ever.
    fn lock(&self) -> Locked<'_, F> {
        let fork = fork::guard();
        Locked { callbacks: self.callbacks.lock().unwrap_or_else(PoisonError::into_inner), _fork: fork }
    }

    /// A region of at least `min_size` bytes that nobody else holds, of those with the same tag; no tag is one of its own. The
    /// caller deals with what is [due](Registry::due) before.
    ///
    /// # Errors
    /// When there is not so much memory, with `free`, which will not be called.
    pub fn alloc(&self, min_size: usize, tag: Option<&str>, free: Option<F>) -> Result<Region, (io::Error, Option<F>)> {
        let number = free.map(|free| {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let replaced = self.lock().callbacks.insert(number, free);
            drop(replaced);
            number
        });
        // No text can be the same as none.
        let tag = tag.map_or_else(String::new, |tag| format!("={tag}"));
        self.pool.take(min_size, &tag, number).map_err(|error| {
            let unused = number.and_then(|number| self.lock().callbacks.remove(&number));
            (error, unused)
        })
    }

    /// What is to be done now: for each region that everybody has let go of, once.
    pub fn due(&self) -> Vec<F> {
        let freed = self.pool.collect();
        if freed.is_empty() {
            return Vec::new();
        }
        let mut locked = self.lock();
        freed.into_iter().flatten().filter_map(|number| locked.callbacks.remove(&number)).collect()
    }

    /// Gives memory back to the system that nobody has held for a while.
    pub fn trim(&self) {
        self.pool.trim(sys::now().saturating_sub(KEPT));
    }

    /// How much is to be done later.
    pub fn len(&self) -> usize {
        self.lock().callbacks.len()
    }

    /// Whether nothing is to be done later.
    pub fn is_empty(&self) -> bool {
        self.lock().callbacks.is_empty()
    }

    /// Forgets what was to be done, and hands it out to be dropped.
    pub fn clear(&self) -> HashMap<u64, F> {
        std::mem::take(&mut *self.lock().callbacks)
    }

    /// Looks at all that is to be done later, unless another thread uses the registry: it does not wait.
    ///
    /// # Errors
    /// The first of `look`.
    pub fn try_each<E>(&self, look: impl FnMut(&F) -> Result<(), E>) -> Result<(), E> {
        let _fork = fork::guard();
        self.callbacks.try_lock().map_or(Ok(()), |callbacks| callbacks.values().try_for_each(look))
    }
}
