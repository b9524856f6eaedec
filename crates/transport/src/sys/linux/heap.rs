//! Memory files on the heap, for Miri, which knows neither memory files nor shared mappings.
//!
//! The same names as in `memfd.rs` and `mapping.rs`: a descriptor is an event counter that nobody counts with, and stands for
//! a piece of the heap under its number. A second mapping of a file is a second pointer to that piece. So all that the
//! ring and what is written with `memory.rs` do with pointers runs as it is, and Miri says when a pointer, an alignment or
//! two accesses without an order between them are not what they should be.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::SealFlags;

use super::descriptor::{Fd, create};
use super::memfd::{Facts, Seals, page_size};
use crate::error::MemoryError;

/// What stands behind one number. One that is used again is another file.
#[derive(Debug, Default)]
struct File {
    seals: u32,
    piece: Option<Arc<Piece>>,
}

static FILES: Mutex<BTreeMap<RawFd, File>> = Mutex::new(BTreeMap::new());

/// Memory that goes when its last mapping does.
#[derive(Debug)]
struct Piece {
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it belongs to no thread; what may be done with the bytes is the business of those who own mappings.
unsafe impl Send for Piece {}
// SAFETY: as above.
unsafe impl Sync for Piece {}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout, and nobody maps it any more.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}

fn with<T>(fd: impl AsFd, then: impl FnOnce(&mut File) -> T) -> T {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    then(files.entry(fd.as_fd().as_raw_fd()).or_default())
}

pub(crate) fn create_memfd(_name: &str) -> io::Result<Fd> {
    let fd = create(|| Ok(eventfd(0, EventfdFlags::CLOEXEC)?))?;
    with(&fd, |file| *file = File::default());
    Ok(fd)
}

pub(crate) fn resize(fd: &Fd, size: usize) -> io::Result<()> {
    let layout = Layout::from_size_align(size, page_size()).map_err(io::Error::other)?;
    assert!(size > 0, "files of no bytes are not made here");
    // SAFETY: the layout has bytes.
    let base = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(io::ErrorKind::OutOfMemory)?;
    with(fd, |file| file.piece = Some(Arc::new(Piece { base, layout })));
    Ok(())
}

pub(crate) fn allocate(fd: &Fd, size: usize) -> io::Result<()> {
    resize(fd, size)
}

pub(crate) fn seal(fd: &Fd, seals: Seals) -> io::Result<()> {
    with(fd, |file| file.seals |= seals.bits());
    Ok(())
}

pub(crate) fn check(fd: &Fd, required: Seals) -> Result<Facts, MemoryError> {
    with(fd, |file| {
        let seals = SealFlags::from_bits_retain(file.seals);
        let Some(piece) = &file.piece else { return Err(MemoryError::NotMemory) };
        if !seals.contains(required) {
            return Err(MemoryError::Unsealed { missing: String::new() });
        }
        let size = piece.layout.size() as u64;
        Ok(Facts { size, allocated: size, seals, identity: (0, 0) })
    })
}

/// What a forked child finds at the addresses of a mapping. Nobody forks here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inherit {
    No,
    Yes,
}

/// The first `len` bytes of a file.
#[derive(Debug)]
pub(crate) struct Mapping {
    piece: Arc<Piece>,
    len: usize,
}

impl Mapping {
    pub(crate) fn writable(fd: &Fd, len: usize) -> io::Result<Mapping> {
        let piece = with(fd, |file| file.piece.clone()).ok_or(io::ErrorKind::InvalidInput)?;
        assert!(len <= piece.layout.size(), "beyond the end of the file");
        Ok(Mapping { piece, len })
    }

    pub(crate) fn shared(fd: &Fd, len: usize) -> io::Result<Mapping> {
        Mapping::writable(fd, len)
    }

    pub(crate) fn read_only(fd: &Fd, len: usize, _inherit: Inherit) -> io::Result<Mapping> {
        Mapping::writable(fd, len)
    }

    pub(crate) fn private(_fd: &Fd, _len: usize) -> io::Result<Mapping> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.piece.base
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}
