//! The content of the directory at one epoch, and its bytes.
//!
//! A snapshot is read by processes that do not trust the one who wrote it. Decoding therefore bounds everything: counts
//! before anything is collected, labels through their constructor, ids that must be there and be unique. The controller has
//! to know beforehand whether a snapshot will fit, so the living and the departed each have half of a copy, and an upper
//! bound of what one entry takes is computed here, next to the encoding it is about.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::identity::EndpointId;
use crate::label::Label;
use crate::limits;
use crate::proof::Nonce;

/// One endpoint on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id.
    pub id: EndpointId,
    /// Its process, as the kernel told the controller.
    pub pid: u32,
    /// Its user, as the kernel told the controller.
    pub uid: u32,
    /// What the proof of a channel to it has to cover.
    pub nonce: Nonce,
    /// Its label.
    pub label: Label,
    /// Whether its receiver is open; a closed one is no match.
    pub receiving: bool,
}

/// Why an endpoint is no longer on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Departure {
    /// It said so.
    Left,
    /// Its connection ended without a word: its process died, or forgot the endpoint.
    Died,
    /// It said something that makes no sense and lost its connection for it.
    Expelled,
    /// It did not register again after a takeover, and nobody answers under its name.
    Vanished,
}

/// One endpoint that is no longer on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Its id.
    pub id: EndpointId,
    /// Its process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Its label.
    pub label: Label,
    /// When it went, in nanoseconds of the machine's monotonic clock.
    pub departed: u64,
    /// Why it went.
    pub reason: Departure,
}

/// The directory at one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Rises with each takeover.
    pub term: u32,
    /// Rises with each commit.
    pub epoch: u32,
    /// The endpoint whose process plays controller.
    pub controller: EndpointId,
    /// Who played the role before, latest last.
    #[serde(deserialize_with = "at_most::<_, _, { limits::PREDECESSORS }>")]
    pub predecessors: Vec<EndpointId>,
    /// Who is on the bus, by rising id.
    #[serde(deserialize_with = "at_most::<_, _, { limits::MEMBERS }>")]
    pub entries: Vec<Entry>,
    /// Who was, by the order in which they went.
    #[serde(deserialize_with = "at_most::<_, _, { limits::TOMBSTONES }>")]
    pub tombstones: Vec<Tombstone>,
}

/// The living of a snapshot, decoded, and the departed as bytes. Readers ask for the departed rarely, and there may be
/// many more of them than members.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Living {
    /// Rises with each takeover.
    pub term: u32,
    /// Rises with each commit.
    pub epoch: u32,
    /// The endpoint whose process plays controller.
    pub controller: EndpointId,
    /// Who played the role before, latest last.
    #[serde(deserialize_with = "at_most::<_, _, { limits::PREDECESSORS }>")]
    pub predecessors: Vec<EndpointId>,
    /// Who is on the bus, by rising id.
    #[serde(deserialize_with = "at_most::<_, _, { limits::MEMBERS }>")]
    pub entries: Vec<Entry>,
    /// What [`Departed`] decodes.
    #[serde(skip)]
    pub departed: Vec<u8>,
}

impl Living {
    /// Reads what a snapshot says of the living.
    ///
    /// # Errors
    /// When the bytes are not those of a snapshot, as far as they are looked at.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (mut living, rest): (Self, _) = postcard::take_from_bytes(bytes).map_err(|_| SnapshotError)?;
        let sorted = living.entries.is_sorted_by(|left, right| left.id < right.id);
        if !sorted || living.entries.first().is_some_and(|entry| entry.id == 0) {
            return Err(SnapshotError);
        }
        living.departed = rest.to_vec();
        Ok(living)
    }

    /// Term and epoch as one number that rises with each commit.
    pub fn word(&self) -> u64 {
        word(self.term, self.epoch)
    }
}

/// The departed of a snapshot, from the bytes in [`Living::departed`].
#[derive(Deserialize)]
pub(crate) struct Departed(#[serde(deserialize_with = "at_most::<_, _, { limits::TOMBSTONES }>")] Vec<Tombstone>);

impl Departed {
    /// The tombstones, those of the longest departed first; none where the bytes make no sense.
    pub(crate) fn all(bytes: &[u8]) -> Vec<Tombstone> {
        postcard::take_from_bytes(bytes).map_or_else(|_| Vec::new(), |(Self(tombstones), _)| tombstones)
    }

    /// The tombstone of an endpoint.
    pub(crate) fn find(bytes: &[u8], id: EndpointId) -> Option<Tombstone> {
        Self::all(bytes).into_iter().find(|tombstone| tombstone.id == id)
    }
}

/// Why bytes are no snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the directory is malformed")]
pub struct SnapshotError;

/// Term and epoch as one number that rises with each commit.
pub fn word(term: u32, epoch: u32) -> u64 {
    u64::from(term) << 32 | u64::from(epoch)
}

/// Half of a copy, less what the head of a snapshot takes: what the living, or the departed, may take together.
pub(crate) const HALF_BYTES: usize = limits::DIRECTORY_BYTES / 2 - 64 - 10 * limits::PREDECESSORS;

/// An upper bound for the bytes of an entry: numbers take at most 10, 5 and 5 bytes.
pub(crate) fn entry_bound(label: &Label) -> usize {
    10 + 5 + 5 + 16 + 1 + label.encoded_bound()
}

/// An upper bound for the bytes of a tombstone: numbers take at most 10, 5, 5 and 10 bytes.
pub(crate) fn tombstone_bound(label: &Label) -> usize {
    10 + 5 + 5 + 10 + 1 + label.encoded_bound()
}

impl Snapshot {
    /// Term and epoch as one number that rises with each commit.
    pub fn word(&self) -> u64 {
        word(self.term, self.epoch)
    }

    /// The entry of an endpoint on the bus.
    pub fn entry(&self, id: EndpointId) -> Option<&Entry> {
        self.entries.binary_search_by_key(&id, |entry| entry.id).ok().map(|place| &self.entries[place])
    }

    /// The tombstone of an endpoint that was on the bus.
    pub fn tombstone(&self, id: EndpointId) -> Option<&Tombstone> {
        self.tombstones.iter().find(|tombstone| tombstone.id == id)
    }

    /// The bytes that [`decode`](Self::decode) takes.
    pub fn encode(&self) -> Vec<u8> {
        // Plain data written to growing memory has no way to fail.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads a snapshot that another process encoded. Nothing in the bytes is believed.
    ///
    /// # Errors
    /// When the bytes are not exactly one snapshot within the bounds, with unique ids, none of them 0.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        if bytes.len() > limits::DIRECTORY_BYTES {
            return Err(SnapshotError);
        }
        let (snapshot, rest): (Snapshot, _) = postcard::take_from_bytes(bytes).map_err(|_| SnapshotError)?;
        let sorted = snapshot.entries.is_sorted_by(|left, right| left.id < right.id);
        let mut seen: HashSet<EndpointId> = snapshot.tombstones.iter().map(|tombstone| tombstone.id).collect();
        let unique =
            seen.len() == snapshot.tombstones.len() && snapshot.entries.iter().all(|entry| seen.insert(entry.id));
        if rest.is_empty() && sorted && unique && !seen.contains(&0) { Ok(snapshot) } else { Err(SnapshotError) }
    }
}

/// Decodes a sequence of at most `MAX` elements, whatever length it claims.
fn at_most<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Bounded<T, const MAX: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Bounded<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(out, "at most {MAX} elements")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = sequence.next_element()? {
                if elements.len() == MAX {
                    return Err(A::Error::custom("too many elements"));
                }
                elements.push(element);
            }
            Ok(elements)
        }
    }

    deserializer.deserialize_seq(Bounded::<T, MAX>(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(id: EndpointId) -> Entry {
        let label = Label::new(["a", "bc"]).unwrap();
        Entry { id, pid: 7, uid: 1000, nonce: [9; 16], label, receiving: true }
    }

    fn tombstone(id: EndpointId) -> Tombstone {
        let label = Label::new(["gone"]).unwrap();
        Tombstone { id, pid: 8, uid: 0, label, departed: 123, reason: Departure::Vanished }
    }

    fn snapshot(entries: &[EndpointId], tombstones: &[EndpointId]) -> Snapshot {
        let entries = entries.iter().copied().map(entry).collect();
        let tombstones = tombstones.iter().copied().map(tombstone).collect();
        Snapshot { term: 3, epoch: 4, controller: 5, predecessors: vec![9, 8], entries, tombstones }
    }

    #[test]
    fn encoding_comes_back() {
        for good in [snapshot(&[], &[]), snapshot(&[1, 5, u64::MAX], &[9, 2])] {
            assert_eq!(Snapshot::decode(&good.encode()).unwrap(), good);
            assert_eq!(good.word(), 3 << 32 | 4);
        }
        let good = snapshot(&[1, 5, 9], &[2]);
        assert_eq!(good.entry(5), Some(&entry(5)));
        assert_eq!(good.entry(2), None);
        assert_eq!(good.tombstone(2), Some(&tombstone(2)));
    }

    #[test]
    fn ids_have_to_be_there_unique_and_in_order() {
        for bad in [
            snapshot(&[0], &[]),
            snapshot(&[], &[0]),
            snapshot(&[1, 1], &[]),
            snapshot(&[2, 1], &[]),
            snapshot(&[], &[1, 1]),
            snapshot(&[1], &[1]),
        ] {
            assert_eq!(Snapshot::decode(&bad.encode()), Err(SnapshotError), "{bad:?}");
        }
    }

    #[test]
    fn counts_at_the_bound_and_one_past_it() {
        let ids = |count: usize, from: u64| (from..from + count as u64).collect::<Vec<_>>();
        let (members, tombstones) = (limits::MEMBERS, limits::TOMBSTONES);
        let largest = snapshot(&ids(members, 1), &ids(tombstones, 1 << 40));
        assert_eq!(Snapshot::decode(&largest.encode()).unwrap(), largest);
        assert!(Snapshot::decode(&snapshot(&ids(members + 1, 1), &[]).encode()).is_err());
        assert!(Snapshot::decode(&snapshot(&[], &ids(tombstones + 1, 1)).encode()).is_err());
        // A count of 2^64 - 1 and nothing behind it: nothing may be set aside for it.
        let hostile = [&[3, 4, 5][..], &[0xff; 9], &[1]].concat();
        assert!(Snapshot::decode(&hostile).is_err());
    }

    #[test]
    fn cut_and_continued_bytes_are_refused() {
        let bytes = snapshot(&[1, 5], &[2]).encode();
        for len in 0..bytes.len() {
            assert!(Snapshot::decode(&bytes[..len]).is_err(), "cut to {len}");
        }
        assert!(Snapshot::decode(&[&bytes[..], &[0]].concat()).is_err());
        assert!(Snapshot::decode(&vec![0; limits::DIRECTORY_BYTES + 1]).is_err());
    }

    proptest! {
        #[test]
        fn the_bounds_of_bytes_hold(
            id in 1..u64::MAX, pid in any::<u32>(), uid in any::<u32>(), departed in any::<u64>(),
            elements in proptest::collection::vec("\\PC{1,40}", 0..20),
        ) {
            let label = Label::new(elements.iter().map(String::as_str)).unwrap();
            let entry = Entry { id, pid, uid, nonce: [0xff; 16], label: label.clone(), receiving: true };
            prop_assert!(postcard::to_allocvec(&entry).unwrap().len() <= entry_bound(&label));
            let reason = Departure::Vanished;
            let dead = Tombstone { id, pid, uid, label: label.clone(), departed, reason };
            prop_assert!(postcard::to_allocvec(&dead).unwrap().len() <= tombstone_bound(&label));
        }

        #[test]
        fn any_bytes_are_a_snapshot_or_an_error(
            tail in proptest::collection::vec(any::<u8>(), 0..200), place in 0..100usize, value in any::<u8>(),
        ) {
            let _ = Snapshot::decode(&tail);
            let mut bytes = snapshot(&[1, 5], &[2]).encode();
            let place = place % bytes.len();
            bytes[place] = value;
            if let Ok(snapshot) = Snapshot::decode(&bytes) {
                prop_assert_eq!(Snapshot::decode(&snapshot.encode()).unwrap(), snapshot);
            }
        }
    }

    #[test]
    fn the_living_are_read_without_the_departed() {
        let snapshot = snapshot(&[1, 2], &[3]);
        let living = Living::decode(&snapshot.encode()).unwrap();
        assert_eq!((living.word(), &living.entries), (snapshot.word(), &snapshot.entries));
        assert_eq!(living.predecessors, snapshot.predecessors);
        let dead = snapshot.tombstones[0].clone();
        assert_eq!(Departed::find(&living.departed, dead.id), Some(dead));
        assert_eq!(Departed::find(&living.departed, u64::MAX), None);
        assert_eq!(Departed::find(b"garbage", 1), None);
    }
}
