//! What a process is told of its endpoints, once each: a queue that one thread sleeps on.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ipmb_transport::fork;

use crate::identity::EndpointId;
use crate::limits;

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing is lost, or somebody else knows of it.
    Info,
    /// Nobody else tells.
    Warning,
}

/// What happened at an endpoint, told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The name of the endpoint's bus.
    pub identifier: String,
    /// The endpoint it happened to.
    pub id: EndpointId,
    /// How much it matters.
    pub level: Level,
    /// What happened, and what to do.
    pub text: String,
    /// The counter of [`Stats`](crate::stats::Stats) that counts the next ones, and its key where it has several.
    pub counter: (&'static str, Option<&'static str>),
}

/// The notices of a process that nobody has taken yet.
#[derive(Default)]
struct Queue {
    state: Mutex<Waiting>,
    there: Condvar,
}

#[derive(Default)]
struct Waiting {
    notices: VecDeque<Notice>,
    /// Somebody sleeps in [`next_notice`].
    awaited: bool,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where nobody takes them, the later ones are not kept: the first say most.
    fn push(&self, notice: Notice) {
        let mut state = self.lock();
        if state.notices.len() < limits::NOTICES {
            state.notices.push_back(notice);
            self.there.notify_one();
        }
    }

    fn next(&self) -> Option<Notice> {
        let mut state = self.lock();
        if state.awaited {
            return None;
        }
        state.awaited = true;
        while state.notices.is_empty() && !state.closed {
            state = self.there.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.awaited = false;
        if state.closed { None } else { state.notices.pop_front() }
    }

    fn take(&self) -> Option<Notice> {
        self.lock().notices.pop_front()
    }

    fn close(&self) {
        self.lock().closed = true;
        self.there.notify_all();
    }
}

/// The queue of this process: a forked child has its own, whoever held the lock of the parent's at that moment.
fn queue() -> Arc<Queue> {
    static CURRENT: Mutex<Option<(u64, Arc<Queue>)>> = Mutex::new(None);
    let _guard = fork::guard();
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    match &*current {
        Some((born, queue)) if *born == fork::generation() => queue.clone(),
        _ => {
            let queue = Arc::new(Queue::default());
            if let Some(old) = current.replace((fork::generation(), queue.clone())) {
                std::mem::forget(old);
            }
            queue
        }
    }
}

/// Puts one into the queue of this process.
pub(super) fn push(notice: Notice) {
    queue().push(notice);
}

/// The next notice of this process; sleeps until there is one. `None` after [`close_notices`], and for a second thread: one
/// is enough.
pub fn next_notice() -> Option<Notice> {
    queue().next()
}

/// A notice that is there already.
pub fn take_notice() -> Option<Notice> {
    queue().take()
}

/// Ends the wait of [`next_notice`] for good.
pub fn close_notices() {
    queue().close();
}

#[cfg(test)]
mod tests {
    use super::super::{Incident, Tally};
    use super::*;

    #[test]
    fn a_queue_keeps_the_first_ones_and_serves_one_thread() {
        let queue = Arc::new(Queue::default());
        let takeover = |id| Tally::new("bus", id).first(Incident::Takeover, None).unwrap();
        let most = limits::NOTICES as u64;
        (0..most + 1).for_each(|id| queue.push(takeover(id)));
        assert!((0..most).all(|id| queue.next().is_some_and(|notice| notice.id == id)));
        assert_eq!(queue.take(), None, "one past the bound");

        let theirs = queue.clone();
        let waiting = std::thread::spawn(move || [theirs.next(), theirs.next()]);
        while !queue.lock().awaited {
            std::thread::yield_now();
        }
        assert_eq!(queue.next(), None, "one thread takes them");
        queue.push(takeover(5));
        while !queue.lock().notices.is_empty() || !queue.lock().awaited {
            std::thread::yield_now();
        }
        queue.close();
        assert_eq!(waiting.join().unwrap(), [Some(takeover(5)), None]);
    }
}
