//! What a forked child has of its parent's: nothing open, nothing it could close by mistake, and the knowledge
//! that it is a child. Every test forks for real.

#![cfg(not(loom))]

mod support;

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::process::Command;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ipmb_transport::fork;
use ipmb_transport::memory::{OwnMemory, PeerMemory};
use ipmb_transport::region::Region;
use ipmb_transport::ring::{Consumer, Producer};
use ipmb_transport::sys::{Fd, Listener, LockFile, Poller, Received, Signal, Socket};
use support::{count_open, in_child, in_own_process, is_open};

/// One of everything that holds a descriptor.
struct Handles {
    listener: Listener,
    pair: (Socket, Socket),
    lock: LockFile,
    poller: Poller,
    signal: Signal,
    memory: Fd,
    region: Region,
}

fn handles(test: &str) -> Handles {
    let name = format!("ipmb-test/{}/{test}", std::process::id());
    Handles {
        listener: Listener::bind(name.as_bytes(), 4).expect("a free name"),
        pair: Socket::pair().expect("a pair"),
        lock: LockFile::create().expect("a lock"),
        poller: Poller::new().expect("a poller"),
        signal: Signal::new().expect("a signal"),
        memory: OwnMemory::create("test", 4096).expect("memory").1,
        region: Region::create("test", 4096).expect("a region"),
    }
}

impl Handles {
    fn numbers(&self) -> Vec<RawFd> {
        vec![
            self.listener.fd().raw(),
            self.pair.0.fd().raw(),
            self.pair.1.fd().raw(),
            self.lock.fd().raw(),
            self.poller.as_fd().as_raw_fd(),
            self.signal.as_fd().as_raw_fd(),
            self.memory.raw(),
        ]
    }
}

#[test]
fn a_child_holds_nothing_open_and_knows_that_it_is_one() {
    in_own_process("a_child_holds_nothing_open_and_knows_that_it_is_one", || {
        let foreign = count_open();
        let born = fork::generation();
        let all = handles("nothing");
        let numbers = all.numbers();
        assert!(numbers.iter().all(|fd| is_open(*fd)));
        let code = in_child(|| {
            let told = fork::generation() == born + 1;
            let closed = numbers.iter().all(|fd| !is_open(*fd)) && count_open() == foreign;
            i32::from(!told) + 2 * i32::from(!closed)
        });
        assert_eq!(code, 0, "1: not told, 2: something stayed open");
        assert_eq!(fork::generation(), born, "the parent is what it was");
        assert!(numbers.iter().all(|fd| is_open(*fd)));
        assert!(all.pair.0.send(b"x", &[]).expect("still works"));
    });
}

#[test]
fn a_child_of_a_child_is_another_generation() {
    in_own_process("a_child_of_a_child_is_another_generation", || {
        let _parents = Signal::new().expect("a signal");
        let code = in_child(|| {
            let own = Signal::new().expect("a signal");
            let number = own.as_fd().as_raw_fd();
            in_child(|| i32::from(fork::generation() != 2 || is_open(number)))
        });
        assert_eq!(code, 0);
    });
}

#[test]
fn dead_handles_leave_strangers_descriptors_alone() {
    in_own_process("dead_handles_leave_strangers_descriptors_alone", || {
        let all = handles("dead");
        let numbers = all.numbers();
        let code = in_child(move || {
            // The numbers are free now, and these files take them.
            let files: Vec<File> = (0..32).map(|_| File::open("/dev/null").expect("null")).collect();
            let taken: Vec<RawFd> = files.iter().map(AsRawFd::as_raw_fd).collect();
            assert!(numbers.iter().all(|fd| taken.contains(fd)), "the test needs the same numbers");
            all.pair.0.send(b"x", &[]).expect_err("dead");
            all.pair.0.receive(&mut [0; 8]).expect_err("dead");
            all.pair.0.ring();
            all.signal.set();
            assert!(!all.signal.clear());
            all.lock.try_lock().expect_err("dead");
            all.listener.accept().expect_err("dead");
            all.region.read(0, &mut [0; 4]).expect_err("dead");
            all.memory.try_clone().expect_err("dead");
            assert!(!numbers.contains(&all.memory.raw()));
            drop(all);
            i32::from(!taken.iter().all(|fd| is_open(*fd)))
        });
        assert_eq!(code, 0, "a stranger's file was closed");
    });
}

#[test]
fn a_descriptor_that_was_given_up_is_inherited() {
    in_own_process("a_descriptor_that_was_given_up_is_inherited", || {
        let signal = Fd::adopt(rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).expect("eventfd"));
        let given = signal.into_owned();
        assert_eq!(in_child(|| i32::from(!is_open(given.as_raw_fd()))), 0);
    });
}

#[test]
fn channel_memory_is_not_inherited_and_its_addresses_are_left_alone() {
    in_own_process("channel_memory_is_not_inherited_and_its_addresses_are_left_alone", || {
        let (own, file) = OwnMemory::create("test", 4096).expect("memory");
        let peer = PeerMemory::open(&file, 4096, 4096).expect("good");
        let addresses = [ptr::from_ref(own.word(0)).addr(), ptr::from_ref(peer.word(0)).addr()];
        let code = in_child(move || {
            for address in addresses {
                use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
                let flags = MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE;
                let wish = ptr::with_exposed_provenance_mut(address);
                // SAFETY: the kernel refuses if anything is mapped there.
                let mapped = unsafe { mmap_anonymous(wish, 4096, ProtFlags::READ | ProtFlags::WRITE, flags) };
                let mapped = mapped.expect("nothing of the parent's is there").cast::<u8>();
                // SAFETY: just mapped, writable.
                unsafe { mapped.write_volatile(7) };
            }
            drop((own, peer));
            for address in addresses {
                // SAFETY: mapped above; if the drop took it away the child dies of it, which is the test.
                let byte = unsafe { ptr::with_exposed_provenance::<u8>(address).read_volatile() };
                assert_eq!(byte, 7);
            }
            0
        });
        assert_eq!(code, 0);
    });
}

#[test]
fn a_view_of_a_region_can_be_read_in_a_child() {
    in_own_process("a_view_of_a_region_can_be_read_in_a_child", || {
        let view = Region::create("test", 10_000).expect("a region").map(0, 10_000).expect("mapped");
        view.write(0, &[9; 10_000]).expect("writable");
        let code = in_child(move || {
            // SAFETY: as many bytes are mapped, in the child too, and nobody writes.
            let right = unsafe { std::slice::from_raw_parts(view.as_ptr(), 10_000) }.iter().all(|byte| *byte == 9);
            drop(view);
            i32::from(!right)
        });
        assert_eq!(code, 0);
    });
}

#[test]
fn a_child_can_start_anew() {
    in_own_process("a_child_can_start_anew", || {
        let _parents = handles("anew");
        let code = in_child(|| {
            let all = handles("anew/child");
            assert!(all.pair.0.send(b"x", &[all.memory.as_fd()]).expect("works"));
            let received = all.pair.1.receive(&mut [0; 8]).expect("works");
            assert!(matches!(received, Received::Packet { len: 1, ref fds, .. } if fds.len() == 1));
            let (mut producer, file) = Producer::create(4096).expect("a ring");
            let (mut consumer, back) = Consumer::open(&file).expect("its reader");
            producer.attach(&back).expect("its memory");
            producer.push(1, &[b"x"]).expect("room");
            assert!(consumer.peek().expect("honest").is_some());
            let numbers = all.numbers();
            drop((all, received));
            i32::from(numbers.iter().any(|fd| is_open(*fd)))
        });
        assert_eq!(code, 0);
    });
}

#[test]
fn the_peer_sees_the_parents_end_while_a_child_lives() {
    in_own_process("the_peer_sees_the_parents_end_while_a_child_lives", || {
        let (one, other) = Socket::pair().expect("a pair");
        let (hold, release) = rustix::pipe::pipe().expect("a pipe");
        let child = support::fork(|| {
            // Lives until the parent lets go of its end.
            // SAFETY: the copy of the parent's end is the child's to close.
            unsafe { libc::close(release.as_raw_fd()) };
            i32::from(rustix::io::read(&hold, &mut [0]).is_err())
        });
        drop(one);
        support::eventually("the end", || matches!(other.receive(&mut [0]), Ok(Received::End)));
        drop(release);
        assert_eq!(support::wait_for(child), 0);
    });
}

#[test]
fn programs_that_are_started_change_nothing_and_inherit_nothing() {
    in_own_process("programs_that_are_started_change_nothing_and_inherit_nothing", || {
        let born = fork::generation();
        let all = handles("spawn");
        let output = Command::new("ls").args(["-l", "/proc/self/fd"]).output().expect("ls runs");
        let listing = String::from_utf8_lossy(&output.stdout);
        assert!(!listing.contains("memfd") && !listing.contains("event"), "{listing}");
        assert_eq!(fork::generation(), born);
        assert!(all.pair.0.send(b"x", &[]).expect("still works"));
        let received = all.pair.1.receive(&mut [0; 8]).expect("still works");
        assert!(matches!(received, Received::Packet { len: 1, .. }));
    });
}

#[test]
fn a_fork_never_catches_a_descriptor_half_made() {
    in_own_process("a_fork_never_catches_a_descriptor_half_made", || {
        let foreign = count_open();
        let stop = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    let file = Signal::new().expect("a signal");
                    while !stop.load(Ordering::Relaxed) {
                        let (one, other) = Socket::pair().expect("a pair");
                        assert!(one.send(b"x", &[file.as_fd()]).expect("open"));
                        let received = other.receive(&mut [0; 8]).expect("open");
                        assert!(matches!(received, Received::Packet { len: 1, .. }));
                        let (_memory, fd) = OwnMemory::create("test", 4096).expect("memory");
                        let _guard = fork::guard();
                        let _inner = fork::guard();
                        drop(fd);
                    }
                })
            })
            .collect();
        for round in 0..80 {
            assert_eq!(in_child(|| i32::from(count_open() != foreign)), 0, "round {round}");
        }
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().expect("no errors");
        }
        assert_eq!(count_open(), foreign);
    });
}

#[test]
fn a_fork_inside_a_guard_does_not_hang() {
    in_own_process("a_fork_inside_a_guard_does_not_hang", || {
        let signal = Signal::new().expect("a signal");
        let number = signal.as_fd().as_raw_fd();
        let _guard = fork::guard();
        assert_eq!(in_child(|| i32::from(is_open(number))), 0);
    });
}
