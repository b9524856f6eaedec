//! The other side of the area: reading what an endpoint that is gone has left in it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Acquire;

use ipmb_transport::memory::PeerMemory;
use ipmb_transport::sys::Fd;

use super::{
    AREA_BYTES, BYTES_AT, CLAIM, CLAIMED, EXPIRY, LENGTH, OFFSET, Parcel, SEQUENCE, STATE, WAITING, decode, slot_word,
};
use crate::identity::EndpointId;
use crate::limits;
use crate::memory::Watched;
use crate::record::{REDELIVERED, REQUEST};

/// What another endpoint left behind in its area, in the order in which it was sent.
#[derive(Default)]
pub(crate) struct Remains {
    pub(crate) parcels: Vec<Parcel>,
    /// Messages whose attachments died with the sender, or that cannot be read.
    pub(crate) lost: u64,
}

/// Checks and maps another endpoint's area.
pub(crate) fn open(descriptor: &Fd) -> Result<PeerMemory, ipmb_transport::MemoryError> {
    PeerMemory::open(descriptor, AREA_BYTES, AREA_BYTES)
}

/// Reads what waits in the area of an endpoint that is gone. Every word is copied out once, then checked, then used.
///
/// Only one who `held_office` may have taken over what others left, and names them; what anybody else left is its own.
pub(crate) fn remains(memory: &impl Watched, owner: EndpointId, held_office: bool) -> Remains {
    let mut found = BTreeMap::new();
    let mut remains = Remains::default();
    let slots = (memory.load(0, Acquire) as usize).min(limits::PARKED_MESSAGES);
    for slot in 0..slots {
        let word = |field| memory.load(slot_word(slot, field), Acquire);
        let state = word(STATE);
        if state != WAITING && state != CLAIMED {
            continue;
        }
        let (offset, length) = (word(OFFSET) as usize, word(LENGTH) as usize);
        if length > limits::PARKED_BYTES || offset < BYTES_AT || offset > AREA_BYTES - length {
            remains.lost += 1;
            continue;
        }
        let mut bytes = vec![0; length];
        if memory.copy_out(offset, &mut bytes).is_err() {
            remains.lost += 1;
            continue;
        }
        match decode(&bytes) {
            Some((mut parcel, 0)) if parcel.extension.regions == 0 => {
                parcel.expiry = word(EXPIRY);
                parcel.claim = (state == CLAIMED).then(|| word(CLAIM));
                let sequence = word(SEQUENCE);
                let (first, number) = parcel.extension.parked.unwrap_or((owner, sequence));
                let known = held_office || first == owner;
                parcel.extension.parked = Some(if known { (first, number) } else { (owner, sequence) });
                if !held_office {
                    parcel.extension.origin = None;
                }
                parcel.flags &= REDELIVERED | REQUEST;
                found.insert(sequence, parcel);
            }
            _ => remains.lost += 1,
        }
    }
    remains.parcels = found.into_values().collect();
    remains
}
