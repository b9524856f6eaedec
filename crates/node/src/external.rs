//! Memory of a region as an `ArrayBuffer`, without a copy.
//!
//! The `ArrayBuffer` owns a view, which keeps the memory mapped and held whatever becomes of the region it came from. It is
//! let go when the engine needs the memory no more: the `ArrayBuffer` was collected, or the environment has ended. There is no
//! other way: Node's own threads (random bytes, compression) work on memory that only the buffer they were given keeps.
//! JavaScript knows no read-only buffers, and a store to read-only memory ends the process: so only writable views may come here.

use std::ffi::c_void;
use std::ptr;

use ipmb_transport::region::View;
use napi::bindgen_prelude::{ArrayBuffer, Env, FromNapiValue};
use napi::{Error, sys};

/// An `ArrayBuffer` over a view that can be written to.
pub(crate) fn array_buffer<'env>(env: &'env Env, view: View) -> napi::Result<ArrayBuffer<'env>> {
    assert!(view.is_writable(), "read-only memory");
    let (start, len) = (view.as_ptr().cast::<c_void>(), view.len());
    let kept = Box::into_raw(Box::new(view)).cast::<c_void>();
    let mut value = ptr::null_mut();
    // SAFETY: `len` bytes are mapped at `start` as long as the view lives, which `kept` owns until `collected` is called.
    let status =
        unsafe { sys::napi_create_external_arraybuffer(env.raw(), start, len, Some(collected), kept, &mut value) };
    if status != sys::Status::napi_ok {
        // SAFETY: the box made above; nobody else has taken it.
        drop(unsafe { Box::from_raw(kept.cast::<View>()) });
        let why = if status == sys::Status::napi_no_external_buffers_allowed {
            "this runtime allows no buffers over shared memory: read() copies it"
        } else {
            "the runtime makes no buffer over the memory"
        };
        return Err(Error::new(status.into(), why.to_owned()));
    }
    // SAFETY: the value was just made in this environment, and is an `ArrayBuffer`.
    unsafe { ArrayBuffer::from_napi_value(env.raw(), value) }
}

/// The engine needs the memory no more.
unsafe extern "C" fn collected(_env: sys::napi_env, _data: *mut c_void, kept: *mut c_void) {
    // SAFETY: the box made in `array_buffer`; the engine calls this once.
    drop(unsafe { Box::from_raw(kept.cast::<View>()) });
}
