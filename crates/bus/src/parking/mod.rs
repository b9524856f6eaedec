//! Where messages wait that nobody matches yet (ttl).
//!
//! The area is memory of the sender that the controller maps read-only from join on, so that what waits outlives its
//! sender: `send` only writes here, and needs nobody else to be awake. When the sender dies the controller reads what
//! is left and delivers it in its name.
//!
//! Layout: one word with the number of slots ever used, a table of slots of eight words each, then the bytes.
//! A slot becomes visible by its state word, stored last; it says `FREE`, `WAITING`, or that the message was claimed
//! for one receiver just before it was pushed to it, so that whoever takes over gives it to nobody else.

mod remains;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Release;

use ipmb_transport::memory::OwnMemory;
use ipmb_transport::sys::Fd;
use serde::{Deserialize, Serialize};

use crate::identity::EndpointId;
use crate::limits;
use crate::memory::Written;
use crate::record::{Attachments, Extension, TypeId};
use crate::selector::Selector;

pub(crate) use remains::{Remains, open, remains};

const FREE: u64 = 0;
const WAITING: u64 = 1;
const CLAIMED: u64 = 2;

const WORD: usize = 8;
const SLOT_WORDS: usize = 8;
const TABLE: usize = 64;
const STATE: usize = 0;
const SEQUENCE: usize = 1;
const CLAIM: usize = 2;
const EXPIRY: usize = 3;
const OFFSET: usize = 4;
const LENGTH: usize = 5;

pub(crate) const BYTES_AT: usize = TABLE + limits::PARKED_MESSAGES * SLOT_WORDS * WORD;

/// Size of the area, a whole number of pages.
pub(crate) const AREA_BYTES: usize = (BYTES_AT + limits::PARKED_BYTES).next_multiple_of(4096);

/// Never: the expiry of a message that waits for ever.
pub(crate) const NEVER: u64 = u64::MAX;

/// What stands before the payload in the area.
#[derive(Serialize, Deserialize)]
struct Prefix {
    selector: Vec<u8>,
    type_id: TypeId,
    flags: u8,
    extension: Extension,
    /// Of a large payload, how many of the bytes that follow are its head.
    head: Option<u32>,
    /// Attachments stay in the sender's process: without it the message cannot be delivered whole.
    attachments: u16,
}

/// A message on its way into the area.
pub(crate) struct Parcel {
    pub(crate) selector: Arc<Selector>,
    pub(crate) type_id: TypeId,
    pub(crate) flags: u8,
    pub(crate) extension: Extension,
    /// Of a large one its head.
    pub(crate) payload: Vec<u8>,
    /// The rest of a large one.
    pub(crate) bulk: Option<Vec<u8>>,
    pub(crate) attachments: Attachments,
    pub(crate) expiry: u64,
    /// Set when it was already promised to one receiver.
    pub(crate) claim: Option<EndpointId>,
}

/// Why a message was not put into the area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unparked {
    /// Too much waits there now.
    NoRoom,
    /// It has so many bytes, with what travels along, and would not fit if it were alone.
    TooLong(u64),
}

/// What the sender itself keeps of a waiting message.
pub(crate) struct Waiting {
    pub(crate) selector: Arc<Selector>,
    pub(crate) expiry: u64,
    pub(crate) attachments: Attachments,
    /// The only receiver that may have it.
    pub(crate) claim: Option<EndpointId>,
    /// Of a multicast that some have: those of its matches that had no room then.
    pub(crate) owed: Option<Vec<EndpointId>>,
    slot: usize,
    offset: usize,
    length: usize,
}

/// The owner's side of the area.
pub(crate) struct Parking<M = OwnMemory> {
    memory: M,
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
    slots: usize,
    free_slots: Vec<usize>,
    /// Free bytes: offset to length, never adjacent. Lowest first, so that the area stays small in memory.
    free_bytes: BTreeMap<usize, usize>,
}

impl Parking {
    pub(crate) fn create() -> io::Result<(Parking, Fd)> {
        let (memory, descriptor) = OwnMemory::create("ipmb-parking", AREA_BYTES)?;
        Ok((Parking::within(memory), descriptor))
    }
}

impl<M: Written> Parking<M> {
    /// The owner's side of memory that is all zero.
    pub(crate) fn within(memory: M) -> Parking<M> {
        Parking {
            memory,
            waiting: BTreeMap::new(),
            next: 1,
            slots: 0,
            free_slots: Vec::new(),
            free_bytes: BTreeMap::from([(BYTES_AT, limits::PARKED_BYTES)]),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn sequences(&self) -> Vec<u64> {
        self.waiting.keys().copied().collect()
    }

    pub(crate) fn get(&self, sequence: u64) -> Option<&Waiting> {
        self.waiting.get(&sequence)
    }

    /// The earliest expiry of all, for the timer.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.waiting.values().map(|waiting| waiting.expiry).min().filter(|&expiry| expiry != NEVER)
    }

    /// Puts a message into the area.
    pub(crate) fn park(&mut self, owner: EndpointId, mut parcel: Parcel) -> Result<u64, Unparked> {
        let sequence = self.next;
        if parcel.extension.parked.is_none() {
            parcel.extension.parked = Some((owner, sequence));
        }
        let prefix = Prefix {
            selector: parcel.selector.encode(),
            type_id: parcel.type_id,
            flags: parcel.flags,
            extension: parcel.extension.clone(),
            head: parcel.bulk.as_ref().map(|_| parcel.payload.len() as u32),
            attachments: parcel.attachments.len() as u16,
        };
        let Ok(prefix) = postcard::to_allocvec(&prefix) else { return Err(Unparked::NoRoom) };
        let bulk = parcel.bulk.as_deref().unwrap_or_default();
        let length = 4 + prefix.len() + parcel.payload.len() + bulk.len();
        if length > limits::PARKED_BYTES {
            return Err(Unparked::TooLong(length as u64));
        }
        let Some(slot) = self.take_slot() else { return Err(Unparked::NoRoom) };
        let Some(offset) = self.take_bytes(length) else {
            self.free_slots.push(slot);
            return Err(Unparked::NoRoom);
        };
        self.memory.copy_in(offset, &(prefix.len() as u32).to_le_bytes());
        self.memory.copy_in(offset + 4, &prefix);
        self.memory.copy_in(offset + 4 + prefix.len(), &parcel.payload);
        self.memory.copy_in(offset + length - bulk.len(), bulk);
        let state = if parcel.claim.is_some() { CLAIMED } else { WAITING };
        for (field, value) in [
            (SEQUENCE, sequence),
            (CLAIM, parcel.claim.unwrap_or(0)),
            (EXPIRY, parcel.expiry),
            (OFFSET, offset as u64),
            (LENGTH, length as u64),
            (STATE, state),
        ] {
            self.memory.store(slot_word(slot, field), value, Release);
        }
        self.next += 1;
        let Parcel { selector, attachments, expiry, claim, .. } = parcel;
        self.waiting
            .insert(sequence, Waiting { selector, expiry, attachments, claim, owed: None, slot, offset, length });
        Ok(sequence)
    }

    /// The parts of a waiting message, read back from the area.
    pub(crate) fn read(&self, sequence: u64) -> Option<Parcel> {
        let waiting = self.waiting.get(&sequence)?;
        let mut bytes = vec![0; waiting.length];
        self.memory.copy_out(waiting.offset, &mut bytes);
        let mut parcel = decode(&bytes)?.0;
        parcel.selector = waiting.selector.clone();
        parcel.attachments = waiting.attachments.clone();
        parcel.expiry = waiting.expiry;
        parcel.claim = waiting.claim;
        Some(parcel)
    }

    /// Records that the message is about to be pushed to `receiver`.
    pub(crate) fn claim(&mut self, sequence: u64, receiver: EndpointId) {
        if let Some(waiting) = self.waiting.get_mut(&sequence) {
            waiting.claim = Some(receiver);
            self.memory.store(slot_word(waiting.slot, CLAIM), receiver, Release);
            self.memory.store(slot_word(waiting.slot, STATE), CLAIMED, Release);
        }
    }

    /// Notes who is still to have a multicast that others have.
    ///
    /// Not in the area: whoever takes over gives it to every match, and those who have it know it.
    pub(crate) fn owe(&mut self, sequence: u64, receivers: Vec<EndpointId>) {
        if let Some(waiting) = self.waiting.get_mut(&sequence) {
            waiting.owed = Some(receivers);
        }
    }

    /// Takes a claim back: nothing was pushed.
    pub(crate) fn unclaim(&mut self, sequence: u64) {
        if let Some(waiting) = self.waiting.get_mut(&sequence) {
            waiting.claim = None;
            self.memory.store(slot_word(waiting.slot, STATE), WAITING, Release);
            self.memory.store(slot_word(waiting.slot, CLAIM), 0, Release);
        }
    }

    /// Records that the message needs no more care: delivered, expired or dropped.
    pub(crate) fn done(&mut self, sequence: u64) {
        if let Some(waiting) = self.waiting.remove(&sequence) {
            self.memory.store(slot_word(waiting.slot, STATE), FREE, Release);
            self.free_slots.push(waiting.slot);
            self.give_bytes(waiting.offset, waiting.length);
        }
    }

    fn take_slot(&mut self) -> Option<usize> {
        if let Some(slot) = self.free_slots.pop() {
            return Some(slot);
        }
        if self.slots == limits::PARKED_MESSAGES {
            return None;
        }
        self.slots += 1;
        self.memory.store(0, self.slots as u64, Release);
        Some(self.slots - 1)
    }

    fn take_bytes(&mut self, length: usize) -> Option<usize> {
        let (&offset, &room) = self.free_bytes.iter().find(|&(_, &room)| room >= length)?;
        self.free_bytes.remove(&offset);
        if room > length {
            self.free_bytes.insert(offset + length, room - length);
        }
        Some(offset)
    }

    fn give_bytes(&mut self, mut offset: usize, mut length: usize) {
        if let Some(room) = self.free_bytes.remove(&(offset + length)) {
            length += room;
        }
        if let Some((&before, &room)) = self.free_bytes.range(..offset).next_back()
            && before + room == offset
        {
            self.free_bytes.remove(&before);
            offset = before;
            length += room;
        }
        self.free_bytes.insert(offset, length);
    }
}

fn slot_word(slot: usize, field: usize) -> usize {
    TABLE + (slot * SLOT_WORDS + field) * WORD
}

/// The parts of one message, and how many attachments it had. `None` for what is not one.
fn decode(bytes: &[u8]) -> Option<(Parcel, u16)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let prefix = bytes.get(4..4usize.checked_add(length)?)?;
    let (prefix, rest): (Prefix, &[u8]) = postcard::take_from_bytes(prefix).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let body = &bytes[4 + length..];
    let (payload, bulk) = match prefix.head {
        None => (body, None),
        Some(head) if head as usize <= limits::HEAD_BYTES => {
            body.split_at_checked(head as usize).map(|(h, b)| (h, Some(b)))?
        }
        Some(_) => return None,
    };
    let parcel = Parcel {
        selector: Arc::new(Selector::decode(&prefix.selector).ok()?),
        type_id: prefix.type_id,
        flags: prefix.flags,
        extension: prefix.extension,
        payload: payload.to_vec(),
        bulk: bulk.map(<[u8]>::to_vec),
        attachments: Attachments::default(),
        expiry: NEVER,
        claim: None,
    };
    Some((parcel, prefix.attachments))
}

/// An area whose owner writes what it likes: the number of slots, words of slots, and the bytes from their beginning on.
#[cfg(any(test, fuzzing))]
pub(crate) fn hostile(slots: u64, words: &[(usize, usize, u64)], bytes: &[u8]) -> Fd {
    let (mut memory, descriptor) = OwnMemory::create("hostile", AREA_BYTES).expect("memory");
    memory.word(0).store(slots, Release);
    for &(slot, field, value) in words {
        memory.word(slot_word(slot, field)).store(value, Release);
    }
    memory.copy_in(BYTES_AT, bytes);
    descriptor
}

#[cfg(test)]
mod tests;
