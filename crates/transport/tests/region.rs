//! Who holds a region, whoever dies and however; who may write to it; and what is no region.
//!
//! Each test has a process of its own, for the reason that `pool.rs` gives.

#![cfg(not(loom))]

mod support;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use ipmb_transport::region::{Access, Region, containing};
use ipmb_transport::sys::{Fd, Received, Socket};
use ipmb_transport::{FreezeError, MemoryError};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate, memfd_create};
use support::{eventually, fork, in_child, in_own_process, wait_for};

const SIZE: usize = 100_000;

fn region() -> Region {
    Region::create("test", SIZE).expect("a region")
}

fn count(region: &Region) -> usize {
    region.ref_count().expect("alive")
}

/// A hold by somebody else, in this process.
fn other(region: &Region, holder: u64) -> Region {
    Region::open(region.share(holder).expect("shared"), holder).expect("good")
}

/// A process that holds `fd`, as a descriptor or as nothing but a mapping, until it is killed.
struct Holder(i32);

impl Holder {
    fn start(fd: Fd, map: bool) -> Holder {
        let (mut told, tell) = std::io::pipe().expect("a pipe");
        let given = fd.into_owned();
        let pid = fork(|| {
            if map {
                let fd = Fd::adopt(given.try_clone().expect("a copy"));
                let view = Region::open(fd, 9).expect("good").map(0, SIZE).expect("mapped");
                // SAFETY: the number is the child's copy, which nothing uses any more.
                unsafe { libc::close(given.as_raw_fd()) };
                // The region's own descriptor too: only the mapping is left, as in a process that wants few open.
                for number in 3..1024 {
                    if number != tell.as_raw_fd() {
                        // SAFETY: nothing in this child uses them any more.
                        unsafe { libc::close(number) };
                    }
                }
                std::mem::forget(view);
            }
            let _ = (&tell).write_all(b"x");
            loop {
                // SAFETY: waits for the signal that ends it.
                unsafe { libc::pause() };
            }
        });
        drop((tell, given));
        told.read_exact(&mut [0]).expect("it is there");
        Holder(pid)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // SAFETY: the child is ours and not waited for yet.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        wait_for(self.0);
    }
}

#[test]
fn a_region_is_page_aligned_zeroed_and_all_there() {
    in_own_process("a_region_is_page_aligned_zeroed_and_all_there", || {
        let region = region();
        let view = region.map(0, SIZE).expect("mapped");
        assert_eq!((region.size(), view.len(), view.as_ptr().addr() % 4096), (SIZE, SIZE, 0));
        assert!(view.is_writable());
        view.write(SIZE - 3, b"end").expect("inside");
        view.write(SIZE - 2, b"end").expect_err("beyond");
        let mut last = [1; 4];
        region.read(SIZE - 4, &mut last).expect("inside");
        assert_eq!(&last, b"\0end");
        assert_eq!(region.read(SIZE - 3, &mut last).expect_err("beyond").kind(), ErrorKind::InvalidInput);
        assert_eq!(region.map(SIZE, 1).expect_err("beyond").kind(), ErrorKind::InvalidInput);
        assert_eq!(region.map(usize::MAX, 2).expect_err("beyond").kind(), ErrorKind::InvalidInput);
        assert!(region.map(SIZE, 0).expect("the end is a place").is_empty());
    });
}

#[test]
fn a_size_of_nothing_or_of_everything_is_an_error() {
    in_own_process("a_size_of_nothing_or_of_everything_is_an_error", || {
        assert_eq!(Region::create("test", 0).expect_err("nothing").kind(), ErrorKind::InvalidInput);
        for size in [1 << 45, usize::MAX] {
            assert_eq!(Region::create("test", size).expect_err("everything").kind(), ErrorKind::OutOfMemory);
        }
    });
}

#[test]
fn different_holders_count_and_each_once() {
    in_own_process("different_holders_count_and_each_once", || {
        let region = region();
        let clone = region.clone();
        let _view = clone.map(0, 10).expect("mapped");
        assert_eq!(count(&region), 1);
        let (one, same, two) = (other(&region, 7), other(&region, 7), other(&region, 8));
        assert_eq!([&region, &one, &same, &two].map(count), [3; 4]);
        let view = two.map(5, 5).expect("mapped");
        drop((two, one));
        assert_eq!(count(&region), 3, "a view, and a second hold of the same");
        drop(same);
        assert_eq!(count(&region), 2);
        drop(region);
        drop((clone, _view));
        assert_eq!(count(view.region()), 1, "the maker is gone");
    });
}

#[test]
fn numbers_at_the_ends_count_too() {
    in_own_process("numbers_at_the_ends_count_too", || {
        let region = region();
        let ends: Vec<Region> = [0, 1, u64::MAX, u64::MAX - 1, 1 << 62].iter().map(|id| other(&region, *id)).collect();
        assert_eq!(count(&region), 1 + ends.len());
    });
}

#[test]
fn a_message_in_flight_counts_as_its_receiver() {
    in_own_process("a_message_in_flight_counts_as_its_receiver", || {
        let region = region();
        let (one, two) = Socket::pair().expect("a pair");
        let share = region.share(9).expect("shared");
        assert!(one.send(b"x", &[share.as_fd()]).expect("room"));
        drop(share);
        assert_eq!(count(&region), 2);
        let Received::Packet { mut fds, .. } = two.receive(&mut [0; 8]).expect("there") else { panic!("a packet") };
        assert_eq!(count(&region), 2);
        let received = Region::open(fds.remove(0), 9).expect("good");
        assert!(received.same(&region) && !received.same(&self::region()));
        drop(received);
        assert_eq!(count(&region), 1);
        let share = region.share(9).expect("shared");
        assert!(one.send(b"x", &[share.as_fd()]).expect("room"));
        drop((share, two));
        eventually("what nobody received is let go", || count(&region) == 1);
    });
}

#[test]
fn the_killed_hold_nothing() {
    in_own_process("the_killed_hold_nothing", || {
        for map in [false, true] {
            let region = region();
            let holder = Holder::start(region.share(9).expect("shared"), map);
            assert_eq!(count(&region), 2);
            drop(holder);
            eventually("the kernel has cleaned up", || count(&region) == 1);
        }
    });
}

#[test]
fn what_one_writes_the_other_reads() {
    in_own_process("what_one_writes_the_other_reads", || {
        let region = region();
        let there = other(&region, 1);
        assert_eq!(there.access(), Access::Shared);
        there.map(64, 5).expect("mapped").write(0, b"hello").expect("writable");
        let mut bytes = [0; 5];
        region.read(64, &mut bytes).expect("inside");
        assert_eq!(&bytes, b"hello");
        let private = region.map_private(64, 5).expect("mapped");
        private.write(0, b"alone").expect("writable");
        there.read(64, &mut bytes).expect("inside");
        assert_eq!(&bytes, b"hello", "a private copy is nobody else's");
    });
}

#[test]
fn a_share_for_reading_cannot_be_written() {
    in_own_process("a_share_for_reading_cannot_be_written", || {
        let region = region();
        let there = Region::open(region.share_read_only(1).expect("shared"), 1).expect("good");
        assert_eq!(there.access(), Access::ReadOnly);
        let view = there.map(0, 5).expect("mapped");
        assert!(!view.is_writable());
        assert_eq!(view.write(0, b"hello").expect_err("read-only").kind(), ErrorKind::PermissionDenied);
        assert!(matches!(there.freeze(), Err(FreezeError::Io(_))));
        assert!(matches!(region.freeze(), Err(FreezeError::Held(1))));
    });
}

#[test]
fn freezing_is_for_the_sole_holder_without_a_view() {
    in_own_process("freezing_is_for_the_sole_holder_without_a_view", || {
        let region = region();
        let view = region.map(0, 5).expect("mapped");
        view.write(0, b"hello").expect("writable");
        assert!(matches!(region.freeze(), Err(FreezeError::Viewed)));
        drop(view);
        let there = other(&region, 1);
        assert!(matches!(region.freeze(), Err(FreezeError::Held(1))));
        drop(there);
        assert!(!region.is_frozen());
        region.freeze().expect("alone");
        region.freeze().expect("again is nothing");
        assert!(region.is_frozen() && !region.map(0, 5).expect("mapped").is_writable());
        let there = other(&region, 1);
        assert!(there.is_frozen() && there.access() == Access::ReadOnly);
        let mut bytes = [0; 5];
        there.read(0, &mut bytes).expect("inside");
        assert_eq!(&bytes, b"hello");
        let private = there.map_private(0, 5).expect("mapped");
        private.write(0, b"alone").expect("one's own copy");
    });
}

#[test]
fn a_forked_child_keeps_a_view_and_so_the_right_to_write() {
    in_own_process("a_forked_child_keeps_a_view_and_so_the_right_to_write", || {
        let region = region();
        let view = region.map(0, 5).expect("mapped");
        view.write(0, b"hello").expect("writable");
        let (mut wait, go) = std::io::pipe().expect("a pipe");
        let child = fork(|| {
            // SAFETY: the parent's end.
            unsafe { libc::close(go.as_raw_fd()) };
            // SAFETY: five bytes are mapped, in the child too.
            let first = unsafe { view.as_ptr().read_volatile() };
            let dead = region.ref_count().is_err() && region.share(1).is_err();
            let unmapped = region.clone().map(0, 5).is_err() && region.map_private(0, 5).is_err();
            let lost = containing(view.as_ptr().addr(), 5).is_none();
            let _ = wait.read(&mut [0]);
            i32::from(!(first == b'h' && dead && unmapped && lost))
        });
        drop(view);
        assert!(matches!(region.freeze(), Err(FreezeError::Busy)), "the child could write");
        (&go).write_all(b"x").expect("the child waits");
        assert_eq!(wait_for(child), 0);
        region.freeze().expect("it is gone");
    });
}

#[test]
fn another_seals_what_we_wanted_to_freeze() {
    in_own_process("another_seals_what_we_wanted_to_freeze", || {
        let region = region();
        let share = region.share(1).expect("shared");
        fcntl_add_seals(&share, SealFlags::SEAL).expect("allowed to every holder");
        drop(share);
        assert!(matches!(region.freeze(), Err(FreezeError::Io(_))));
        assert!(region.map(0, 5).expect("mapped").is_writable(), "it is as it was");
    });
}

#[test]
fn an_address_leads_back_to_its_region() {
    in_own_process("an_address_leads_back_to_its_region", || {
        let region = region();
        let view = region.map(100, 1000).expect("mapped");
        let (found, offset) = containing(view.as_ptr().addr() + 28, 900).expect("it lies there");
        assert!(found.same(&region) && offset == 128);
        let base = view.as_ptr().addr() - 100;
        assert!(containing(base, SIZE).is_some());
        assert!(containing(base, SIZE + 1).is_none() && containing(base - 1, 2).is_none());
        assert!(containing(base + SIZE, 1).is_none() && containing(usize::MAX, 1).is_none());
        let private = region.map_private(0, 10).expect("mapped");
        assert!(containing(private.as_ptr().addr(), 10).is_none(), "nobody else's memory shows it");
        drop((found, view, region));
        assert!(containing(base, 1).is_some(), "the private view holds the region, which stays mapped");
        drop(private);
        assert!(containing(base, 1).is_none());
    });
}

fn memfd(size: u64, seals: SealFlags) -> Fd {
    let fd = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("memfd");
    ftruncate(&fd, size).expect("resize");
    if size > 0 {
        fallocate(&fd, FallocateFlags::empty(), 0, size).expect("memory");
    }
    fcntl_add_seals(&fd, seals).expect("seal");
    Fd::adopt(fd)
}

#[test]
fn what_can_shrink_or_grow_is_no_region() {
    in_own_process("what_can_shrink_or_grow_is_no_region", || {
        let good = SealFlags::SHRINK | SealFlags::GROW;
        assert!(Region::open(memfd(4096, good), 1).is_ok());
        for missing in [SealFlags::SHRINK, SealFlags::GROW, good] {
            let refused = Region::open(memfd(4096, good.difference(missing)), 1);
            assert!(matches!(refused, Err(MemoryError::Unsealed { .. })), "{refused:?}");
        }
    });
}

#[test]
fn what_is_not_all_there_is_no_region() {
    in_own_process("what_is_not_all_there_is_no_region", || {
        let good = SealFlags::SHRINK | SealFlags::GROW;
        let refused = Region::open(memfd(0, good), 1);
        assert!(matches!(refused, Err(MemoryError::Size { .. })), "{refused:?}");
        let fd = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("memfd");
        ftruncate(&fd, 1 << 30).expect("resize");
        fcntl_add_seals(&fd, good).expect("seal");
        let refused = Region::open(Fd::adopt(fd), 1);
        assert!(matches!(refused, Err(MemoryError::Sparse { .. })), "{refused:?}");
    });
}

#[test]
fn what_is_no_memory_file_is_no_region() {
    in_own_process("what_is_no_memory_file_is_no_region", || {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let (socket, _) = std::os::unix::net::UnixStream::pair().expect("sockets");
        let file = File::open(std::env::current_exe().expect("this program")).expect("a file");
        let strangers: [OwnedFd; 4] = [reader, writer, socket.into(), file.into()];
        for stranger in strangers {
            let refused = Region::open(Fd::adopt(stranger), 1);
            assert!(matches!(refused, Err(MemoryError::NotAFile | MemoryError::NotMemory)), "{refused:?}");
        }
        let path = format!("/dev/shm/ipmb-region-{}", std::process::id());
        let ordinary = File::options().read(true).write(true).create_new(true).open(&path).expect("a file");
        std::fs::remove_file(&path).expect("unlink");
        (&ordinary).write_all(&[1; 4096]).expect("room");
        let refused = Region::open(Fd::adopt(ordinary.into()), 1);
        assert!(matches!(refused, Err(MemoryError::Unsealed { .. })), "{refused:?}");
    });
}

#[test]
fn a_descriptor_that_cannot_be_read_is_no_region() {
    in_own_process("a_descriptor_that_cannot_be_read_is_no_region", || {
        let region = region();
        let share = region.share(1).expect("shared");
        for flags in [libc::O_WRONLY, libc::O_PATH] {
            let path = std::ffi::CString::new(format!("/proc/self/fd/{}", share.raw())).expect("no NUL");
            // SAFETY: the path is a string that ends.
            let number = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) };
            assert!(number >= 0);
            // SAFETY: just opened, and nobody else's.
            let fd: OwnedFd = unsafe { std::os::fd::FromRawFd::from_raw_fd(number) };
            assert!(matches!(Region::open(Fd::adopt(fd), 1), Err(MemoryError::Io(_))));
        }
    });
}

#[test]
fn somebody_who_locks_everything_keeps_nobody_from_sending() {
    in_own_process("somebody_who_locks_everything_keeps_nobody_from_sending", || {
        let region = region();
        let hostile = region.share(1).expect("shared");
        let lock = libc::flock { l_type: libc::F_WRLCK as i16, l_whence: 0, l_start: 0, l_len: 0, l_pid: 0 };
        // SAFETY: the kernel reads one structure.
        let locked = unsafe { libc::fcntl(hostile.raw(), libc::F_OFD_SETLK, &raw const lock) };
        // Our own lock is in the way of all but the bytes beside it.
        if locked != 0 {
            let half = libc::flock { l_start: 2, l_len: 1, ..lock };
            // SAFETY: as above.
            assert_eq!(unsafe { libc::fcntl(hostile.raw(), libc::F_OFD_SETLK, &raw const half) }, 0);
        }
        let share = region.share(2).expect("sent all the same");
        assert!(Region::open(share, 2).is_ok());
    });
}

#[test]
fn a_child_of_the_maker_is_another_holder() {
    in_own_process("a_child_of_the_maker_is_another_holder", || {
        let region = region();
        let given = region.share(3).expect("shared").into_owned();
        let code = in_child(move || {
            let there = Region::open(Fd::adopt(given), 3).expect("good");
            // The parent, and what it sent to us.
            let seen = there.ref_count().unwrap_or(0);
            let own = Region::create("child", 4096).expect("a region");
            let of_child = Region::open(own.share(4).expect("shared"), 4).expect("good").ref_count().unwrap_or(0);
            i32::from(seen != 2) + 2 * i32::from(of_child != 2)
        });
        assert_eq!(code, 0, "1: the parent's, 2: one's own");
    });
}
