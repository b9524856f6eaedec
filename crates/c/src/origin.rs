//! Who sent a message, as the kernel and the directory know it, and how it came.

use crate::boundary::{self, Caller};
use crate::error::Refused;
use crate::message::{Envelope, Message, Origin};
use crate::text::{RString, rstring};

pub(crate) fn of(caller: &Caller, message: *const Message) -> Result<&Origin, Refused> {
    let origin = &caller.get::<Envelope>(message)?.origin;
    origin.as_ref().ok_or_else(|| Refused::invalid("this message was not received: give one that ipmb_recv gave"))
}

/// The id of the endpoint that sent a message, which no other of the bus has; 0 for a message that was not received.
///
/// Any threads at once.
///
/// # Safety
/// `message` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_sender_id(message: *const Message) -> u64 {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(0, |caller| Ok(of(caller, message)?.sender.info.id)) }
}

/// The process that sent a message; 0 for a message that was not received.
///
/// Any threads at once.
///
/// # Safety
/// `message` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_sender_pid(message: *const Message) -> u32 {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(0, |caller| Ok(of(caller, message)?.sender.info.pid)) }
}

/// How many elements the label of the sender has; 0 for a message that was not received.
///
/// Any threads at once.
///
/// # Safety
/// `message` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_sender_label_count(message: *const Message) -> usize {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(0, |caller| Ok(of(caller, message)?.sender.info.label.len())) }
}

/// An element of the label of the sender; they are sorted. To be dropped. Null: there is none.
///
/// Any threads at once.
///
/// # Safety
/// `message` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_sender_label(message: *const Message, index: usize) -> RString {
    // SAFETY: the pointer is as the caller promised.
    unsafe {
        boundary::call(std::ptr::null_mut(), |caller| {
            let label = &of(caller, message)?.sender.info.label;
            let element = label.iter().nth(index);
            let element = element.ok_or_else(|| Refused::invalid(format!("the label has {} elements", label.len())))?;
            Ok(rstring(&**element))
        })
    }
}

/// Whether another receiver got a message first, and died with it unread.
///
/// Any threads at once.
///
/// # Safety
/// `message` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_redelivered(message: *const Message) -> bool {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(false, |caller| Ok(of(caller, message)?.redelivered)) }
}

/// Whether the sender of a message waits for a reply.
///
/// Any threads at once.
///
/// # Safety
/// `message` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_is_request(message: *const Message) -> bool {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(false, |caller| Ok(of(caller, message)?.request.is_some())) }
}
