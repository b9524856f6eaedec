//! A pool hands out again what nobody holds, and only that.
//!
//! Each test has a process of its own: a child that another test starts has every descriptor until it calls exec, and
//! holds what they hold for that moment.

#![cfg(not(loom))]

mod support;

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ipmb_transport::region::{Access, Pool, Region};
use ipmb_transport::sys::{Fd, Received, Socket, now};
use rustix::fs::{FallocateFlags, SealFlags, fallocate, fcntl_add_seals};
use support::{eventually, fork, in_own_process, wait_for};

const SIZE: usize = 100_000;

fn pool() -> Pool<u32> {
    Pool::new("test", Access::ReadOnly)
}

fn take(pool: &Pool<u32>, note: u32) -> Region {
    pool.take(SIZE, "", note).expect("memory")
}

fn address(region: &Region) -> usize {
    region.map(0, 1).expect("mapped").as_ptr().addr()
}

#[test]
fn what_is_free_is_used_again_mapped_as_it_is() {
    in_own_process("what_is_free_is_used_again_mapped_as_it_is", || {
        for access in [Access::ReadOnly, Access::Shared] {
            let pool = Pool::new("test", access);
            let first = pool.take(SIZE, "", 1).expect("memory");
            let place = address(&first);
            let held = pool.take(SIZE, "", 2).expect("memory");
            assert!(!held.same(&first));
            assert!(pool.collect().is_empty());
            drop(first);
            let again = pool.take(SIZE, "", 3).expect("memory");
            assert_eq!(address(&again), place);
            assert_eq!(pool.collect(), [1]);
            drop((held, again));
            let mut notes = pool.collect();
            notes.sort_unstable();
            assert_eq!((notes, pool.collect()), (vec![2, 3], vec![]));
        }
    });
}

#[test]
fn what_others_hold_is_not_used_again() {
    in_own_process("what_others_hold_is_not_used_again", || {
        for access in [Access::ReadOnly, Access::Shared] {
            let pool = Pool::new("test", access);
            let region = pool.take(SIZE, "", 1).expect("memory");
            let place = address(&region);
            let (one, two) = Socket::pair().expect("a pair");
            let share = region.share(5).expect("shared");
            assert!(one.send(b"x", &[share.as_fd()]).expect("room"));
            drop((share, region));
            let elsewhere = || {
                let other = pool.take(SIZE, "", 2).expect("memory");
                assert_ne!(address(&other), place);
                assert!(!pool.collect().contains(&1));
            };
            elsewhere();
            let Received::Packet { mut fds, .. } = two.receive(&mut [0; 8]).expect("there") else { panic!("a packet") };
            elsewhere();
            let received = Region::open(fds.remove(0), 5).expect("good");
            let view = received.map(0, SIZE).expect("mapped");
            let onwards = received.share(6).expect("shared");
            drop(received);
            elsewhere();
            drop(view);
            elsewhere();
            drop(onwards);
            assert!(pool.collect().contains(&1));
            let mut found = Vec::new();
            while found.len() < 2 {
                found.push(pool.take(SIZE, "", 3).expect("memory"));
            }
            assert!(found.iter().any(|region| address(region) == place));
        }
    });
}

#[test]
fn what_the_killed_held_is_used_again() {
    in_own_process("what_the_killed_held_is_used_again", || {
        let pool = pool();
        let region = take(&pool, 1);
        let given = region.share(5).expect("shared").into_owned();
        let child = fork(|| {
            let view = Region::open(Fd::adopt(given.try_clone().expect("a copy")), 5).expect("good").map(0, SIZE);
            std::mem::forget(view.expect("mapped"));
            loop {
                // SAFETY: waits for the signal that ends it.
                unsafe { libc::pause() };
            }
        });
        drop((region, given));
        assert!(pool.collect().is_empty());
        // SAFETY: the child is ours.
        unsafe { libc::kill(child, libc::SIGKILL) };
        wait_for(child);
        eventually("it is free", || pool.collect() == [1]);
    });
}

#[test]
fn a_view_in_this_process_keeps_it_from_being_used_again() {
    in_own_process("a_view_in_this_process_keeps_it_from_being_used_again", || {
        let pool = pool();
        let region = take(&pool, 1);
        let view = region.map(0, 10).expect("mapped");
        drop(region);
        assert!(!take(&pool, 2).same(view.region()));
        assert_eq!(pool.usage().held, view.region().size());
        drop(view);
        assert_eq!(pool.usage().held, 0);
    });
}

#[test]
fn sizes_and_tags_are_kept_apart() {
    in_own_process("sizes_and_tags_are_kept_apart", || {
        let pool = pool();
        drop(pool.take(SIZE, "a", 1).expect("memory"));
        let free = pool.usage().free;
        assert!(free >= SIZE);
        let _other = pool.take(SIZE, "b", 2).expect("memory");
        let _larger = pool.take(free + 1, "a", 3).expect("memory");
        let _much_smaller = pool.take(free / 2 - 1, "a", 4).expect("memory");
        assert_eq!(pool.usage().free, free, "none of them was right");
        let _half = pool.take(free / 2, "a", 5).expect("memory");
        assert_eq!(pool.usage().free, 0);
        assert_eq!(pool.take(0, "a", 6).expect_err("nothing").kind(), ErrorKind::InvalidInput);
        assert_eq!(pool.take(1 << 50, "a", 6).expect_err("everything").kind(), ErrorKind::OutOfMemory);
    });
}

#[test]
fn the_smallest_that_fits_is_taken() {
    in_own_process("the_smallest_that_fits_is_taken", || {
        let pool = pool();
        let sizes = [3 * SIZE / 2, SIZE, 2 * SIZE];
        let all = sizes.map(|size| pool.take(size, "", 0).expect("memory"));
        let place = address(&all[1]);
        drop(all);
        assert_eq!(address(&take(&pool, 1)), place);
    });
}

#[test]
fn many_that_are_held_for_long_do_not_hide_the_free() {
    in_own_process("many_that_are_held_for_long_do_not_hide_the_free", || {
        ipmb_transport::sys::raise_descriptor_limit();
        let pool: Pool<()> = Pool::new("test", Access::ReadOnly);
        let small = || pool.take(4096, "", ()).expect("memory");
        let held_here: Vec<_> = (0..300).map(|_| small()).collect();
        let held_elsewhere: Vec<_> = (0..300).map(|_| small().share(1).expect("shared")).collect();
        let before = pool.usage();
        for _ in 0..2000 {
            drop(small());
        }
        let made = (pool.usage().free + pool.usage().held - before.free - before.held) / 4096;
        assert!(made <= 64, "{made} new ones for one at a time");
        drop((held_here, held_elsewhere));
    });
}

#[test]
fn idle_memory_is_given_back_and_held_memory_is_not() {
    in_own_process("idle_memory_is_given_back_and_held_memory_is_not", || {
        let pool = pool();
        let held = take(&pool, 1);
        drop(take(&pool, 2));
        let before = pool.usage();
        assert!(before.free >= SIZE && before.held >= SIZE);
        assert_eq!(pool.trim(0), before);
        let after = pool.trim(now() + 1);
        assert_eq!((after.free, after.held), (0, before.held));
        assert_eq!(pool.collect(), [2], "what was trimmed was released");
        drop(held);
        assert_eq!(pool.trim(now() + 1).held, 0);
        assert_eq!(pool.collect(), [1]);
    });
}

#[test]
fn what_was_frozen_sealed_or_thinned_out_is_let_go() {
    in_own_process("what_was_frozen_sealed_or_thinned_out_is_let_go", || {
        let pool = Pool::new("test", Access::Shared);
        let spoil: [fn(&Region); 4] = [
            |region| region.freeze().expect("alone"),
            |region| fcntl_add_seals(region.share(1).expect("shared"), SealFlags::SEAL).expect("allowed"),
            |region| fcntl_add_seals(region.share(1).expect("shared"), SealFlags::FUTURE_WRITE).expect("allowed"),
            |region| {
                let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                fallocate(region.share(1).expect("shared"), hole, 0, 4096).expect("allowed");
            },
        ];
        for (note, spoil) in spoil.into_iter().enumerate() {
            let region = pool.take(SIZE, "", note).expect("memory");
            spoil(&region);
            let keep = region.clone();
            drop(region);
            let next = pool.take(SIZE, "", 99).expect("memory");
            assert!(!next.same(&keep));
            drop(keep);
            drop(next);
            assert!(pool.collect().contains(&note), "it was released all the same");
        }
        assert!(pool.usage().free < 2 * SIZE + SIZE / 4, "only what is good is kept: {:?}", pool.usage());
    });
}

#[test]
fn what_a_child_was_forked_with_is_not_used_again() {
    in_own_process("what_a_child_was_forked_with_is_not_used_again", || {
        let pool = pool();
        let view = take(&pool, 1).map(0, 5).expect("mapped");
        view.write(0, b"hello").expect("writable");
        let (go, stay) = rustix::pipe::pipe().expect("a pipe");
        let child = fork(|| {
            // SAFETY: the parent's end.
            unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&stay)) };
            let _ = rustix::io::read(&go, &mut [0_u8; 1]);
            // SAFETY: five bytes are mapped, in the child too.
            let first = unsafe { view.as_ptr().read_volatile() };
            i32::from(first != b'h') + 2 * i32::from(pool.usage() != Default::default() || !pool.collect().is_empty())
        });
        drop(view);
        let other = take(&pool, 2).map(0, 5).expect("mapped");
        other.write(0, b"other").expect("writable");
        assert_eq!(pool.collect(), [1], "no holder is left");
        drop(stay);
        assert_eq!(wait_for(child), 0, "1: it changed, 2: a pool was inherited");
    });
}

#[test]
fn a_pool_of_a_child_is_its_own() {
    in_own_process("a_pool_of_a_child_is_its_own", || {
        let pool = pool();
        let held = take(&pool, 1);
        let child = fork(|| {
            let own = take(&pool, 2);
            let right = own.share(1).is_ok() && own.map(0, SIZE).is_ok_and(|view| view.is_writable());
            drop(own);
            i32::from(!right || pool.collect() != [2])
        });
        assert_eq!(wait_for(child), 0);
        drop(held);
        assert_eq!(pool.collect(), [1]);
    });
}

#[test]
fn nobody_but_the_maker_writes_to_a_read_only_region() {
    in_own_process("nobody_but_the_maker_writes_to_a_read_only_region", || {
        let region = take(&pool(), 1);
        assert!(region.map(0, 1).expect("mapped").is_writable());
        for share in [region.share(1).expect("shared"), region.share_read_only(1).expect("shared")] {
            // Somebody who opens it anew does not get further.
            let path = format!("/proc/self/fd/{}", share.raw());
            let opened = std::fs::File::options().read(true).write(true).open(path).expect("it can be opened");
            rustix::io::pwrite(&opened, b"x", 0).expect_err("sealed");
            fallocate(&opened, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, 4096).expect_err("sealed");
            for fd in [share, Fd::adopt(opened.into())] {
                let there = Region::open(fd, 1).expect("good");
                assert!(!there.map(0, 1).expect("mapped").is_writable());
            }
        }
    });
}

#[test]
fn threads_never_share_what_they_took() {
    in_own_process("threads_never_share_what_they_took", || {
        let pool = Arc::new(pool());
        let made = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..4_u8)
            .map(|number| {
                let (pool, made) = (pool.clone(), made.clone());
                std::thread::spawn(move || {
                    for _ in 0..500 {
                        let region = take(&pool, 0);
                        let view = region.map(0, SIZE).expect("mapped");
                        view.write(0, &[number; 64]).expect("writable");
                        made.fetch_add(1, Ordering::Relaxed);
                        let mut bytes = [0; 64];
                        region.read(0, &mut bytes).expect("inside");
                        assert_eq!(bytes, [number; 64]);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("nobody else wrote");
        }
        assert!(pool.usage().free <= 16 * SIZE, "{:?}", pool.usage());
        assert_eq!(made.load(Ordering::Relaxed), 2000);
    });
}

/// What a receiver keeps mapped is no hold, and shows the right memory when it comes again.
#[test]
fn a_kept_mapping_holds_nothing_and_is_used_again() {
    // Other tests of this process would push it out of what is kept.
    in_own_process("a_kept_mapping_holds_nothing_and_is_used_again", || {
        const LARGE: usize = 1 << 20;
        let pool: Pool<u32> = Pool::new("test", Access::ReadOnly);
        let mut addresses = Vec::new();
        for round in 0..5_u8 {
            let region = pool.take(LARGE, "", 0).expect("memory");
            region.map(0, 1).expect("mapped").write(0, &[round]).expect("writable");
            let received = Region::open(region.share(7).expect("shared"), 7).expect("good");
            drop(region);
            let view = received.map(0, LARGE).expect("mapped");
            // SAFETY: a byte of the view, which nobody writes now.
            assert_eq!(unsafe { view.as_ptr().read_volatile() }, round);
            assert!(!view.is_writable());
            addresses.push(view.as_ptr().addr());
            drop(received);
            assert_eq!((pool.usage().free, pool.collect().len()), (0, 0), "the view holds it");
            drop(view);
            assert_eq!(pool.collect().len(), 1, "and nothing else does");
        }
        assert!(addresses.iter().all(|address| *address == addresses[0]), "{addresses:?}");
    });
}

#[test]
fn a_kept_mapping_holds_its_region_in_a_forked_child() {
    in_own_process("a_kept_mapping_holds_its_region_in_a_forked_child", || {
        const LARGE: usize = 1 << 20;
        let pool: Pool<u32> = Pool::new("test", Access::ReadOnly);
        let region = pool.take(LARGE, "", 1).expect("memory");
        let received = Region::open(region.share(7).expect("shared"), 7).expect("good");
        drop(region);
        let view = received.map(0, LARGE).expect("mapped");
        let (go, stay) = rustix::pipe::pipe().expect("a pipe");
        let child = fork(|| {
            // SAFETY: the parent's end.
            unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&stay)) };
            let _ = rustix::io::read(&go, &mut [0_u8; 1]);
            0
        });
        drop((received, view));
        assert!(pool.collect().is_empty(), "the child looks at it");
        drop(stay);
        assert_eq!(wait_for(child), 0);
        eventually("the child is gone", || pool.collect() == [1]);
        assert_eq!(ipmb_transport::region::forget_mappings(now() + 1), 0);
    });
}

#[test]
fn a_kept_mapping_of_other_memory_is_never_mistaken_for_it() {
    in_own_process("a_kept_mapping_of_other_memory_is_never_mistaken_for_it", || {
        const LARGE: usize = 1 << 20;
        for round in 0..200_u8 {
            let region = Region::create("test", LARGE).expect("a region");
            region.map(0, 1).expect("mapped").write(0, &[round]).expect("writable");
            let view =
                Region::open(region.share_read_only(7).expect("shared"), 7).expect("good").map(0, 1).expect("mapped");
            // SAFETY: a byte of the view, which nobody writes now.
            assert_eq!(unsafe { view.as_ptr().read_volatile() }, round);
            drop(view);
            region.freeze().expect("nobody else holds it, and what is kept is read-only");
        }
    });
}
