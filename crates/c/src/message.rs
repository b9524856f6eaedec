//! Messages: made to be sent, or received.
//!
//! A message owns its bytes: they are copied when it is made, and when it is received, so that nobody changes them while they
//! are looked at. The exception is what Python sends as a large `memoryview`, which is looked at where it is.

use std::num::NonZeroU64;
use std::ptr::{null, null_mut};
use std::sync::{Arc, OnceLock};

use ipmb_binding::arrival::{Arrival, Content};
use ipmb_binding::failure::{Failure, Kind};
use ipmb_binding::letter::{Body, Letter};
use ipmb_binding::to::To;
use ipmb_binding::types::{BYTES, BYTES_MESSAGE, STR, Type, VIEW};
use ipmb_bus::Peer;
use ipmb_bus::selector::{Mode, Selector as CoreSelector, Ttl};
use ipmb_transport::region::View;
use ipmb_transport::sys::Fd;

use crate::boundary::{self, Behind, Caller, Kept};
use crate::error::Refused;
use crate::label::{LabelOp, Op};
use crate::region::Hold;

/// Handle of a message.
pub type Message = *mut std::ffi::c_void;

/// To one of those who match, or to all: `kUnicast`, `kMulticast`.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct SelectorMode(u32);

/// Where a message goes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Selector {
    /// Who is meant; it stays the caller's.
    pub label_op: *const LabelOp,
    /// One of them, or all.
    pub mode: SelectorMode,
    /// Milliseconds that the message waits while nobody matches: up to 4,294,967,294, which are 49 days; `TIMEOUT_INFINITE`: for ever.
    /// Up to 4,096 messages of a sender wait, and up to 4 MiB of them, what stands in regions not counted.
    pub ttl: u32,
}

/// No limit of time.
pub const TIMEOUT_INFINITE: u32 = 0xFFFF_FFFF;

/// The types whose payloads are bytes, and nothing else.
pub(crate) const BYTES_LIKE: [Type; 4] = [BYTES_MESSAGE, BYTES, VIEW, STR];

/// Where a received message came from.
pub(crate) struct Origin {
    pub(crate) sender: Arc<Peer>,
    pub(crate) redelivered: bool,
    /// The asker's number, of a request.
    pub(crate) request: Option<NonZeroU64>,
}

/// What is behind the handle of a message.
pub(crate) struct Envelope {
    to: Option<Arc<CoreSelector>>,
    pub(crate) type_id: Type,
    body: Body,
    view: OnceLock<View>,
    pub(crate) objects: Vec<Fd>,
    pub(crate) regions: Vec<Kept<Hold>>,
    pub(crate) origin: Option<Origin>,
    /// What could not be attached, first: it is not sent without.
    pub(crate) wrong: Option<String>,
}

impl Behind for Envelope {
    const MARK: u64 = 0x82d5_7f4e_0b39_46ac;
    const NAME: &'static str = "Message";
}

impl Envelope {
    fn new(to: Option<Arc<CoreSelector>>, type_id: Type, body: Body) -> Envelope {
        let (objects, regions, view) = (Vec::new(), Vec::new(), OnceLock::new());
        Envelope { to, type_id, body, view, objects, regions, origin: None, wrong: None }
    }

    /// A message that came.
    pub(crate) fn received(arrival: Arrival) -> Result<Envelope, Failure> {
        if arrival.type_id == BYTES_MESSAGE && arrival.content.len() < 2 {
            return Err(arrival.garbage("BytesMessage: its format is missing"));
        }
        let Arrival { type_id, content, sender, selector, redelivered, request, objects, regions } = arrival;
        let body = match content {
            Content::Bulk { head, bulk } if type_id == VIEW && head.is_empty() => Body::Bulk { head, bulk },
            content => Body::Bytes(content.into_bytes()?),
        };
        let regions = regions.into_iter().map(|region| attached(Hold::new(region))).collect();
        let request = request.map(|request| request.number());
        let origin = Some(Origin { sender, redelivered, request });
        Ok(Envelope { objects, regions, origin, ..Envelope::new(Some(selector), type_id, body) })
    }

    /// The bytes of the payload.
    pub(crate) fn data(&self) -> Result<(*const u8, usize), Refused> {
        match &self.body {
            Body::Bytes(bytes) => Ok((bytes.as_ptr(), bytes.len())),
            Body::Bulk { bulk, .. } => {
                let view = match self.view.get() {
                    Some(view) => view,
                    None => {
                        let view = bulk.region.map(bulk.offset, bulk.len);
                        let view = view.map_err(|error| Failure::system("the payload cannot be mapped", &error))?;
                        self.view.get_or_init(|| view)
                    }
                };
                Ok((view.as_ptr(), view.len()))
            }
        }
    }

    /// What is sent of it, to whom it was made for.
    pub(crate) fn letter(self) -> Result<Letter, Refused> {
        let to = self
            .to
            .clone()
            .ok_or_else(|| Refused::invalid("this message is a reply only: give one with a selector"))?;
        self.addressed(To::Selector(to))
    }

    /// The same to one of those it was made for, who is asked.
    pub(crate) fn question(self) -> Result<Letter, Refused> {
        let to = self
            .to
            .clone()
            .ok_or_else(|| Refused::invalid("this message is a reply only: give one with a selector"))?;
        self.addressed(To::Asked(to))
    }

    /// The same to somebody else.
    pub(crate) fn addressed(self, to: To) -> Result<Letter, Refused> {
        if let Some(text) = self.wrong {
            return Err(Refused::invalid(text));
        }
        let mut letter = Letter::new(to, self.type_id, self.body);
        letter.objects = self.objects;
        letter.regions = self.regions.iter().map(|hold| hold.get().region.clone()).collect();
        Ok(letter)
    }
}

/// A region that is a message's.
pub(crate) fn attached(hold: Hold) -> Kept<Hold> {
    hold.lend(true);
    Kept::new(hold)
}

/// A time to live, or to wait.
pub(crate) fn ttl(millis: u32) -> Ttl {
    match millis {
        TIMEOUT_INFINITE => Ttl::FOREVER,
        millis => Ttl::from_nanos(u64::from(millis) * 1_000_000),
    }
}

fn selector(caller: &Caller, given: Selector) -> Result<Arc<CoreSelector>, Refused> {
    let op = caller.get::<Op>(given.label_op)?.0.clone();
    let mode = match given.mode.0 {
        0 => Mode::Unicast,
        1 => Mode::Multicast,
        other => return Err(Refused::invalid(format!("mode is {other}: give kUnicast or kMulticast"))),
    };
    Ok(Arc::new(CoreSelector { op, mode, ttl: ttl(given.ttl) }))
}

fn bytes_message(
    caller: &Caller,
    to: Option<Arc<CoreSelector>>,
    format: u16,
    ptr: *const u8,
    size: u32,
) -> Result<Message, Refused> {
    let bytes = caller.bytes("ptr", ptr, size as usize)?;
    let body = Body::copied(&[&format.to_le_bytes(), bytes])?;
    Ok(boundary::hand_out(Envelope::new(to, BYTES_MESSAGE, body)))
}

/// A message of bytes, which are copied, and a number that says what they are. To be sent or dropped. Null: the selector has no
/// expression, or `ptr` is null although `size` is not 0. Up to 4,294,967,293 bytes can be sent.
///
/// Any thread. A message is used by one thread at a time; functions that take a pointer to a const message, by any at once.
///
/// # Safety
/// `selector.label_op` points to a handle; `ptr` to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message(selector: Selector, format: u16, ptr: *const u8, size: u32) -> Message {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::call(null_mut(), |caller| {
            let to = self::selector(caller, selector)?;
            bytes_message(caller, Some(to), format, ptr, size)
        })
    }
}

/// The same for `ipmb_reply`, which needs no selector.
///
/// Any thread.
///
/// # Safety
/// `ptr` points to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_for_reply(format: u16, ptr: *const u8, size: u32) -> Message {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(null_mut(), |caller| bytes_message(caller, None, format, ptr, size)) }
}

/// A message of another type: the 16 bytes of its UUID, and up to 4,294,967,295 bytes as they travel (docs/payloads.md). With a null
/// `selector.label_op` it is for `ipmb_reply` only. Null: a pointer is.
///
/// Any thread.
///
/// # Safety
/// `selector.label_op` is null or points to a handle; `type_id` points to 16 bytes, `ptr` to so many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_typed(
    selector: Selector,
    type_id: *const u8,
    ptr: *const u8,
    size: usize,
) -> Message {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::call(null_mut(), |caller| {
            let to = if selector.label_op.is_null() { None } else { Some(self::selector(caller, selector)?) };
            let type_id = type_of(caller.bytes("type_id", type_id, 16)?);
            let body = Body::copied(&[caller.bytes("ptr", ptr, size)?])?;
            Ok(boundary::hand_out(Envelope::new(to, type_id, body)))
        })
    }
}

/// The first 16 bytes as a type.
pub(crate) fn type_of(bytes: &[u8]) -> Type {
    bytes.iter().take(16).fold(0, |number, byte| number << 8 | Type::from(*byte))
}

/// Drops a message with all that is still attached to it. Null is fine.
///
/// # Safety
/// Nobody uses the handle any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_drop(message: Message) {
    // SAFETY: the handle is as the caller promised.
    unsafe { boundary::end(message, |caller| caller.take::<Envelope>(message).map(drop)) };
}

/// The bytes of a message and their format, valid until it is sent or dropped. `bytes`, `str` and `memoryview` of Python have the
/// format 0. `*ptr` is null for any other type, also for a null handle; it is not for a message without bytes. More than 4 GiB - 1 of
/// them are given by `ipmb_message_data` only.
///
/// Any threads at once.
///
/// # Safety
/// `message` points to a handle; the others are null or have room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_bytes_data(
    message: *const Message,
    format: *mut u16,
    ptr: *mut *const u8,
    size: *mut u32,
) {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::call((), |caller| {
            caller.put(format, 0);
            caller.put(ptr, null());
            caller.put(size, 0);
            let envelope = caller.get::<Envelope>(message)?;
            if !BYTES_LIKE.contains(&envelope.type_id) {
                return Err(Failure::new(Kind::Decode, "the payload is no bytes: see ipmb_message_type").into());
            }
            let (start, len) = envelope.data()?;
            let skipped = if envelope.type_id == BYTES_MESSAGE { 2.min(len) } else { 0 };
            let Ok(len) = u32::try_from(len - skipped) else {
                return Err(Failure::new(Kind::TooLarge, "4 GiB of payload: use ipmb_message_data").into());
            };
            if skipped == 2 {
                let bytes = caller.bytes("payload", start, 2)?;
                caller.put(format, u16::from_le_bytes([bytes[0], bytes[1]]));
            }
            caller.put(ptr, start.wrapping_add(skipped));
            caller.put(size, len);
            Ok(())
        });
    }
}

/// The bytes of a payload as they travelled, whatever its type, valid until the message is sent or dropped. Those of a `BytesMessage`
/// begin with its format, two bytes in little endian.
///
/// Any threads at once.
///
/// # Safety
/// `message` points to a handle; the others are null or have room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_data(message: *const Message, ptr: *mut *const u8, size: *mut usize) {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::call((), |caller| {
            caller.put(ptr, null());
            caller.put(size, 0);
            let (start, len) = caller.get::<Envelope>(message)?.data()?;
            caller.put(ptr, start);
            caller.put(size, len);
            Ok(())
        });
    }
}

/// The UUID of a payload's type, 16 bytes; all 0 for a null handle.
///
/// Any threads at once.
///
/// # Safety
/// `message` points to a handle; `type_id` is null or has room for 16 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_type(message: *const Message, type_id: *mut u8) {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::call((), |caller| {
            caller.put_bytes(type_id, &[0; 16]);
            caller.put_bytes(type_id, &caller.get::<Envelope>(message)?.type_id.to_be_bytes());
            Ok(())
        });
    }
}
