//! What is kept of a region holds nothing, and holds it again when it is asked to, whoever dies or forks.
//!
//! Each test has a process of its own, for the reason that `pool.rs` gives.

#![cfg(not(loom))]

mod support;

use std::io::{ErrorKind, Read, Write};

use ipmb_transport::region::{Access, Again, Pool, Region};
use support::{eventually, fork, in_own_process, wait_for};

const SIZE: usize = 100_000;

/// A region of a pool as another process has it, and the pool that cannot use it before that lets go.
fn lent() -> (Pool<u32>, Region, Region) {
    let pool = Pool::new("test", Access::ReadOnly);
    let ours = pool.take(SIZE, "", 1).expect("memory");
    ours.map(0, 5).expect("mapped").write(0, b"hello").expect("writable");
    let theirs = Region::open(ours.share_read_only(7).expect("shared"), 7).expect("good");
    (pool, ours, theirs)
}

fn kept() -> (Pool<u32>, Again) {
    let (pool, _ours, theirs) = lent();
    let again = theirs.keep().expect("sealed for good");
    (pool, again)
}

fn is_free(pool: &Pool<u32>) -> bool {
    pool.usage().held == 0
}

#[test]
fn what_is_kept_is_held_only_while_it_is_held() {
    in_own_process("what_is_kept_is_held_only_while_it_is_held", || {
        let (pool, mut again) = kept();
        assert!(is_free(&pool), "to keep it is not to hold it");
        let mut address = None;
        for _ in 0..3 {
            let region = again.hold().expect("held");
            let view = region.map(0, SIZE).expect("mapped");
            assert!(!view.is_writable());
            assert_eq!(*address.get_or_insert(view.as_ptr().addr()), view.as_ptr().addr(), "mapped once");
            let second = again.hold().expect("held twice");
            drop(region);
            assert!(!is_free(&pool));
            drop(view);
            assert!(!is_free(&pool), "two holds are one lock, until the last ends");
            let mut bytes = [0; 5];
            second.read(0, &mut bytes).expect("readable");
            assert_eq!(&bytes, b"hello");
            drop(second);
            assert!(is_free(&pool));
        }
        let last = again.hold().expect("held");
        drop(again);
        assert!(!is_free(&pool), "a hold outlives what it was made from");
        drop(last);
        assert!(is_free(&pool));
    });
}

/// Has somebody's lock keep everybody from being `holder`, as long as the descriptor is open.
fn keep_out(region: &Region, holder: i64) -> std::fs::File {
    let fd = region.share_read_only(9).expect("shared");
    let path = format!("/proc/self/fd/{}", fd.raw());
    let file = std::fs::File::options().read(true).write(true).open(path).expect("the same file");
    // SAFETY: all of it is numbers.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    (lock.l_type, lock.l_start, lock.l_len) = (libc::F_WRLCK as libc::c_short, holder, 1);
    // SAFETY: the kernel reads the one structure.
    let result = unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&file), libc::F_OFD_SETLK, &raw const lock) };
    assert_eq!(result, 0, "nobody else is that holder");
    file
}

#[test]
fn what_was_handed_on_behind_the_same_description_is_held_on() {
    in_own_process("what_was_handed_on_behind_the_same_description_is_held_on", || {
        let (pool, mut again) = kept();
        for _ in 0..2 {
            let region = again.hold().expect("held");
            // As where there is no /proc: no description of its own can be had, so it is ours that is sent.
            let in_the_way = keep_out(&region, 8);
            let third = region.share_read_only(8).expect("shared");
            drop((in_the_way, region));
            assert!(!is_free(&pool), "the third has nothing but our lock");
            drop(third);
        }
        drop(again);
        assert!(is_free(&pool));
    });
}

#[test]
fn many_threads_that_hold_and_let_go_never_leave_it_unlocked() {
    in_own_process("many_threads_that_hold_and_let_go_never_leave_it_unlocked", || {
        let (pool, again) = kept();
        let again = std::sync::Mutex::new(again);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let region = again.lock().expect("no panic").hold().expect("held");
                        assert!(!is_free(&pool));
                        drop(region);
                    }
                });
            }
        });
        assert!(is_free(&pool));
    });
}

#[test]
fn what_can_still_change_is_not_kept() {
    in_own_process("what_can_still_change_is_not_kept", || {
        let (_pool, ours, _theirs) = lent();
        assert!(ours.can_be_kept() && ours.keep().is_none(), "our own needs no keeping");
        let shared = Region::create("test", SIZE).expect("a region");
        let theirs = Region::open(shared.share_read_only(7).expect("shared"), 7).expect("good");
        assert!(!shared.can_be_kept() && theirs.keep().is_none(), "its holders may punch holes into it");
        let theirs = Region::open(theirs.share(8).expect("shared"), 8).expect("good");
        assert!(!theirs.can_be_kept());
    });
}

#[test]
fn the_lock_of_one_who_is_killed_is_gone() {
    in_own_process("the_lock_of_one_who_is_killed_is_gone", || {
        let pool: Pool<u32> = Pool::new("test", Access::ReadOnly);
        let ours = pool.take(SIZE, "", 1).expect("memory");
        let share = ours.share_read_only(7).expect("shared").into_owned();
        drop(ours);
        let (mut told, tell) = std::io::pipe().expect("a pipe");
        let pid = fork(|| {
            let fd = ipmb_transport::sys::Fd::adopt(share.try_clone().expect("a copy"));
            // SAFETY: the number is the child's copy, which nothing uses any more.
            unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&share)) };
            let theirs = Region::open(fd, 7).expect("good");
            let mut again = theirs.keep().expect("sealed for good");
            drop(theirs);
            let _ = (&tell).write_all(b"x");
            let held = again.hold().and_then(|region| region.map(0, SIZE));
            let _ = (&tell).write_all(if held.is_ok() { b"y" } else { b"n" });
            loop {
                // SAFETY: waits for the signal that ends it.
                unsafe { libc::pause() };
            }
        });
        drop((tell, share));
        let mut said = [0; 2];
        told.read_exact(&mut said).expect("it is there");
        assert_eq!(&said, b"xy");
        assert!(!is_free(&pool), "the child holds it");
        // SAFETY: the child is ours and not waited for yet.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        wait_for(pid);
        eventually("the kernel has dropped the lock", || is_free(&pool));
    });
}

#[test]
fn a_child_that_was_forked_while_it_was_held_holds_it_on() {
    in_own_process("a_child_that_was_forked_while_it_was_held_holds_it_on", || {
        let (pool, mut again) = kept();
        let view = again.hold().and_then(|region| region.map(0, SIZE)).expect("mapped");
        let (stay, go) = std::io::pipe().expect("a pipe");
        let child = fork(|| {
            // SAFETY: the parent's end.
            unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&go)) };
            let _ = (&stay).read(&mut [0]);
            // SAFETY: a byte of a view that the child has inherited.
            i32::from(unsafe { view.as_ptr().read_volatile() } != b'h')
        });
        drop(view);
        assert!(!is_free(&pool), "the child looks at it");
        drop(again.hold().expect("held again by the parent"));
        assert!(!is_free(&pool), "the child looks at it still");
        drop(go);
        assert_eq!(wait_for(child), 0);
        eventually("the child is gone", || is_free(&pool));
        drop(again.hold().expect("held again"));
        assert!(is_free(&pool));
    });
}

#[test]
fn a_child_that_was_forked_while_nobody_held_it_holds_nothing_later() {
    in_own_process("a_child_that_was_forked_while_nobody_held_it_holds_nothing_later", || {
        let (pool, mut again) = kept();
        drop(again.hold().and_then(|region| region.map(0, SIZE)).expect("mapped"));
        let (stay, go) = std::io::pipe().expect("a pipe");
        let child = fork(|| {
            // SAFETY: the parent's end.
            unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&go)) };
            let refused = again.hold().is_err_and(|error| error.kind() == ErrorKind::InvalidInput);
            let _ = (&stay).read(&mut [0]);
            i32::from(!refused)
        });
        let view = again.hold().and_then(|region| region.map(0, SIZE)).expect("mapped");
        assert!(!is_free(&pool));
        drop(view);
        assert!(is_free(&pool), "the child has inherited a mapping that is nobody's hold");
        drop(go);
        assert_eq!(wait_for(child), 0, "in the child it is dead");
    });
}
