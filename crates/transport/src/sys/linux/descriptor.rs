//! A descriptor that belongs to one process and not to its forked children.
//!
//! Closing, too, is inside the fork guard: between forgetting the number and closing it a child would inherit
//! it unnoticed, and the other way round the number could already be somebody else's when it is forgotten.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::lingering;
use crate::fork;

/// The number a dead handle shows. No descriptor ever has it (the kernel's own ceiling is lower), so every
/// call on it fails with `EBADF` instead of reaching a stranger's file.
const DEAD: RawFd = RawFd::MAX;

/// An owned descriptor: close-on-exec, closed when dropped, and closed in every forked child, where the
/// handle is dead from then on.
#[derive(Debug)]
pub struct Fd {
    inner: Option<OwnedFd>,
    born: u64,
}

impl Fd {
    /// Takes over `fd`. To keep a fork from coming between its making and this call, do both in a
    /// [`fork::guard`] (or let [`create`] do it).
    pub fn adopt(fd: OwnedFd) -> Fd {
        fork::register(fd.as_raw_fd());
        Fd { born: fork::generation(), inner: Some(fd) }
    }

    /// Gives the descriptor up; from now on children inherit it.
    ///
    /// # Panics
    /// In a child of the process that made it: there is nothing to give.
    pub fn into_owned(mut self) -> OwnedFd {
        assert!(self.is_alive(), "a descriptor from before the fork");
        let _guard = fork::guard();
        let fd = self.inner.take().expect("taken only here and in drop");
        fork::unregister(fd.as_raw_fd());
        fd
    }

    /// A second descriptor for the same open file.
    pub fn try_clone(&self) -> io::Result<Fd> {
        Fd::duplicate(self.as_fd())
    }

    /// An owned second descriptor for the open file behind a borrowed one.
    pub fn duplicate(fd: BorrowedFd<'_>) -> io::Result<Fd> {
        create(|| fd.try_clone_to_owned())
    }

    /// An owned second descriptor for the open file behind a number, as a program hands it over; `None` if the number is
    /// not open. What it is, is the program's business.
    pub fn duplicate_number(number: RawFd) -> io::Result<Option<Fd>> {
        let made = create(|| {
            // Standard streams that a program has closed leave low numbers free, which its children take for theirs.
            // SAFETY: the call takes any number, and makes a new descriptor or fails.
            let made = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
            if made < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the kernel has just made it, and nobody else knows it.
            Ok(unsafe { OwnedFd::from_raw_fd(made) })
        });
        match made {
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => Ok(None),
            made => made.map(Some),
        }
    }

    /// The number, for messages and for waiting elsewhere. In a forked child it is one that nobody has.
    pub fn raw(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }

    /// Whether it is open: not in a forked child of the process that made it.
    pub fn is_alive(&self) -> bool {
        self.born == fork::generation()
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.inner {
            Some(fd) if self.is_alive() => fd.as_fd(),
            // SAFETY: the number is not -1, and no open descriptor can have it, so nobody's is borrowed.
            _ => unsafe { BorrowedFd::borrow_raw(DEAD) },
        }
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        let Some(fd) = self.inner.take() else { return };
        let _guard = fork::guard();
        if !self.is_alive() {
            // The child's handler has closed it; the number may be somebody else's by now.
            return mem::forget(fd);
        }
        fork::unregister(fd.as_raw_fd());
        if lingering::may_wait(&fd) {
            return lingering::close(fd);
        }
        drop(fd);
    }
}

/// Makes a descriptor and registers it with no fork in between.
pub fn create(make: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<Fd> {
    let _guard = fork::guard();
    make().map(Fd::adopt)
}

/// Closes a descriptor by number, in the child of a fork only.
pub(crate) fn close_raw(fd: RawFd) {
    // SAFETY: only numbers registered by their owners come here, in a child whose owners are dead handles
    // that never use their numbers again.
    unsafe { rustix::io::close(fd) };
}
