//! Memory files and the seals that make them safe to read.
//!
//! Without `SHRINK` a peer can truncate the file under our mapping and have us killed by SIGBUS; without
//! `FUTURE_WRITE` (or `WRITE`) whoever got the descriptor could write to it, and its owner could punch holes;
//! without `SEAL` none of this would say anything about tomorrow. `GROW` keeps the bound on what the file may
//! cost whoever reads it.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{
    FallocateFlags, FileType, MemfdFlags, Mode, OFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals,
    fcntl_getfl, fstat, fstatfs, ftruncate, memfd_create, open,
};
use rustix::io::Errno;

use super::descriptor::{Fd, create};
use crate::error::MemoryError;

/// Seals of a file.
pub(crate) type Seals = SealFlags;

/// Only its maker writes, through the mapping it made before sealing.
pub(crate) const RING_SEALS: Seals =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);
/// Nobody ever writes again.
pub(crate) const CONSTANT_SEALS: Seals =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE).union(SealFlags::SEAL);
/// What every region has from birth: its size is final.
pub(crate) const REGION_SEALS: Seals = SealFlags::SHRINK.union(SealFlags::GROW);
/// Nobody writes through mappings that are still to come; those who have one go on.
pub(crate) const CLOSED: Seals = SealFlags::FUTURE_WRITE;
/// Nobody writes any more.
pub(crate) const FROZEN: Seals = SealFlags::WRITE;
/// No further seals.
pub(crate) const SEALED: Seals = SealFlags::SEAL;

/// `TMPFS_MAGIC` of `linux/magic.h`: what `fstatfs` says of memory files with ordinary pages.
const TMPFS_MAGIC: u32 = 0x0102_1994;

/// A new empty memory file that can be sealed; not executable where the kernel knows how to forbid it.
pub(crate) fn create_memfd(name: &str) -> io::Result<Fd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    create(|| match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3 the flag is unknown.
        Err(Errno::INVAL) => Ok(memfd_create(name, flags)?),
        result => Ok(result?),
    })
}

/// Adds seals to a file of our own.
pub(crate) fn seal(fd: &Fd, seals: Seals) -> io::Result<()> {
    Ok(fcntl_add_seals(fd, seals)?)
}

/// The same for a file that we know to be a memory file.
pub(crate) fn facts(fd: &Fd) -> io::Result<Facts> {
    let seals = fcntl_get_seals(fd)?;
    let stat = fstat(fd)?;
    let (size, blocks) = (stat.st_size.unsigned_abs(), stat.st_blocks.unsigned_abs());
    Ok(Facts { size, allocated: blocks.saturating_mul(512), seals, identity: (stat.st_dev, stat.st_ino) })
}

/// The seals of a file now.
pub(crate) fn seals(fd: &Fd) -> io::Result<Seals> {
    Ok(fcntl_get_seals(fd)?)
}

/// Gives a new file its size; its memory comes page by page, when it is written.
pub(crate) fn resize(fd: &Fd, size: usize) -> io::Result<()> {
    Ok(ftruncate(fd, size as u64)?)
}

/// Gives a new file its size, and all of its memory now: later there is no error that a program could get for it.
pub(crate) fn allocate(fd: &Fd, size: usize) -> io::Result<()> {
    /// A signal undoes the step it comes in, so steps are short enough to get through between two.
    const STEP: u64 = 16 << 20;
    let size = size as u64;
    ftruncate(fd, size)?;
    let mut at = 0;
    while at < size {
        match fallocate(fd, FallocateFlags::empty(), at, STEP.min(size - at)) {
            Ok(()) => at += STEP,
            Err(Errno::INTR) => {}
            Err(Errno::NOSPC | Errno::NOMEM) => return Err(io::ErrorKind::OutOfMemory.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A second open file description of the same file, for reading alone or for writing too. It needs `/proc`.
pub(crate) fn reopen(fd: impl AsFd, writable: bool) -> io::Result<Fd> {
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let access = if writable { OFlags::RDWR } else { OFlags::RDONLY };
    create(|| Ok(open(path.as_str(), access | OFlags::CLOEXEC, Mode::empty())?))
}

/// Whether a descriptor can be read, and whether it can also be written.
pub(crate) fn access(fd: &Fd) -> io::Result<(bool, bool)> {
    let mode = fcntl_getfl(fd)? & OFlags::ACCMODE;
    Ok((mode == OFlags::RDONLY || mode == OFlags::RDWR, mode == OFlags::RDWR))
}

/// What the kernel says about a memory file that passed [`check`].
pub(crate) struct Facts {
    /// Its size in bytes, which can no longer change.
    pub(crate) size: u64,
    /// Bytes for which memory is really there.
    pub(crate) allocated: u64,
    /// Its seals, of which none goes away.
    pub(crate) seals: Seals,
    /// What no other file of the machine has at the same time: device and number.
    pub(crate) identity: (u64, u64),
}

/// Checks that a descriptor is a memory file under (at least) these seals. The size is read after the seals
/// are known to hold, so it is final.
pub(crate) fn check(fd: &Fd, required: Seals) -> Result<Facts, MemoryError> {
    let stat = fstat(fd).map_err(io::Error::from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(MemoryError::NotAFile);
    }
    if fstatfs(fd).map_err(io::Error::from)?.f_type as u32 != TMPFS_MAGIC {
        return Err(MemoryError::NotMemory);
    }
    let seals = match fcntl_get_seals(fd) {
        Ok(seals) => seals,
        Err(Errno::INVAL) => return Err(MemoryError::NotMemory),
        Err(error) => return Err(MemoryError::Io(error.into())),
    };
    if !seals.contains(required) {
        return Err(MemoryError::Unsealed { missing: names(required.difference(seals)) });
    }
    Ok(facts(fd)?)
}

fn names(seals: Seals) -> String {
    seals.iter_names().map(|(name, _)| name).collect::<Vec<_>>().join("+")
}

/// Bytes in a page.
pub(crate) fn page_size() -> usize {
    rustix::param::page_size()
}

/// The next whole number of pages.
pub(crate) fn round_to_pages(bytes: usize) -> usize {
    bytes.next_multiple_of(page_size())
}
