//! Memory that processes share by sending it.
//!
//! A handle is a hold on the memory. What it was mapped to stays mapped as long as the handle is there.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use ipmb_binding::failure::{Failure, Kind};
use ipmb_transport::region::{Region, View};

use crate::boundary::{self, Behind, Caller, Handle};
use crate::error::{ErrorCode, Refused};

/// Handle of a block of memory that processes share.
pub type MemoryRegion = *mut std::ffi::c_void;

pub(crate) struct Hold {
    pub(crate) region: Region,
    view: Mutex<Option<View>>,
    /// The handle is a message's: whoever has it cannot give it away.
    lent: AtomicBool,
}

impl Behind for Hold {
    const MARK: u64 = 0xc3f8_2b9d_60e5_4a71;
    const NAME: &'static str = "MemoryRegion";
}

impl Hold {
    pub(crate) fn new(region: Region) -> Hold {
        Hold { region, view: Mutex::new(None), lent: AtomicBool::new(false) }
    }

    /// Of a message from now on, or of whoever has the handle.
    pub(crate) fn lend(&self, lent: bool) {
        self.lent.store(lent, Ordering::Relaxed);
    }

    /// Nothing is locked for a child: another thread of the parent may have held the lock when it forked.
    fn check_alive(&self) -> Result<(), Refused> {
        if self.region.is_alive() { Ok(()) } else { Err(of_the_parent()) }
    }

    fn view(&self) -> Result<View, Refused> {
        self.check_alive()?;
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = &*view {
            return Ok(view.clone());
        }
        // C has no memory that is only to be read: a store there would end the process, and whoever sent it may have sealed it.
        let all = self.region.map_writable(0, self.region.size()).map_err(|error| self.unusable(&error))?;
        Ok(view.insert(all).clone())
    }

    fn unusable(&self, error: &std::io::Error) -> Refused {
        if self.region.is_alive() {
            Failure::system("the region cannot be used", error).into()
        } else {
            of_the_parent()
        }
    }
}

fn of_the_parent() -> Refused {
    Failure::new(Kind::Forked, "the region belongs to the parent process: make one anew").into()
}

/// What is behind a handle that is given away; of one that is a message's, another hold on the same.
pub(crate) fn given(caller: &Caller, handle: Handle) -> Result<Hold, Refused> {
    let hold = caller.peek::<Hold>(handle)?;
    match hold.lent.load(Ordering::Relaxed) {
        true => Ok(Hold::new(hold.region.clone())),
        false => caller.take::<Hold>(handle),
    }
}

/// Why there is no region: it is the size, unless the system refuses to make any.
pub(crate) fn not_made(size: &str, error: &std::io::Error) -> Failure {
    match Failure::system(size, error) {
        Failure { kind: Kind::System, .. } => Failure::system("making a region", error),
        failure => failure,
    }
}

pub(crate) fn handle(region: Region) -> Handle {
    boundary::hand_out(Hold::new(region))
}

/// Makes a region of `size` bytes, zeroed; all of its memory is there from the start. `*region` is null when that fails.
///
/// Any thread. A region is used by any threads at once; its memory by any processes at once.
///
/// # Safety
/// `region` is null or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_memory_region(size: usize, region: *mut MemoryRegion) -> ErrorCode {
    // SAFETY: the pointer is as the caller promised.
    unsafe {
        boundary::code(|caller| {
            caller.place_for("region", region)?;
            caller.put(region, null_mut());
            let made = Region::create("ipmb-region", size).map_err(|error| not_made("size", &error))?;
            caller.put(region, handle(made));
            Ok(())
        })
    }
}

/// Gives up a hold. What it was mapped to is not mapped any more. Null is fine, and so is a region that is still a message's,
/// which keeps it.
///
/// # Safety
/// Nobody uses the handle any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_memory_region_drop(region: MemoryRegion) {
    // SAFETY: the handle is as the caller promised.
    unsafe { boundary::end(region, |caller| given(caller, region).map(drop)) };
}

/// Where a part of a region is mapped, valid until the handle is dropped or the region frozen; the whole of it starts at a
/// multiple of a page. Of memory that is read-only (frozen, or sent so) it is a copy of one's own, made page by page where it is written
/// to: nobody else sees that.
///
/// `size` is the number of bytes, -1 all of them from `offset` on; `*real_size` becomes what it is. Null: they are beyond the end,
/// or there is no room for it among the addresses of this process; `*real_size` is 0 then.
///
/// Any threads at once.
///
/// # Safety
/// `region` points to a handle; `real_size` is null or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_memory_region_map(
    region: *mut MemoryRegion,
    offset: usize,
    size: isize,
    real_size: *mut isize,
) -> *mut u8 {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::call(null_mut(), |caller| {
            caller.put(real_size, 0);
            let hold = caller.get::<Hold>(region)?;
            let all = hold.region.size();
            let left = all.checked_sub(offset).ok_or_else(|| {
                Refused::invalid(format!("offset is {offset}: give 0 to {all}, the size of the region"))
            })?;
            let len = match size {
                -1 => left,
                size => usize::try_from(size).ok().filter(|&size| size <= left).ok_or_else(|| {
                    Refused::invalid(format!("size is {size}: give 0 to {left}, or -1 for all from the offset on"))
                })?,
            };
            let start = hold.view()?.as_ptr().wrapping_add(offset);
            caller.put(real_size, len as isize);
            Ok(start)
        })
    }
}

/// Bytes in a region; 0 for a null handle.
///
/// Any threads at once.
///
/// # Safety
/// `region` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_memory_region_size(region: *const MemoryRegion) -> usize {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(0, |caller| Ok(caller.get::<Hold>(region)?.region.size())) }
}

/// How many endpoints hold a region, on the whole machine: a message under way counts as its receiver, this process and all
/// handles in it as one. 0: a null handle, or one of the parent process.
///
/// Any threads at once.
///
/// # Safety
/// `region` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_memory_region_ref_count(region: *const MemoryRegion) -> u32 {
    // SAFETY: the pointer is as the caller promised.
    unsafe {
        boundary::call(0, |caller| {
            let hold = caller.get::<Hold>(region)?;
            let count = hold.region.ref_count().map_err(|error| hold.unusable(&error))?;
            Ok(u32::try_from(count).unwrap_or(u32::MAX))
        })
    }
}

/// Another handle of the same memory, with a hold of its own. `*clone` is null when that fails.
///
/// Any threads at once.
///
/// # Safety
/// `region` points to a handle; `clone` is null or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_memory_region_clone(region: *const MemoryRegion, clone: *mut MemoryRegion) -> ErrorCode {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::code(|caller| {
            caller.place_for("clone", clone)?;
            let held = caller.get::<Hold>(region).and_then(|hold| {
                hold.check_alive()?;
                Ok(hold.region.clone())
            });
            caller.put(clone, null_mut());
            caller.put(clone, handle(held?));
            Ok(())
        })
    }
}

/// Makes a region read-only for everybody, for ever. It is for the sole holder: no other handle of it may have been mapped, and it
/// must not have been sent. What this handle was mapped to is not mapped any more, whatever comes of it: map it again.
///
/// One thread at a time: others must not use what it was mapped to.
///
/// # Safety
/// `region` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_memory_region_freeze(region: *mut MemoryRegion) -> ErrorCode {
    // SAFETY: the pointer is as the caller promised.
    unsafe {
        boundary::code(|caller| {
            let hold = caller.get::<Hold>(region)?;
            hold.check_alive()?;
            let view = hold.view.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(view);
            match hold.region.freeze() {
                Err(ipmb_transport::FreezeError::Io(error)) => Err(hold.unusable(&error)),
                Err(error) => Err(Failure::from(&error).into()),
                Ok(()) => Ok(()),
            }
        })
    }
}

/// Whether a region is read-only for everybody.
///
/// Any threads at once.
///
/// # Safety
/// `region` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_memory_region_is_frozen(region: *const MemoryRegion) -> bool {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call(false, |caller| Ok(caller.get::<Hold>(region)?.region.is_frozen())) }
}
