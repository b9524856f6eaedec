//! A queue: order, bound and memory; what is left when its holders die or are forked; and its flags.
//!
//! Deaths at every single step are tried from Python, in `tests/faults/test_queue_killed.py`.

#![cfg(not(loom))]

mod support;

use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::time::Duration;

use ipmb_transport::queue::{Glance, Queue};
use ipmb_transport::sys;
use support::{allow_descriptors, count_open, eventually, fork, in_child, in_own_process, wait_for};

fn queue(bound: u64) -> Queue {
    Queue::create(bound).expect("a queue")
}

fn put(queue: &Queue, record: &[u8]) -> bool {
    queue.enter().expect("no error").expect("nobody else").put(record).expect("put")
}

fn get(queue: &Queue) -> Option<Vec<u8>> {
    let mut glance = Glance::default();
    let first = queue.enter().expect("no error").expect("nobody else").first(&mut glance).expect("sound")?;
    let mut record = vec![0; first.len()];
    first.copy_to(&mut record).expect("all there");
    assert!(first.short().is_none_or(|short| short == record));
    first.take().expect("taken");
    Some(record)
}

fn is_up(flag: RawFd) -> bool {
    // SAFETY: the number belongs to a queue that the caller holds.
    let flag = unsafe { BorrowedFd::borrow_raw(flag) };
    sys::poll(&[flag], Some(Duration::ZERO)).expect("polled") == 1
}

/// Bytes of memory behind a queue.
fn memory(queue: &Queue) -> u64 {
    // SAFETY: the number belongs to the queue.
    let file = unsafe { BorrowedFd::borrow_raw(queue.descriptors().0) };
    rustix::fs::fstat(file).expect("a file").st_blocks.unsigned_abs() * 512
}

fn pattern(number: usize) -> Vec<u8> {
    let len = [0, 1, 7, 4087, 4088, 4089, 60_000, 3 << 20][number % 8] + number / 8;
    (0..len).map(|at| (at ^ number) as u8).collect()
}

#[test]
fn records_of_all_sizes_come_in_order() {
    let queue = queue(0);
    for ahead in [1, 3, 40] {
        for number in 0..ahead {
            assert!(put(&queue, &pattern(number)));
        }
        for number in ahead..120 {
            assert!(put(&queue, &pattern(number)));
            assert_eq!(queue.count().expect("sound"), ahead as u64 + 1);
            assert!(get(&queue) == Some(pattern(number - ahead)), "record {}", number - ahead);
        }
        for number in 120 - ahead..120 {
            assert!(get(&queue) == Some(pattern(number)), "record {number}");
        }
        assert_eq!(get(&queue), None);
    }
}

#[test]
fn the_file_of_a_queue_that_is_never_empty_does_not_grow() {
    let queue = queue(0);
    let ahead = 3;
    let record = |number: usize| vec![number as u8; 1000 + number % 777];
    for number in 0..ahead {
        assert!(put(&queue, &record(number)));
    }
    for number in ahead..20_000 {
        assert!(put(&queue, &record(number)));
        assert!(get(&queue) == Some(record(number - ahead)), "record {}", number - ahead);
        assert_eq!(queue.count().expect("sound"), ahead as u64);
    }
    // SAFETY: the number belongs to the queue.
    let file = unsafe { BorrowedFd::borrow_raw(queue.descriptors().0) };
    let len = rustix::fs::fstat(file).expect("a file").st_size;
    assert!(len < 3 << 20, "{len} bytes long after 28 MB");
    for number in 20_000 - ahead..20_000 {
        assert!(get(&queue) == Some(record(number)), "record {number}");
    }
}

#[test]
fn what_is_left_moves_whole() {
    let queue = queue(0);
    for (ahead, len, rounds) in [(20_u32, 50_000, 2000), (40, 1 << 20, 300)] {
        for number in 0_u32..rounds {
            put(&queue, &[&u32::to_le_bytes(number)[..], &vec![number as u8; len]].concat());
            if let Some(due) = u32::checked_sub(number, ahead) {
                let record = get(&queue).expect("there is one");
                assert!(record[..4] == u32::to_le_bytes(due) && record[4..] == vec![due as u8; len], "record {due}");
            }
        }
        while get(&queue).is_some() {}
    }
}

#[test]
fn one_that_has_ended_wakes_also_who_waits_afterwards() {
    let queue = queue(0);
    queue.end();
    let signal = queue.ending().expect("a signal");
    assert_eq!(sys::poll(&[signal.as_fd()], Some(Duration::ZERO)).expect("polled"), 1);
}

#[test]
fn a_bound_is_kept_and_the_flags_say_what_is_so() {
    let queue = queue(2);
    let (_, items, room) = queue.descriptors();
    let room = room.expect("it has a bound");
    assert_eq!(get(&queue), None);
    assert_eq!((is_up(items), is_up(room)), (false, true));
    assert!(put(&queue, b"one"));
    assert_eq!((is_up(items), is_up(room)), (true, true));
    assert!(put(&queue, b"two"));
    assert!(!put(&queue, b"three"));
    assert_eq!((is_up(items), is_up(room)), (true, false));
    assert_eq!(get(&queue).as_deref(), Some(&b"one"[..]));
    assert_eq!((is_up(items), is_up(room)), (true, true));
    assert_eq!(get(&queue).as_deref(), Some(&b"two"[..]));
    assert_eq!(get(&queue), None);
    assert_eq!((is_up(items), is_up(room)), (false, true));
}

#[test]
fn memory_goes_back_whether_it_runs_empty_or_not() {
    let record = vec![7; 1 << 20];
    let queue = queue(0);
    for _ in 0..100 {
        put(&queue, &record);
    }
    assert!(memory(&queue) > 100 << 20);
    for _ in 0..100 {
        get(&queue);
    }
    assert!(memory(&queue) <= 16 << 20, "{} bytes in an empty queue", memory(&queue));
    put(&queue, &record);
    for _ in 0..100 {
        put(&queue, &record);
        get(&queue);
    }
    assert!(memory(&queue) <= 17 << 20, "{} bytes with one item", memory(&queue));
}

#[test]
fn a_lock_dies_with_its_holder_whatever_children_it_has() {
    in_own_process("a_lock_dies_with_its_holder_whatever_children_it_has", || {
        let queue = queue(0);
        put(&queue, b"before");
        let (mut told, tell) = std::io::pipe().expect("a pipe");
        let holder = fork(|| {
            let heir = queue.heir().expect("an heir");
            let _turn = heir.enter().expect("no error").expect("nobody else");
            let grandchild = fork(|| {
                std::thread::sleep(Duration::from_secs(30));
                0
            });
            std::io::Write::write_all(&mut &tell, &grandchild.to_ne_bytes()).expect("told");
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        let mut grandchild = [0; 4];
        std::io::Read::read_exact(&mut told, &mut grandchild).expect("told");
        assert!(queue.enter().expect("no error").is_none(), "somebody is in");
        assert_eq!(queue.count().expect("sound"), 1, "to look needs no lock");
        // SAFETY: our own child, and its own.
        unsafe { libc::kill(holder, libc::SIGKILL) };
        wait_for(holder);
        // The grandchild may not have come so far yet as to let go of what it must not have.
        eventually("the lock is free", || queue.enter().expect("no error").is_some());
        assert_eq!(get(&queue).as_deref(), Some(&b"before"[..]));
        // SAFETY: as above.
        unsafe { libc::kill(i32::from_ne_bytes(grandchild), libc::SIGKILL) };
    });
}

#[test]
fn a_child_needs_an_heir_and_shares_the_rest() {
    in_own_process("a_child_needs_an_heir_and_shares_the_rest", || {
        let queue = queue(0);
        put(&queue, b"from the parent");
        let code = in_child(|| {
            assert!(!queue.is_alive());
            assert!(queue.enter().is_err());
            let heir = queue.heir().expect("an heir");
            assert_eq!(get(&heir).as_deref(), Some(&b"from the parent"[..]));
            assert!(put(&heir, b"from the child"));
            7
        });
        assert_eq!(code, 7);
        assert_eq!(get(&queue).as_deref(), Some(&b"from the child"[..]));
    });
}

#[test]
fn it_opens_from_numbers_and_closes_what_it_made() {
    in_own_process("it_opens_from_numbers_and_closes_what_it_made", || {
        let before = count_open();
        {
            let queue = queue(3);
            let (memory, items, room) = queue.descriptors();
            let other = Queue::open(3, memory, items, room).expect("opened");
            put(&other, b"x");
            assert_eq!(get(&queue).as_deref(), Some(&b"x"[..]));
            other.ending().expect("a signal");
            assert!(Queue::open(0, memory, items, room).is_err(), "room is of a queue with a bound");
            assert!(Queue::open(3, memory, items, None).is_err());
            assert!(Queue::open(0, 999, items, None).is_err());
        }
        assert_eq!(count_open(), before);
        let null = std::fs::File::open("/dev/null").expect("it is everywhere");
        let number = std::os::fd::AsRawFd::as_raw_fd(&null);
        let odd = Queue::open(0, number, number, None).expect("it looks at nothing yet");
        assert!(odd.count().is_err());
        drop(odd);
        for extra in 0..4 {
            allow_descriptors(extra);
            assert!(Queue::create(3).is_err());
            assert_eq!(count_open(), before + 1, "nothing is left of a failure");
        }
    });
}

#[test]
fn what_does_not_fit_is_an_error_and_nothing_is_put() {
    in_own_process("what_does_not_fit_is_an_error_and_nothing_is_put", || {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let queue = queue(0);
        put(&queue, b"before");
        let old = getrlimit(Resource::Fsize);
        // SAFETY: a limit is to be an error here, as it is in Python.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        setrlimit(Resource::Fsize, Rlimit { current: Some(1 << 20), ..old }).expect("a lower limit");
        let turn = queue.enter().expect("no error").expect("nobody else");
        assert!(turn.put(&vec![1; 2 << 20]).is_err());
        assert_eq!(queue.count().expect("sound"), 1);
        assert!(memory(&queue) <= 8192, "{} bytes are left of it", memory(&queue));
        assert!(put(&queue, b"after"));
        assert_eq!(get(&queue).as_deref(), Some(&b"before"[..]));
        assert_eq!(get(&queue).as_deref(), Some(&b"after"[..]));
    });
}
