//! What a receiver has left unread: read back from the sender's own ring, with what was sent beside it.

use ipmb_transport::region::Region;

use super::Outbound;
use super::flight::Descriptors;
use crate::record::{
    Attachments, Bulk, EXTENDED, Extension, HEADER_BYTES, Header, KNOWN, Kind, LARGE, OwnedMessage, PLACE_BYTES,
    REQUEST, Tag,
};

/// A message that a receiver has left unread.
pub(crate) struct Unread {
    /// The number of its route.
    pub(crate) route: u32,
    /// The asker's number, of a request.
    pub(crate) asked: Option<u64>,
    /// `None` where what came with it was not kept.
    pub(crate) message: Option<OwnedMessage>,
}

impl Outbound {
    /// The unread messages, once the receiver's end is closed. Its tail is in its own
    /// page, which outlives it. Of those that nobody else is to have, what came with them was not kept.
    pub(crate) fn unread(&mut self) -> Vec<Unread> {
        let records: Vec<_> = self.ring.unread().collect();
        let mut owned = Vec::with_capacity(records.len());
        // Descriptors belong to the last records that have some.
        let carrying = records.iter().filter(|(tag, ..)| Tag::decode(*tag).is_some_and(|t| t.descriptors > 0)).count();
        let mut flights = self.flights.take(carrying);
        for (tag, position, len) in records {
            let Some(tag) = Tag::decode(tag) else { continue };
            let kept = if tag.descriptors > 0 { flights.next().flatten() } else { None };
            if tag.kind != Kind::Message || len < HEADER_BYTES {
                continue;
            }
            let mut header = [0; HEADER_BYTES];
            self.ring.read(position, 0, &mut header);
            let header = Header::decode(&header);
            let mut extension = vec![0; header.extension as usize];
            self.ring.read(position, HEADER_BYTES, &mut extension);
            let mut payload = vec![0; len - HEADER_BYTES - extension.len()];
            self.ring.read(position, HEADER_BYTES + extension.len(), &mut payload);
            let extension = Extension::decode(&extension).unwrap_or_default();
            let flags = tag.flags & !(EXTENDED | KNOWN);
            let mut message = OwnedMessage {
                flags,
                type_id: header.type_id,
                extension,
                payload,
                bulk: None,
                attachments: Attachments::default(),
            };
            let whole = match kept {
                Some(kept) => self.reclaim(&mut message, kept),
                None => tag.descriptors == 0,
            };
            let asked = if flags & REQUEST != 0 { message.extension.correlation } else { None };
            owned.push(Unread { route: header.route, asked, message: whole.then_some(message) });
        }
        owned
    }

    /// Gives a message back what was sent with it. The shares are still held under the receiver's name.
    fn reclaim(&self, message: &mut OwnedMessage, kept: Descriptors) -> bool {
        let (known, shares, objects) = kept.into_parts();
        let mut regions = Vec::with_capacity(shares.len());
        for share in shares {
            let Ok(region) = Region::open(share, self.peer.info.id) else { return false };
            regions.push(region);
        }
        if message.flags & LARGE != 0 {
            let Some(place) = message.payload.first_chunk() else { return false };
            let region = known.unwrap_or_else(|| regions.remove(0));
            let bulk = Bulk::at(region, place);
            message.payload.drain(..PLACE_BYTES);
            message.bulk = bulk;
            if message.bulk.is_none() {
                return false;
            }
        }
        message.attachments = Attachments { regions, objects };
        true
    }

    /// The numbers of the routes that unread records name.
    pub(crate) fn routes_in_flight(&mut self, used: &mut std::collections::HashSet<u32>) {
        let records: Vec<_> = self.ring.unread().collect();
        for (tag, position, _) in records {
            if Tag::decode(tag).is_some_and(|tag| tag.kind == Kind::Message) {
                let mut route = [0; 4];
                self.ring.read(position, 0, &mut route);
                used.insert(u32::from_le_bytes(route));
            }
        }
    }
}
