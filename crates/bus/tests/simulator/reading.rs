//! The reading half of an endpoint: who may speak in whose name, and which messages have come before, is decided by the
//! production code.

use super::post::Post;
use super::world::UID;
use crate::admission::{self, Verdict};
use crate::identity::EndpointId;
use crate::incidents::Incident;
use crate::outbox::road::Road;
use crate::record::{EXTENDED, Extension, REDELIVERED};
use crate::stats::DropReason;

/// What a look at a channel came to.
#[derive(Debug)]
pub(crate) enum Read {
    /// Nothing, or nothing that can be judged before the directory is newer.
    Nothing,
    /// A message that has come before.
    Again,
    /// A message in the name of another, of one who is gone and was never known as a controller.
    Disbelieved,
    /// The opener, or a message, is refused: its channel is closed.
    Refused,
    Got(Got),
}

#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) number: u64,
    /// Who has sent it first.
    pub(crate) sender: EndpointId,
    /// Whose channel it came on.
    pub(crate) by: EndpointId,
    pub(crate) redelivered: bool,
}

impl Post {
    /// Looks at the next message of a channel to us.
    pub(crate) fn receive(&mut self, place: usize) -> Read {
        let network = self.network.clone();
        let mut network = network.borrow_mut();
        let channel = &mut network.channels[place];
        if channel.peer.is_none() {
            let verdict = admission::identify(&channel.open, UID, channel.pid, &self.local, &self.view);
            let until = match verdict {
                Verdict::Unknown => Some(channel.unknown_until.unwrap_or(self.now() + admission::SILENCE)),
                _ => None,
            };
            channel.unknown_until = until;
            match verdict {
                Verdict::Accept(peer) => channel.peer = peer,
                Verdict::Later => return Read::Nothing,
                Verdict::Unknown if until.is_some_and(|until| self.now() < until) => return Read::Nothing,
                Verdict::Refuse | Verdict::Unknown => {
                    channel.ended = true;
                    return Read::Refused;
                }
            }
        }
        let (Some(peer), Some(record)) = (&channel.peer, channel.unread.front()) else { return Read::Nothing };
        let extension = match record.flags & EXTENDED {
            0 => Extension::default(),
            _ => Extension::decode(&record.extension).expect("an extension"),
        };
        let mut origin = None;
        if extension.parked.is_some() || extension.origin.is_some() {
            match admission::judge(&extension, peer, &self.view) {
                Verdict::Accept(first) => origin = first,
                Verdict::Later | Verdict::Unknown => {
                    if channel.left {
                        let since = *channel.doubted.get_or_insert(self.now());
                        channel.doubt_ends = admission::doubt_ends(since, &self.view);
                        if channel.doubt_ends.is_some_and(|end| end <= self.now()) && self.fuse.burn() {
                            self.tally.count(Incident::Dropped(DropReason::SenderGone), 1);
                            channel.unread.pop_front();
                            return Read::Disbelieved;
                        }
                    }
                    return Read::Nothing;
                }
                Verdict::Refuse => {
                    channel.ended = true;
                    return Read::Refused;
                }
            }
            if let Some(number) = extension.parked
                && !self.seen.insert(number)
            {
                if self.fuse.burn() {
                    channel.unread.pop_front();
                }
                return Read::Again;
            }
        }
        let got = Got {
            number: u64::from_le_bytes(record.payload[..].try_into().expect("a number")),
            sender: origin.as_ref().unwrap_or(peer).info.id,
            by: peer.info.id,
            redelivered: record.flags & REDELIVERED != 0,
        };
        // One who is killed inside `recv` before its tail is seen has not read it.
        if !self.fuse.burn() {
            return Read::Nothing;
        }
        channel.unread.pop_front();
        Read::Got(got)
    }
}
