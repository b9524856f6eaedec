//! Which messages that waited have been delivered here already.
//!
//! A message that waited can come twice: once from its sender, which died before it had recorded the delivery, and once
//! from the controller, which took over what the sender left. Both copies carry the first sender's id and its number for
//! the message. What is remembered is bounded; the oldest goes first.

use std::collections::{HashSet, VecDeque};

use crate::identity::EndpointId;
use crate::limits;

/// The numbers of messages that were delivered.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    known: HashSet<(EndpointId, u64)>,
    order: VecDeque<(EndpointId, u64)>,
}

impl Seen {
    /// Remembers a message. `false`: it was delivered before.
    pub(crate) fn insert(&mut self, message: (EndpointId, u64)) -> bool {
        if !self.known.insert(message) {
            return false;
        }
        self.order.push_back(message);
        if self.order.len() > limits::DEDUP_ENTRIES
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_copy_is_known_up_to_the_bound() {
        let mut seen = Seen::default();
        assert!(seen.insert((1, 1)));
        assert!(!seen.insert((1, 1)));
        for number in 0..limits::DEDUP_ENTRIES as u64 {
            assert!(seen.insert((2, number)));
        }
        assert!(seen.insert((1, 1)), "the oldest went first");
        assert!(!seen.insert((2, limits::DEDUP_ENTRIES as u64 - 1)));
    }
}
