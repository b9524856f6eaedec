//! The pool of the process from which large payloads come, in memory that nobody else can write.
//!
//! Its memory stays mapped while it is in use again and again, and goes back to the system when it has not been for a
//! while: the core thread looks, as long as there is anything to look at. So it does after others' memory that receivers
//! of this process keep, whose senders say when they need it no more, also to a receiver that reads nothing.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use ipmb_transport::fork;
use ipmb_transport::region::{Access, Pool, Region, forget_mappings};
use ipmb_transport::sys;

use crate::reactor::{self, Source, lock};

static POOL: Pool<()> = Pool::new("ipmb-payload", Access::ReadOnly);

/// How long memory is kept that nobody uses, and the time between two looks, in nanoseconds.
const KEPT: u64 = 2_000_000_000;
const LOOK: u64 = 500_000_000;
/// The longest time between two looks, where all there is stays held.
const LAST_LOOK: u64 = 2_000_000_000;

/// The fork generation, counted from 1, in which the core thread looks after the pool.
static WATCHED: AtomicU64 = AtomicU64::new(0);

/// What keeps others' memory.
pub(crate) trait House: Send + Sync {
    /// Lets go of what its owner needs no more. Returns how much is left.
    fn tidy(&self) -> usize;
}

static HOUSES: Mutex<Vec<Weak<dyn House>>> = Mutex::new(Vec::new());

/// Has the core thread look after it too, whenever it looks.
pub(crate) fn look_after(house: Weak<dyn House>) {
    let _guard = fork::guard();
    let mut houses = lock(&HOUSES);
    if houses.len() == houses.capacity() {
        houses.retain(|house| house.strong_count() > 0);
    }
    houses.push(house);
}

fn tidy() -> usize {
    let houses: Vec<_> = {
        let _guard = fork::guard();
        lock(&HOUSES).iter().filter_map(Weak::upgrade).collect()
    };
    houses.iter().map(|house| house.tidy()).sum()
}

/// Memory for a payload of `size` bytes, written by this process alone. What is in it is left of its last use.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for no bytes, [`io::ErrorKind::OutOfMemory`] for more than there is.
pub fn alloc(size: usize) -> io::Result<Region> {
    let region = POOL.take(size, "", ())?;
    keep_house();
    Ok(region)
}

/// Has the core thread look after the pool, and after the mappings that a receiver keeps, as long as there are any.
#[inline]
pub(crate) fn keep_house() {
    let generation = fork::generation() + 1;
    if WATCHED.load(Ordering::Relaxed) != generation {
        WATCHED.store(generation, Ordering::Relaxed);
        watch(LOOK);
    }
}

/// The same with these bytes at its beginning.
pub(crate) fn copy(bytes: &[u8]) -> io::Result<Region> {
    // A payload may be nothing, a region may not.
    let region = alloc(bytes.len().max(1))?;
    region.map(0, bytes.len())?.write(0, bytes)?;
    Ok(region)
}

/// Has the core thread look after `pause`.
fn watch(pause: u64) {
    // Without a core thread there is no bus either; the next one who allocates tries again.
    match reactor::get() {
        Ok(reactor) => drop(reactor.timer(sys::now() + pause, Arc::new(Keeper), pause)),
        Err(_) => WATCHED.store(0, Ordering::Relaxed),
    }
}

/// Looks after the pool.
struct Keeper;

impl Source for Keeper {
    fn ready(self: Arc<Self>, _tag: u64) {}

    fn due(self: Arc<Self>, pause: u64) {
        // Whoever allocates from here on has the core thread look again, or is seen now.
        WATCHED.store(0, Ordering::SeqCst);
        let idle_since = sys::now().saturating_sub(KEPT);
        let usage = POOL.trim(idle_since);
        let pause = match (usage.free + forget_mappings(idle_since), usage.held + tidy()) {
            (0, 0) => return,
            (0, _) => (pause * 2).min(LAST_LOOK),
            _ => LOOK,
        };
        if WATCHED.compare_exchange(0, fork::generation() + 1, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
            watch(pause);
        }
    }
}
