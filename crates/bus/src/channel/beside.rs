//! What a sender sends beside the ring: descriptors go over the channel's socket, before the record that they belong to.

use ipmb_transport::sys::MAX_FDS;

use super::DESCRIPTORS;
use super::content::Content;
use super::flight::Descriptors;
use super::known::Word;
use super::outbound::{Outbound, PushError, is_gone};
use crate::record::{KNOWN, REQUEST, Tag};
use crate::route::{Route, RouteId};
use crate::selector::Mode;

impl Outbound {
    /// Descriptors go first, so that they are there when the record is seen. Room was made sure of before, for if the
    /// record did not follow, the next record's descriptors would be taken for its own.
    #[cold]
    pub(super) fn push_with_descriptors(
        &mut self,
        route: &Route,
        id: RouteId,
        content: &Content<'_>,
        header: &[u8],
    ) -> Result<(), PushError> {
        if !self.has_room(route, id, content)? {
            return Err(PushError::Full);
        }
        if self.names.is_open() || self.is_offered() {
            self.service();
        }
        let word = content.bulk.map_or(Word::Sent, |bulk| self.names.word(&bulk.region));
        let known = matches!(word, Word::Known(_));
        let descriptors = Descriptors::share(content, self.peer.info.id, known).map_err(PushError::Io)?;
        self.send_descriptors(&descriptors)?;
        let place = content.bulk.map(|bulk| bulk.place(word.name()));
        let place = place.as_ref().map_or(&[][..], |place| place);
        let tag = Tag::message(content.flags | if known { KNOWN } else { 0 }, content.descriptors());
        let pushed = self.ring.push(tag, &[header, content.extension, place, content.payload]);
        self.pushed(pushed)?;
        let keep = route.selector.mode == Mode::Unicast && content.flags & REQUEST == 0;
        self.flights.sent(self.ring.head(), descriptors, keep);
        if keep && let Some(bulk) = content.bulk {
            self.carried(bulk.len);
        }
        if let (Word::Offer(name), Some(bulk)) = (word, content.bulk) {
            self.names.offered(name, &bulk.region);
        }
        Ok(())
    }

    /// Sends descriptors in packets as full as they get. When the kernel takes no more of them in the middle, those that
    /// are gone get a record of their own, with which the receiver drops them.
    fn send_descriptors(&mut self, descriptors: &Descriptors) -> Result<(), PushError> {
        let mut sent = 0;
        for packet in descriptors.borrow().chunks(MAX_FDS) {
            let failure = match self.socket.send(&[DESCRIPTORS], packet) {
                Ok(true) => {
                    sent += packet.len();
                    continue;
                }
                Ok(false) => PushError::Full,
                Err(error) if is_gone(&error) => return Err(PushError::Broken),
                Err(error) => PushError::Io(error),
            };
            if sent > 0 {
                // Shorter than the record that there is room for.
                let pushed = self.ring.push(Tag::void(sent), &[]);
                self.pushed(pushed).map_err(|_| PushError::Broken)?;
                self.flights.strayed(self.ring.head(), sent);
            }
            return Err(failure);
        }
        Ok(())
    }
}
