//! For tests that need a process of their own: to lower its limits, to fork it, to count its descriptors, or to
//! see an end at the very moment a descriptor is closed (a child that another test is just spawning holds a
//! copy of every descriptor until it calls exec).

#![allow(dead_code, reason = "each test file uses its own part")]

use std::os::fd::RawFd;
use std::process::Command;
use std::time::{Duration, Instant};

const CHILD: &str = "IPMB_TRANSPORT_TEST_CHILD";

/// Runs `body` in a process where the test called `name` is the only one and runs on the only thread. The
/// process is this test program again; a failure there is a failure here, with its output.
pub(crate) fn in_own_process(name: &str, body: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        return body();
    }
    let program = std::env::current_exe().expect("the test program");
    let output = Command::new(program)
        .args(["--exact", name, "--test-threads=1", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("the test program runs");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}", output.status);
    assert!(text.contains("1 passed"), "no test is called {name}:\n{text}");
}

/// Whether this process has a descriptor of that number. Safe in a forked child.
pub(crate) fn is_open(fd: RawFd) -> bool {
    // SAFETY: the call only asks for flags; a number that is not open is an error.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// How many descriptors this process has. Safe in a forked child.
pub(crate) fn count_open() -> usize {
    (0..1024).filter(|fd| is_open(*fd)).count()
}

/// Forks; the child runs `body` and exits with its value, which the parent gets.
pub(crate) fn in_child(body: impl FnOnce() -> i32) -> i32 {
    wait_for(fork(body))
}

/// Forks; the child runs `body` and exits with its value.
pub(crate) fn fork(body: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child calls nothing but `body`, which the tests keep to what works after a fork, and leaves
    // without running anything of its parent's.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
        // SAFETY: ends the child without its parent's exit handlers.
        unsafe { libc::_exit(code) };
    }
    pid
}

/// The exit value of a child, or 1000 and the signal that killed it.
pub(crate) fn wait_for(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the status is ours to write.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid);
    if libc::WIFSIGNALED(status) { 1000 + libc::WTERMSIG(status) } else { libc::WEXITSTATUS(status) }
}

/// Waits for a condition, within bounds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Allows this process no more than `extra` descriptors besides those it has.
pub(crate) fn allow_descriptors(extra: usize) {
    let limit = (0..).filter(|fd| !is_open(*fd)).nth(extra).expect("numbers go on");
    set_descriptor_limit(u64::try_from(limit).expect("a number"));
}

/// Sets the soft limit.
pub(crate) fn set_descriptor_limit(limit: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let old = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), ..old }).expect("a lower limit");
}

/// Becomes a user without privileges, if this is root.
pub(crate) fn become_plain_user() {
    if rustix::process::geteuid().is_root() {
        // SAFETY: changes the ids of this process only; it has no other threads that matter.
        let result = unsafe { libc::setresuid(65534, 65534, 65534) };
        assert_eq!(result, 0, "root may become nobody");
    }
}
