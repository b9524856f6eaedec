//! What a member has told its controller of itself, and what it has still to say.
//!
//! A controller may stand still, and the queue of the connection to it is then full at some time; or the system has no memory
//! for a packet. So only what has gone out counts as told, and what is told is how things are now: whatever changed
//! meanwhile, one word of each kind is left to be said when there is room again. Pure, for the simulator's members, too.

use crate::wire::ClientFrame;

/// What the controller that knows us knows, or will when it reads on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    watching: bool,
    receiving: bool,
    /// Up to which term and epoch we have looked at the directory, where it waits to hear that.
    unanswered: Option<(u32, u32)>,
}

impl Told {
    /// A request to join says whether we receive. Nobody gets nudges who has not asked for them.
    pub(crate) fn joining(receiving: bool) -> Told {
        Told { receiving, ..Told::default() }
    }

    /// A nudge has come, and up to here we have looked. Until it is answered no other comes.
    pub(crate) fn nudged(&mut self, term: u32, epoch: u32) {
        self.unanswered = Some((term, epoch));
    }

    /// Says what is not told yet. False: something is left, for there was no room for it.
    pub(crate) fn say(&mut self, watching: bool, receiving: bool, mut send: impl FnMut(&ClientFrame) -> bool) -> bool {
        if let Some((term, epoch)) = self.unanswered
            && send(&ClientFrame::Seen { term, epoch })
        {
            self.unanswered = None;
        }
        if self.receiving != receiving && send(&ClientFrame::Receiving(receiving)) {
            self.receiving = receiving;
        }
        if self.watching != watching && send(&ClientFrame::Watch(watching)) {
            self.watching = watching;
        }
        self.unanswered.is_none() && self.receiving == receiving && self.watching == watching
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_found_no_room_is_left_to_be_said_as_it_is_by_then() {
        let mut told = Told::joining(true);
        let mut said = Vec::new();
        assert!(told.say(true, true, |frame| {
            said.push(frame.clone());
            true
        }));
        assert_eq!(said, [ClientFrame::Watch(true)]);
        told.nudged(1, 7);
        for turn in 0..300 {
            assert!(!told.say(turn % 2 == 0, false, |_| false), "the queue is full");
        }
        told.nudged(1, 8);
        said.clear();
        let mut room = 2;
        let mut send = |frame: &ClientFrame| {
            let fits = room > 0;
            if fits {
                room -= 1;
                said.push(frame.clone());
            }
            fits
        };
        assert!(!told.say(false, false, &mut send));
        assert_eq!(said, [ClientFrame::Seen { term: 1, epoch: 8 }, ClientFrame::Receiving(false)]);
        assert!(told.say(true, false, |_| unreachable!("what it wants is what was told last")));
    }
}
