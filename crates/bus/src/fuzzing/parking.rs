//! What a hostile endpoint leaves behind in its parking area, for the controller to deliver in its name.

use super::case::Case;
use crate::identity::EndpointId;
use crate::limits;
use crate::parking::{self, Parcel, Parking};
use crate::record::{REDELIVERED, REQUEST};

const OWNER: EndpointId = 9;
const SLOTS: usize = 4;
const FIELDS: usize = 6;
/// Where offsets of slots count from, unless the case lies about them.
const BYTES: u64 = parking::BYTES_AT as u64;

/// A case is the words of a few slots, then the bytes that they point to.
pub fn parking(data: &[u8]) {
    let mut case = Case::new(data);
    let (slots, held_office) = (case.word(), case.byte().is_multiple_of(2));
    let mut words = Vec::new();
    for slot in 0..SLOTS {
        let lies = case.byte();
        if lies == 0 {
            continue;
        }
        // State, sequence, claim, expiry, offset, length; see the layout.
        let [state, sequence, claim, expiry, offset, length] = std::array::from_fn(|_| case.word());
        let (offset, length) = match lies {
            0xff => (offset, length),
            0xfe => ((BYTES + limits::PARKED_BYTES as u64).wrapping_sub(offset), length),
            // Longer ones than the case take long to read and say nothing new.
            _ => (BYTES.wrapping_add(offset), length.min(data.len() as u64)),
        };
        let fields: [u64; FIELDS] = [state % 4, sequence, claim, expiry, offset, length];
        words.extend(fields.into_iter().enumerate().map(|(field, value)| (slot, field, value)));
    }
    let area = parking::hostile(slots, &words, case.rest());
    let memory = parking::open(&area).expect("in good order");
    let remains = parking::remains(&memory, OWNER, held_office);
    assert!(remains.parcels.len() + remains.lost as usize <= limits::PARKED_MESSAGES);
    for parcel in remains.parcels {
        let first = parcel.extension.parked.map(|(first, _)| first);
        assert!(held_office || first == Some(OWNER) && parcel.extension.origin.is_none());
        assert!(parcel.flags & !(REDELIVERED | REQUEST) == 0 && parcel.extension.regions == 0);
        comes_back(parcel);
    }
}

/// What was read can be parked again by the one who has adopted it, and is read as the same.
fn comes_back(parcel: Parcel) {
    let (mut area, fd) = Parking::create().expect("memory");
    let [selector, extension] = [parcel.selector.encode(), parcel.extension.encode()];
    let (payload, bulk, claim) = (parcel.payload.clone(), parcel.bulk.clone(), parcel.claim);
    let (expiry, type_id) = (parcel.expiry, parcel.type_id);
    let Ok(sequence) = area.park(OWNER, parcel) else { panic!("it was parked before") };
    let mine = area.read(sequence).expect("it waits");
    assert_eq!((&mine.payload, &mine.bulk, mine.expiry), (&payload, &bulk, expiry));
    let memory = parking::open(&fd).expect("our own");
    let [theirs] = &parking::remains(&memory, OWNER, true).parcels[..] else { panic!("one waits") };
    assert_eq!([theirs.selector.encode(), theirs.extension.encode()], [selector, extension]);
    assert_eq!((&theirs.payload, &theirs.bulk, theirs.type_id), (&payload, &bulk, type_id));
    assert_eq!((theirs.claim, theirs.expiry), (claim, expiry));
}
