//! Waiting, locking and the rest of what the operating system does for us.

#![cfg(not(loom))]

mod support;

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use ipmb_transport::MemoryError;
use ipmb_transport::sys::{self, Event, Events, Fd, Interest, LockFile, Poller, Signal, Socket};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use support::in_own_process;

const NOW: Option<Duration> = Some(Duration::ZERO);

fn look(poller: &Poller) -> Vec<Event> {
    let mut events = Events::new();
    let count = poller.wait(&mut events, NOW).expect("a poller of ours");
    let told: Vec<Event> = events.iter().collect();
    assert_eq!(told.len(), count);
    told
}

fn readable(token: u64) -> Event {
    Event { token, readable: true, hangup: false }
}

#[test]
fn reading_is_told_as_long_as_there_is_something() {
    let poller = Poller::new().expect("a poller");
    let (one, other) = Socket::pair().expect("a pair");
    poller.add(other.fd().as_fd(), 7, Interest::READ).expect("add");
    assert!(look(&poller).is_empty());
    one.ring();
    assert_eq!(look(&poller), [readable(7)]);
    assert_eq!(look(&poller), [readable(7)]);
    poller.modify(other.fd().as_fd(), 7, Interest::NONE).expect("modify");
    assert!(look(&poller).is_empty());
    poller.modify(other.fd().as_fd(), 8, Interest::READ).expect("modify");
    assert_eq!(look(&poller), [readable(8)]);
    other.receive(&mut [0; 8]).expect("a bell");
    assert!(look(&poller).is_empty());
    one.ring();
    poller.remove(other.fd().as_fd()).expect("remove");
    assert!(look(&poller).is_empty());
}

#[test]
fn a_hangup_is_told_once_and_packets_do_not_wake() {
    in_own_process("a_hangup_is_told_once_and_packets_do_not_wake", || {
        let poller = Poller::new().expect("a poller");
        let (one, other) = Socket::pair().expect("a pair");
        poller.add(other.fd().as_fd(), 7, Interest::HANGUP).expect("add");
        for _ in 0..3 {
            one.ring();
            assert!(look(&poller).is_empty());
        }
        drop(one);
        let told = look(&poller);
        assert!(matches!(told[..], [Event { token: 7, hangup: true, .. }]), "{told:?}");
        assert!(look(&poller).is_empty(), "once");
        poller.modify(other.fd().as_fd(), 7, Interest::READ).expect("modify");
        for _ in 0..2 {
            let told = look(&poller);
            assert!(matches!(told[..], [Event { readable: true, hangup: true, .. }]), "{told:?}");
        }
        poller.modify(other.fd().as_fd(), 7, Interest::HANGUP).expect("modify");
        assert_eq!(look(&poller).len(), 1, "asked anew, told anew");
        assert!(look(&poller).is_empty());
    });
}

#[test]
fn an_end_is_told_to_who_wants_to_know_nothing_once_at_most() {
    in_own_process("an_end_is_told_to_who_wants_to_know_nothing_once_at_most", || {
        let poller = Poller::new().expect("a poller");
        let (one, other) = Socket::pair().expect("a pair");
        poller.add(other.fd().as_fd(), 7, Interest::NONE).expect("add");
        one.ring();
        assert!(look(&poller).is_empty());
        drop(one);
        assert!(look(&poller).len() <= 1);
        assert!(look(&poller).is_empty());
    });
}

#[test]
fn more_events_than_fit_are_told_by_the_next_looks() {
    let poller = Poller::new().expect("a poller");
    let signals: Vec<Signal> = (0..150).map(|_| Signal::new().expect("a signal")).collect();
    for (token, signal) in (0..).zip(&signals) {
        poller.add(signal.as_fd(), token, Interest::READ).expect("add");
        signal.set();
    }
    let mut told = Vec::new();
    while told.len() < signals.len() {
        let events = look(&poller);
        assert!(!events.is_empty());
        for event in events {
            assert!(signals[event.token as usize].clear(), "told twice");
            told.push(event.token);
        }
    }
    assert!(look(&poller).is_empty());
}

#[test]
fn waits_end_in_time_and_not_before() {
    let poller = Poller::new().expect("a poller");
    let signal = Signal::new().expect("a signal");
    poller.add(signal.as_fd(), 1, Interest::READ).expect("add");
    let mut events = Events::new();
    for micros in [100, 300, 2_500, 20_000] {
        let time = Duration::from_micros(micros);
        let start = Instant::now();
        assert_eq!(poller.wait(&mut events, Some(time)).expect("a wait"), 0);
        assert!(start.elapsed() >= time, "{micros}");
        let start = Instant::now();
        assert_eq!(sys::poll(&[signal.as_fd()], Some(time)).expect("a wait"), 0);
        assert!(start.elapsed() >= time, "{micros}");
    }
    signal.set();
    for timeout in [NOW, Some(Duration::MAX), None] {
        assert_eq!(poller.wait(&mut events, timeout).expect("a wait"), 1);
        assert_eq!(sys::poll(&[signal.as_fd()], timeout).expect("a wait"), 1);
        assert_eq!(sys::poll(&[signal.as_fd(); 9], timeout).expect("a wait"), 9);
    }
    assert_eq!(sys::poll(&[poller.as_fd()], NOW).expect("a wait"), 1, "a poller can be waited for");
    assert_eq!(sys::poll(&[], Some(Duration::from_micros(100))).expect("a wait"), 0);
}

#[test]
fn a_wait_is_ended_by_another_thread() {
    let signal = Signal::new().expect("a signal");
    thread::scope(|scope| {
        let waiter = scope.spawn(|| sys::poll(&[signal.as_fd()], Some(Duration::from_secs(20))));
        signal.set();
        assert_eq!(waiter.join().expect("the waiter").expect("a wait"), 1);
    });
    signal.set();
    assert!(signal.clear(), "set twice is set once");
    assert!(!signal.clear());
}

#[test]
fn a_signal_interrupts_a_wait_and_that_is_told() {
    in_own_process("a_signal_interrupts_a_wait_and_that_is_told", || {
        extern "C" fn nothing(_: libc::c_int) {}
        let handler: extern "C" fn(libc::c_int) = nothing;
        // SAFETY: all zeros is a valid action: no flags (not even to restart calls) and an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as usize;
        // SAFETY: the handler does nothing.
        let result = unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
        assert_eq!(result, 0);
        // SAFETY: names the calling thread.
        let waiter = unsafe { libc::pthread_self() };
        thread::spawn(move || {
            loop {
                thread::sleep(Duration::from_millis(10));
                // SAFETY: the waiter lives until the process ends.
                unsafe { libc::pthread_kill(waiter, libc::SIGALRM) };
            }
        });
        let kind = |result: io::Result<usize>| result.expect_err("interrupted").kind();
        let poller = Poller::new().expect("a poller");
        for timeout in [None, Some(Duration::from_secs(20))] {
            let mut events = Events::new();
            assert_eq!(kind(poller.wait(&mut events, timeout)), ErrorKind::Interrupted);
            assert_eq!(kind(sys::poll(&[poller.as_fd()], timeout)), ErrorKind::Interrupted);
        }
    });
}

fn second(lock: &LockFile) -> LockFile {
    LockFile::from_fd(lock.fd().try_clone().expect("a second")).expect("a lock of ours")
}

#[test]
fn a_lock_has_one_holder_and_goes_to_the_next() {
    in_own_process("a_lock_has_one_holder_and_goes_to_the_next", || {
        let first = LockFile::create().expect("a lock");
        let other = second(&first);
        assert!(first.try_lock().expect("locks"));
        assert!(first.try_lock().expect("locks"), "it is ours already");
        assert!(!other.try_lock().expect("locks"));
        drop(first);
        assert!(other.try_lock().expect("locks"));
    });
}

#[test]
fn what_a_holder_leaves_is_there_after_its_death() {
    in_own_process("what_a_holder_leaves_is_there_after_its_death", || {
        let lock = LockFile::create().expect("a lock");
        assert_eq!(lock.left(), 0);
        let inherited = lock.fd().try_clone().expect("a second").into_owned();
        let holder = support::fork(move || {
            let lock = LockFile::from_fd(Fd::adopt(inherited)).expect("a lock");
            assert!(lock.try_lock().expect("locks"));
            lock.leave(u32::MAX);
            loop {
                thread::park();
            }
        });
        support::eventually("the child has left it", || lock.left() == u64::from(u32::MAX));
        let child = rustix::process::Pid::from_raw(holder).expect("a child");
        rustix::process::kill_process(child, rustix::process::Signal::KILL).expect("it is there");
        assert_eq!(support::wait_for(holder), 1000 + libc::SIGKILL);
        assert_eq!((lock.left(), second(&lock).left()), (u64::from(u32::MAX), u64::from(u32::MAX)));
        lock.leave(7);
        assert_eq!(second(&lock).left(), 7);
    });
}

#[test]
fn a_lock_does_not_live_on_in_what_was_sent() {
    in_own_process("a_lock_does_not_live_on_in_what_was_sent", || {
        let first = LockFile::create().expect("a lock");
        assert!(first.try_lock().expect("locks"));
        let (one, _never_read) = Socket::pair().expect("a pair");
        assert!(one.send(b"lock", &[first.fd().as_fd()]).expect("open"));
        let other = second(&first);
        assert!(!other.try_lock().expect("locks"));
        drop(first);
        assert!(other.try_lock().expect("locks"), "the copy in the queue holds nothing");
    });
}

#[test]
fn a_stopped_holder_keeps_the_lock_and_a_killed_one_does_not() {
    in_own_process("a_stopped_holder_keeps_the_lock_and_a_killed_one_does_not", || {
        let lock = LockFile::create().expect("a lock");
        let inherited = lock.fd().try_clone().expect("a second").into_owned();
        let holder = support::fork(move || {
            let lock = LockFile::from_fd(Fd::adopt(inherited)).expect("a lock");
            assert!(lock.try_lock().expect("locks"));
            loop {
                thread::park();
            }
        });
        let taken = || !second(&lock).try_lock().expect("locks");
        support::eventually("the child has the lock", taken);
        for signal in [libc::SIGSTOP, libc::SIGCONT, libc::SIGSTOP] {
            // SAFETY: a signal to a child of our own.
            unsafe { libc::kill(holder, signal) };
            assert!(taken());
        }
        // SAFETY: as above.
        unsafe { libc::kill(holder, libc::SIGKILL) };
        assert_eq!(support::wait_for(holder), 1000 + libc::SIGKILL);
        assert!(lock.try_lock().expect("locks"));
    });
}

#[test]
fn what_is_no_lock_is_refused() {
    let unsealed = memfd_create("x", MemfdFlags::ALLOW_SEALING).expect("memfd");
    let refused = LockFile::from_fd(Fd::adopt(unsealed));
    assert!(matches!(refused, Err(MemoryError::Unsealed { .. })), "{refused:?}");
    let full = memfd_create("x", MemfdFlags::ALLOW_SEALING).expect("memfd");
    rustix::io::write(&full, b"x").expect("write");
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    fcntl_add_seals(&full, seals).expect("seal");
    let refused = LockFile::from_fd(Fd::adopt(full));
    assert!(matches!(refused, Err(MemoryError::Size { size: 1, .. })), "{refused:?}");
    let (pipe, _write) = rustix::pipe::pipe().expect("a pipe");
    let refused = LockFile::from_fd(Fd::adopt(pipe));
    assert!(matches!(refused, Err(MemoryError::NotAFile)), "{refused:?}");
}

#[test]
fn core_threads_see_no_signals_and_ours_sees_what_it_saw() {
    let mask = || {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("proc");
        let line = status.lines().find(|line| line.starts_with("SigBlk:")).expect("a mask").to_owned();
        u64::from_str_radix(line.trim_start_matches("SigBlk:").trim(), 16).expect("hexadecimal")
    };
    let before = mask();
    let (tell, told) = mpsc::channel();
    sys::spawn_core_thread("ipmb-core", move || {
        let name = thread::current().name().map(str::to_owned);
        tell.send((mask(), name)).expect("somebody listens");
    })
    .expect("a thread");
    let (blocked, name) = told.recv().expect("it runs");
    assert_eq!(name.as_deref(), Some("ipmb-core"));
    for signal in 1..=64 {
        let unblockable = [libc::SIGKILL, libc::SIGSTOP, 32, 33].contains(&signal);
        assert!(unblockable || blocked >> (signal - 1) & 1 == 1, "signal {signal}");
    }
    assert_eq!(mask(), before);
}

#[test]
fn the_descriptor_limit_is_raised_as_far_as_it_goes() {
    in_own_process("the_descriptor_limit_is_raised_as_far_as_it_goes", || {
        use rustix::process::{Resource, getrlimit};
        support::set_descriptor_limit(100);
        assert_eq!(sys::descriptor_limit(), 100);
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!(sys::raise_descriptor_limit(), hard.min(1 << 20));
        assert_eq!(sys::descriptor_limit(), hard.min(1 << 20));
    });
}

#[test]
fn the_descriptor_table_is_long_before_there_are_threads() {
    in_own_process("the_descriptor_table_is_long_before_there_are_threads", || {
        let slots = || {
            let status = fs::read_to_string("/proc/self/status").expect("proc");
            let line = status.lines().find_map(|line| line.strip_prefix("FDSize:")).expect("a line");
            line.trim().parse::<u64>().expect("a number")
        };
        sys::raise_descriptor_limit();
        let (before, open) = (slots(), support::count_open());
        let (go, wait) = mpsc::channel::<()>();
        let other = thread::spawn(move || wait.recv());
        sys::widen_descriptor_table();
        assert_eq!(slots(), before, "with several threads it would have to wait");
        drop(go);
        other.join().expect("it ends").expect_err("nothing was sent");
        // A forked child has one thread, whatever its parent has.
        let child = support::in_child(|| {
            sys::widen_descriptor_table();
            i32::from(slots() >= 1024) + 2 * i32::from(support::count_open() == open)
        });
        assert_eq!(child, 3, "1: it is long, 2: nothing more is open");
    });
}

#[test]
fn descriptors_used_up_are_known_by_their_error() {
    in_own_process("descriptors_used_up_are_known_by_their_error", || {
        support::allow_descriptors(1);
        let error = Socket::pair().expect_err("two are needed");
        assert!(sys::is_descriptor_limit(error.raw_os_error().expect("from the system")));
        let first = Signal::new().expect("the last");
        let error = Signal::new().expect_err("none left");
        assert!(sys::is_descriptor_limit(error.raw_os_error().expect("from the system")));
        drop(first);
        Signal::new().expect("one is free again");
    });
}

#[test]
fn the_clock_goes_on_and_random_bytes_differ() {
    let start = sys::now();
    let before = Instant::now();
    thread::sleep(Duration::from_millis(2));
    let passed = sys::now() - start;
    assert!(passed >= 2_000_000 && u128::from(passed) <= before.elapsed().as_nanos() + 1_000_000_000);
    let mut bytes = [[0_u8; 300]; 2];
    for part in &mut bytes {
        sys::fill_random(part);
    }
    assert_ne!(bytes[0], bytes[1]);
    sys::fill_random(&mut []);
    assert_eq!(sys::pid(), std::process::id());
    assert_eq!(sys::effective_uid(), rustix::process::geteuid().as_raw());
}
