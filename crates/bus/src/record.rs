//! What stands in a ring: the format of one record.
//!
//! The ring carries bodies and an opaque 32-bit tag; this file gives both their meaning. A message's body is a fixed
//! header, an optional extension, then the payload. The selector does not travel with each message: a `Route` record
//! defines it once per channel, and messages name it by number. The same number lets the *sender* find the selector
//! again when it reads its own ring after the receiver died.

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
    /// The ring goes on in another, larger memory file that is on the socket. Planned for, not sent yet: a receiver
    /// of this version treats it as an unknown kind.
    Switch = 3,
}

/// The payload is in a memory file of its own, the first descriptor of the record.
pub(crate) const LARGE: u8 = 1;
/// Another endpoint had it unread when it died.
pub(crate) const REDELIVERED: u8 = 2;
/// An extension follows the header.
pub(crate) const EXTENDED: u8 = 4;
/// The message asks for a reply, and goes to nobody else when the one asked dies.
pub(crate) const REQUEST: u8 = 8;

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

    /// `None` for a kind this version does not know, or more descriptors than a message may carry.
    pub(crate) fn decode(tag: u32) -> Option<Tag> {
        let kind = match tag & 0xff {
            1 => Kind::Message,
            2 => Kind::Route,
            3 => Kind::Switch,
            _ => return None,
        };
        let descriptors = (tag >> 16) as u16;
        if usize::from(descriptors) > ipmb_transport::sys::MAX_FDS {
            return None;
        }
        Some(Tag { kind, flags: (tag >> 8) as u8, descriptors })
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
        let mut route = [0; 4];
        let mut extension = [0; 4];
        let mut type_id = [0; 16];
        route.copy_from_slice(&bytes[..4]);
        extension.copy_from_slice(&bytes[4..8]);
        type_id.copy_from_slice(&bytes[8..]);
        Header { route: u32::from_le_bytes(route), extension: u32::from_le_bytes(extension), type_id }
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

/// A message whose parts its sender owns: one read back from a ring, or taken out of a parking area.
#[derive(Debug)]
pub(crate) struct OwnedMessage {
    pub(crate) flags: u8,
    pub(crate) type_id: TypeId,
    pub(crate) extension: Extension,
    /// For a large message the eight bytes of its length.
    pub(crate) payload: Vec<u8>,
    /// The memory file of a large payload first, then the attachments.
    pub(crate) descriptors: Vec<std::sync::Arc<ipmb_transport::sys::Fd>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_and_a_header_come_back() {
        let tag = Tag::decode(Tag::message(LARGE | REDELIVERED, 253)).unwrap();
        assert_eq!((tag.kind, tag.flags, tag.descriptors), (Kind::Message, 3, 253));
        let header = Header { route: 7, extension: 9, type_id: [3; 16] };
        assert_eq!(Header::decode(&header.encode()), header);
    }

    #[test]
    fn unknown_kinds_and_too_many_descriptors_are_refused() {
        assert_eq!(Tag::decode(0), None);
        assert_eq!(Tag::decode(4), None);
        assert_eq!(Tag::decode(Tag::message(0, 254)), None);
    }

    #[test]
    fn an_extension_is_exact() {
        let extension = Extension { parked: Some((5, 6)), origin: None, correlation: Some(1) };
        let mut bytes = extension.encode();
        assert_eq!(Extension::decode(&bytes), Some(extension));
        bytes.push(0);
        assert_eq!(Extension::decode(&bytes), None);
        assert!(Extension::default().encode().is_empty());
    }
}
