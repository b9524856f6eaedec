//! Waits with the interpreter lock released, and how they end when the interpreter goes away.
//!
//! A thread that comes back from a wait after the interpreter is gone could only hang. So every wait that the close of
//! an endpoint ends is counted, and at exit all endpoints are closed and the count is waited for, for a bounded time.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ipmb_bus::error::Interrupted;
use pyo3::prelude::*;

static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// The fork generation that `INSIDE` counts for: threads of the parent are not in the child.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Counts a thread as one that has to come out before the interpreter goes.
pub(crate) struct Inside;

impl Inside {
    pub(crate) fn enter() -> Inside {
        let generation = ipmb_transport::fork::generation();
        if GENERATION.load(Ordering::Relaxed) != generation {
            GENERATION.store(generation, Ordering::Relaxed);
            INSIDE.store(0, Ordering::Relaxed);
        }
        INSIDE.fetch_add(1, Ordering::Relaxed);
        Inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::Release);
    }
}

/// Runs a wait that closing ends, with the interpreter lock released.
pub(crate) fn detached<T: Send>(py: Python<'_>, wait: impl FnOnce() -> T + Send) -> T {
    // It leaves the count only when the thread has the interpreter again.
    let _inside = Inside::enter();
    py.detach(wait)
}

/// The same for a wait that signals interrupt: their handlers run before and, if there were some, after it.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    wait: impl FnOnce() -> Result<T, Interrupted> + Send,
) -> PyResult<Option<T>> {
    py.check_signals()?;
    match detached(py, wait) {
        Ok(done) => Ok(Some(done)),
        Err(Interrupted) => py.check_signals().map(|()| None),
    }
}

/// Gives the threads that wait time to come back. Everything they wait for has been closed.
pub(crate) fn let_everybody_out(py: Python<'_>) {
    const PATIENCE: Duration = Duration::from_secs(1);
    let started = Instant::now();
    let anybody = || {
        GENERATION.load(Ordering::Relaxed) == ipmb_transport::fork::generation() && INSIDE.load(Ordering::Acquire) > 0
    };
    while anybody() && started.elapsed() < PATIENCE {
        // They need the interpreter lock to come back, not this thread: it has nothing else to do.
        py.detach(|| std::thread::sleep(Duration::from_micros(200)));
    }
}
