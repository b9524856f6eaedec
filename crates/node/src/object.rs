//! A descriptor that can be attached to a message.

use std::cell::RefCell;
use std::os::fd::IntoRawFd;

use ipmb_transport::sys::Fd;
use napi_derive::napi;

use crate::failure::{Result, invalid, refused};

const CLOSED: &str = "Object is closed: its descriptor is gone";

/// An owned descriptor.
#[napi]
pub struct Descriptor {
    fd: RefCell<Option<Fd>>,
}

impl Descriptor {
    pub(crate) fn new(fd: Fd) -> Descriptor {
        Descriptor { fd: RefCell::new(Some(fd)) }
    }

    /// Another one for the same open file.
    pub(crate) fn duplicate(&self) -> Result<Fd> {
        match &*self.fd.borrow() {
            Some(fd) => fd.try_clone().map_err(|error| refused("an Object cannot be duplicated", &error)),
            None => Err(invalid(CLOSED)),
        }
    }
}

#[napi]
impl Descriptor {
    /// A duplicate of what stands behind a number, given as this argument.
    #[napi(factory, catch_unwind)]
    pub fn of(number: i32, argument: String) -> Result<Descriptor> {
        match Fd::duplicate_number(number) {
            Ok(Some(fd)) => Ok(Descriptor::new(fd)),
            Ok(None) => {
                let bound = "give the number of a descriptor that is open in this process";
                Err(invalid(format!("{argument} is {number}: {bound}")))
            }
            Err(error) => Err(refused(&format!("{argument} cannot be duplicated"), &error)),
        }
    }

    /// The number; it stays this object's.
    #[napi(catch_unwind)]
    pub fn value(&self) -> Result<i32> {
        self.fd.borrow().as_ref().map(Fd::raw).ok_or_else(|| invalid(CLOSED))
    }

    /// The number, which is the caller's to close from now on.
    #[napi(catch_unwind)]
    pub fn detach(&self) -> Result<i32> {
        let fd = self.fd.borrow_mut().take().ok_or_else(|| invalid(CLOSED))?;
        Ok(fd.into_owned().into_raw_fd())
    }

    /// Closes it. Closing twice is fine.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        let fd = self.fd.borrow_mut().take();
        drop(fd);
    }

    /// Whether there is no descriptor any more.
    #[napi(getter, catch_unwind)]
    pub fn closed(&self) -> bool {
        self.fd.borrow().is_none()
    }
}
