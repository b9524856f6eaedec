//! Text for the caller, and the version of the library.

use std::ffi::c_char;

use crate::boundary::{self, Behind, Handle};
use crate::error::Refused;

/// Handle of a text that the caller drops.
pub type RString = *mut std::ffi::c_void;

/// With a NUL behind it.
struct Text(String);

impl Behind for Text {
    const MARK: u64 = 0xa1d6_0d8e_51b7_4c03;
    const NAME: &'static str = "RString";
}

pub(crate) fn rstring(text: impl Into<String>) -> Handle {
    let mut text = text.into();
    text.push('\0');
    boundary::hand_out(Text(text))
}

/// Gives the bytes of a text, which are UTF-8 and valid until it is dropped. Behind the last of them is a NUL, which `size` does not
/// count. A null handle gives null and 0.
///
/// Any threads at once.
///
/// # Safety
/// `rstring` points to a handle; `ptr` and `size` are null or have room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_rstring_data(rstring: *const RString, ptr: *mut *const c_char, size: *mut usize) {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::call((), |caller| {
            caller.put(ptr, std::ptr::null());
            caller.put(size, 0);
            let Text(text) = caller.get::<Text>(rstring)?;
            caller.put(ptr, text.as_ptr().cast());
            caller.put(size, text.len() - 1);
            Ok(())
        });
    }
}

/// Drops a text. Null is fine.
///
/// # Safety
/// Nobody uses the handle any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_rstring_drop(rstring: RString) {
    // SAFETY: the handle is as the caller promised.
    unsafe { boundary::end(rstring, |caller| caller.take::<Text>(rstring).map(drop)) };
}

/// The three numbers of the version, which is `MAJOR.MINOR.PATCH` with perhaps more behind it.
fn numbers() -> Option<(u8, u8, u8)> {
    let number = |text: &str| text.parse().ok();
    Some((
        number(env!("CARGO_PKG_VERSION_MAJOR"))?,
        number(env!("CARGO_PKG_VERSION_MINOR"))?,
        number(env!("CARGO_PKG_VERSION_PATCH"))?,
    ))
}

/// The version of this library.
///
/// Any thread.
///
/// # Safety
/// Each pointer is null or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ipmb_version(major: *mut u8, minor: *mut u8, patch: *mut u8) {
    // SAFETY: the pointers are as the caller promised.
    unsafe {
        boundary::call((), |caller| {
            let (first, second, third) = numbers().ok_or_else(|| Refused::invalid("the version is no version"))?;
            caller.put(major, first);
            caller.put(minor, second);
            caller.put(patch, third);
            Ok(())
        });
    }
}

/// What stands behind the version, such as "beta.1"; the empty text for a release. To be dropped.
///
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn ipmb_version_pre() -> RString {
    // SAFETY: no pointer is followed.
    unsafe { boundary::call(std::ptr::null_mut(), |_| Ok(rstring(env!("CARGO_PKG_VERSION_PRE")))) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_fits() {
        assert!(super::numbers().is_some());
    }
}
