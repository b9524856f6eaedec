//! Descriptors whose closing may take as long as somebody else likes.
//!
//! A TCP socket with `SO_LINGER` set waits in `close` until its peer has everything or the time is over, and a socket that
//! comes with a message has the time its sender gave it. Nobody may wait that long: not a thread with an interpreter's
//! lock, not the core thread, not a fork. So such a socket is closed by a thread of its own, which ends when there is
//! nothing left to close.
//!
//! While it waits there the socket is not registered any more: a child forked then has it open until it ends or calls
//! exec. That is the lesser evil, since it is the last that anybody does with it.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::net::sockopt::socket_linger;

use super::process::spawn_core_thread;
use crate::fork;

struct Queue {
    waiting: VecDeque<OwnedFd>,
    /// The fork generation, counted from 1, whose thread is at work; a child has none.
    served: u64,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { waiting: VecDeque::new(), served: 0 });

fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether closing it may wait. What is no socket does not.
pub(super) fn may_wait(fd: &OwnedFd) -> bool {
    matches!(socket_linger(fd), Ok(Some(_)))
}

/// Closes it some time, without waiting here.
pub(super) fn close(fd: OwnedFd) {
    let unserved = {
        let _guard = fork::guard();
        let mut queue = queue();
        queue.waiting.push_back(fd);
        let now = fork::generation() + 1;
        std::mem::replace(&mut queue.served, now) != now
    };
    if unserved && spawn_core_thread("ipmb-close", work).is_err() {
        // No thread to be had: waiting is better than keeping it.
        work();
    }
}

fn work() {
    while let Some(fd) = next() {
        drop(fd);
    }
}

fn next() -> Option<OwnedFd> {
    let _guard = fork::guard();
    let mut queue = queue();
    let next = queue.waiting.pop_front();
    if next.is_none() {
        queue.served = 0;
    }
    next
}
