//! What a message carries beside its bytes: descriptors, and regions.
//!
//! What cannot be attached is remembered: the message is not sent without it.

use std::os::fd::IntoRawFd;
use std::ptr::null_mut;

use ipmb_bus::limits;
use ipmb_transport::sys::Fd;

use crate::boundary::{self, Kept};
use crate::error::Refused;
use crate::message::{Envelope, Message, attached};
use crate::region::{Hold, MemoryRegion, given};

/// The number of a descriptor.
pub type Object = u64;

/// No object: what functions return where there is none.
pub const OBJECT_MISSING: Object = 0xFFFF_FFFF_FFFF_FFFF;

/// Attaches what an attempt gives, or remembers why not.
fn attach<T>(
    attempt: Result<T, Refused>,
    envelope: &mut Envelope,
    into: impl FnOnce(&mut Envelope) -> &mut Vec<T>,
    most: usize,
    what: &str,
) -> Result<(), Refused> {
    let attempt = attempt.and_then(|item| {
        let items = into(envelope);
        if items.len() >= most {
            return Err(Refused::invalid(format!("{what}: give at most {most} with a message")));
        }
        items.push(item);
        Ok(())
    });
    attempt.inspect_err(|refused| {
        envelope.wrong.get_or_insert_with(|| refused.text().to_owned());
    })
}

/// Attaches a descriptor, which is the message's from now on: it is closed when the message has been received, or is dropped. It
/// gets close-on-exec. It is given away whatever comes of the call: where `message` is null, or has as many as it can, it is closed. Up to
/// 1,012 can be attached; a receiver needs as many free descriptors at once. What is not open, or is attached already, makes sending fail.
///
/// One thread at a time.
///
/// # Safety
/// `message` points to a handle; the descriptor is the caller's to give away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_object_append(message: *mut Message, obj: Object) {
    // SAFETY: the pointer and the descriptor are as the caller promised.
    unsafe {
        boundary::call((), |caller| {
            let envelope = match caller.get_mut::<Envelope>(message) {
                Ok(envelope) => envelope,
                Err(refused) => {
                    // It was given away all the same.
                    drop(caller.own(obj)?);
                    return Err(refused);
                }
            };
            let same = |fd: &Fd| u64::try_from(fd.raw()).is_ok_and(|number| number == obj);
            let owned = match envelope.objects.iter().any(same) {
                true => Err(Refused::invalid(format!("object {obj} is attached already: give a duplicate"))),
                false => caller.own(obj),
            };
            attach(
                owned.map(Fd::adopt),
                envelope,
                |envelope| &mut envelope.objects,
                limits::OBJECTS_PER_MESSAGE,
                "objects",
            )
        });
    }
}

/// Takes a descriptor out of a message. It is the caller's from now on, close-on-exec, and those behind it move down.
/// `OBJECT_MISSING`: there is none.
///
/// One thread at a time.
///
/// # Safety
/// `message` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_object_retrieve(message: *mut Message, index: usize) -> Object {
    // SAFETY: the pointer is as the caller promised.
    unsafe {
        boundary::call(OBJECT_MISSING, |caller| {
            let objects = &mut caller.get_mut::<Envelope>(message)?.objects;
            if !objects.get(index).is_some_and(Fd::is_alive) {
                return Err(missing("object", index, objects.len()));
            }
            Ok(number(objects.remove(index).into_owned().into_raw_fd()))
        })
    }
}

/// The number of a descriptor that stays the message's. `OBJECT_MISSING`: there is none.
///
/// Any threads at once.
///
/// # Safety
/// `message` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_object_get(message: *const Message, index: usize) -> Object {
    // SAFETY: the pointer is as the caller promised.
    unsafe {
        boundary::call(OBJECT_MISSING, |caller| {
            let objects = &caller.get::<Envelope>(message)?.objects;
            match objects.get(index).filter(|fd| fd.is_alive()) {
                Some(fd) => Ok(number(fd.raw())),
                None => Err(missing("object", index, objects.len())),
            }
        })
    }
}

/// How many descriptors a message has.
///
/// Any threads at once.
///
/// # Safety
/// `message` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_object_count(message: *const Message) -> usize {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(0, |caller| Ok(caller.get::<Envelope>(message)?.objects.len())) }
}

/// Closes a descriptor that is the caller's. `OBJECT_MISSING` is fine, and so is a number that is not open.
///
/// Any thread.
///
/// # Safety
/// The descriptor is the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_object_drop(obj: Object) {
    // SAFETY: the descriptor is as the caller promised.
    unsafe { boundary::call((), |caller| if obj == OBJECT_MISSING { Ok(()) } else { caller.own(obj).map(drop) }) };
}

fn number(raw: i32) -> Object {
    u64::try_from(raw).unwrap_or(OBJECT_MISSING)
}

fn missing(what: &str, index: usize, len: usize) -> Refused {
    Refused::invalid(format!("{what} {index} is missing: the message has {len}"))
}

/// Attaches a region, whose handle is the message's from now on. Up to 253 can be attached. A null handle makes sending fail.
///
/// One thread at a time.
///
/// # Safety
/// `message` points to a handle; `region` is one that nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_memory_region_append(message: *mut Message, region: MemoryRegion) {
    // SAFETY: the pointer and the handle are as the caller promised.
    unsafe {
        boundary::call((), |caller| {
            let hold = given(caller, region).map(attached);
            let envelope = caller.get_mut::<Envelope>(message)?;
            attach(hold, envelope, |envelope| &mut envelope.regions, limits::REGIONS_PER_MESSAGE, "memory regions")
        });
    }
}

/// Takes a region out of a message. Its handle is the caller's from now on, and those behind it move down. Null: there is none.
///
/// One thread at a time.
///
/// # Safety
/// `message` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_memory_region_retrieve(message: *mut Message, index: usize) -> MemoryRegion {
    // SAFETY: the pointer is as the caller promised.
    unsafe {
        boundary::call(null_mut(), |caller| {
            let regions = &mut caller.get_mut::<Envelope>(message)?.regions;
            if index >= regions.len() {
                return Err(missing("memory region", index, regions.len()));
            }
            let kept = regions.remove(index);
            kept.get().lend(false);
            Ok(kept.give_away())
        })
    }
}

/// The handle of a region that stays the message's, valid until the message is sent or dropped or the region taken out. Null: there
/// is none. Dropping it does nothing; appending it to a message attaches the region to that one too.
///
/// One thread at a time.
///
/// # Safety
/// `message` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_memory_region_get(message: *mut Message, index: usize) -> MemoryRegion {
    // SAFETY: the pointer is as the caller promised.
    unsafe {
        boundary::call(null_mut(), |caller| {
            let regions = &caller.get::<Envelope>(message)?.regions;
            let found = regions.get(index).map(Kept::<Hold>::handle);
            found.ok_or_else(|| missing("memory region", index, regions.len()))
        })
    }
}

/// How many regions a message has.
///
/// Any threads at once.
///
/// # Safety
/// `message` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_message_memory_region_count(message: *const Message) -> usize {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(0, |caller| Ok(caller.get::<Envelope>(message)?.regions.len())) }
}
