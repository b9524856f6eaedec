//! The core thread: one per process, blocked when idle.
//!
//! It does what must happen while no user thread is inside the library: death notices of receivers, the connection to
//! the controller, the controller's own work, and timers. It never runs user code and never touches a message on its
//! way between two endpoints that live. Sources are called without any lock of this file held.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipmb_transport::fork;
use ipmb_transport::sys::{self, Events, Interest, Poller, Signal};

/// What the core thread watches on behalf of somebody.
pub(crate) trait Source: Send + Sync {
    /// The descriptor registered under `tag` is readable, or its peer is gone.
    fn ready(self: Arc<Self>, tag: u64);
    /// A timer set under `tag` is due.
    fn due(self: Arc<Self>, tag: u64);
}

/// The endpoint that a part of it belongs to, as far as that part needs it.
pub(crate) trait Owner: Source {
    /// Whether a part has to hear of changes of the directory changed.
    fn interest(self: Arc<Self>);
}

/// Names one registration or timer; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(u64);

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Inner {
    next: u64,
    sources: BTreeMap<u64, (Arc<dyn Source>, u64)>,
    timers: BTreeMap<(u64, u64), (Arc<dyn Source>, u64)>,
    jobs: Vec<Job>,
}

/// The core thread's side that others talk to.
pub(crate) struct Reactor {
    poller: Poller,
    wake: Signal,
    inner: Mutex<Inner>,
    /// The thread is about to block, or blocked: a change must wake it.
    blocked: AtomicBool,
    /// Endpoints that leave, and are not gone yet.
    pub(crate) leaving: AtomicUsize,
}

const WAKE: u64 = 0;

/// Locks, and carries on with what another thread left when it panicked: every update below is complete in itself.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

static CURRENT: Mutex<Option<(u64, Arc<Reactor>)>> = Mutex::new(None);

/// The reactor of this process, if it has one.
pub(crate) fn current() -> Option<Arc<Reactor>> {
    let _guard = fork::guard();
    match &*lock(&CURRENT) {
        Some((born, reactor)) if *born == fork::generation() => Some(reactor.clone()),
        _ => None,
    }
}

/// The reactor of this process, started at the first call; a forked child starts its own.
pub(crate) fn get() -> io::Result<Arc<Reactor>> {
    if let Some(reactor) = current() {
        return Ok(reactor);
    }
    sys::widen_descriptor_table();
    let fresh = Arc::new(Reactor {
        poller: Poller::new()?,
        wake: Signal::new()?,
        inner: Mutex::default(),
        blocked: AtomicBool::new(false),
        leaving: AtomicUsize::new(0),
    });
    fresh.poller.add(fresh.wake.as_fd(), WAKE, Interest::READ)?;
    let winner = {
        let _guard = fork::guard();
        let mut current = lock(&CURRENT);
        match &*current {
            Some((born, reactor)) if *born == fork::generation() => return Ok(reactor.clone()),
            _ => {}
        }
        // The parent's reactor stays where it is: its descriptors are closed, its thread is not here.
        if let Some(old) = current.replace((fork::generation(), fresh.clone())) {
            std::mem::forget(old);
        }
        fresh
    };
    let thread = winner.clone();
    if let Err(error) = sys::spawn_core_thread("ipmb-core", move || thread.run()) {
        *lock(&CURRENT) = None;
        return Err(error);
    }
    Ok(winner)
}

impl Reactor {
    /// Watches a descriptor until [`Reactor::deregister`]; `source` is kept alive so long.
    pub(crate) fn register(
        &self,
        fd: &impl AsFd,
        interest: Interest,
        source: Arc<dyn Source>,
        tag: u64,
    ) -> io::Result<Key> {
        let key = {
            let mut inner = lock(&self.inner);
            inner.next += 1;
            let key = inner.next;
            inner.sources.insert(key, (source, tag));
            key
        };
        if let Err(error) = self.poller.add(fd.as_fd(), key, interest) {
            lock(&self.inner).sources.remove(&key);
            return Err(error);
        }
        Ok(Key(key))
    }

    /// Changes what is watched for.
    pub(crate) fn modify(&self, key: Key, fd: &impl AsFd, interest: Interest) {
        let _ = self.poller.modify(fd.as_fd(), key.0, interest);
    }

    /// Stops watching; an event that is already on its way is not delivered any more.
    pub(crate) fn deregister(&self, key: Key, fd: &impl AsFd) {
        let _ = self.poller.remove(fd.as_fd());
        // The source is dropped after the lock is released: it may own what deregisters in turn.
        let _source = lock(&self.inner).sources.remove(&key.0);
    }

    /// Calls `source.due(tag)` once, at `at` (nanoseconds of the monotonic clock) or soon after.
    pub(crate) fn timer(&self, at: u64, source: Arc<dyn Source>, tag: u64) -> TimerKey {
        let (key, first) = {
            let mut inner = lock(&self.inner);
            inner.next += 1;
            let key = (at, inner.next);
            inner.timers.insert(key, (source, tag));
            (key, inner.timers.keys().next() == Some(&key))
        };
        if first {
            self.nudge();
        }
        TimerKey(key)
    }

    pub(crate) fn cancel(&self, key: TimerKey) {
        let _source = lock(&self.inner).timers.remove(&key.0);
    }

    /// Runs `job` on the core thread.
    pub(crate) fn run_soon(&self, job: impl FnOnce() + Send + 'static) {
        lock(&self.inner).jobs.push(Box::new(job));
        self.nudge();
    }

    fn nudge(&self) {
        if self.blocked.swap(false, Ordering::SeqCst) {
            self.wake.set();
        }
    }

    fn run(self: Arc<Self>) {
        let mut events = Events::new();
        loop {
            self.blocked.store(true, Ordering::SeqCst);
            let (jobs, timeout) = {
                let mut inner = lock(&self.inner);
                let jobs = std::mem::take(&mut inner.jobs);
                let timeout = match inner.timers.keys().next() {
                    _ if !jobs.is_empty() => Some(Duration::ZERO),
                    Some(&(at, _)) => Some(Duration::from_nanos(at.saturating_sub(sys::now()))),
                    None => None,
                };
                (jobs, timeout)
            };
            for job in jobs {
                outlive(job);
            }
            // Signals are blocked here, so the only errors are our own mistakes; looping on one would burn a core.
            if let Err(error) = self.poller.wait(&mut events, timeout)
                && error.kind() != io::ErrorKind::Interrupted
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            self.blocked.store(false, Ordering::SeqCst);
            for event in events.iter() {
                if event.token == WAKE {
                    self.wake.clear();
                    continue;
                }
                let source = lock(&self.inner).sources.get(&event.token).cloned();
                if let Some((source, tag)) = source {
                    outlive(|| source.ready(tag));
                }
            }
            self.fire();
        }
    }

    fn fire(&self) {
        let now = sys::now();
        loop {
            let due = {
                let mut inner = lock(&self.inner);
                match inner.timers.first_entry() {
                    Some(entry) if entry.key().0 <= now => entry.remove(),
                    _ => return,
                }
            };
            outlive(|| due.0.due(due.1));
        }
    }
}

/// A bug in the handling of one event must not take every endpoint of the process off its bus: the panic is reported
/// by its hook, and the thread goes on.
fn outlive(work: impl FnOnce()) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
}

/// Names one timer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimerKey((u64, u64));
