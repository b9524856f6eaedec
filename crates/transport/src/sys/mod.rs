//! What the crate needs from an operating system, one directory per system behind the same names.
//!
//! The contract: descriptors that a forked child does not keep ([`Fd`]); packet sockets with descriptors that
//! never block and never raise a signal ([`Listener`], [`Socket`]); waiting ([`Poller`], [`Signal`],
//! [`poll`]); a lock that the kernel gives up when its holder dies ([`LockFile`]); memory files with seals; a
//! clock that all processes share; limits and identities. Policy stays above.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub use linux::*;

#[cfg(not(target_os = "linux"))]
compile_error!("ipmb-transport knows Linux only; another system needs its own module beside sys/linux");
