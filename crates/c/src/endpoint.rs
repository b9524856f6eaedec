//! Joining a bus, sending and receiving.
//!
//! An endpoint is on its bus until both its sender and its receiver are dropped. Signals do not end a wait: their handlers run, and
//! it goes on; close the half it waits on to end it.

use std::ffi::c_char;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use ipmb_binding::arrival::{self, Takes};
use ipmb_binding::failure::Failure;
use ipmb_binding::requests::Requests;
use ipmb_bus::error::{RecvError, SendError};
use ipmb_bus::{Endpoint, Options as CoreOptions, Overflow, join, wait};

use crate::boundary::{self, Behind};
use crate::error::{ErrorCode, Refused};
use crate::label::{Elements, Label};
use crate::message::{BYTES_LIKE, Envelope, Message, TIMEOUT_INFINITE, type_of};

/// Handle of the half of an endpoint that sends.
pub type Sender = *mut std::ffi::c_void;

/// Handle of the half of an endpoint that receives.
pub type Receiver = *mut std::ffi::c_void;

/// How to join a bus.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Options {
    /// The name of the bus: 1 to 255 bytes in UTF-8. A bus has up to 4,096 endpoints.
    pub identifier: *const c_char,
    /// What describes the endpoint, up to 64 elements of 4,096 bytes in all; it stays the caller's.
    pub label: *const Label,
    /// The secret of the bus, up to 1,024 bytes in UTF-8; null or the empty text: it has none.
    pub token: *const c_char,
    /// Whether the endpoint may play controller.
    pub controller_affinity: bool,
}

/// A message that finds no room waits for it.
pub const ON_FULL_WAIT: u32 = 0;
/// A message that finds no room is not sent to anybody.
pub const ON_FULL_FAIL: u32 = 1;
/// A message is dropped for those who have no room, and counted.
pub const ON_FULL_DROP: u32 = 2;

/// What is behind the handle of a sender.
pub(crate) struct Sending {
    pub(crate) endpoint: Endpoint,
    pub(crate) core: ipmb_bus::Sender,
    requests: Mutex<Option<Arc<Requests>>>,
}

impl Behind for Sending {
    const MARK: u64 = 0x47ae_10c6_d92b_4f35;
    const NAME: &'static str = "Sender";
}

impl Sending {
    /// The requests of the endpoint, which are one thing however many threads ask.
    pub(crate) fn requests(&self) -> Result<Arc<Requests>, SendError> {
        if self.endpoint.forked() {
            return Err(SendError::Forked);
        }
        let mut made: MutexGuard<'_, _> = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(requests) = &*made {
            return Ok(requests.clone());
        }
        Ok(made.insert(Arc::new(Requests::new(&self.core)?)).clone())
    }
}

/// What is behind the handle of a receiver.
struct Receiving {
    endpoint: Endpoint,
    core: ipmb_bus::Receiver,
    /// Who asked by what is not taken is told through it.
    back: ipmb_bus::Sender,
    takes: RwLock<Arc<Takes>>,
}

impl Receiving {
    /// Nothing is locked for a child: another thread of the parent may have held the lock when it forked.
    fn check_forked(&self) -> Result<(), RecvError> {
        if self.endpoint.forked() { Err(RecvError::Forked) } else { Ok(()) }
    }
}

impl Behind for Receiving {
    const MARK: u64 = 0xe86b_5530_7c1f_42d9;
    const NAME: &'static str = "Receiver";
}

/// Until when a timeout in milliseconds lasts.
pub(crate) fn deadline(millis: u32) -> Option<u64> {
    wait::deadline(duration(millis))
}

fn duration(millis: u32) -> Option<Duration> {
    (millis != TIMEOUT_INFINITE).then(|| Duration::from_millis(millis.into()))
}

/// Joins a bus, and waits for it for `timeout` milliseconds. Both handles are null when that fails. A join takes a few round trips:
/// with timeout 0 it rarely succeeds, so give more.
///
/// The receiver takes messages of bytes: `BytesMessage`, and `bytes`, `str` and `memoryview` of Python. See `ipmb_receiver_take`.
///
/// Any thread. Both halves are used by any threads at once.
///
/// # Safety
/// The texts end with a NUL; `options.label` points to a handle; the others are null or have room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_join(
    options: Options,
    timeout: u32,
    p_sender: *mut Sender,
    p_receiver: *mut Receiver,
) -> ErrorCode {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::code(|caller| {
            caller.put(p_sender, null_mut());
            caller.put(p_receiver, null_mut());
            caller.place_for("p_sender", p_sender)?;
            caller.place_for("p_receiver", p_receiver)?;
            let identifier = caller.text("identifier", options.identifier)?;
            let label = caller.get::<Elements>(options.label)?.label()?;
            let mut core = CoreOptions::new(identifier, label);
            core.controller_affinity = options.controller_affinity;
            if !options.token.is_null() {
                core.token = caller.text("token", options.token)?.as_bytes().to_vec();
            }
            let endpoint = join(core, duration(timeout))?;
            let (sender, receiver) = (endpoint.sender(), endpoint.receiver());
            let takes = RwLock::new(Arc::new(Takes::only(&BYTES_LIKE)));
            let receiving = Receiving { endpoint: endpoint.clone(), core: receiver, back: sender.clone(), takes };
            caller.put(p_sender, boundary::hand_out(Sending { endpoint, core: sender, requests: Mutex::new(None) }));
            caller.put(p_receiver, boundary::hand_out(receiving));
            Ok(())
        })
    }
}

/// Sends a message, which is consumed whatever comes of it, and waits for room without limit.
///
/// That it worked does not say that somebody matched: see `ipmb_send_within`.
///
/// `ERROR_CODE_TOO_LARGE`: its payload is over 4,294,967,295 bytes, or nobody matches and with its selector it is over
/// the 4 MiB that may wait. `ERROR_CODE_FULL`: 4,096 messages of this sender wait, or 4 MiB of them; or it is to
/// oneself, and there is no room.
///
/// Any threads at once.
///
/// # Safety
/// `sender` points to a handle; `message` is one that nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_send(sender: *mut Sender, message: Message) -> ErrorCode {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::code(|caller| {
            let message = caller.take::<Envelope>(message);
            let sending = caller.get::<Sending>(sender)?;
            message?.letter()?.send(&sending.core, None)?;
            Ok(())
        })
    }
}

/// Sends a message, which is consumed whatever comes of it, and waits for room for `timeout` milliseconds where `on_full` is
/// `ON_FULL_WAIT`. `*delivered` becomes the number of endpoints that have it, also after a timeout; 0 of a message that worked: nobody
/// matched, or it waits for somebody who does.
///
/// Any threads at once.
///
/// # Safety
/// `sender` points to a handle; `message` is one that nobody else uses; `delivered` is null or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_send_within(
    sender: *mut Sender,
    message: Message,
    timeout: u32,
    on_full: u32,
    delivered: *mut usize,
) -> ErrorCode {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::code(|caller| {
            caller.put(delivered, 0);
            let message = caller.take::<Envelope>(message);
            let sending = caller.get::<Sending>(sender)?;
            let mut letter = message?.letter()?;
            letter.overflow = match on_full {
                ON_FULL_WAIT => Overflow::Block,
                ON_FULL_FAIL => Overflow::Error,
                ON_FULL_DROP => Overflow::Drop,
                other => {
                    return Err(Refused::invalid(format!(
                        "on_full is {other}: give ON_FULL_WAIT, ON_FULL_FAIL or ON_FULL_DROP"
                    )));
                }
            };
            match letter.send(&sending.core, deadline(timeout)) {
                Ok(reached) => caller.put(delivered, reached),
                Err(error) => {
                    let failure = Failure::from(&error);
                    caller.put(delivered, failure.delivered);
                    return Err(failure.into());
                }
            }
            Ok(())
        })
    }
}

/// Closes the half that sends. What was sent stays sent; calls of other threads that wait in it end with `ERROR_CODE_CLOSED`. The
/// handle is still to be dropped.
///
/// Any threads at once.
///
/// # Safety
/// `sender` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_sender_close(sender: *mut Sender) {
    // SAFETY: the pointer is as the caller promised.
    unsafe {
        boundary::call((), |caller| {
            caller.get::<Sending>(sender)?.core.close();
            Ok(())
        });
    }
}

/// Closes and drops a sender. Null is fine.
///
/// # Safety
/// Nobody uses the handle any more: calls that wait have returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_sender_drop(sender: Sender) {
    // SAFETY: the handle is as the caller promised.
    unsafe {
        boundary::end(sender, |caller| {
            caller.take::<Sending>(sender)?.core.close();
            Ok(())
        });
    }
}

/// The id of the endpoint, which no other of the bus has; 0 for a null handle.
///
/// Any threads at once.
///
/// # Safety
/// `sender` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_sender_id(sender: *mut Sender) -> u64 {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(0, |caller| Ok(caller.get::<Sending>(sender)?.core.id())) }
}

/// Takes the next message, and waits for it for `timeout` milliseconds. `*message` is to be dropped; it is null when that fails.
///
/// `ERROR_CODE_DECODE`: one came whose bytes are not what its type says, and is gone; `ERROR_CODE_OUT_OF_MEMORY`: one for a copy of which
/// there is no memory, and is gone. No message is lost by another error.
///
/// Any threads at once; each message goes to one of them.
///
/// # Safety
/// `receiver` points to a handle; `p_message` is null or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_recv(receiver: *mut Receiver, p_message: *mut Message, timeout: u32) -> ErrorCode {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::code(|caller| {
            caller.place_for("p_message", p_message)?;
            caller.put(p_message, null_mut());
            let receiving = caller.get::<Receiving>(receiver)?;
            receiving.check_forked()?;
            let takes = receiving.takes.read().unwrap_or_else(PoisonError::into_inner).clone();
            let arrival = arrival::recv(&receiving.core, Some(&receiving.back), &takes, deadline(timeout))?;
            let arrival = arrival.ok_or_else(|| arrival::late(&receiving.core))?;
            let request = arrival.request;
            let envelope = Envelope::received(arrival).inspect_err(|failure| {
                if let Some(request) = request {
                    request.tell(&receiving.back, Some(failure.text.clone()));
                }
            })?;
            caller.put(p_message, boundary::hand_out(envelope));
            Ok(())
        })
    }
}

/// Says which types of payloads a receiver takes from now on: `count` UUIDs of 16 bytes each, one after another. None, with null: all.
/// Messages of others are passed over and counted. A list, dict or array of Python with 64 KiB or more of buffers in it is
/// `ERROR_CODE_DECODE` here: these travel beside its bytes.
///
/// Any threads at once.
///
/// # Safety
/// `receiver` points to a handle; `type_ids` is null or points to so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_receiver_take(receiver: *mut Receiver, type_ids: *const u8, count: usize) -> ErrorCode {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::code(|caller| {
            let receiving = caller.get::<Receiving>(receiver)?;
            receiving.check_forked()?;
            let len = count.checked_mul(16).ok_or_else(|| Refused::invalid("count is too large"))?;
            let types: Vec<_> = caller.bytes("type_ids", type_ids, len)?.chunks(16).map(type_of).collect();
            let takes = if types.is_empty() { Takes::all() } else { Takes::only(&types) };
            *receiving.takes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(takes);
            Ok(())
        })
    }
}

/// A descriptor for `poll` and event loops: readable whenever `ipmb_recv` with timeout 0 would give a message. It may be readable
/// without; that call clears it. It stays the receiver's. -1: the receiver is closed.
///
/// Any threads at once.
///
/// # Safety
/// `receiver` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_receiver_fileno(receiver: *mut Receiver) -> i32 {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(-1, |caller| Ok(caller.get::<Receiving>(receiver)?.core.fileno()?)) }
}

/// Closes the half that receives: unread messages go to others who match, calls of other threads that wait in it end with
/// `ERROR_CODE_CLOSED`. The handle is still to be dropped.
///
/// Any threads at once.
///
/// # Safety
/// `receiver` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_receiver_close(receiver: *mut Receiver) {
    // SAFETY: the pointer is as the caller promised.
    unsafe {
        boundary::call((), |caller| {
            caller.get::<Receiving>(receiver)?.core.close();
            Ok(())
        });
    }
}

/// Closes and drops a receiver. Null is fine.
///
/// # Safety
/// Nobody uses the handle any more: calls that wait have returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_receiver_drop(receiver: Receiver) {
    // SAFETY: the handle is as the caller promised.
    unsafe {
        boundary::end(receiver, |caller| {
            caller.take::<Receiving>(receiver)?.core.close();
            Ok(())
        });
    }
}
