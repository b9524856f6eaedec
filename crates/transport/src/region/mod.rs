//! Memory that several processes hold at once, and that is reused once nobody does.
//!
//! A region is a memory file. Its data starts at 0, so it is aligned to a page; it is sealed against shrinking and
//! growing from birth, and all of its memory is there from birth: running out of memory is an error for whoever makes
//! it, never a SIGBUS for whoever looks at it. Of two kinds ([`Access`]) one is for a program's own purposes and
//! writable by every holder until it is frozen, the other is written by its maker alone.
//!
//! Who holds it is counted by the kernel ([`holders`]), so that neither SIGKILL nor a lost message leaves it held for
//! ever, and nobody reuses what is still looked at. [`Region`] is a hold of this process: its clones and [`View`]s share
//! it, and the last of them lets go. [`Pool`] makes regions and reuses them.

mod again;
mod body;
mod holders;
mod kept;
mod places;
mod pool;
mod view;

use std::io;
use std::sync::Arc;

use self::body::{Body, Hold};
use crate::error::{FreezeError, MemoryError};
use crate::sys::{self, Fd};

pub use again::{Again, Trace};
pub use kept::forget_mappings;
pub use pool::{Pool, Usage};
pub use view::View;

/// Who may write to a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody who holds it, until it is frozen.
    Shared,
    /// Its maker alone, and nobody when it has come from somebody else.
    ReadOnly,
}

/// A hold of a region by this process. Clones share it.
#[derive(Debug, Clone)]
pub struct Region {
    hold: Arc<Hold>,
}

impl Region {
    /// A new region of `size` bytes, zeroed, for everybody who comes to hold it to write to; `name` shows up in `/proc`.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for no bytes, [`io::ErrorKind::OutOfMemory`] for more than there is.
    pub fn create(name: &str, size: usize) -> io::Result<Region> {
        Body::create(name, size, Access::Shared).map(|body| Region { hold: Hold::new(&body, false) })
    }

    /// The region behind a descriptor that a peer sent, held under `holder` from when it was sent.
    ///
    /// # Errors
    /// When it is not a memory file whose size is final and whose memory is all there.
    pub fn open(fd: Fd, holder: u64) -> Result<Region, MemoryError> {
        Body::open(fd, holder).map(|body| Region { hold: Hold::new(&body, false) })
    }

    fn body(&self) -> &Arc<Body> {
        self.hold.body()
    }

    /// Whether it is this process's: a forked child holds nothing of what its parent does.
    pub fn is_alive(&self) -> bool {
        self.body().alive()
    }

    /// Bytes in it.
    pub fn size(&self) -> usize {
        self.body().size()
    }

    /// Who may write, as far as this process is concerned. Freezing does not change it.
    pub fn access(&self) -> Access {
        self.body().access()
    }

    /// A view of a part of it, mapped at the first call and then kept mapped. It is writable while the region is.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] beyond the end, and in a forked child, where only views made before work; what the
    /// kernel says when there is no room for the mapping.
    pub fn map(&self, offset: usize, len: usize) -> io::Result<View> {
        self.check_range(offset, len)?;
        Ok(View::new(self.body().mapped()?, self.clone(), offset, len))
    }

    /// A view of a copy of a part of it that nobody else sees: writable, and copied page by page as it is written.
    /// What the region's writers do later may or may not show.
    ///
    /// # Errors
    /// See [`Region::map`].
    pub fn map_private(&self, offset: usize, len: usize) -> io::Result<View> {
        self.check_range(offset, len)?;
        Ok(View::new(self.body().mapped_privately()?, self.clone(), offset, len))
    }

    /// A view that may be written to: of the memory itself, or, where that is read-only, of a copy that nobody else sees.
    ///
    /// # Errors
    /// See [`Region::map`].
    pub fn map_writable(&self, offset: usize, len: usize) -> io::Result<View> {
        if self.access() == Access::Shared {
            let view = self.map(offset, len)?;
            // Somebody may have frozen it.
            if view.is_writable() {
                return Ok(view);
            }
        }
        self.map_private(offset, len)
    }

    /// How many hold it, this process counting as one: different holders of descriptors, mappings and messages in
    /// flight, whatever number of each. What others do meanwhile may be in it or not.
    ///
    /// # Errors
    /// In a forked child, which holds nothing.
    pub fn ref_count(&self) -> io::Result<usize> {
        Ok(1 + holders::others(self.body().fd(), self.body().byte())?)
    }

    /// Whether nobody can write to it any more.
    pub fn is_frozen(&self) -> bool {
        sys::seals(self.body().fd()).is_ok_and(|seals| seals.contains(sys::FROZEN))
    }

    /// Makes it read-only for everybody and for ever. A second time changes nothing.
    ///
    /// # Errors
    /// See [`FreezeError`].
    pub fn freeze(&self) -> Result<(), FreezeError> {
        self.body().freeze()
    }

    /// A descriptor to send, which counts as a hold by `holder` from now on until its last copy, mapping and message
    /// in flight are gone: what whoever gets it may do is what we may.
    ///
    /// # Errors
    /// When this process is out of descriptors, or a forked child.
    pub fn share(&self, holder: u64) -> io::Result<Fd> {
        self.body().share(holder, self.access() == Access::Shared && !self.is_frozen())
    }

    /// The same through which nobody writes, whatever the region's kind.
    ///
    /// # Errors
    /// See [`Region::share`].
    pub fn share_read_only(&self, holder: u64) -> io::Result<Fd> {
        self.body().share(holder, false)
    }

    /// Copies bytes out without mapping it. They may be torn when somebody writes meanwhile.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] beyond the end.
    pub fn read(&self, offset: usize, buf: &mut [u8]) -> io::Result<()> {
        self.check_range(offset, buf.len())?;
        self.body().read(offset, buf)
    }

    /// Whether both are the same memory.
    pub fn same(&self, other: &Region) -> bool {
        self.body().identity() == other.body().identity()
    }

    fn check_range(&self, offset: usize, len: usize) -> io::Result<()> {
        if offset <= self.size() && len <= self.size() - offset {
            return Ok(());
        }
        let text = format!("{len} bytes at {offset} are beyond the end of a region of {} bytes", self.size());
        Err(io::Error::new(io::ErrorKind::InvalidInput, text))
    }
}

/// The region that holds these bytes of this process's memory, and where in it they begin; only if it is held and
/// can be sent on.
pub fn containing(address: usize, len: usize) -> Option<(Region, usize)> {
    let (body, offset) = places::find(address, len)?;
    body.current().map(|hold| (Region { hold }, offset))
}
