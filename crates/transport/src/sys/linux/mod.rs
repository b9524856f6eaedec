//! Linux 5.1 and later (`F_SEAL_FUTURE_WRITE`), by subject.

mod byte_lock;
mod clock;
mod descriptor;
mod lingering;
mod lock;
mod machine;
mod mapping;
mod memfd;
mod poll;
mod process;
mod socket;

pub(crate) use byte_lock::{first_lock, lock_byte, unlock_byte};
pub use clock::{fill_random, now};
pub(crate) use descriptor::close_raw;
pub use descriptor::{Fd, create};
pub use lock::LockFile;
pub(crate) use machine::check_memory;
pub(crate) use mapping::{Inherit, Mapping};
pub(crate) use memfd::{
    CLOSED, FROZEN, REGION_SEALS, RING_SEALS, SEALED, Seals, access, allocate, check, create_memfd, facts, page_size,
    reopen, round_to_pages, seal, seals,
};
pub use poll::{Event, Events, Interest, Poller, Signal, poll};
pub use process::{
    descriptor_limit, effective_uid, is_descriptor_limit, pid, raise_descriptor_limit, spawn_core_thread,
    widen_descriptor_table,
};
pub use socket::{DOORBELL, Listener, MAX_FDS, Peercred, Received, Socket};
