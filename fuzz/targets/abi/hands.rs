//! What a caller in C holds: handles of each kind in a few places, two endpoints, and bytes with lengths. Which place, which kind and
//! which length a call gets is the case's to say; that they are what the header asks for is seen to here.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::null_mut;
use std::rc::Rc;
use std::sync::OnceLock;

use ipmb::endpoint::{Options, ipmb_join, ipmb_receiver_take};
use ipmb::label::{ipmb_label, ipmb_label_drop, ipmb_label_insert, ipmb_label_op_drop};
use ipmb::message::ipmb_message_drop;
use ipmb::region::ipmb_memory_region_drop;
use ipmb::registry::ipmb_memory_registry_drop;
use ipmb::text::{ipmb_rstring_data, ipmb_rstring_drop};

use super::c;
use super::case::Case;

pub(super) type Handle = *mut c_void;

/// What a handle is of. Endpoints are shared by all cases; the rest is each case's own.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Label,
    Op,
    Text,
    Message,
    Region,
    Registry,
    Sender,
    Receiver,
}

const KINDS: [Kind; 8] =
    [Kind::Label, Kind::Op, Kind::Text, Kind::Message, Kind::Region, Kind::Registry, Kind::Sender, Kind::Receiver];
const PLACES: usize = 4;

/// Two endpoints of one bus, joined once.
struct Endpoints {
    senders: [usize; 2],
    receivers: [usize; 2],
}

/// Senders and receivers, as numbers: handles may be used in any thread.
fn endpoints() -> &'static Endpoints {
    static JOINED: OnceLock<Endpoints> = OnceLock::new();
    JOINED.get_or_init(|| {
        let joined = [c"a", c"b"].map(|name| {
            let (label, mut sender, mut receiver) = (ipmb_label(), null_mut(), null_mut());
            c!(ipmb_label_insert(&mut { label }, name.as_ptr()));
            c!(ipmb_label_insert(&mut { label }, c"both".as_ptr()));
            let bus = CString::new(format!("fuzz-abi-{}", std::process::id())).expect("no NUL");
            let options = Options {
                identifier: bus.as_ptr(),
                label: &label,
                token: c"secret".as_ptr(),
                controller_affinity: true,
            };
            assert_eq!(c!(ipmb_join(options, 10_000, &mut sender, &mut receiver)), 0);
            assert_eq!(c!(ipmb_receiver_take(&mut receiver, std::ptr::null(), 0)), 0);
            c!(ipmb_label_drop(label));
            [sender as usize, receiver as usize]
        });
        Endpoints { senders: joined.map(|[sender, _]| sender), receivers: joined.map(|[_, receiver]| receiver) }
    })
}

/// All handles there are, and what remains of the case.
pub(super) struct Hands<'a> {
    pub(super) case: Case<'a>,
    held: [[Handle; PLACES]; KINDS.len()],
    /// How often the callback of each region was called.
    pub(super) freed: Vec<Rc<Cell<u32>>>,
}

impl<'a> Hands<'a> {
    pub(super) fn new(case: Case<'a>) -> Hands<'a> {
        let mut held = [[null_mut(); PLACES]; KINDS.len()];
        let Endpoints { senders: [a, b], receivers: [c, d] } = endpoints();
        held[Kind::Sender as usize] = [*a, *b, *a, *b].map(|sender| sender as Handle);
        held[Kind::Receiver as usize] = [*c, *d, *c, *d].map(|receiver| receiver as Handle);
        Hands { case, held, freed: Vec::new() }
    }

    /// A place with a handle: mostly of this kind, at times of another, or empty, or no place at all.
    pub(super) fn place(&mut self, kind: Kind) -> *mut Handle {
        let (kind, place) = match self.case.byte() {
            0xff => return null_mut(),
            byte @ 0xe0.. => (KINDS[usize::from(byte) % KINDS.len()], usize::from(byte >> 3)),
            byte => (kind, usize::from(byte)),
        };
        &mut self.held[kind as usize][place % PLACES]
    }

    /// A handle that a call of this kind consumes: its place is empty then. One of another kind stays where it is.
    pub(super) fn given(&mut self, kind: Kind) -> Handle {
        let (other, place) = match self.case.byte() {
            0xff => return null_mut(),
            byte @ 0xe0.. => (KINDS[usize::from(byte) % KINDS.len()], usize::from(byte >> 3)),
            byte => (kind, usize::from(byte)),
        };
        let place = &mut self.held[other as usize][place % PLACES];
        if other == kind { std::mem::replace(place, null_mut()) } else { *place }
    }

    /// Keeps what a call returned.
    pub(super) fn keep(&mut self, kind: Kind, handle: Handle) {
        let place = usize::from(self.case.byte()) % PLACES;
        if kind == Kind::Text {
            readable(handle);
        }
        drop_handle(kind, std::mem::replace(&mut self.held[kind as usize][place], handle));
    }

    /// The handle of an endpoint, certainly.
    pub(super) fn end(&mut self, kind: Kind, place: usize) -> *mut Handle {
        &mut self.held[kind as usize][place]
    }

    /// Drops what is in hand of a kind.
    pub(super) fn drop_all(&mut self, kind: Kind) {
        for handle in &mut self.held[kind as usize] {
            drop_handle(kind, std::mem::replace(handle, null_mut()));
        }
    }

    /// Text for a call: any bytes without NUL, with one behind them, or null.
    pub(super) fn text(&mut self) -> Option<CString> {
        const KNOWN: [&CStr; 12] = [
            c"a",
            c"b",
            c"both",
            c"true",
            c"!a & b",
            c"a | (b & !c)",
            c"",
            c"\xff",
            c"dropped.full",
            c"refused.join_token",
            c"shortages.open_files",
            c"\"\"",
        ];
        let text = match self.case.byte() {
            0xff => return None,
            0xfe => vec![b'x'; 240 + usize::from(self.case.byte() % 32)],
            0xfd => b"!".repeat(usize::from(self.case.byte())),
            byte @ 0x80.. => return Some(KNOWN[usize::from(byte) % KNOWN.len()].to_owned()),
            len => self.case.bytes(usize::from(len)).iter().copied().filter(|byte| *byte != 0).collect(),
        };
        Some(CString::new(text).expect("no NUL is left"))
    }

    /// A payload, in memory of just its size; `None` is a null pointer.
    pub(super) fn payload(&mut self) -> Option<Vec<u8>> {
        match self.case.byte() {
            0xff => None,
            // Large in few bytes: beside the ring, or beyond what it grows to.
            large @ 0xf0.. => {
                let (step, seed) = ([500, 16_384, 65_536, 70_000][usize::from(large) % 4], self.case.byte());
                let size = step + usize::from(self.case.byte());
                Some((0..size).map(|place| (place as u8).wrapping_mul(seed | 1)).collect())
            }
            len => Some(self.case.bytes(usize::from(len)).to_vec()),
        }
    }

    /// The UUID of a type: mostly of one that is built in.
    pub(super) fn type_id(&mut self) -> [u8; 16] {
        let mut id = [0x69, 0x70, 0x6d, 0x62, 0, 0, 0x80, 0, 0x80, 0, 0, 0, 0, 0, 0, self.case.byte()];
        if id[15] >= 0x20 {
            id.iter_mut().for_each(|byte| *byte = self.case.byte());
        }
        id
    }

    /// A number that no memory has, or any other.
    pub(super) fn size(&mut self) -> usize {
        self.case.word() as usize
    }

    /// What a new region may have: no more than a few pages, or more than there can be.
    pub(super) fn region_size(&mut self) -> usize {
        let size = self.size();
        if size > 1 << 62 { size } else { size % 40_000 }
    }
}

fn drop_handle(kind: Kind, handle: Handle) {
    match kind {
        Kind::Label => c!(ipmb_label_drop(handle)),
        Kind::Op => c!(ipmb_label_op_drop(handle)),
        Kind::Text => c!(ipmb_rstring_drop(handle)),
        Kind::Message => c!(ipmb_message_drop(handle)),
        Kind::Region => c!(ipmb_memory_region_drop(handle)),
        Kind::Registry => c!(ipmb_memory_registry_drop(handle)),
        Kind::Sender | Kind::Receiver => {}
    }
}

/// A pointer to text, for a call.
pub(super) fn pointer(text: &Option<CString>) -> *const c_char {
    text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr())
}

/// A pointer to bytes, for a call.
pub(super) fn start(bytes: &Option<Vec<u8>>) -> *const u8 {
    bytes.as_ref().map_or(std::ptr::null(), Vec::as_ptr)
}

/// A text that came back is UTF-8, and ends with a NUL where its length says.
pub(super) fn readable(text: Handle) {
    let (mut start, mut size) = (std::ptr::dangling(), 1);
    c!(ipmb_rstring_data(&text, &mut start, &mut size));
    assert_eq!(start.is_null(), text.is_null());
    if !text.is_null() {
        let bytes = c!(std::slice::from_raw_parts(start.cast::<u8>(), size + 1));
        assert_eq!(bytes[size], 0);
        assert!(std::str::from_utf8(&bytes[..size]).is_ok(), "{bytes:?}");
    }
}
