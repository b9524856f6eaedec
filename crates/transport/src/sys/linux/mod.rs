//! Linux 5.1 and later (`F_SEAL_FUTURE_WRITE`), by subject.

mod byte_lock;
mod clock;
mod descriptor;
#[cfg(miri)]
mod heap;
mod lingering;
mod lock;
mod machine;
#[cfg(not(miri))]
mod mapping;
#[cfg_attr(miri, allow(dead_code))]
mod memfd;
mod poll;
mod process;
mod socket;

pub(crate) use byte_lock::{first_lock, lock_byte, unlock_byte};
pub use clock::{fill_random, now};
pub(crate) use descriptor::close_raw;
pub use descriptor::{Fd, create};
#[cfg(miri)]
pub(crate) use heap::{Inherit, Mapping, allocate, check, create_memfd, resize, seal};
pub use lock::LockFile;
pub(crate) use machine::check_memory;
#[cfg(not(miri))]
pub(crate) use mapping::{Inherit, Mapping};
pub(crate) use memfd::{
    CLOSED, FROZEN, REGION_SEALS, RING_SEALS, SEALED, Seals, access, facts, page_size, reopen, round_to_pages, seals,
};
#[cfg(not(miri))]
pub(crate) use memfd::{allocate, check, create_memfd, resize, seal};
pub use poll::{Event, Events, Interest, Poller, Signal, poll};
pub use process::{
    descriptor_limit, effective_uid, is_descriptor_limit, pid, raise_descriptor_limit, spawn_core_thread,
    widen_descriptor_table,
};
pub use socket::{DOORBELL, Listener, MAX_FDS, Peercred, Received, Socket};
