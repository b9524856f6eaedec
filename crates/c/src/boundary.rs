//! The boundary to C: the only place that follows a caller's pointer, and what no panic leaves.
//!
//! What a caller in C says of a pointer has to be taken at its word. Each exported function does so once, where it makes a
//! [`Caller`]; all that it does with pointers then goes through that, and is checked as far as it can be: null, the kind of a
//! handle, lengths, UTF-8.

use std::ffi::{CStr, c_char, c_void};
use std::fmt::Write as _;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use crate::error::{ERROR_CODE_SUCCESS, ERROR_CODE_UNKNOWN, ErrorCode, Refused};

/// A handle as C has it.
pub(crate) type Handle = *mut c_void;

/// What stands behind a kind of handle. Any thread may use it, and drop it.
pub(crate) trait Behind: Send + Sync + 'static {
    /// The first word of each box of this kind: a random number.
    const MARK: u64;
    /// What the kind is called, for errors.
    const NAME: &'static str;
}

#[repr(C)]
struct Boxed<T> {
    mark: u64,
    value: T,
}

/// Makes a handle, which is the caller's.
pub(crate) fn hand_out<T: Behind>(value: T) -> Handle {
    Box::into_raw(Box::new(Boxed { mark: T::MARK, value })).cast()
}

/// The word of a caller that its pointers are what the header asks for, while a call of its lasts.
pub(crate) struct Caller(());

/// Runs the body of an exported function. `otherwise` is returned when it refuses, or panics.
///
/// # Safety
/// Every pointer that the body gives to the [`Caller`] is null or valid for what the method says.
pub(crate) unsafe fn call<R>(otherwise: R, body: impl FnOnce(&Caller) -> Result<R, Refused>) -> R {
    run(body).unwrap_or_else(|refused| {
        refused.note();
        otherwise
    })
}

/// The same for a function that returns a code.
///
/// # Safety
/// See [`call`].
pub(crate) unsafe fn code(body: impl FnOnce(&Caller) -> Result<(), Refused>) -> ErrorCode {
    run(body).map_or_else(
        |refused| {
            let code = refused.code();
            refused.note();
            if code == ERROR_CODE_SUCCESS { ERROR_CODE_UNKNOWN } else { code }
        },
        |()| ERROR_CODE_SUCCESS,
    )
}

/// The body of a function that drops a handle. Null is no error: what is cleaned up after one must not hide its text.
///
/// # Safety
/// See [`call`].
pub(crate) unsafe fn end(handle: Handle, body: impl FnOnce(&Caller) -> Result<(), Refused>) {
    if handle.is_null() {
        return;
    }
    if let Err(refused) = run(body) {
        refused.note();
    }
}

fn run<R>(body: impl FnOnce(&Caller) -> Result<R, Refused>) -> Result<R, Refused> {
    // Nothing of ours is looked at after a panic that it could have left half done: handles keep what locks protect.
    catch_unwind(AssertUnwindSafe(|| body(&Caller(())))).unwrap_or_else(|panic| {
        let mut text = "a bug in ipmb, please report it".to_owned();
        if let Some(said) = panic.downcast_ref::<String>() {
            let _ = write!(text, ": {said}");
        } else if let Some(said) = panic.downcast_ref::<&str>() {
            let _ = write!(text, ": {said}");
        }
        Err(Refused::Pointer(text))
    })
}

impl Caller {
    fn boxed<T: Behind>(&self, handle: Handle) -> Result<*mut Boxed<T>, Refused> {
        if handle.is_null() {
            return Err(Refused::not_made(&format!("{} is null", T::NAME)));
        }
        let boxed: *mut Boxed<T> = handle.cast();
        if !boxed.is_aligned() {
            return Err(no_handle::<T>());
        }
        // SAFETY: a handle that is not null came from here, by the caller's word, and its box begins with a mark of its kind.
        let mark = unsafe { ptr::read(handle.cast::<u64>()) };
        if mark == T::MARK { Ok(boxed) } else { Err(no_handle::<T>()) }
    }

    fn place<T: Behind>(&self, place: *const Handle) -> Result<*mut Boxed<T>, Refused> {
        if place.is_null() {
            return Err(Refused::Pointer(format!("the pointer to {} is null: give one to a handle", T::NAME)));
        }
        // SAFETY: it points to a handle, by the caller's word.
        self.boxed(unsafe { ptr::read(place) })
    }

    /// What is behind a handle that a caller goes on using: a pointer to the handle.
    pub(crate) fn get<T: Behind>(&self, place: *const Handle) -> Result<&T, Refused> {
        let boxed = self.place::<T>(place)?;
        // SAFETY: a box of this kind, which the caller does not drop while the call lasts, nor changes in another thread
        // unless it may.
        Ok(unsafe { &(*boxed).value })
    }

    /// The same where nobody else uses the handle meanwhile.
    #[allow(clippy::mut_from_ref, reason = "the caller's word is what makes it sound")]
    pub(crate) fn get_mut<T: Behind>(&self, place: *const Handle) -> Result<&mut T, Refused> {
        let boxed = self.place::<T>(place)?;
        // SAFETY: as above, and nobody else uses it, by the caller's word.
        Ok(unsafe { &mut (*boxed).value })
    }

    /// What is behind a handle that is given by value.
    pub(crate) fn peek<T: Behind>(&self, handle: Handle) -> Result<&T, Refused> {
        let boxed = self.boxed::<T>(handle)?;
        // SAFETY: as for `get`.
        Ok(unsafe { &(*boxed).value })
    }

    /// Takes what is behind a handle that the caller gives away.
    pub(crate) fn take<T: Behind>(&self, handle: Handle) -> Result<T, Refused> {
        let boxed = self.boxed::<T>(handle)?;
        // SAFETY: a box of this kind, made by `hand_out`, that nobody uses any more.
        let mut boxed = unsafe { Box::from_raw(boxed) };
        // A second time it is no handle, as long as its memory is not used for another.
        boxed.mark = 0;
        Ok(boxed.value)
    }

    /// Refuses a null place for a result.
    pub(crate) fn place_for<T>(&self, name: &str, place: *mut T) -> Result<(), Refused> {
        if place.is_null() { Err(Refused::null(name, "a place for the result")) } else { Ok(()) }
    }

    /// Writes a result, unless its place is null.
    pub(crate) fn put<T>(&self, place: *mut T, value: T) {
        if !place.is_null() {
            // SAFETY: there is room for one, by the caller's word. What was there has no destructor.
            unsafe { ptr::write(place, value) };
        }
    }

    /// Writes as many bytes as there is room for, and a NUL behind them.
    pub(crate) fn fill(&self, buffer: *mut u8, size: usize, bytes: &[u8]) {
        let Some(most) = size.checked_sub(1).filter(|_| !buffer.is_null()) else { return };
        let fits = &bytes[..bytes.len().min(most)];
        self.put_bytes(buffer, fits);
        self.put(buffer.wrapping_add(fits.len()), 0);
    }

    /// Writes bytes, unless their place is null.
    pub(crate) fn put_bytes(&self, place: *mut u8, bytes: &[u8]) {
        if !place.is_null() {
            // SAFETY: there is room for them, by the caller's word, in memory that is not ours.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
        }
    }

    /// Text that ends with a NUL.
    pub(crate) fn text(&self, name: &str, text: *const c_char) -> Result<&str, Refused> {
        if text.is_null() {
            return Err(Refused::null(name, "text in UTF-8 that ends with a NUL"));
        }
        // SAFETY: it ends with a NUL, by the caller's word, who leaves it alone while the call lasts.
        let text = unsafe { CStr::from_ptr(text) };
        text.to_str().map_err(|_| Refused::invalid(format!("{name} is no UTF-8: give text in UTF-8")))
    }

    /// Bytes with their length. Null has none.
    pub(crate) fn bytes(&self, name: &str, bytes: *const u8, len: usize) -> Result<&[u8], Refused> {
        if len == 0 {
            return Ok(&[]);
        }
        if bytes.is_null() {
            return Err(Refused::null(name, &format!("a pointer to {len} bytes")));
        }
        if len > isize::MAX as usize {
            return Err(Refused::invalid(format!("{name} is {len} bytes long: give at most {}", isize::MAX)));
        }
        // SAFETY: there are so many bytes, by the caller's word, who leaves them alone while the call lasts.
        Ok(unsafe { std::slice::from_raw_parts(bytes, len) })
    }
}

impl Caller {
    /// The descriptor of a number that the caller gives away. It gets close-on-exec.
    pub(crate) fn own(&self, number: u64) -> Result<OwnedFd, Refused> {
        if number == u64::MAX {
            return Err(Refused::invalid("object is OBJECT_MISSING, which is UINT64_MAX: give an open descriptor"));
        }
        let closed = || Refused::invalid(format!("object {number} is no open descriptor"));
        let raw = RawFd::try_from(number).map_err(|_| closed())?;
        // SAFETY: it is not -1, and not closed while it is looked at: nobody else may, by the caller's word.
        let borrowed = unsafe { BorrowedFd::borrow_raw(raw) };
        rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC).map_err(|_| closed())?;
        // SAFETY: it is open, and the caller's to give.
        Ok(unsafe { OwnedFd::from_raw_fd(raw) })
    }
}

fn no_handle<T: Behind>() -> Refused {
    Refused::Pointer(format!("this is no handle of {} (any more)", T::NAME))
}

/// A handle that is ours for as long as the caller only borrows it.
pub(crate) struct Kept<T: Behind>(*mut Boxed<T>);

// SAFETY: it owns its box as a `Box` would; what is behind handles can be used and dropped in any thread.
unsafe impl<T: Behind> Send for Kept<T> {}
// SAFETY: through a shared reference it gives a shared reference to what is behind it, and a handle whose users have to
// keep to the rules of all handles.
unsafe impl<T: Behind> Sync for Kept<T> {}

impl<T: Behind> Kept<T> {
    /// Keeps a value under a handle.
    pub(crate) fn new(value: T) -> Kept<T> {
        Kept(hand_out(value).cast())
    }

    /// The handle, for somebody who only borrows it.
    pub(crate) fn handle(&self) -> Handle {
        self.0.cast()
    }

    /// The handle, for somebody to whom it belongs from now on.
    pub(crate) fn give_away(self) -> Handle {
        let handle = self.handle();
        std::mem::forget(self);
        handle
    }

    /// What is behind it.
    pub(crate) fn get(&self) -> &T {
        // SAFETY: the box is there until this is dropped.
        unsafe { &(*self.0).value }
    }
}

impl<T: Behind> Drop for Kept<T> {
    fn drop(&mut self) {
        // SAFETY: made by `hand_out`, and dropped here alone: those who borrow a handle cannot take it.
        drop(unsafe { Box::from_raw(self.0) });
    }
}
