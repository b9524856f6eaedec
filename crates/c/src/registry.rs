//! Regions whose memory is used again once nobody holds them.

use std::ffi::{c_char, c_void};
use std::ptr::null_mut;

use ipmb_binding::registry::Registry;

use crate::boundary::{self, Behind, Caller};
use crate::error::{ErrorCode, Refused};
use crate::region::{MemoryRegion, handle, not_made};

/// Handle of a pool of regions.
pub type MemoryRegistry = *mut c_void;

/// What a caller wants to be called when a region is free.
struct Free {
    context: *mut c_void,
    call: unsafe extern "C" fn(*mut c_void),
}

// SAFETY: whoever gives a callback promises that it may be called in any thread that uses the registry.
unsafe impl Send for Free {}

impl Free {
    fn call(self) {
        // SAFETY: the function takes this context, by the word of the caller that gave both, and is called once.
        unsafe { (self.call)(self.context) };
    }
}

#[derive(Default)]
struct Registered(Registry<Free>);

impl Behind for Registered {
    const MARK: u64 = 0x1d92_b6c4_f073_4e5a;
    const NAME: &'static str = "MemoryRegistry";
}

/// A pool without regions. To be dropped.
///
/// Any thread. A registry is used by any threads at once.
#[unsafe(no_mangle)]
pub extern "C" fn ipmb_memory_registry() -> MemoryRegistry {
    // SAFETY: no pointer is followed.
    unsafe { boundary::call(null_mut(), |_| Ok(boundary::hand_out(Registered::default()))) }
}

/// Drops a pool; its regions stay. Callbacks that are due are called here; those of regions that are still held never are. Null is
/// fine.
///
/// # Safety
/// Nobody uses the handle any more, callbacks included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_memory_registry_drop(registry: MemoryRegistry) {
    // SAFETY: the handle is as the caller promised.
    unsafe {
        boundary::end(registry, |caller| {
            let Registered(registry) = caller.take::<Registered>(registry)?;
            registry.due().into_iter().for_each(Free::call);
            Ok(())
        });
    }
}

/// Calls the callbacks of regions that everybody has let go of, in all processes, and gives memory back to the system that nobody has
/// held for ten seconds.
///
/// Any threads at once.
///
/// # Safety
/// `registry` points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_memory_registry_maintain(registry: *mut MemoryRegistry) {
    // SAFETY: the pointer is as the caller promised.
    unsafe {
        boundary::call((), |caller| {
            let Registered(registry) = caller.get::<Registered>(registry)?;
            registry.trim();
            registry.due().into_iter().for_each(Free::call);
            Ok(())
        });
    }
}

fn alloc(
    caller: &Caller,
    place: *mut MemoryRegistry,
    min_size: usize,
    tag: *const c_char,
    free: Option<Free>,
    region: *mut MemoryRegion,
) -> Result<(), Refused> {
    caller.place_for("region", region)?;
    caller.put(region, null_mut());
    let Registered(registry) = caller.get::<Registered>(place)?;
    let tag = if tag.is_null() { None } else { Some(caller.text("tag", tag)?) };
    registry.due().into_iter().for_each(Free::call);
    let taken = registry.alloc(min_size, tag, free).map_err(|(error, _)| not_made("min_size", &error))?;
    caller.put(region, handle(taken));
    Ok(())
}

/// A region of at least `min_size` bytes that nobody else holds; one that was used before under the same tag (null is a tag of its
/// own), if there is one. What stood in it then may still stand there. Callbacks that are due are called before.
///
/// Any threads at once.
///
/// # Safety
/// `registry` points to a handle; `tag` is null or ends with a NUL; `region` is null or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_memory_registry_alloc(
    registry: *mut MemoryRegistry,
    min_size: usize,
    tag: *const c_char,
    region: *mut MemoryRegion,
) -> ErrorCode {
    // SAFETY: the pointers are as the caller promised.
    unsafe { boundary::code(|caller| alloc(caller, registry, min_size, tag, None, region)) }
}

/// The same, with a function that is called once, with `context`, when nobody in any process holds the region any more: by `alloc` or
/// `maintain` of this registry, in their thread, and never before. It is not called when this function fails. It must not
/// throw, nor drop the registry. A null function is none.
///
/// Any threads at once.
///
/// # Safety
/// As for `ipmb_memory_registry_alloc`; and `free` may be called with `context` in any thread that uses the registry.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_memory_registry_alloc_with_free(
    registry: *mut MemoryRegistry,
    min_size: usize,
    tag: *const c_char,
    context: *mut c_void,
    free: Option<unsafe extern "C" fn(*mut c_void)>,
    region: *mut MemoryRegion,
) -> ErrorCode {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::code(|caller| alloc(caller, registry, min_size, tag, free.map(|call| Free { context, call }), region))
    }
}
