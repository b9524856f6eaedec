//! Who we are, how many descriptors we may have and how soon, and threads that no signal interrupts.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::thread;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::fork::TRACKED;

/// Raises the soft limit of open descriptors to the hard one, as far as children can be kept clean of them,
/// and returns what it is then. A limit that cannot be raised stays as it is.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let ceiling = limit.maximum.unwrap_or(u64::MAX).min(TRACKED as u64);
    if limit.current.is_some_and(|current| current < ceiling) {
        // Refused where a sandbox forbids it; the old limit is then the limit.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(ceiling), ..limit });
    }
    descriptor_limit()
}

/// How many descriptors this process may have open.
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Makes the kernel's table of this process's descriptors as long as it will ever have to be for most.
///
/// The table doubles when it is full, at 64, 128, 256 and 512 descriptors, and where several threads share it each doubling
/// waits until all processors have let go of the old one (`synchronize_rcu`): 5 to 20 ms in the middle of a join or of a
/// first send. With a single thread there is nobody to wait for, so this is done before the core thread is started; a
/// program that has threads by then is left alone. It costs the kernel 8 bytes a descriptor.
pub fn widen_descriptor_table() {
    const SLOTS: u64 = 1024;
    let alone = fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1);
    let last = SLOTS.min(descriptor_limit()).saturating_sub(1);
    if alone
        && let Ok(last) = i32::try_from(last)
        && let Ok(any) = eventfd(0, EventfdFlags::CLOEXEC)
    {
        // The table stays as long as it had to be for this duplicate, which ends here.
        drop(fcntl_dupfd_cloexec(any, last));
    }
}

/// Whether an error number of the system says that there are no descriptors left, here or on the machine.
pub fn is_descriptor_limit(code: i32) -> bool {
    matches!(code, libc::EMFILE | libc::ENFILE)
}

/// The user whose rights this process has.
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// This process, as its peers' kernel names it.
pub fn pid() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get().unsigned_abs()
}

/// Starts a thread that runs `body` with every signal blocked from its first instruction: a handler of the
/// user's program never runs there, and no call of ours is interrupted. Nobody joins it.
pub fn spawn_core_thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // A thread starts with its creator's mask, so ours is full while it is created.
    let mask = block_all_signals()?;
    let result = thread::Builder::new().name(name.to_owned()).spawn(body);
    restore_signals(&mask);
    result.map(drop)
}

fn block_all_signals() -> io::Result<libc::sigset_t> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset writes the set it is given.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    let mut old = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the first set was filled just above, the second is written by the call.
    let result = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::from_raw_os_error(result));
    }
    // SAFETY: pthread_sigmask succeeded and has written the old mask.
    Ok(unsafe { old.assume_init() })
}

fn restore_signals(mask: &libc::sigset_t) {
    // SAFETY: the mask is one that pthread_sigmask gave out; the old one is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut()) };
}
