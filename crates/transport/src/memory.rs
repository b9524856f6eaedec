//! Memory files with exactly one writer.
//!
//! [`OwnMemory`] is written by the process that made it and by nobody else, ever: it is mapped first and sealed
//! against every other writer before its descriptor can leave. [`PeerMemory`] is somebody's own memory as all
//! others see it: read-only, and changing at any moment.
//!
//! Bytes of a peer are plain memory to the compiler, which must not get the idea that reading them twice gives
//! the same: each copy out ends with a fence, so whatever is checked and used afterwards is the copy.

use std::io;
use std::ptr;

use crate::atomic::{Ordering, ReadWord, Word, compiler_fence, fence};
use crate::error::{MemoryError, OutOfRange};
use crate::sys::{self, Fd, Inherit, Mapping, RING_SEALS};

/// What is sent to a peer so that it can read our memory.
pub type MemoryFile = Fd;

/// Memory that this process writes and peers read.
#[derive(Debug)]
pub struct OwnMemory {
    mapping: Mapping,
}

impl OwnMemory {
    /// A zeroed memory file of `size` bytes (rounded up to pages), mapped and then sealed; `name` shows up in
    /// `/proc`. The descriptor is for sending; the memory stays when it is closed.
    pub fn create(name: &str, size: usize) -> io::Result<(OwnMemory, MemoryFile)> {
        OwnMemory::create_by(name, size, sys::resize)
    }

    /// The same with all of its memory there from birth, or an error.
    pub fn create_whole(name: &str, size: usize) -> io::Result<(OwnMemory, MemoryFile)> {
        OwnMemory::create_by(name, size, sys::allocate)
    }

    fn create_by(
        name: &str,
        size: usize,
        give: impl FnOnce(&Fd, usize) -> io::Result<()>,
    ) -> io::Result<(OwnMemory, MemoryFile)> {
        let size = sys::round_to_pages(size);
        let fd = sys::create_memfd(name)?;
        give(&fd, size)?;
        let mapping = Mapping::writable(&fd, size)?;
        sys::seal(&fd, RING_SEALS)?;
        Ok((OwnMemory { mapping }, fd))
    }

    /// Bytes in it.
    #[inline(always)]
    pub fn size(&self) -> usize {
        self.mapping.len()
    }

    /// The word at a multiple of 8.
    ///
    /// # Panics
    /// Beyond the end or unaligned.
    #[inline(always)]
    pub fn word(&self, offset: usize) -> &Word {
        assert!(word_fits(offset, self.size()), "no such word in our memory");
        // SAFETY: the eight bytes are inside the mapping, as was checked.
        let place = unsafe { self.mapping.base().add(offset) };
        // SAFETY: aligned, valid while `self` lives, and accessed as this atomic only.
        unsafe { place.cast::<Word>().as_ref() }
    }

    /// Copies bytes in, after everything stored before (a reader that sees one of them and fences sees that).
    ///
    /// # Panics
    /// Beyond the end.
    #[inline]
    pub fn copy_in(&mut self, offset: usize, bytes: &[u8]) {
        fence(Ordering::Release);
        self.put(offset, bytes);
    }

    /// Copies bytes in that a later Release store will publish.
    #[inline(always)]
    pub(crate) fn put(&mut self, offset: usize, bytes: &[u8]) {
        assert!(range_fits(offset, bytes.len(), self.size()), "beyond the end of our memory");
        // SAFETY: the range is inside the mapping, as was checked.
        let place = unsafe { self.mapping.base().as_ptr().add(offset) };
        // SAFETY: the range is valid; `bytes` is ordinary memory, which never overlaps a mapping that is
        // reached through `self` alone; `&mut self` keeps our other threads out.
        unsafe { copy_to(place, bytes) };
    }

    /// Copies bytes out again.
    ///
    /// # Panics
    /// Beyond the end.
    #[inline]
    pub fn copy_out(&self, offset: usize, buf: &mut [u8]) {
        assert!(range_fits(offset, buf.len(), self.size()), "beyond the end of our memory");
        // SAFETY: the range is inside the mapping, as was checked.
        let place = unsafe { self.mapping.base().as_ptr().add(offset) };
        // SAFETY: both ranges are valid and apart; writing needs `&mut self`, so nobody writes meanwhile.
        unsafe { ptr::copy_nonoverlapping(place, buf.as_mut_ptr(), buf.len()) };
    }
}

/// Memory that a peer writes and this process reads.
#[derive(Debug)]
pub struct PeerMemory {
    mapping: Mapping,
}

impl PeerMemory {
    /// Maps a peer's memory file, if it is one of `min` to `max` bytes under all seals. `max` also bounds what
    /// reading can cost: a hole that is read is filled on the reader's account.
    pub fn open(fd: &MemoryFile, min: usize, max: usize) -> Result<PeerMemory, MemoryError> {
        let size = sys::check(fd, RING_SEALS)?.size;
        let (min, max) = (min as u64, max as u64);
        if size < min || size > max {
            return Err(MemoryError::Size { size, min, max });
        }
        if size == 0 || !size.is_multiple_of(sys::page_size() as u64) {
            return Err(MemoryError::PartialPage { size });
        }
        Ok(PeerMemory { mapping: Mapping::read_only(fd, size as usize, Inherit::No)? })
    }

    /// Bytes in it.
    #[inline(always)]
    pub fn size(&self) -> usize {
        self.mapping.len()
    }

    /// The word at a multiple of 8.
    ///
    /// # Panics
    /// Beyond the end or unaligned: where a word is must not be the peer's choice.
    #[inline(always)]
    pub fn word(&self, offset: usize) -> &ReadWord {
        assert!(word_fits(offset, self.size()), "no such word in the peer's memory");
        // SAFETY: the eight bytes are inside the mapping, as was checked.
        let place = unsafe { self.mapping.base().add(offset) };
        // SAFETY: aligned, valid while `self` lives, only ever loaded, and changed by atomic stores.
        unsafe { place.cast::<ReadWord>().as_ref() }
    }

    /// Copies bytes out, once. They may be torn when the peer writes meanwhile: a protocol on top has to know.
    #[inline]
    pub fn copy_out(&self, offset: usize, buf: &mut [u8]) -> Result<(), OutOfRange> {
        self.get(offset, buf)?;
        fence(Ordering::Acquire);
        Ok(())
    }

    /// Copies bytes out that an earlier Acquire load has found to be there.
    #[inline(always)]
    pub(crate) fn get(&self, offset: usize, buf: &mut [u8]) -> Result<(), OutOfRange> {
        if !range_fits(offset, buf.len(), self.size()) {
            return Err(OutOfRange { offset, length: buf.len() });
        }
        // SAFETY: the range is inside the mapping, as was checked.
        let place = unsafe { self.mapping.base().as_ptr().add(offset) };
        // SAFETY: the range is valid, and the file cannot shrink. A peer that breaks its protocol can change the
        // source during the copy, which then holds any bytes; every value is a valid byte.
        unsafe { copy_from(place, buf) };
        compiler_fence(Ordering::SeqCst);
        Ok(())
    }
}

/// Copies `bytes` to `place`. Most records are short, for which a call of `memcpy` costs more than the copying:
/// two pieces that may overlap, one from each end, do it without counting.
///
/// # Safety
/// As many bytes are writable at `place`, and they are not those of `bytes`.
#[inline(always)]
unsafe fn copy_to(place: *mut u8, bytes: &[u8]) {
    match (bytes.len(), bytes.first_chunk(), bytes.last_chunk()) {
        // SAFETY: passed on.
        (8..=16, Some(first), Some(last)) => unsafe { ends_to::<8>(place, bytes.len(), first, last) },
        _ => match (bytes.len(), bytes.first_chunk(), bytes.last_chunk()) {
            // SAFETY: passed on.
            (17..=32, Some(first), Some(last)) => unsafe { ends_to::<16>(place, bytes.len(), first, last) },
            _ => match (bytes.len(), bytes.first_chunk(), bytes.last_chunk()) {
                // SAFETY: passed on.
                (33..=64, Some(first), Some(last)) => unsafe { ends_to::<32>(place, bytes.len(), first, last) },
                // SAFETY: passed on.
                _ => unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) },
            },
        },
    }
}

/// # Safety
/// `len` bytes, at least `N`, are writable at `place`.
#[inline(always)]
unsafe fn ends_to<const N: usize>(place: *mut u8, len: usize, first: &[u8; N], last: &[u8; N]) {
    // SAFETY: the first `N` of the bytes.
    unsafe { place.cast::<[u8; N]>().write_unaligned(*first) };
    // SAFETY: still among the bytes.
    let end = unsafe { place.add(len - N) };
    // SAFETY: the last `N` of the bytes.
    unsafe { end.cast::<[u8; N]>().write_unaligned(*last) };
}

/// Copies the bytes at `place` to `buf`; the mirror of [`copy_to`].
///
/// # Safety
/// As many bytes are readable at `place`, and they are not those of `buf`.
#[inline(always)]
unsafe fn copy_from(place: *const u8, buf: &mut [u8]) {
    match buf.len() {
        // SAFETY: passed on.
        8..=16 => unsafe { ends_from::<8>(place, buf) },
        // SAFETY: passed on.
        17..=32 => unsafe { ends_from::<16>(place, buf) },
        // SAFETY: passed on.
        33..=64 => unsafe { ends_from::<32>(place, buf) },
        // SAFETY: passed on.
        _ => unsafe { ptr::copy_nonoverlapping(place, buf.as_mut_ptr(), buf.len()) },
    }
}

/// # Safety
/// As many bytes as in `buf`, at least `N`, are readable at `place`.
#[inline(always)]
unsafe fn ends_from<const N: usize>(place: *const u8, buf: &mut [u8]) {
    let len = buf.len();
    // SAFETY: the first `N` of the bytes.
    let first = unsafe { place.cast::<[u8; N]>().read_unaligned() };
    // SAFETY: still among the bytes.
    let end = unsafe { place.add(len - N) };
    // SAFETY: the last `N` of the bytes.
    let last = unsafe { end.cast::<[u8; N]>().read_unaligned() };
    buf[..N].copy_from_slice(&first);
    buf[len - N..].copy_from_slice(&last);
}

#[inline(always)]
fn word_fits(offset: usize, size: usize) -> bool {
    offset.is_multiple_of(8) && range_fits(offset, 8, size)
}

#[inline(always)]
fn range_fits(offset: usize, length: usize, size: usize) -> bool {
    offset <= size && length <= size - offset
}
