//! Who follows a controller: the one who knows what it knew, if that one lives.
//!
//! The lock goes to whoever asks first. That may be a member who has missed a whole term: it was stopped, or had not
//! registered again when the next controller died too. It has the directory of an earlier controller and the memory in
//! which that one let messages wait, and both are old: what waited there has been taken over since, perhaps delivered, and
//! what waits in the memory of the controller that has just died only others can read. The kernel tells: whoever takes
//! office listens anew on the socket that all hold, so its credentials are those of the last controller. A member who did
//! not know that one lets others go first for a moment.

use crate::directory::Snapshot;
use crate::limits;

/// What one who has got the lock does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Takes office: it knew the controller before.
    Heir,
    /// Gives the lock back and asks again: somebody else may know more.
    Wait,
    /// Takes office, for nobody else did. What it has of earlier controllers is not to be used.
    Stranger,
}

/// One member's part in it.
#[derive(Debug, Default)]
pub(crate) struct Succession {
    /// Since when it has let others go first.
    waiting: Option<u64>,
}

impl Succession {
    /// What to do with the lock, given the directory that was read last, and the process that listened last.
    pub(crate) fn claim(&mut self, known: Option<&Snapshot>, listened: u32, now: u64) -> Claim {
        let controller = known.and_then(Snapshot::controller_pid);
        // A process of another namespace has no number here.
        if listened == 0 || controller.is_none_or(|pid| pid == listened) {
            return Claim::Heir;
        }
        let since = *self.waiting.get_or_insert(now);
        if now < since + limits::HEIR_MILLIS * 1_000_000 { Claim::Wait } else { Claim::Stranger }
    }

    /// A controller knows us, and we know it.
    pub(crate) fn registered(&mut self) {
        self.waiting = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Entry;
    use crate::label::Label;

    #[test]
    fn one_who_missed_a_controller_lets_others_go_first_for_a_moment() {
        let entry = Entry { id: 1, pid: 7, uid: 0, nonce: [0; 16], label: Label::default(), receiving: true };
        let entries = vec![entry];
        let known = Snapshot { term: 1, epoch: 1, controller: 1, predecessors: vec![], entries, tombstones: vec![] };
        let mut succession = Succession::default();
        let moment = limits::HEIR_MILLIS * 1_000_000;
        assert_eq!(succession.claim(Some(&known), 7, 0), Claim::Heir);
        assert_eq!(succession.claim(Some(&known), 0, 0), Claim::Heir, "the kernel does not tell");
        assert_eq!(succession.claim(None, 8, 0), Claim::Heir, "there is nothing to be old");
        assert_eq!(succession.claim(Some(&known), 8, 5), Claim::Wait);
        assert_eq!(succession.claim(Some(&known), 8, 5 + moment - 1), Claim::Wait);
        assert_eq!(succession.claim(Some(&known), 8, 5 + moment), Claim::Stranger);
        succession.registered();
        assert_eq!(succession.claim(Some(&known), 8, 9 * moment), Claim::Wait, "it knows one again");
    }
}
