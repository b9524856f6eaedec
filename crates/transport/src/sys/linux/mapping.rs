//! Mappings of memory files, unmapped when dropped.
//!
//! Two kinds differ in what a forked child sees. Channel memory is not inherited: a child must not take part,
//! and by the time it drops the handle the addresses may be somebody else's, so it leaves them alone. What a
//! user looks at through a view is inherited, since the view must not fault in the child.

use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use super::descriptor::Fd;
use crate::fork;

/// What a forked child finds at the addresses of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inherit {
    /// Nothing.
    No,
    /// The same memory.
    Yes,
}

/// The first `len` bytes of a memory file in our address space.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
    inherit: Inherit,
    born: u64,
}

// SAFETY: a mapping is an address range of the process; it belongs to no thread. What may be done with the
// bytes is the business of the types that own it.
unsafe impl Send for Mapping {}
// SAFETY: as above; a shared reference only tells where the range is.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps for reading and writing; for the only writer, before it seals the file.
    pub(crate) fn writable(fd: &Fd, len: usize) -> io::Result<Mapping> {
        Mapping::new(fd, len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, Inherit::No)
    }

    /// Maps for reading and writing what several processes may write, and what a child inherits.
    pub(crate) fn shared(fd: &Fd, len: usize) -> io::Result<Mapping> {
        Mapping::new(fd, len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, Inherit::Yes)
    }

    /// Maps for reading. The caller has checked that the file is sealed against shrinking and has `len` bytes.
    pub(crate) fn read_only(fd: &Fd, len: usize, inherit: Inherit) -> io::Result<Mapping> {
        match Mapping::new(fd, len, ProtFlags::READ, MapFlags::SHARED, inherit) {
            // Before Linux 6.7 a file that is sealed against writing, behind a descriptor that could write, has no
            // shared mappings. Nothing in it changes, so a private one shows the same.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Mapping::new(fd, len, ProtFlags::READ, MapFlags::PRIVATE, inherit)
            }
            mapping => mapping,
        }
    }

    /// Maps a copy of one's own that comes to be page by page, where it is written.
    pub(crate) fn private(fd: &Fd, len: usize) -> io::Result<Mapping> {
        Mapping::new(fd, len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE, Inherit::Yes)
    }

    fn new(fd: &Fd, len: usize, protection: ProtFlags, kind: MapFlags, inherit: Inherit) -> io::Result<Mapping> {
        // Advice and generation have to belong together: no fork in between.
        let _guard = fork::guard();
        // SAFETY: the kernel chooses an address where nothing is mapped yet.
        let base = unsafe { mmap(ptr::null_mut(), len, protection, kind, fd, 0) }?;
        let mapping = Mapping {
            base: NonNull::new(base.cast()).expect("the kernel never maps at address zero unasked"),
            len,
            inherit,
            born: fork::generation(),
        };
        if inherit == Inherit::No {
            // SAFETY: the range is the one just mapped, and the advice changes nothing in this process.
            unsafe { madvise(base, len, Advice::LinuxDontFork) }?;
        }
        Ok(mapping)
    }

    /// First byte. Valid for `len` bytes while the mapping lives, in the process that made it.
    #[inline(always)]
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// How many bytes are mapped.
    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.inherit == Inherit::Yes || self.born == fork::generation() {
            // SAFETY: the range is mapped in this process and owned by `self`; nobody borrows from it now.
            let result = unsafe { munmap(self.base.as_ptr().cast::<c_void>(), self.len) };
            debug_assert!(result.is_ok(), "munmap of a range of our own: {result:?}");
        }
    }
}
