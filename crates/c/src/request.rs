//! Asking, and replying.

use std::ffi::c_char;
use std::ptr::null_mut;

use ipmb_binding::letter::{Body, Letter};
use ipmb_binding::requests::failure;
use ipmb_binding::to::To;

use crate::boundary;
use crate::endpoint::{Sender, Sending, deadline};
use crate::error::{ErrorCode, Refused};
use crate::message::{Envelope, Message};
use crate::origin;

/// Sends a message as a request to one of those who match, and waits for the reply for `timeout` milliseconds. The request is consumed
/// whatever comes of it; `*p_reply` is to be dropped, and null when that fails.
///
/// `ERROR_CODE_NO_ROUTE`: nobody matches, and nobody did before the ttl was over. `ERROR_CODE_PEER_LOST`: whoever was asked is gone.
/// `ERROR_CODE_REMOTE`: it failed. `ERROR_CODE_TIMEOUT`: it has not replied in time. A request is never given to a second one.
///
/// Any threads at once.
///
/// # Safety
/// `sender` points to a handle; `request` is one that nobody else uses; `p_reply` is null or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_request(
    sender: *mut Sender,
    request: Message,
    timeout: u32,
    p_reply: *mut Message,
) -> ErrorCode {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::code(|caller| {
            let deadline = deadline(timeout);
            caller.put(p_reply, null_mut());
            let request = caller.take::<Envelope>(request);
            caller.place_for("p_reply", p_reply)?;
            let sending = caller.get::<Sending>(sender)?;
            let letter = request?.question()?;
            let reply = sending.requests()?.request(&sending.core, letter, deadline)?;
            caller.put(p_reply, boundary::hand_out(Envelope::received(reply)?));
            Ok(())
        })
    }
}

/// Sends a message back to the one who sent `to`, and waits for room for `timeout` milliseconds. The reply is consumed whatever comes of
/// it; its own selector plays no part, see `ipmb_message_for_reply`.
///
/// The reply to a request goes to the call that waits for it; any other message is replied to by a message to its sender, whatever its
/// label. `ERROR_CODE_NO_ROUTE`: the one to reply to has left the bus.
///
/// Any threads at once.
///
/// # Safety
/// `sender` and `to` point to handles; `reply` is one that nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_reply(
    sender: *mut Sender,
    to: *const Message,
    reply: Message,
    timeout: u32,
) -> ErrorCode {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::code(|caller| {
            let reply = caller.take::<Envelope>(reply);
            let sending = caller.get::<Sending>(sender)?;
            let origin = origin::of(caller, to)?;
            let id = origin.sender.info.id;
            let to = if origin.request.is_some() { To::Asker(id) } else { To::Endpoint(id) };
            let mut letter = reply?.addressed(to)?;
            letter.correlation = origin.request.map(|number| (number.get(), false));
            match letter.send(&sending.core, deadline(timeout))? {
                0 => Err(gone().into()),
                _ => Ok(()),
            }
        })
    }
}

/// Replies to a request that it failed: whoever waits for the reply gets `ERROR_CODE_REMOTE`, in Python a `RemoteError`, with this
/// kind of error (mostly the name of a class, "ValueError") and this text. Waits for room for `timeout` milliseconds.
///
/// `ERROR_CODE_NO_ROUTE`: whoever asked has left the bus. `ERROR_CODE_INVALID_ARGUMENT`: `to` asks for nothing.
///
/// Any threads at once.
///
/// # Safety
/// `sender` and `to` point to handles; `kind` and `text` are strings that end with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_reply_failure(
    sender: *mut Sender,
    to: *const Message,
    kind: *const c_char,
    text: *const c_char,
    timeout: u32,
) -> ErrorCode {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::code(|caller| {
            let sending = caller.get::<Sending>(sender)?;
            let origin = origin::of(caller, to)?;
            let number = origin.request.ok_or_else(|| {
                Refused::invalid("to is no request: nobody waits for a reply; see ipmb_message_is_request")
            })?;
            let failure = failure(caller.text("kind", kind)?, caller.text("text", text)?);
            let (type_id, bytes) = failure.map_err(|_| Refused::invalid("text is 4 GiB or longer: give less"))?;
            let mut letter = Letter::new(To::Asker(origin.sender.info.id), type_id, Body::copied(&[&bytes])?);
            letter.correlation = Some((number.get(), false));
            match letter.send(&sending.core, deadline(timeout))? {
                0 => Err(gone().into()),
                _ => Ok(()),
            }
        })
    }
}

fn gone() -> ipmb_binding::failure::Failure {
    let text = "the one to reply to has left the bus: nobody waits for this reply";
    ipmb_binding::failure::Failure::new(ipmb_binding::failure::Kind::NoRoute, text)
}
