//! Waits with the interpreter lock released, and how they end when the interpreter goes away.
//!
//! A thread that asks for the interpreter after it is gone is ended on the spot by Python, and where our frames are on
//! its stack that takes the process along. So at exit all endpoints are closed, and the threads that wait on them come
//! back with `SystemExit`, which ends a thread without a word. They are counted, and waited for for a bounded time.
//! Whoever would come back later than that, or enter, stays out for good: only daemon threads are left by then.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use ipmb_bus::error::Interrupted;
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;

/// Threads that have to come out before the interpreter goes.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// Threads that have looked whether it is gone, and are about to have its lock.
static RETURNING: AtomicUsize = AtomicUsize::new(0);
/// The fork generation that both count for: threads of the parent are not in the child.
static GENERATION: AtomicU64 = AtomicU64::new(0);
/// The thread in which the interpreter ends, once it does.
static ENDING: OnceLock<ThreadId> = OnceLock::new();
/// Nobody but that thread may have the interpreter any more.
static GONE: AtomicBool = AtomicBool::new(false);

/// Whether the interpreter ends, in another thread than this one.
fn ends_elsewhere() -> bool {
    ENDING.get().is_some_and(|thread| *thread != std::thread::current().id())
}

/// What ends this thread when the interpreter ends: no error, since nobody is left to be told.
pub(crate) fn end_of_thread() -> Option<PyErr> {
    ends_elsewhere().then(|| PySystemExit::new_err(()))
}

fn stay_out() -> ! {
    loop {
        std::thread::park();
    }
}

fn count_for_this_process() {
    let generation = ipmb_transport::fork::generation();
    if GENERATION.load(Ordering::Relaxed) != generation {
        GENERATION.store(generation, Ordering::Relaxed);
        INSIDE.store(0, Ordering::Relaxed);
        RETURNING.store(0, Ordering::Relaxed);
    }
}

/// Counts a thread as one that has to come out before the interpreter goes.
pub(crate) struct Inside;

impl Inside {
    pub(crate) fn enter(py: Python<'_>) -> Inside {
        if GONE.load(Ordering::SeqCst) && ends_elsewhere() {
            py.detach(|| stay_out());
        }
        count_for_this_process();
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
    let _inside = Inside::enter(py);
    away(py, wait)
}

/// The same for a wait that goes on when everything is closed: the end of the interpreter does not wait for it.
pub(crate) fn away<T: Send>(py: Python<'_>, wait: impl FnOnce() -> T + Send) -> T {
    let done = py.detach(|| {
        let done = wait();
        count_for_this_process();
        RETURNING.fetch_add(1, Ordering::SeqCst);
        if GONE.load(Ordering::SeqCst) && ends_elsewhere() {
            RETURNING.fetch_sub(1, Ordering::SeqCst);
            stay_out();
        }
        done
    });
    RETURNING.fetch_sub(1, Ordering::SeqCst);
    done
}

/// Runs a wait that closing and signals end: their handlers run before and, if there were some, after it.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    wait: impl FnOnce() -> Result<T, Interrupted> + Send,
) -> PyResult<Option<T>> {
    py.check_signals()?;
    let waited = detached(py, wait);
    if let Some(end) = end_of_thread() {
        return Err(end);
    }
    // Also after a wait that was not interrupted: a signal that came while the thread woke up is handled before it takes
    // what it has waited for, and nothing is lost by it.
    py.check_signals()?;
    match waited {
        Ok(done) => Ok(Some(done)),
        Err(Interrupted) => Ok(None),
    }
}

/// From now on the interpreter ends in this thread.
pub(crate) fn ending() {
    let _ = ENDING.set(std::thread::current().id());
}

/// Gives the threads that wait time to come back, and keeps out those that do not. All they wait for has been closed.
pub(crate) fn let_everybody_out(py: Python<'_>) {
    const PATIENCE: Duration = Duration::from_secs(1);
    count_for_this_process();
    let until_none = |count: &AtomicUsize| {
        let started = Instant::now();
        while count.load(Ordering::SeqCst) > 0 && started.elapsed() < PATIENCE {
            // They need the interpreter lock to come back, not this thread: it has nothing else to do.
            py.detach(|| std::thread::sleep(Duration::from_micros(200)));
        }
    };
    until_none(&INSIDE);
    GONE.store(true, Ordering::SeqCst);
    until_none(&RETURNING);
}
