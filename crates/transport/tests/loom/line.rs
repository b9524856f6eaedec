//! A channel's socket as loom knows one: a queue with a lock, so that whoever waits for what never comes is a deadlock.

use std::collections::VecDeque;

use loom::sync::{Arc, Condvar, Mutex};

/// One direction of the channel's socket: what was sent waits until it is received.
pub(crate) struct Line<T> {
    queue: Mutex<Queue<T>>,
    came: Condvar,
}

struct Queue<T> {
    packets: VecDeque<T>,
    /// The other side has hung up.
    ended: bool,
}

impl<T> Line<T> {
    pub(crate) fn new() -> Arc<Line<T>> {
        Arc::new(Line { queue: Mutex::new(Queue { packets: VecDeque::new(), ended: false }), came: Condvar::new() })
    }

    pub(crate) fn send(&self, packet: T) {
        self.queue.lock().unwrap().packets.push_back(packet);
        self.came.notify_one();
    }

    pub(crate) fn try_receive(&self) -> Option<T> {
        self.queue.lock().unwrap().packets.pop_front()
    }

    /// The sending side is closed.
    pub(crate) fn close(&self) {
        self.queue.lock().unwrap().ended = true;
        self.came.notify_one();
    }

    /// Whether it is, and everything was received.
    pub(crate) fn has_ended(&self) -> bool {
        let queue = self.queue.lock().unwrap();
        queue.ended && queue.packets.is_empty()
    }

    /// Blocks; loom reports a deadlock when nobody will ever send.
    pub(crate) fn receive(&self) -> T {
        self.receive_or_end().expect("nobody hangs up in this model")
    }

    /// The same; `None` when the other side has hung up.
    pub(crate) fn receive_or_end(&self) -> Option<T> {
        let mut queue = self.queue.lock().unwrap();
        loop {
            match queue.packets.pop_front() {
                Some(packet) => return Some(packet),
                None if queue.ended => return None,
                None => queue = self.came.wait(queue).unwrap(),
            }
        }
    }
}
