//! What went wrong, for the caller: the last error in each thread, and the names of codes.

use std::ffi::{CStr, c_char};

use crate::boundary;
use crate::error::{
    self, ERROR_CODE_BUSY, ERROR_CODE_CLOSED, ERROR_CODE_DECODE, ERROR_CODE_FORKED, ERROR_CODE_FULL,
    ERROR_CODE_INVALID_ARGUMENT, ERROR_CODE_NO_ROUTE, ERROR_CODE_OUT_OF_MEMORY, ERROR_CODE_PEER_LOST,
    ERROR_CODE_PERMISSION_DENIED, ERROR_CODE_REMOTE, ERROR_CODE_SUCCESS, ERROR_CODE_SYSTEM, ERROR_CODE_TIMEOUT,
    ERROR_CODE_TOKEN_MISMATCH, ERROR_CODE_TOO_LARGE, ERROR_CODE_TOO_MANY_OPEN_FILES, ERROR_CODE_UNKNOWN,
    ERROR_CODE_VERSION_MISMATCH, ErrorCode, Refused,
};

/// The code of the last error in this thread, for functions that return none: `ERROR_CODE_SUCCESS` when no call has failed here. Calls
/// that work leave it as it is.
///
/// Any thread; each has one of its own.
#[unsafe(no_mangle)]
pub extern "C" fn ipmb_last_error_code() -> ErrorCode {
    error::last().0
}

/// Copies the text of the last error in this thread, with a NUL behind it, as far as `size` bytes allow. Calls that work leave
/// it as it is. Where a handle is null that a call was to make, the text quotes the error before it, which may have nothing
/// to do with it.
///
/// Returns the length of the whole text without the NUL; 0: no call has failed here. `buffer` may be null where `size` is 0.
///
/// Any thread; each has a text of its own.
///
/// # Safety
/// `buffer` is null, or has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_last_error(buffer: *mut c_char, size: usize) -> usize {
    let (_, text) = error::last();
    let len = text.len();
    // SAFETY: the buffer is as the caller promised.
    unsafe {
        boundary::call(len, |caller| {
            caller.fill(buffer.cast(), size, text.as_bytes());
            Ok(len)
        })
    }
}

/// Leaves an error in this thread, as a function that failed does: for a wrapper in another language that has found it before
/// any function of these. A code that is none becomes `ERROR_CODE_UNKNOWN`.
///
/// Any thread; each has an error of its own.
///
/// # Safety
/// `text` is null, or ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_last_error_set(code: ErrorCode, text: *const c_char) {
    // SAFETY: the pointer is as the caller promised.
    unsafe { boundary::call((), |caller| Err(Refused::foreign(code, caller.text("text", text)?.to_owned()))) }
}

/// The name of a code, such as "timeout"; "no error code" for a number that is none. It is valid for ever.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn ipmb_error_name(code: ErrorCode) -> *const c_char {
    let name: &CStr = match code {
        ERROR_CODE_SUCCESS => c"success",
        ERROR_CODE_UNKNOWN => c"unknown",
        ERROR_CODE_TIMEOUT => c"timeout",
        ERROR_CODE_DECODE => c"decode",
        ERROR_CODE_VERSION_MISMATCH => c"version mismatch",
        ERROR_CODE_TOKEN_MISMATCH => c"token mismatch",
        ERROR_CODE_PERMISSION_DENIED => c"permission denied",
        ERROR_CODE_INVALID_ARGUMENT => c"invalid argument",
        ERROR_CODE_NO_ROUTE => c"no route",
        ERROR_CODE_FULL => c"full",
        ERROR_CODE_TOO_LARGE => c"too large",
        ERROR_CODE_PEER_LOST => c"peer lost",
        ERROR_CODE_REMOTE => c"remote",
        ERROR_CODE_CLOSED => c"closed",
        ERROR_CODE_FORKED => c"forked",
        ERROR_CODE_TOO_MANY_OPEN_FILES => c"too many open files",
        ERROR_CODE_OUT_OF_MEMORY => c"out of memory",
        ERROR_CODE_BUSY => c"busy",
        ERROR_CODE_SYSTEM => c"system",
        _ => c"no error code",
    };
    name.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_a_name() {
        let mut names: Vec<_> = (ERROR_CODE_SYSTEM..=1).map(|code| ipmb_error_name(code)).collect();
        assert_eq!(names.pop(), Some(ipmb_error_name(i32::MIN)), "no code at all");
        assert!(!names.contains(&ipmb_error_name(1)));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 19);
    }
}
