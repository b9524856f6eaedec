//! What stands in a ring: the format of one record.
//!
//! The ring carries bodies and an opaque 32-bit tag; this file gives both their meaning. A message's body is a fixed
//! header, an optional extension, then the payload. The selector does not travel with each message: a `Route` record
//! defines it once per channel, and messages name it by number. The same number lets the *sender* find the selector
//! again when it reads its own ring after the receiver died.

use std::sync::Arc;

use ipmb_transport::region::Region;
use ipmb_transport::sys::Fd;
use serde::{Deserialize, Serialize};

use crate::identity::EndpointId;
use crate::label::Label;
use crate::limits;

/// The universally unique identifier under which a payload's type travels.
pub type TypeId = [u8; 16];

/// Bytes before the extension: route, length of the extension, type.
pub(crate) const HEADER_BYTES: usize = 24;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message.
    Message = 1,
    /// The definition of a route: its number, then the encoded selector.
    Route = 2,
    /// The ring goes on in the larger memory that the receiver has accepted.
    Switch = 3,
    /// No message: its descriptors are those of one of which not all could be sent. They are dropped.
    Void = 4,
    /// The receiver need not keep a region any longer: its slot.
    Forget = 5,
}

/// The payload is in a region, the first descriptor of the record: where stands in the body, and then its head.
pub(crate) const LARGE: u8 = 1;
/// Another endpoint had it unread when it died.
pub(crate) const REDELIVERED: u8 = 2;
/// An extension follows the header.
pub(crate) const EXTENDED: u8 = 4;
/// The message asks for a reply, and goes to nobody else when the one asked dies.
pub(crate) const REQUEST: u8 = 8;
/// The payload is in a region that the receiver has kept, which counts among the descriptors and is not sent.
pub(crate) const KNOWN: u8 = 16;
/// All that a message may have.
const FLAGS: u8 = LARGE | REDELIVERED | EXTENDED | REQUEST | KNOWN;

/// The ring's tag, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) descriptors: u16,
}

impl Tag {
    pub(crate) fn message(flags: u8, descriptors: usize) -> u32 {
        Kind::Message as u32 | u32::from(flags) << 8 | (descriptors as u32) << 16
    }

    pub(crate) fn route() -> u32 {
        Kind::Route as u32
    }

    pub(crate) fn switch() -> u32 {
        Kind::Switch as u32
    }

    pub(crate) fn void(descriptors: usize) -> u32 {
        Kind::Void as u32 | (descriptors as u32) << 16
    }

    /// `None` for a kind this version does not know.
    #[inline]
    pub(crate) fn kind(tag: u32) -> Option<Kind> {
        match tag & 0xff {
            1 => Some(Kind::Message),
            2 => Some(Kind::Route),
            3 => Some(Kind::Switch),
            4 => Some(Kind::Void),
            5 => Some(Kind::Forget),
            _ => None,
        }
    }

    pub(crate) fn forget() -> u32 {
        Kind::Forget as u32
    }

    /// How many of its descriptors go over the socket.
    pub(crate) fn sent(self) -> usize {
        usize::from(self.descriptors).saturating_sub(usize::from(self.flags & KNOWN != 0))
    }

    /// `None` for a kind or a flag this version does not know, flags of what is no message, or more descriptors than a
    /// message may carry.
    pub(crate) fn decode(tag: u32) -> Option<Tag> {
        let kind = Tag::kind(tag)?;
        let (flags, descriptors) = ((tag >> 8) as u8, (tag >> 16) as u16);
        let allowed = if kind == Kind::Message { FLAGS } else { 0 };
        if flags & !allowed != 0 || usize::from(descriptors) > limits::DESCRIPTORS_PER_MESSAGE {
            return None;
        }
        Some(Tag { kind, flags, descriptors })
    }
}

/// The fixed part of a message's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) route: u32,
    pub(crate) extension: u32,
    pub(crate) type_id: TypeId,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&self.route.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.extension.to_le_bytes());
        bytes[8..].copy_from_slice(&self.type_id);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Header {
        let word = |place: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[8 * place + byte]));
        Header::of(std::array::from_fn(word))
    }

    /// The same from words, which need not pass through memory.
    #[inline(always)]
    pub(crate) fn of(words: [u64; HEADER_BYTES / 8]) -> Header {
        let type_id = (u128::from(words[2]) << 64 | u128::from(words[1])).to_le_bytes();
        Header { route: words[0] as u32, extension: (words[0] >> 32) as u32, type_id }
    }
}

/// Who sent a message that somebody else delivers in their name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) pid: u32,
    pub(crate) label: Label,
}

/// What only some messages carry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extension {
    /// The message waited: its first sender and its number there, by which a second copy is recognised.
    pub(crate) parked: Option<(EndpointId, u64)>,
    /// Set by the controller when it delivers for a sender that has died.
    pub(crate) origin: Option<Origin>,
    /// Pairs a reply with its request.
    pub(crate) correlation: Option<u64>,
    /// How many of the descriptors, that of a large payload not counted, are regions. They come first.
    pub(crate) regions: u16,
}

impl Extension {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Extension::default()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        if self.is_empty() { Vec::new() } else { postcard::to_allocvec(self).unwrap_or_default() }
    }

    /// `None` when the bytes are not exactly one extension.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Extension> {
        match postcard::take_from_bytes(bytes) {
            Ok((extension, [])) => Some(extension),
            _ => None,
        }
    }
}

/// The longest extension a peer may send: a label at its bound, and the numbers around it.
pub(crate) const EXTENSION_BYTES: usize = limits::LABEL_BYTES + 2 * limits::LABEL_ELEMENTS + 64;

/// Room for the extension that ordinary messages may carry: numbers, no label.
pub(crate) const SHORT_EXTENSION_BYTES: usize = 48;

/// Bytes that say where in its region a large payload is, and which region; they stand where others have their payload.
pub(crate) const PLACE_BYTES: usize = 24;

/// What a region is called on one channel, so that it need not be sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Name {
    /// Where the receiver keeps it.
    pub(crate) slot: u32,
    /// Which of all that were ever offered for this slot; 0: it has no name.
    pub(crate) offer: u32,
}

impl Name {
    pub(crate) fn of(place: &[u8; PLACE_BYTES]) -> Name {
        let [.., a, b, c, d, e, f, g, h] = *place;
        Name { slot: u32::from_le_bytes([a, b, c, d]), offer: u32::from_le_bytes([e, f, g, h]) }
    }
}

/// Where a large payload is.
#[derive(Clone, Debug)]
pub struct Bulk {
    /// The region that holds it.
    pub region: Region,
    /// Its first byte.
    pub offset: usize,
    /// How many bytes it has.
    pub len: usize,
}

impl Bulk {
    /// The place as it stands in a record.
    pub(crate) fn place(&self, name: Name) -> [u8; PLACE_BYTES] {
        let mut bytes = [0; PLACE_BYTES];
        bytes[..8].copy_from_slice(&(self.offset as u64).to_le_bytes());
        bytes[8..16].copy_from_slice(&(self.len as u64).to_le_bytes());
        bytes[16..20].copy_from_slice(&name.slot.to_le_bytes());
        bytes[20..].copy_from_slice(&name.offer.to_le_bytes());
        bytes
    }

    /// What a record says of a region; `None` when that is not in it.
    pub(crate) fn at(region: Region, place: &[u8; PLACE_BYTES]) -> Option<Bulk> {
        let (offset, len) = Bulk::range(region.size(), place)?;
        Some(Bulk { region, offset, len })
    }

    /// Offset and length that a record says; `None` when that is not in so many bytes.
    pub(crate) fn range(size: usize, place: &[u8; PLACE_BYTES]) -> Option<(usize, usize)> {
        let number = |bytes: &[u8]| usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok();
        let (offset, len) = (number(&place[..8])?, number(&place[8..16])?);
        (offset <= size && len <= size - offset).then_some((offset, len))
    }

    /// Its bytes, copied out.
    pub(crate) fn to_vec(&self) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.len];
        self.region.read(self.offset, &mut bytes)?;
        Ok(bytes)
    }
}

/// What a message carries besides its payload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attachments {
    pub(crate) regions: Vec<Region>,
    pub(crate) objects: Vec<Arc<Fd>>,
}

impl Attachments {
    pub(crate) fn len(&self) -> usize {
        self.regions.len() + self.objects.len()
    }
}

/// A message whose parts its sender owns: one read back from a ring, or taken out of a parking area.
#[derive(Debug)]
pub(crate) struct OwnedMessage {
    pub(crate) flags: u8,
    pub(crate) type_id: TypeId,
    pub(crate) extension: Extension,
    /// For a large message its head.
    pub(crate) payload: Vec<u8>,
    pub(crate) bulk: Option<Bulk>,
    pub(crate) attachments: Attachments,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_and_a_header_come_back() {
        let most = limits::DESCRIPTORS_PER_MESSAGE;
        let tag = Tag::decode(Tag::message(LARGE | REDELIVERED, most)).unwrap();
        assert_eq!((tag.kind, tag.flags, usize::from(tag.descriptors)), (Kind::Message, 3, most));
        assert_eq!(Tag::decode(Tag::void(5)).map(|tag| (tag.kind, tag.descriptors)), Some((Kind::Void, 5)));
        let header = Header { route: 7, extension: 9, type_id: [3; 16] };
        assert_eq!(Header::decode(&header.encode()), header);
    }

    #[test]
    fn unknown_kinds_and_flags_and_too_many_descriptors_are_refused() {
        assert_eq!(Tag::decode(0), None);
        assert_eq!(Tag::decode(6), None);
        assert_eq!(Tag::decode(Tag::message(32, 0)), None);
        for other in [Tag::route(), Tag::switch(), Tag::void(1), Tag::forget()] {
            assert!(Tag::decode(other).is_some());
            assert_eq!(Tag::decode(other | u32::from(KNOWN) << 8), None, "{other}");
        }
        assert_eq!(Tag::decode(Tag::message(0, limits::DESCRIPTORS_PER_MESSAGE + 1)), None);
    }

    #[test]
    fn the_longest_extension_and_head_fit_a_record_and_short_ones_their_place() {
        let whole = HEADER_BYTES + EXTENSION_BYTES + PLACE_BYTES + limits::HEAD_BYTES;
        assert!(whole <= limits::RECORD_BYTES);
        let numbers = Some((u64::MAX, u64::MAX));
        let short = Extension { parked: numbers, origin: None, correlation: Some(u64::MAX), regions: u16::MAX };
        assert!(short.encode().len() <= SHORT_EXTENSION_BYTES);
    }

    #[test]
    fn a_place_beyond_its_region_is_none() {
        let region = Region::create("test", 100).unwrap();
        let bulk = Bulk { region: region.clone(), offset: 60, len: 40 };
        let name = Name { slot: 3, offer: u32::MAX - 1 };
        let again = Bulk::at(region.clone(), &bulk.place(name)).unwrap();
        assert_eq!((again.offset, again.len), (60, 40));
        assert_eq!(Name::of(&bulk.place(name)), name);
        for (offset, len) in [(60, 41), (101, 0), (usize::MAX, 2), (0, usize::MAX)] {
            assert!(Bulk::at(region.clone(), &Bulk { region: region.clone(), offset, len }.place(name)).is_none());
        }
    }

    #[test]
    fn an_extension_is_exact() {
        let extension = Extension { parked: Some((5, 6)), origin: None, correlation: Some(1), regions: 2 };
        let mut bytes = extension.encode();
        assert_eq!(Extension::decode(&bytes), Some(extension));
        bytes.push(0);
        assert_eq!(Extension::decode(&bytes), None);
        assert!(Extension::default().encode().is_empty());
    }
}
