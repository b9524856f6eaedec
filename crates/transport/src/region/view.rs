//! A part of a region in this process's address space.

use std::io;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use super::Region;
use super::body::Mapped;

/// Some bytes of a region, mapped. It keeps the region held, in forked children mapped too.
///
/// Others may write at any time to a region that is shared: whoever reads through the pointer has to live with bytes
/// that change, and must not check first and use then.
#[derive(Debug, Clone)]
pub struct View {
    mapped: Arc<Mapped>,
    region: Region,
    offset: usize,
    len: usize,
}

impl View {
    /// The range has been checked.
    pub(super) fn new(mapped: Arc<Mapped>, region: Region, offset: usize, len: usize) -> View {
        View { mapped, region, offset, len }
    }

    /// Its first byte. Valid for [`View::len`] bytes while the view lives; to be written only if
    /// [`View::is_writable`].
    pub fn as_ptr(&self) -> *mut u8 {
        let base = self.mapped.base();
        // SAFETY: the offset is inside the mapping (or its end), as was checked when the view was made.
        let place: NonNull<u8> = unsafe { base.add(self.offset) };
        place.as_ptr()
    }

    /// Bytes in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether bytes can be stored through it.
    pub fn is_writable(&self) -> bool {
        self.mapped.is_writable()
    }

    /// The region it is a part of.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Where in the region it begins.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Copies bytes in. They must not be in the same region.
    ///
    /// # Errors
    /// [`io::ErrorKind::PermissionDenied`] where nothing can be stored, [`io::ErrorKind::InvalidInput`] beyond the end.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        if !self.is_writable() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if offset > self.len || bytes.len() > self.len - offset {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: inside the view, as was just checked.
        let place = unsafe { self.as_ptr().add(offset) };
        // SAFETY: the range is mapped and writable. To the compiler the bytes of a region are nobody's: no reference to
        // them is ever made, and `bytes`, being one, is other memory. Another writer can only tear what arrives.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
        Ok(())
    }
}
