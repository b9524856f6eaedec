//! A large payload in a memory file of its own, immutable once sent.
//!
//! Sealed against writing as well as resizing, a blob can be looked at in place: what a reader has checked
//! stays so. A blob of which parts were never written is refused, for reading such a hole through a mapping
//! allocates memory on the reader's account, a gigabyte from a sender that spent nothing.

use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::slice;

use crate::error::MemoryError;
use crate::sys::{self, BLOB_SEALS, Fd, Inherit, Mapping};

/// A received payload.
#[derive(Debug)]
pub struct Blob {
    fd: Fd,
    len: u64,
}

impl Blob {
    /// Copies `parts` one after the other into a new memory file and seals it; the descriptor is for sending.
    pub fn create(parts: &[&[u8]]) -> io::Result<Fd> {
        let fd = sys::create_memfd("ipmb-blob")?;
        for part in parts {
            write_all(&fd, part)?;
        }
        sys::seal(&fd, BLOB_SEALS)?;
        Ok(fd)
    }

    /// The payload behind a descriptor that came with a record that promised `expected_len` bytes.
    pub fn open(fd: Fd, expected_len: u64) -> Result<Blob, MemoryError> {
        let facts = sys::check(&fd, BLOB_SEALS)?;
        let size = facts.size;
        if size != expected_len || usize::try_from(size).is_err() {
            return Err(MemoryError::Size { size, min: expected_len, max: expected_len });
        }
        if facts.allocated < size {
            return Err(MemoryError::Sparse { size, allocated: facts.allocated });
        }
        Ok(Blob { fd, len: size })
    }

    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies the first bytes out, as many as `buf` has.
    pub fn read_into(&self, buf: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            match rustix::io::pread(&self.fd, &mut buf[done..], done as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => done += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Maps it, for looking at it in place. The view needs neither the blob nor its descriptor any longer.
    pub fn map(&self) -> io::Result<MappedBlob> {
        let mapping = match self.len() {
            0 => None,
            len => Some(Mapping::read_only(&self.fd, len, Inherit::Yes)?),
        };
        Ok(MappedBlob { mapping })
    }

    /// The descriptor, to send the same payload on.
    pub fn fd(&self) -> &Fd {
        &self.fd
    }
}

/// A payload in our address space.
#[derive(Debug)]
pub struct MappedBlob {
    mapping: Option<Mapping>,
}

impl Deref for MappedBlob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.mapping {
            None => &[],
            // SAFETY: the range is mapped while `self` lives (in forked children too), and the seals found at
            // opening forbid every change of content and size for ever.
            Some(mapping) => unsafe { slice::from_raw_parts(mapping.base().as_ptr(), mapping.len()) },
        }
    }
}

fn write_all(fd: &Fd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(fd.as_fd(), bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
