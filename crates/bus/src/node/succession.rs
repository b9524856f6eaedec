//! Who follows a controller: the one who knows what it knew, if that one lives.
//!
//! The lock goes to whoever asks first. That may be a member who has missed a whole term: it was stopped, or had not
//! registered again when the next controller died too. It has the directory of an earlier controller and the memory in
//! which that one let messages wait, and both are old: what waited there has been taken over since, perhaps delivered, and
//! what waits in the memory of the controller that has just died only others can read. So each controller leaves the term
//! in which it took office in the lock file that all candidates share, where it stays whoever dies. A member who knows no
//! directory of that term or a later one lets others go first for a moment.

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
    /// What to do with the lock, given the directory that was read last, and the term that the last controller left.
    pub(crate) fn claim(&mut self, known: Option<&Snapshot>, left: u64, now: u64) -> Claim {
        if known.is_none_or(|known| known.term >= believed(known.term, left)) {
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

/// The term of one who takes office: later than what it knows, and than that of each controller before, known or not. So
/// no two of them ever leave the same.
pub(crate) fn later(known: u32, left: u64) -> u32 {
    known.max(believed(known, left)).saturating_add(1)
}

/// A term that somebody says, as far as it can be true after the last one that is known, or else that one: whoever lies must
/// not use the numbers up.
pub(super) fn believed(last: u32, said: u64) -> u32 {
    match u32::try_from(said) {
        Ok(said) if said.saturating_sub(last) < limits::TERM_LEAP => said,
        _ => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Entry;
    use crate::label::Label;

    fn known(term: u32) -> Snapshot {
        let entry = Entry { id: 1, pid: 7, uid: 0, nonce: [0; 16], label: Label::default(), receiving: true };
        Snapshot { term, epoch: 1, controller: 1, predecessors: vec![], entries: vec![entry], tombstones: vec![] }
    }

    #[test]
    fn one_who_missed_a_controller_lets_others_go_first_for_a_moment() {
        let known = known(3);
        let mut succession = Succession::default();
        let moment = limits::HEIR_MILLIS * 1_000_000;
        assert_eq!(succession.claim(Some(&known), 3, 0), Claim::Heir);
        assert_eq!(succession.claim(Some(&known), 2, 0), Claim::Heir, "its term has risen while it was in office");
        assert_eq!(succession.claim(None, 8, 0), Claim::Heir, "there is nothing to be old");
        assert_eq!(succession.claim(Some(&known), 4, 5), Claim::Wait, "whichever process it was");
        assert_eq!(succession.claim(Some(&known), 4, 5 + moment - 1), Claim::Wait);
        assert_eq!(succession.claim(Some(&known), 4, 5 + moment), Claim::Stranger);
        succession.registered();
        assert_eq!(succession.claim(Some(&known), 4, 9 * moment), Claim::Wait, "it knows one again");
    }

    #[test]
    fn each_term_is_later_than_those_before_and_a_liar_cannot_use_them_up() {
        assert_eq!((later(0, 0), later(3, 3), later(3, 2), later(3, 5)), (1, 4, 4, 6));
        let leap = u64::from(limits::TERM_LEAP);
        assert_eq!(later(3, 2 + leap), 3 + limits::TERM_LEAP);
        assert_eq!((later(3, 3 + leap), later(3, u64::MAX)), (4, 4));
        let (known, mut succession) = (known(3), Succession::default());
        assert_eq!(succession.claim(Some(&known), u64::MAX, 0), Claim::Heir);
    }
}
