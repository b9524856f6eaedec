//! A memory file as this process has it, and the hold on it.
//!
//! They are two things because a pool keeps the file, mapped and warm, after the last hold is gone. Whether anybody in
//! this process holds it is the count of an `Arc`; whether anybody else does, the kernel tells.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::{Access, holders, kept, places};
use crate::error::{FreezeError, MemoryError};
use crate::fork;
use crate::sys::{self, Fd, Inherit, Mapping};

/// Seals that a region is not used again with: somebody has closed it to writers, or to further seals.
const CLOSING: sys::Seals = sys::FROZEN.union(sys::CLOSED).union(sys::SEALED);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The whole file in our address space. It is inherited by children, whose views of it must not fault.
#[derive(Debug)]
pub(super) struct Mapped {
    mapping: Mapping,
    writable: bool,
    /// What is written there is the region's.
    shared: bool,
}

impl Mapped {
    /// A mapping through which the region itself is seen.
    pub(super) fn new(mapping: Mapping, writable: bool) -> Arc<Mapped> {
        Arc::new(Mapped { mapping, writable, shared: true })
    }

    pub(super) fn base(&self) -> NonNull<u8> {
        self.mapping.base()
    }

    pub(super) fn is_writable(&self) -> bool {
        self.writable
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        if self.shared {
            places::remove(self.mapping.base().addr().get());
        }
    }
}

/// One memory file behind one description of ours. Locks of this file are only taken with fork kept out, or a child
/// could find them taken for ever.
#[derive(Debug)]
pub(super) struct Body {
    fd: Fd,
    size: usize,
    access: Access,
    born: u64,
    made_here: bool,
    identity: (u64, u64),
    /// Under which our own description is locked, where it is.
    byte: i64,
    mapped: Mutex<Option<Arc<Mapped>>>,
    /// A page of our own description, where the mapping is of another.
    anchor: OnceLock<Mapping>,
    /// The hold on it, while there is one.
    hold: Mutex<Weak<Hold>>,
    /// A descriptor was sent that shares our description, so the kernel cannot tell whether it is still about.
    lent: AtomicBool,
    /// Nobody in this process uses its memory for anything else any more: a child was forked while it was held and may
    /// have a view of it, or somebody has yet to look at it whom the kernel does not know.
    spent: AtomicBool,
    /// Its seals are final, and with them its size and its memory.
    settled: bool,
    /// It outlives its holds, to be held again: see [`Again`](super::Again).
    again: AtomicBool,
}

impl Body {
    /// A new file, locked for this process if all may write to it.
    pub(super) fn create(name: &str, size: usize, access: Access) -> io::Result<Arc<Body>> {
        if size == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a region of 0 bytes: give 1 or more"));
        }
        sys::check_memory(size)?;
        let fd = sys::create_memfd(name)?;
        sys::allocate(&fd, size)?;
        let mapping = match access {
            Access::Shared => {
                sys::seal(&fd, sys::REGION_SEALS)?;
                None
            }
            Access::ReadOnly => {
                let mapping = Mapping::shared(&fd, size)?;
                sys::seal(&fd, sys::RING_SEALS)?;
                Some(mapping)
            }
        };
        let identity = sys::facts(&fd)?.identity;
        let byte = holders::byte_of(holders::of_this_process());
        let body = Arc::new(Body::new(fd, size, access, byte, identity, true));
        if let Some(mapping) = mapping {
            body.keep(&mut lock(&body.mapped), Mapped::new(mapping, true));
        }
        Ok(body)
    }

    /// A file that somebody sent.
    pub(super) fn open(fd: Fd, holder: u64) -> Result<Arc<Body>, MemoryError> {
        let facts = sys::check(&fd, sys::REGION_SEALS)?;
        let size = facts.size;
        if size == 0 || usize::try_from(size).is_err() {
            return Err(MemoryError::Size { size, min: 1, max: usize::MAX as u64 });
        }
        if facts.allocated < size {
            return Err(MemoryError::Sparse { size, allocated: facts.allocated });
        }
        let (readable, writable) = sys::access(&fd)?;
        if !readable {
            return Err(MemoryError::Io(io::ErrorKind::PermissionDenied.into()));
        }
        let open = writable && !facts.seals.intersects(sys::FROZEN.union(sys::CLOSED));
        let access = if open { Access::Shared } else { Access::ReadOnly };
        let body = Body::new(fd, size as usize, access, holders::byte_of(holder), facts.identity, false);
        Ok(Arc::new(Body { settled: facts.seals.contains(sys::RING_SEALS), ..body }))
    }

    fn new(fd: Fd, size: usize, access: Access, byte: i64, identity: (u64, u64), made_here: bool) -> Body {
        Body {
            identity,
            fd,
            size,
            access,
            born: fork::generation(),
            made_here,
            byte,
            mapped: Mutex::new(None),
            anchor: OnceLock::new(),
            hold: Mutex::new(Weak::new()),
            lent: AtomicBool::new(false),
            spent: AtomicBool::new(false),
            settled: false,
            again: AtomicBool::new(false),
        }
    }

    pub(super) fn fd(&self) -> &Fd {
        &self.fd
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn access(&self) -> Access {
        self.access
    }

    pub(super) fn byte(&self) -> i64 {
        self.byte
    }

    pub(super) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Whether it is this process's, and not that of one it was forked from.
    pub(super) fn alive(&self) -> bool {
        self.born == fork::generation()
    }

    fn check_alive(&self) -> io::Result<()> {
        if self.alive() {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidInput, "the region belongs to the parent process"))
    }

    /// The hold on it, if there is one.
    pub(super) fn current(&self) -> Option<Arc<Hold>> {
        let _guard = fork::guard();
        lock(&self.hold).upgrade()
    }

    /// The mapping, made at the first call.
    ///
    /// A child inherits mappings that views of its parent keep: those views go on, but new ones would let it write to
    /// memory that it does not hold, and that may be somebody else's by then.
    pub(super) fn mapped(self: &Arc<Body>) -> io::Result<Arc<Mapped>> {
        let _guard = fork::guard();
        self.check_alive()?;
        let mut mapped = lock(&self.mapped);
        if let Some(mapped) = &*mapped {
            return Ok(mapped.clone());
        }
        // A frozen one is a program's own and comes once; what a payload lay in comes again. What outlives its holds keeps
        // its own mapping.
        let comes_again = self.access == Access::ReadOnly
            && !self.again.load(Ordering::Relaxed)
            && !sys::seals(&self.fd)?.contains(sys::FROZEN);
        if comes_again && let Some((known, anchor)) = kept::mapping(&self.fd, self.identity, self.size) {
            // Nothing is there yet: it is set here alone, under the lock above.
            let _ = self.anchor.set(anchor);
            return Ok(self.keep(&mut mapped, known));
        }
        let shared = match self.access {
            Access::Shared => Mapping::shared(&self.fd, self.size),
            Access::ReadOnly => Err(io::ErrorKind::PermissionDenied.into()),
        };
        // Frozen, by us or by somebody else.
        let new = match shared {
            Ok(mapping) => Mapped::new(mapping, true),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Mapped::new(Mapping::read_only(&self.fd, self.size, Inherit::Yes)?, false)
            }
            Err(error) => return Err(error),
        };
        Ok(self.keep(&mut mapped, new))
    }

    /// A mapping of one's own, which shows to nobody else what is written to it.
    pub(super) fn mapped_privately(&self) -> io::Result<Arc<Mapped>> {
        self.check_alive()?;
        let mapping = Mapping::private(&self.fd, self.size)?;
        Ok(Arc::new(Mapped { mapping, writable: true, shared: false }))
    }

    fn keep(self: &Arc<Body>, place: &mut Option<Arc<Mapped>>, mapped: Arc<Mapped>) -> Arc<Mapped> {
        places::add(mapped.base().addr().get(), self.size, Arc::downgrade(self));
        place.insert(mapped).clone()
    }

    /// Copies bytes out without mapping it.
    pub(super) fn read(&self, offset: usize, buf: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            match rustix::io::pread(&self.fd, &mut buf[done..], (offset + done) as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => done += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// See [`Region::freeze`](super::Region::freeze).
    pub(super) fn freeze(&self) -> Result<(), FreezeError> {
        let _guard = fork::guard();
        let mut mapped = lock(&self.mapped);
        let seals = sys::seals(&self.fd)?;
        if seals.contains(sys::FROZEN) {
            return Ok(());
        }
        if self.access == Access::ReadOnly {
            return Err(FreezeError::Io(io::ErrorKind::PermissionDenied.into()));
        }
        let others = holders::others(&self.fd, self.byte)?;
        if others > 0 {
            return Err(FreezeError::Held(others));
        }
        if mapped.as_ref().is_some_and(|mapped| Arc::strong_count(mapped) > 1) {
            return Err(FreezeError::Viewed);
        }
        *mapped = None;
        match sys::seal(&self.fd, sys::FROZEN) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Err(FreezeError::Busy),
            result => Ok(result?),
        }
    }

    /// A description of its own for another holder. Where there is no `/proc` to open one through, or somebody's locks
    /// are in the way, it is ours that is sent: then the kernel counts it as ours, and we cannot see it.
    pub(super) fn share(&self, holder: u64, writable: bool) -> io::Result<Fd> {
        match sys::reopen(&self.fd, writable) {
            Ok(own) if sys::lock_byte(&own, holders::byte_of(holder)).is_ok_and(|locked| locked) => return Ok(own),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {}
            Err(error) => return Err(error),
        }
        let fd = self.fd.try_clone()?;
        self.lent.store(true, Ordering::Relaxed);
        Ok(fd)
    }

    /// Whether holders of it exist that nobody can count.
    pub(super) fn is_lent(&self) -> bool {
        self.lent.load(Ordering::Relaxed)
    }

    /// Whether, with nobody holding it, it is as good as new.
    pub(super) fn is_reusable(&self) -> bool {
        if self.spent.load(Ordering::Relaxed) {
            return false;
        }
        // Of a shared one others may have sealed it, or given its memory away.
        self.access == Access::ReadOnly
            || sys::facts(&self.fd).is_ok_and(|now| !now.seals.intersects(CLOSING) && now.allocated >= now.size)
    }
}

/// What makes a body of somebody else's last longer than its holds.
impl Body {
    /// Whether it can be held again as it is: it is somebody else's, and nothing about it can change but its bytes.
    pub(super) fn can_come_again(&self) -> bool {
        self.settled && !self.made_here && self.alive()
    }

    /// Has its holds give up their lock when they end; without it that is left to the last descriptor and mapping.
    pub(super) fn set_again(&self, again: bool) {
        self.again.store(again, Ordering::Relaxed);
    }

    /// The same behind a description that no child has inherited.
    pub(super) fn renewed(&self) -> io::Result<Arc<Body>> {
        let fd = sys::reopen(&self.fd, false)?;
        let body = Body::new(fd, self.size, self.access, self.byte, self.identity, false);
        Ok(Arc::new(Body { settled: true, again: AtomicBool::new(true), ..body }))
    }

    /// Holds it, whether it is held already or not. `None`: nobody here holds it, and there were forks since `forks`.
    pub(super) fn hold_again(self: &Arc<Body>, forks: u64) -> io::Result<Option<Arc<Hold>>> {
        let _guard = fork::guard();
        self.check_alive()?;
        let mut current = lock(&self.hold);
        if let Some(hold) = current.upgrade() {
            return Ok(Some(hold));
        }
        if fork::forks() != forks {
            return Ok(None);
        }
        if !sys::lock_byte(&self.fd, self.byte)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let hold = Arc::new(Hold { body: self.clone(), pooled: false, forks });
        *current = Arc::downgrade(&hold);
        Ok(Some(hold))
    }

    /// Its memory is used for nothing else any more: somebody may yet look at it whom the kernel does not know.
    pub(super) fn spend(&self) {
        self.spent.store(true, Ordering::Relaxed);
    }

    /// Whether this process alone ever writes to it.
    pub(super) fn is_own(&self) -> bool {
        self.made_here && self.access == Access::ReadOnly && self.alive()
    }
}

/// A hold of this process.
#[derive(Debug)]
pub(super) struct Hold {
    body: Arc<Body>,
    /// Of a region that a pool keeps; the others' locks go with their descriptions.
    pooled: bool,
    forks: u64,
}

impl Hold {
    /// Holds a file that nobody in this process holds.
    pub(super) fn new(body: &Arc<Body>, pooled: bool) -> Arc<Hold> {
        let _guard = fork::guard();
        if body.made_here && body.access == Access::Shared {
            // What came from others was locked when it was sent. Without the lock a count is wrong, but no reuse unsafe.
            let _ = sys::lock_byte(&body.fd, body.byte);
        }
        let hold = Arc::new(Hold { body: body.clone(), pooled, forks: fork::forks() });
        *lock(&body.hold) = Arc::downgrade(&hold);
        hold
    }

    pub(super) fn body(&self) -> &Arc<Body> {
        &self.body
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let again = self.body.again.load(Ordering::Relaxed);
        // Whoever it was lent to has no other lock than ours, which then goes with the description.
        if !(self.pooled || again) || !self.body.alive() || self.body.is_lent() {
            return;
        }
        if fork::forks() != self.forks {
            // A child may have a view of it, which holds it on.
            self.body.spent.store(true, Ordering::Relaxed);
            if again {
                return;
            }
        }
        if again {
            let _guard = fork::guard();
            let current = lock(&self.body.hold);
            // Somebody may hold it again already, under the same lock.
            if current.strong_count() == 0 {
                sys::unlock_byte(&self.body.fd, self.body.byte);
            }
        } else if self.body.access == Access::Shared {
            sys::unlock_byte(&self.body.fd, self.body.byte);
        }
    }
}
