//! Memory files and the seals that make them safe to read.
//!
//! Without `SHRINK` a peer can truncate the file under our mapping and have us killed by SIGBUS; without
//! `FUTURE_WRITE` (or `WRITE`) whoever got the descriptor could write to it, and its owner could punch holes;
//! without `SEAL` none of this would say anything about tomorrow. `GROW` keeps the bound on what the file may
//! cost whoever reads it.

use std::io;

use rustix::fs::{FileType, MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, fstatfs, memfd_create};
use rustix::io::Errno;

use super::descriptor::{Fd, create};
use crate::error::MemoryError;

/// Seals of a file.
pub(crate) type Seals = SealFlags;

/// Only its maker writes, through the mapping it made before sealing.
pub(crate) const RING_SEALS: Seals =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);
/// Nobody ever writes again.
pub(crate) const BLOB_SEALS: Seals =
    SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::WRITE).union(SealFlags::SEAL);

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

/// What the kernel says about a memory file that passed [`check`].
pub(crate) struct Facts {
    /// Its size in bytes, which can no longer change.
    pub(crate) size: u64,
    /// Bytes for which memory is really there.
    pub(crate) allocated: u64,
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
    let stat = fstat(fd).map_err(io::Error::from)?;
    let size = u64::try_from(stat.st_size).map_err(|_| MemoryError::NotMemory)?;
    let blocks = u64::try_from(stat.st_blocks).map_err(|_| MemoryError::NotMemory)?;
    Ok(Facts { size, allocated: blocks.saturating_mul(512) })
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
