//! After `fork`, the child's handles are dead and hold nothing open.
//!
//! A child that kept the listening socket would keep the bus's name alive without answering, one that kept a
//! channel's socket would hide its parent's death from the peer, and one that closed "its" descriptors later
//! would close whatever then has these numbers. Close-on-exec does not help a child that never calls exec.
//!
//! So every descriptor of ours is a bit in a static bitmap, and a `pthread_atfork` handler closes them in the
//! child before any other code runs there, whoever called `fork`: Python, C or a library. The handler may only
//! do what is safe in a signal handler (the child of a process with threads is in that state), hence the
//! static bitmap and no allocation. [`generation`] then tells old handles from new ones; `vfork` and
//! `posix_spawn` run no handlers, but only ever exec.
//!
//! A descriptor must not be born while a fork happens: the child would inherit it with no bit set. Birth and
//! death of descriptors are therefore inside a [`guard`], for which the fork waits.

use std::cell::Cell;
use std::marker::PhantomData;
use std::os::fd::RawFd;
use std::sync::{Once, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sys::close_raw;

/// Descriptors from this number on are not closed in a child; the descriptor limit is never raised above it.
pub(crate) const TRACKED: usize = 1 << 20;

static GENERATION: AtomicU64 = AtomicU64::new(0);
static FORKS: AtomicU64 = AtomicU64::new(0);
static OPEN: [AtomicU64; TRACKED / 64] = [const { AtomicU64::new(0) }; TRACKED / 64];
/// One past the last word of `OPEN` that was ever used: how far the child has to look.
static USED: AtomicUsize = AtomicUsize::new(0);
static LOCK: RwLock<()> = RwLock::new(());

thread_local! {
    /// Guards of this thread, so that a guard inside a guard does not wait for a fork that waits for the first.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// What the forking thread holds from just before the fork until just after it.
    static FORKING: Cell<Option<RwLockWriteGuard<'static, ()>>> = const { Cell::new(None) };
}

/// How often this process descends from a `fork` since the crate was first used. A handle made in another
/// generation belongs to the parent and must not be touched.
#[inline(always)]
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// How many children this process has forked since the crate was first used. What was mapped in between is mapped in
/// them too.
#[inline]
pub(crate) fn forks() -> u64 {
    FORKS.load(Ordering::SeqCst)
}

/// Keeps `fork` out while a descriptor is made and registered. Hold it briefly and never while waiting for
/// something that a forking thread may hold, such as an interpreter lock.
#[must_use = "fork is kept out only while the guard lives"]
#[derive(Debug)]
pub struct ForkGuard {
    lock: Option<RwLockReadGuard<'static, ()>>,
    same_thread: PhantomData<*const ()>,
}

/// Waits until no fork is under way, and keeps the next one waiting. Guards of one thread may nest.
pub fn guard() -> ForkGuard {
    install();
    let outermost = DEPTH.with(|depth| depth.replace(depth.get() + 1) == 0);
    ForkGuard { lock: outermost.then(|| LOCK.read().unwrap_or_else(PoisonError::into_inner)), same_thread: PhantomData }
}

impl Drop for ForkGuard {
    fn drop(&mut self) {
        self.lock = None;
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}

/// Notes that `fd` is ours and is to be closed in children.
pub(crate) fn register(fd: RawFd) {
    install();
    if let Some((word, bit)) = place(fd) {
        USED.fetch_max(word + 1, Ordering::Relaxed);
        OPEN[word].fetch_or(bit, Ordering::Relaxed);
    }
}

/// Notes that `fd` is no longer ours. Call it in a [`guard`], before the number can be used again.
pub(crate) fn unregister(fd: RawFd) {
    if let Some((word, bit)) = place(fd) {
        OPEN[word].fetch_and(!bit, Ordering::Relaxed);
    }
}

fn place(fd: RawFd) -> Option<(usize, u64)> {
    let number = usize::try_from(fd).ok()?;
    (number < TRACKED).then(|| (number / 64, 1 << (number % 64)))
}

fn install() {
    static INSTALLED: Once = Once::new();
    if cfg!(miri) {
        return; // it knows no handlers, and nobody forks there
    }
    INSTALLED.call_once(|| {
        // SAFETY: the three handlers are functions that live as long as this code, and the child's does only
        // what is safe in the child of a process with threads.
        let result = unsafe { libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child)) };
        assert!(result == 0, "pthread_atfork failed with {result}: out of memory");
    });
}

extern "C" fn before_fork() {
    // A thread that forks inside its own guard must not wait for itself; what it is making is not registered
    // yet and stays open in the child, which is the lesser evil.
    if DEPTH.with(Cell::get) == 0 {
        let lock = LOCK.write().unwrap_or_else(PoisonError::into_inner);
        // A thread that is being torn down has no place to keep the lock: it forks without.
        let _ = FORKING.try_with(|forking| forking.set(Some(lock)));
    }
}

extern "C" fn in_parent() {
    FORKS.fetch_add(1, Ordering::SeqCst);
    let _ = FORKING.try_with(Cell::take);
}

extern "C" fn in_child() {
    let used = USED.load(Ordering::Relaxed);
    for (index, word) in OPEN[..used].iter().enumerate() {
        let mut bits = word.swap(0, Ordering::Relaxed);
        while bits != 0 {
            close_raw((index * 64) as RawFd + bits.trailing_zeros() as RawFd);
            bits &= bits - 1;
        }
    }
    GENERATION.fetch_add(1, Ordering::Relaxed);
    let _ = FORKING.try_with(Cell::take);
}
