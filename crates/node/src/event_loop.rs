//! The one libuv handle of an environment: it calls a JavaScript function when a descriptor is readable.
//!
//! Waiting belongs into the loop that Node runs anyway: no thread of ours stands between a sender and JavaScript, and what
//! keeps the process alive is said in libuv's own words, by references. A handle must be closed before its loop is, and its
//! memory stays libuv's until it says so; both hold here whether the environment ends (a worker is terminated, the process
//! exits) or nobody needs the handle any more. All unsafe code of that is in this file.

use std::cell::{Cell, UnsafeCell};
use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;

use ipmb_transport::sys::Poller;
use napi::bindgen_prelude::{Env, Function, JsValue};
use napi::{Error, sys};

/// `UV_POLL` of `uv_handle_type`, and `UV_READABLE` of `uv_poll_event`.
const POLL: c_int = 8;
const READABLE: c_int = 1;

type Handle = *mut c_void;

// Node exports libuv to its addons; `napi_get_uv_event_loop` is there for it. The interface of libuv 1 is stable.
unsafe extern "C" {
    safe fn uv_handle_size(kind: c_int) -> usize;
    fn uv_poll_init(event_loop: *mut sys::uv_loop_s, handle: Handle, fd: c_int) -> c_int;
    fn uv_poll_start(handle: Handle, events: c_int, callback: extern "C" fn(Handle, c_int, c_int)) -> c_int;
    fn uv_handle_set_data(handle: Handle, data: *mut c_void);
    fn uv_handle_get_data(handle: Handle) -> *mut c_void;
    fn uv_ref(handle: Handle);
    fn uv_unref(handle: Handle);
    fn uv_close(handle: Handle, closed: Option<extern "C" fn(Handle)>);
}

/// Calls a function whenever a poller has something to tell. Closed when dropped.
pub(crate) struct Bell(Rc<Shared>);

/// What the bell and libuv share. Libuv's share is a strong count of its own, taken back when the handle is closed.
struct Shared {
    env: sys::napi_env,
    /// Its descriptor stays open until libuv has let go of it.
    poller: Rc<Poller>,
    /// The function; null once nobody is to be called any more.
    function: Cell<sys::napi_ref>,
    /// What the environment waits for when it ends.
    hook: Cell<sys::napi_async_cleanup_hook_handle>,
    closing: Cell<bool>,
    /// The `uv_poll_t`. Its address does not change: it is on the heap, and nobody takes it out.
    memory: Box<[UnsafeCell<u64>]>,
}

impl Shared {
    fn handle(&self) -> Handle {
        self.memory.as_ptr().cast_mut().cast()
    }

    /// Has libuv let go, once. JavaScript is not called any more from here on.
    fn close(&self) {
        if self.closing.replace(true) {
            return;
        }
        let function = self.function.replace(ptr::null_mut());
        // SAFETY: the reference was made in `Bell::new` for this environment, which has not ended yet: its cleanup hooks and
        // finalizers, from which this is called, run before. It is deleted once.
        let _ = unsafe { sys::napi_delete_reference(self.env, function) };
        // SAFETY: the handle was initialized in `Bell::new` and is closed once; this is the thread of its loop.
        unsafe { uv_close(self.handle(), Some(closed)) };
    }
}

impl Bell {
    /// Has `function` called, without arguments, as long as `poller` has something to tell. It does not keep the process
    /// alive until it is [held](Bell::hold).
    pub(crate) fn new(env: &Env, poller: Rc<Poller>, function: &Function<'_, (), ()>) -> napi::Result<Bell> {
        let event_loop = env.get_uv_event_loop()?;
        let words = uv_handle_size(POLL).div_ceil(size_of::<u64>());
        let shared = Rc::new(Shared {
            env: env.raw(),
            poller,
            function: Cell::new(ptr::null_mut()),
            hook: Cell::new(ptr::null_mut()),
            closing: Cell::new(false),
            memory: (0..words).map(|_| UnsafeCell::new(0)).collect(),
        });
        let mut reference = ptr::null_mut();
        // SAFETY: the environment and the function are those of the call we are in; the place for the result is ours.
        let status = unsafe { sys::napi_create_reference(env.raw(), function.raw(), 1, &mut reference) };
        check(status, "the function cannot be kept")?;
        shared.function.set(reference);
        let fd = shared.poller.as_fd().as_raw_fd();
        // SAFETY: the loop is that of this environment and this thread, the memory is large enough and nobody else's, and the
        // descriptor stays open until the handle is closed.
        let status = unsafe { uv_poll_init(event_loop, shared.handle(), fd) };
        if status != 0 {
            // SAFETY: made above, deleted once: there is no handle that would delete it.
            let _ = unsafe { sys::napi_delete_reference(env.raw(), reference) };
            return Err(Error::from_reason(format!(
                "the event loop does not take the descriptor (libuv says {status})"
            )));
        }
        let kept = Rc::into_raw(shared.clone()).cast_mut().cast::<c_void>();
        // SAFETY: the handle is initialized. The pointer is valid until `closed` takes the count back.
        unsafe { uv_handle_set_data(shared.handle(), kept) };
        // From here on the end of the bell closes the handle.
        let bell = Bell(shared);
        let mut hook = ptr::null_mut();
        // SAFETY: `kept` is valid until `closed`, which removes the hook before it lets go.
        let status = unsafe { sys::napi_add_async_cleanup_hook(env.raw(), Some(ending), kept, &mut hook) };
        check(status, "the end of the environment cannot be heard of")?;
        bell.0.hook.set(hook);
        // SAFETY: the handle is initialized.
        let status = unsafe { uv_poll_start(bell.0.handle(), READABLE, readable) };
        if status != 0 {
            return Err(Error::from_reason(format!("the event loop does not poll (libuv says {status})")));
        }
        bell.hold(false);
        Ok(bell)
    }

    /// Whether it keeps the process alive.
    pub(crate) fn hold(&self, hold: bool) {
        if self.0.closing.get() {
            return;
        }
        let handle = self.0.handle();
        if hold {
            // SAFETY: the handle is initialized and not closed.
            unsafe { uv_ref(handle) };
        } else {
            // SAFETY: as above.
            unsafe { uv_unref(handle) };
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn check(status: sys::napi_status, what: &str) -> napi::Result<()> {
    if status == sys::Status::napi_ok { Ok(()) } else { Err(Error::new(status.into(), what.to_owned())) }
}

/// Another owner of what a handle's data is.
fn shared_of(handle: Handle) -> Rc<Shared> {
    // SAFETY: libuv calls back with a handle that was initialized here, and whose data was set.
    let data = unsafe { uv_handle_get_data(handle) }.cast::<Shared>();
    // SAFETY: the pointer came from `Rc::into_raw`, and libuv's count on it is still there.
    unsafe { Rc::increment_strong_count(data) };
    // SAFETY: the count is the one just taken.
    unsafe { Rc::from_raw(data) }
}

extern "C" fn readable(handle: Handle, _status: c_int, _events: c_int) {
    // No panic passes through libuv. There is nobody to tell of one, and nothing here has one.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let shared = shared_of(handle);
        if !shared.closing.get() {
            call(&shared);
        }
    }));
}

/// Calls the function from the loop, where no JavaScript runs: promises it settles go on before the loop does.
fn call(shared: &Shared) {
    let env = shared.env;
    let mut scope = ptr::null_mut();
    // SAFETY: the environment is alive: its handle is not closed. The result's place is ours.
    if unsafe { sys::napi_open_handle_scope(env, &mut scope) } != sys::Status::napi_ok {
        return;
    }
    let (mut function, mut global) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the reference is not deleted before the handle is closed.
    let found = unsafe { sys::napi_get_reference_value(env, shared.function.get(), &mut function) };
    // SAFETY: a scope is open.
    let there = unsafe { sys::napi_get_global(env, &mut global) };
    if found == sys::Status::napi_ok && there == sys::Status::napi_ok && !function.is_null() {
        let (none, nowhere) = (ptr::null(), ptr::null_mut());
        // SAFETY: function and object are values of the open scope; there are no arguments, and no result is wanted.
        let status = unsafe { sys::napi_make_callback(env, ptr::null_mut(), global, function, 0, none, nowhere) };
        if status == sys::Status::napi_pending_exception {
            throw_to_the_process(env);
        }
    }
    // SAFETY: it is the scope opened above, and the only one that is open here.
    unsafe { sys::napi_close_handle_scope(env, scope) };
}

/// What the function threw is an uncaught exception, as in any other callback.
fn throw_to_the_process(env: sys::napi_env) {
    let mut thrown = ptr::null_mut();
    // SAFETY: a scope is open in the caller.
    if unsafe { sys::napi_get_and_clear_last_exception(env, &mut thrown) } == sys::Status::napi_ok {
        // SAFETY: the value is one of the open scope.
        unsafe { sys::napi_fatal_exception(env, thrown) };
    }
}

/// The environment ends: it waits for the hook to be removed.
unsafe extern "C" fn ending(_hook: sys::napi_async_cleanup_hook_handle, data: *mut c_void) {
    let data = data.cast::<Shared>().cast_const();
    // SAFETY: libuv's count is there until `closed`, which removes this hook first.
    unsafe { Rc::increment_strong_count(data) };
    // SAFETY: the count is the one just taken.
    let shared = unsafe { Rc::from_raw(data) };
    shared.close();
}

/// Libuv has let go of the handle.
extern "C" fn closed(handle: Handle) {
    // SAFETY: as in `shared_of`.
    let data = unsafe { uv_handle_get_data(handle) }.cast::<Shared>();
    // SAFETY: the count is libuv's own, given in `Bell::new`; this is called once.
    let shared = unsafe { Rc::from_raw(data) };
    let hook = shared.hook.get();
    if !hook.is_null() {
        // SAFETY: the hook was added in `Bell::new` and is removed once.
        unsafe { sys::napi_remove_async_cleanup_hook(hook) };
    }
}
