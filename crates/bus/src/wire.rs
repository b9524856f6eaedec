//! Control packets: what endpoints and the controller, and the two ends of a channel, say to each other on sockets.
//!
//! A packet is `ipmb`, a version of two bytes (little endian), and one frame in postcard. The first six bytes are the same
//! in every version for ever, so that any two versions can tell each other apart and say so. Frames have no field of
//! unbounded length but a label, and that one decodes through its checked constructor; so a packet, which is bounded itself,
//! cannot make its reader allocate more than a small multiple of its own size. Messages never travel this way.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use crate::identity::EndpointId;
use crate::label::Label;
use crate::limits;
use crate::proof::{Challenge, Nonce, Proof};

/// The version of the protocol: control packets, directory and records together.
pub const PROTOCOL_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"ipmb";

/// On the socket of a channel after opening: look at the ring.
pub const DOORBELL: u8 = b'D';
/// On the socket of a channel after opening: the descriptors of one record come with this byte.
pub const DESCRIPTORS: u8 = b'F';
/// On the socket of a channel after opening, from the consumer: the ring has room again.
pub const ROOM: u8 = b'R';
/// On the socket of a channel after opening: a larger memory for the ring comes with this byte.
pub const GROW: u8 = b'G';
/// The consumer's answer to `GROW`: it has the memory.
pub const GROWN: u8 = b'Y';
/// The consumer's answer to `GROW`: it has no room for it.
pub const STAYS: u8 = b'N';
/// On the socket of a channel after opening, from the consumer, before the number of an offer: that region is kept.
pub const KEPT: u8 = b'K';

/// What an endpoint says to the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientFrame {
    /// The first frame: who wants to join.
    Hello {
        /// The id the endpoint has chosen for itself.
        id: EndpointId,
        /// What the controller's proof has to cover.
        nonce: Challenge,
    },
    /// The second frame, after the challenge. Comes with one descriptor: the sender's parking memory.
    Join(JoinRequest),
    /// The endpoint goes, and expects no answer but the end of the connection.
    Leave,
    /// Whether the endpoint's receiver is open; a closed one is no match.
    Receiving(bool),
    /// Whether the endpoint wants a nudge when the directory changes.
    Watch(bool),
    /// The answer to a nudge: the endpoint has read the directory up to here.
    Seen {
        /// The term it has read.
        term: u32,
        /// The epoch it has read.
        epoch: u32,
    },
}

/// What an endpoint tells of itself when it joins, or registers again after a takeover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// Its label.
    pub label: Label,
    /// What others have to know to open a channel to it.
    pub nonce: Nonce,
    /// Whether it can become controller.
    pub affinity: bool,
    /// Whether its receiver is open.
    pub receiving: bool,
    /// The highest term it has seen on this bus, 0 when none: the controller's must be higher.
    pub last_term: u32,
    /// Shows that it knows the token.
    pub proof: Proof,
}

/// What the controller says to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerFrame {
    /// The answer to hello.
    Challenge {
        /// What the joiner's proof has to cover.
        nonce: Challenge,
    },
    /// The endpoint is on the bus. Comes with descriptors: the directory, the election lock, and for one that can become
    /// controller the listening socket and the parking memory of the controller.
    Welcome {
        /// The term of the directory that first lists the endpoint.
        term: u32,
        /// The epoch of the directory that first lists the endpoint.
        epoch: u32,
        /// Shows that the controller knows the token.
        proof: Proof,
        /// The endpoint whose process plays controller.
        controller: EndpointId,
    },
    /// The endpoint is not on the bus, and the connection ends.
    Refused(Refusal),
    /// The directory has changed. Answered with [`ClientFrame::Seen`]; no second one comes before that.
    Nudge,
    /// The endpoint has left, and what waited in its memory is taken over. The connection ends.
    Farewell,
}

/// Why the controller ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Refusal {
    /// The packet was of another version. (Its sender knows from the first six bytes of this answer already.)
    Version {
        /// The version the controller speaks.
        ours: u16,
    },
    /// The proof is not that of the bus's token.
    Token,
    /// The bus admits other users only.
    Permission,
    /// Another process holds this endpoint id.
    IdInUse,
    /// The directory has no room.
    Full,
    /// The packet makes no sense, or not at this moment.
    Malformed,
}

/// What the two ends of a channel say to each other while it is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerFrame {
    /// The first packet of the opener. Comes with one descriptor: the producer's memory.
    Open(Open),
    /// The answer of the consumer, before its first pop. Comes with one descriptor: the consumer's memory.
    Attach {
        /// Shows that the consumer knows the token and the directory.
        proof: Proof,
    },
    /// Only a look whether the endpoint lives; the connection ends at once.
    Probe,
}

/// Who opens a channel to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The endpoint that opens the channel and will send on it.
    pub opener: EndpointId,
    /// The endpoint the channel is to.
    pub target: EndpointId,
    /// The term of the directory the opener has read.
    pub term: u32,
    /// Shows that the opener knows the token and has read the target's nonce.
    pub proof: Proof,
}

/// A frame that one side of a control connection may send.
pub trait Frame: Serialize + DeserializeOwned {}
impl Frame for ClientFrame {}
impl Frame for ServerFrame {}
impl Frame for PeerFrame {}

/// Why bytes are no control packet of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A control packet of another version of the protocol.
    #[error("the packet is of protocol version {0}, ours is {PROTOCOL_VERSION}")]
    Version(u16),
    /// No control packet at all, or a broken one.
    #[error("the packet is malformed")]
    Malformed,
}

/// Makes a control packet of a frame.
pub fn encode<F: Frame>(frame: &F) -> Vec<u8> {
    let mut head = Vec::with_capacity(128);
    head.extend(MAGIC);
    head.extend(PROTOCOL_VERSION.to_le_bytes());
    // Frames are plain data within the limits; writing them to growing memory has no way to fail.
    postcard::to_extend(frame, head).unwrap_or_default()
}

/// Reads a control packet.
///
/// # Errors
/// [`WireError::Version`] whenever the first six bytes are those of another version, whatever follows, and
/// [`WireError::Malformed`] when the packet is too long or not exactly one frame.
pub fn decode<F: Frame>(packet: &[u8]) -> Result<F, WireError> {
    if packet.len() > limits::PACKET_BYTES {
        return Err(WireError::Malformed);
    }
    let (magic, rest) = packet.split_first_chunk::<4>().ok_or(WireError::Malformed)?;
    let (version, body) = rest.split_first_chunk::<2>().ok_or(WireError::Malformed)?;
    if *magic != MAGIC {
        return Err(WireError::Malformed);
    }
    match u16::from_le_bytes(*version) {
        PROTOCOL_VERSION => {}
        theirs => return Err(WireError::Version(theirs)),
    }
    match postcard::take_from_bytes(body) {
        Ok((frame, [])) => Ok(frame),
        _ => Err(WireError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn label_of(count: usize, width: usize) -> Label {
        Label::new((0..count).map(|number| format!("{number:0width$}"))).unwrap()
    }

    fn join(label: Label) -> ClientFrame {
        let (nonce, proof) = ([3; 16], [4; 32]);
        ClientFrame::Join(JoinRequest { label, nonce, affinity: true, receiving: true, last_term: u32::MAX, proof })
    }

    #[test]
    fn the_longest_frame_fits_a_packet() {
        let packet = encode(&join(label_of(limits::LABEL_ELEMENTS, limits::LABEL_BYTES / limits::LABEL_ELEMENTS)));
        assert!(2 * packet.len() <= limits::PACKET_BYTES);
        assert!(decode::<ClientFrame>(&packet).is_ok());
    }

    #[test]
    fn the_longest_peer_frame_fits_a_packet_between_two_ends() {
        let open = Open { opener: u64::MAX, target: u64::MAX, term: u32::MAX, proof: [255; 32] };
        let packet = encode(&PeerFrame::Open(open));
        assert!(packet.len() >= encode(&PeerFrame::Attach { proof: [255; 32] }).len());
        assert!(4 * packet.len() <= limits::PEER_PACKET_BYTES);
    }

    #[test]
    fn a_packet_past_the_bound_is_malformed() {
        // Of another version, because what follows the version of such a packet is anything.
        let mut packet = encode(&ClientFrame::Leave);
        packet[4..6].copy_from_slice(&700u16.to_le_bytes());
        packet.resize(limits::PACKET_BYTES, 0);
        assert_eq!(decode::<ClientFrame>(&packet), Err(WireError::Version(700)));
        packet.push(0);
        assert_eq!(decode::<ClientFrame>(&packet), Err(WireError::Malformed));
    }

    #[test]
    fn another_version_is_told_whatever_follows() {
        let mut packet = encode(&ServerFrame::Nudge);
        packet[4..6].copy_from_slice(&700u16.to_le_bytes());
        packet.extend([0xff; 100]);
        assert_eq!(decode::<ServerFrame>(&packet), Err(WireError::Version(700)));
        assert_eq!(decode::<ServerFrame>(&packet[..6]), Err(WireError::Version(700)));
        assert_eq!(decode::<ServerFrame>(&packet[..5]), Err(WireError::Malformed));
        packet[0] = b'I';
        assert_eq!(decode::<ServerFrame>(&packet), Err(WireError::Malformed));
    }

    #[test]
    fn cut_and_continued_packets_are_malformed() {
        let packet = encode(&join(label_of(3, 2)));
        for len in 0..packet.len() {
            assert_eq!(decode::<ClientFrame>(&packet[..len]), Err(WireError::Malformed));
        }
        assert_eq!(decode::<ClientFrame>(&[&packet[..], &[0]].concat()), Err(WireError::Malformed));
    }

    #[test]
    fn a_label_past_the_bounds_is_malformed() {
        // Made by hand: a join frame whose label repeats an empty element.
        let mut packet = encode(&join(label_of(1, 1)));
        let place = 6 + 1;
        assert_eq!(packet[place..place + 3], [1, 1, b'0']);
        packet.splice(place..place + 3, [1, 0]);
        assert_eq!(decode::<ClientFrame>(&packet), Err(WireError::Malformed));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail_quietly(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut packet = encode(&ClientFrame::Leave)[..6].to_vec();
            packet.extend(&tail);
            if let Ok(frame) = decode::<ClientFrame>(&packet) {
                prop_assert_eq!(decode::<ClientFrame>(&encode(&frame)).unwrap(), frame);
            }
            let _ = decode::<ServerFrame>(&packet);
            let _ = decode::<PeerFrame>(&packet);
            let _ = decode::<ClientFrame>(&tail);
        }

        #[test]
        fn frames_come_back(id in any::<u64>(), nonce in any::<[u8; 32]>(), term in any::<u32>(), yes in any::<bool>()) {
            for frame in [
                ClientFrame::Hello { id, nonce },
                ClientFrame::Receiving(yes),
                ClientFrame::Watch(yes),
                ClientFrame::Seen { term, epoch: !term },
            ] {
                prop_assert_eq!(decode::<ClientFrame>(&encode(&frame)).unwrap(), frame);
            }
            let open = PeerFrame::Open(Open { opener: id, target: !id, term, proof: nonce });
            prop_assert_eq!(decode::<PeerFrame>(&encode(&open)).unwrap(), open);
            let welcome = ServerFrame::Welcome { term, epoch: !term, proof: nonce, controller: id };
            prop_assert_eq!(decode::<ServerFrame>(&encode(&welcome)).unwrap(), welcome);
        }
    }
}
