//! Others' regions that come again and again, held each time without a descriptor that travels.
//!
//! To send a descriptor costs both sides more than filling a small region does: a description is opened, locked, packed
//! and unpacked, checked, mapped and unmapped. The memory is the same few regions of the sender's pool over and over. So
//! whoever was sent one may keep its description, unlocked, and lock it again when the next message lies in it. The kernel
//! counts holders as ever: a lock ends with its process. From when it is sent until the receiver has locked it the
//! memory is kept for it by its maker, who knows what is unread.
//!
//! Only what can no longer change in anything but its bytes is kept so: then what was checked once stays true.

use std::io;
use std::sync::{Arc, Weak};

use super::Region;
use super::body::Body;
use crate::fork;

/// A region that may be held again. It is no hold itself.
#[derive(Debug)]
pub struct Again {
    body: Arc<Body>,
    /// Of children forked since, each has inherited the mapping, and with it the description.
    forks: u64,
}

impl Region {
    /// Keeps what it takes to hold it again after the last hold has ended. `None` where that could not be trusted: it is our
    /// own, or its maker may still change more than its bytes.
    pub fn keep(&self) -> Option<Again> {
        let body = self.body();
        if !body.can_come_again() {
            return None;
        }
        body.set_again(true);
        Some(Again { body: body.clone(), forks: fork::forks() })
    }

    /// Whether it is this process's own and nobody else ever writes to it: what others may [keep](Region::keep).
    pub fn can_be_kept(&self) -> bool {
        self.body().is_own()
    }

    /// Never uses its memory for anything else: somebody may have yet to lock it. The pool lets it go.
    pub fn spend(&self) {
        self.body().spend();
    }
}

impl Again {
    /// Holds the region, as it was held when it was sent.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when somebody keeps us from it, which whoever was ever sent the region can; in a forked
    /// child.
    pub fn hold(&mut self) -> io::Result<Region> {
        loop {
            if let Some(hold) = self.body.hold_again(self.forks)? {
                return Ok(Region { hold });
            }
            // A lock on what a child has inherited would outlive us, so there is to be a description of our own again.
            self.forks = fork::forks();
            match self.body.renewed() {
                Ok(body) => self.body = body,
                // There is no other: nothing gives the lock up any more until we forget the region.
                Err(_) => self.body.set_again(false),
            }
        }
    }

    /// Copies bytes out without holding it: until that is done it has to be kept by its maker.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] beyond the end.
    pub fn read(&self, offset: usize, buf: &mut [u8]) -> io::Result<()> {
        self.body.read(offset, buf)
    }

    /// Bytes in it.
    pub fn size(&self) -> usize {
        self.body.size()
    }
}

/// Which memory a region was, without holding it or keeping it from going away.
#[derive(Debug, Clone)]
pub struct Trace {
    body: Weak<Body>,
}

impl Region {
    /// What tells whether another region is the same memory of this process.
    pub fn trace(&self) -> Trace {
        Trace { body: Arc::downgrade(self.body()) }
    }
}

impl Trace {
    /// Whether it is this one's.
    pub fn is(&self, region: &Region) -> bool {
        std::ptr::eq(self.body.as_ptr(), Arc::as_ptr(region.body()))
    }

    /// Whether this process has given the memory back.
    pub fn is_gone(&self) -> bool {
        self.body.strong_count() == 0
    }
}
