//! A fuzzer's bytes, read as a program of calls of the C ABI (`crates/c/include/ipmb_ffi.h`), in one thread, on two endpoints.
//!
//! It is `tests/c/programs/storm.c` with a fuzzer in place of chance: handles of all kinds in all places, null among them, lengths
//! that lie where the pointer is null, payloads of any type. What the header asks of a caller is kept, and nothing else: pointers are
//! valid for the length that is given with them, text ends with a NUL, what a call consumed is not used again.
//!
//! After each call what came back is looked at: bytes are read to their last (AddressSanitizer sees where there are none), text is
//! UTF-8, what is received is what was sent, counters do not go down. A case leaves nothing behind.
//!
//! This is a program in C in Rust's clothes. It has one kind of `unsafe` block, the macro `c!`: calling a function whose promises
//! stand in the header, and reading what its results point to; that the promises are kept is what [`hands`] is for.

#[path = "../../../crates/transport/src/case.rs"]
mod case;
mod hands;
mod traffic;

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::fs::File;
use std::os::fd::IntoRawFd;
use std::ptr::{null, null_mut};
use std::rc::Rc;

use ipmb::attachment::*;
use ipmb::error::ERROR_CODE_UNKNOWN;
use ipmb::label::*;
use ipmb::message::*;
use ipmb::origin::ipmb_message_sender_label;
use ipmb::region::*;
use ipmb::registry::*;
use ipmb::text::{ipmb_rstring_data, ipmb_rstring_drop};

use case::Case;
use hands::{Handle, Hands, Kind, pointer, start};

/// What a caller in C writes without a word.
macro_rules! c {
    ($call:expr) => {{
        // SAFETY: the pointers and handles are what the header asks for, or what the library gave; see the head of this file.
        #[allow(clippy::multiple_unsafe_ops_per_block, reason = "a call, and what is given to it")]
        unsafe {
            $call
        }
    }};
}
use c;

/// Runs a case. What is wrong panics, or the sanitizer ends the process.
pub(crate) fn run(data: &[u8]) {
    let mut program = Program { hands: Hands::new(Case::new(data)), sent: Vec::new() };
    while let Some(step) = program.hands.case.step() {
        match step % 8 {
            0 | 1 => program.expressions(step / 8),
            2 | 3 => program.messages(step / 8),
            4 => program.memory(step / 8),
            5 => program.rest(step / 8),
            _ => program.traffic(step / 8),
        }
        program.last_error();
    }
    program.end();
}

/// Runs what was kept.
#[cfg(test)]
pub(crate) fn replay() {
    case::replay("abi", run);
}

/// What can be seen of a message, before it is sent and after it came.
#[derive(Debug, PartialEq)]
struct Looks {
    type_id: [u8; 16],
    bytes: Vec<u8>,
    objects: usize,
    regions: Vec<usize>,
}

impl Looks {
    /// `None`: it is no message.
    fn of(message: Handle) -> Option<Looks> {
        let (mut bytes, mut size) = (null(), 1);
        c!(ipmb_message_data(&message, &mut bytes, &mut size));
        let bytes = read(bytes, size)?;
        let mut type_id = [1; 16];
        c!(ipmb_message_type(&message, type_id.as_mut_ptr()));
        let (mut format, mut inner, mut inner_size) = (1, null(), 1);
        c!(ipmb_message_bytes_data(&message, &mut format, &mut inner, &mut inner_size));
        if let Some(inner) = read(inner, inner_size as usize) {
            match bytes.strip_suffix(&*inner).expect("the same bytes") {
                [] => assert_eq!(format, 0),
                head => assert_eq!(head, format.to_le_bytes()),
            }
        }
        let regions = 0..c!(ipmb_message_memory_region_count(&message));
        let size = |place| c!(ipmb_memory_region_size(&ipmb_message_memory_region_get(&mut { message }, place)));
        let regions = regions.map(size).collect();
        let objects = c!(ipmb_message_object_count(&message));
        Some(Looks { type_id, bytes, objects, regions })
    }
}

/// All the bytes that a pointer and a length stand for.
fn read(start: *const u8, size: usize) -> Option<Vec<u8>> {
    if start.is_null() {
        assert_eq!(size, 0);
        return None;
    }
    Some(c!(std::slice::from_raw_parts(start, size)).to_vec())
}

struct Program<'a> {
    hands: Hands<'a>,
    /// Whatever was given to be sent.
    sent: Vec<Looks>,
}

impl Program<'_> {
    fn expressions(&mut self, step: u8) {
        let hands = &mut self.hands;
        match step % 12 {
            0 => hands.keep(Kind::Label, ipmb_label()),
            1 => {
                let text = hands.text();
                c!(ipmb_label_insert(hands.place(Kind::Label), pointer(&text)));
            }
            2 => {
                let label = c!(ipmb_label_clone(hands.place(Kind::Label)));
                hands.keep(Kind::Label, label);
            }
            3 => {
                let op = ipmb_label_op_bool(hands.case.byte().is_multiple_of(2));
                hands.keep(Kind::Op, op);
            }
            4 => {
                let op = c!(ipmb_label_op_leaf(pointer(&hands.text())));
                hands.keep(Kind::Op, op);
            }
            5 => {
                let op = c!(ipmb_label_op_parse(pointer(&hands.text())));
                hands.keep(Kind::Op, op);
                // What it says of itself is read again, and says the same.
                let text = c!(ipmb_label_op_text(&op));
                let (mut start, mut size) = (null(), 0);
                c!(ipmb_rstring_data(&text, &mut start, &mut size));
                if !start.is_null() {
                    let again = c!(ipmb_label_op_parse(start));
                    let second = c!(ipmb_label_op_text(&again));
                    let mut other = null();
                    c!(ipmb_rstring_data(&second, &mut other, null_mut()));
                    assert_eq!(c!(CStr::from_ptr(start)), c!(CStr::from_ptr(other)));
                    c!(ipmb_rstring_drop(second));
                    c!(ipmb_label_op_drop(again));
                }
                c!(ipmb_rstring_drop(text));
            }
            6 => {
                let op = c!(ipmb_label_op_not(hands.given(Kind::Op)));
                hands.keep(Kind::Op, op);
            }
            joined @ (7 | 8) => {
                let left = hands.given(Kind::Op);
                // The same twice is fine.
                let right = if hands.case.byte() == 0xff { left } else { hands.given(Kind::Op) };
                let join = if joined == 7 { ipmb_label_op_and } else { ipmb_label_op_or };
                let op = c!(join(left, right));
                hands.keep(Kind::Op, op);
            }
            9 => {
                let op = c!(ipmb_label_op_clone(hands.place(Kind::Op)));
                hands.keep(Kind::Op, op);
            }
            10 => {
                let text = c!(ipmb_label_op_text(hands.place(Kind::Op)));
                hands.keep(Kind::Text, text);
            }
            _ => {
                let op = hands.place(Kind::Op);
                c!(ipmb_label_op_matches(op, hands.place(Kind::Label)));
            }
        }
    }

    fn messages(&mut self, step: u8) {
        let hands = &mut self.hands;
        let message = hands.place(Kind::Message);
        match step % 12 {
            0..=2 => self.make(step % 12),
            3 => {
                // The numbers of others' descriptors are not a caller's to give.
                let object = match hands.case.byte() {
                    0xff => OBJECT_MISSING,
                    0xfe => 1 << 20 | u64::from(hands.case.byte()),
                    0xfd => c!(ipmb_message_object_get(message, 0)),
                    _ => File::open("/dev/null").expect("a descriptor").into_raw_fd() as Object,
                };
                c!(ipmb_message_object_append(message, object));
            }
            4 => {
                let object = c!(ipmb_message_object_retrieve(message, hands.size()));
                c!(ipmb_object_drop(object));
            }
            5 => c!(ipmb_message_memory_region_append(message, hands.given(Kind::Region))),
            6 => {
                let region = c!(ipmb_message_memory_region_retrieve(message, hands.size()));
                hands.keep(Kind::Region, region);
            }
            7 => {
                // It stays the message's, whatever is done with it.
                let mut lent = c!(ipmb_message_memory_region_get(message, hands.size()));
                match hands.case.byte() % 4 {
                    0 => self.map(&mut lent),
                    1 => c!(ipmb_memory_region_drop(lent)),
                    2 => c!(ipmb_message_memory_region_append(hands.place(Kind::Message), lent)),
                    _ => c!(ipmb_message_drop(lent)),
                }
            }
            8 => {
                c!(ipmb_message_bytes_data(message, null_mut(), null_mut(), null_mut()));
                c!(ipmb_message_data(message, null_mut(), null_mut()));
                c!(ipmb_message_type(message, null_mut()));
            }
            9 => {
                let text = c!(ipmb_message_sender_label(message, hands.size()));
                hands.keep(Kind::Text, text);
            }
            10 => {
                let count = c!(ipmb_message_object_count(message));
                assert_eq!(c!(ipmb_message_object_get(message, count)), OBJECT_MISSING);
            }
            _ => drop(if message.is_null() { None } else { Looks::of(c!(*message)) }),
        }
    }

    /// Makes a message: it looks as it was to.
    fn make(&mut self, how: u8) {
        let hands = &mut self.hands;
        let (payload, format) = (hands.payload(), hands.case.short());
        let size = payload.as_ref().map_or_else(|| hands.size(), Vec::len);
        let mode = u32::from(hands.case.byte());
        let mode = if mode < 0xf0 { mode % 2 } else { mode };
        // A mode is a number in C: any.
        let mode = c!(std::mem::transmute::<u32, SelectorMode>(mode));
        let ttl = [0, 0, 0, 0, 0, 0, 1, 2][usize::from(hands.case.byte() % 8)];
        let selector = Selector { label_op: hands.place(Kind::Op), mode, ttl };
        let type_id = hands.type_id();
        let message = match how {
            0 => c!(ipmb_message(selector, format, start(&payload), size as u32)),
            1 => c!(ipmb_message_for_reply(format, start(&payload), size as u32)),
            _ => {
                let id = if hands.case.byte() == 0xff { null() } else { type_id.as_ptr() };
                c!(ipmb_message_typed(selector, id, start(&payload), size))
            }
        };
        if let Some(looks) = Looks::of(message) {
            let bytes = payload.unwrap_or_default();
            match how {
                2 => assert_eq!((looks.type_id, looks.bytes), (type_id, bytes)),
                _ => assert_eq!(looks.bytes, [&format.to_le_bytes(), &*bytes].concat()),
            }
        }
        hands.keep(Kind::Message, message);
    }

    fn memory(&mut self, step: u8) {
        extern "C" fn free(context: *mut c_void) {
            let count = c!(&*context.cast::<Cell<u32>>());
            count.set(count.get() + 1);
        }
        let hands = &mut self.hands;
        let mut made = null_mut();
        match step % 12 {
            0 => {
                let code = c!(ipmb_memory_region(hands.region_size(), &mut made));
                assert_eq!(code == 0, !made.is_null());
                hands.keep(Kind::Region, made);
            }
            1 => {
                c!(ipmb_memory_region_clone(hands.place(Kind::Region), &mut made));
                hands.keep(Kind::Region, made);
            }
            2 | 3 => {
                let region = hands.place(Kind::Region);
                self.map(region);
            }
            4 => {
                let region = hands.place(Kind::Region);
                if c!(ipmb_memory_region_freeze(region)) == 0 {
                    assert!(c!(ipmb_memory_region_is_frozen(region)));
                }
            }
            5 => {
                let region = hands.place(Kind::Region);
                let size = c!(ipmb_memory_region_size(region));
                assert_eq!(c!(ipmb_memory_region_ref_count(region)) > 0, size > 0);
            }
            6 => hands.keep(Kind::Registry, ipmb_memory_registry()),
            7 | 8 => {
                let (registry, text, size) = (hands.place(Kind::Registry), hands.text(), hands.region_size());
                c!(ipmb_memory_registry_alloc(registry, size, pointer(&text), &mut made));
                assert!(made.is_null() || c!(ipmb_memory_region_size(&made)) >= size);
                hands.keep(Kind::Region, made);
            }
            9 | 10 => {
                let (registry, text, size) = (hands.place(Kind::Registry), hands.text(), hands.region_size());
                let called = Rc::new(Cell::new(0));
                let (context, tag) = (Rc::as_ptr(&called) as *mut c_void, pointer(&text));
                let code = if hands.case.byte() == 0xff {
                    c!(ipmb_memory_registry_alloc_with_free(registry, size, tag, context, None, &mut made))
                } else {
                    c!(ipmb_memory_registry_alloc_with_free(registry, size, tag, context, Some(free), &mut made))
                };
                if code == 0 {
                    hands.freed.push(called);
                }
                hands.keep(Kind::Region, made);
            }
            _ => {
                c!(ipmb_memory_registry_maintain(hands.place(Kind::Registry)));
                let nowhere: *mut Handle = null_mut();
                assert_eq!(c!(ipmb_memory_region(hands.region_size(), nowhere)), ERROR_CODE_UNKNOWN);
                assert_eq!(c!(ipmb_memory_region_clone(hands.place(Kind::Region), nowhere)), ERROR_CODE_UNKNOWN);
                let registry = hands.place(Kind::Registry);
                assert_ne!(c!(ipmb_memory_registry_alloc(registry, hands.size(), null(), nowhere)), 0);
            }
        }
    }

    /// Maps a part of a region, and reads and writes all of it.
    fn map(&mut self, region: *mut Handle) {
        let (offset, size, mut real) = (self.hands.size(), self.hands.size() as isize, 1);
        let size = if size == 0xef { -1 } else { size };
        let start = c!(ipmb_memory_region_map(region, offset, size, &mut real));
        if start.is_null() {
            return assert_eq!(real, 0);
        }
        let (end, all) = (offset + real as usize, c!(ipmb_memory_region_size(region)));
        assert!(
            if size == -1 { end == all } else { size == real && end <= all },
            "{size} at {offset} of {all}: {real}"
        );
        for place in 0..real as usize {
            let byte = c!(start.add(place).read_volatile());
            if !c!(ipmb_memory_region_is_frozen(region)) {
                c!(start.add(place).write_volatile(byte.wrapping_add(1)));
            }
        }
    }
}
