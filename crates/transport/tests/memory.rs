//! What is accepted as a peer's memory, and what is refused: one test per way to be wrong, each with the error
//! that says so.

#![cfg(not(loom))]

use std::fs::{File, OpenOptions};
use std::io::Write;

use ipmb_transport::memory::{OwnMemory, PeerMemory};
use ipmb_transport::sys::Fd;
use ipmb_transport::{MemoryError, Ordering, OutOfRange};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create};

const PAGE: usize = 4096;
const RING: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::FUTURE_WRITE).union(SealFlags::SEAL);

fn memfd(size: u64, seals: SealFlags) -> Fd {
    let fd = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("memfd");
    ftruncate(&fd, size).expect("resize");
    fcntl_add_seals(&fd, seals).expect("seal");
    Fd::adopt(fd)
}

/// Things that are not memory files, by name.
fn strangers() -> Vec<(&'static str, Fd)> {
    let (read, write) = rustix::pipe::pipe().expect("pipe");
    let (socket, _) = std::os::unix::net::UnixStream::pair().expect("sockets");
    let directory = File::open(std::env::temp_dir()).expect("a directory");
    let device = File::open("/dev/zero").expect("a device");
    vec![
        ("pipe to read", Fd::adopt(read)),
        ("pipe to write", Fd::adopt(write)),
        ("socket", Fd::adopt(socket.into())),
        ("directory", Fd::adopt(directory.into())),
        ("device", Fd::adopt(device.into())),
    ]
}

/// A file on a memory file system, which can be sealed in principle but was not.
fn shared_memory_file() -> Fd {
    let path = format!("/dev/shm/ipmb-ordinary-{}", std::process::id());
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).expect("a file");
    std::fs::remove_file(&path).expect("unlink");
    file.set_len(PAGE as u64).expect("resize");
    Fd::adopt(file.into())
}

#[test]
fn what_the_owner_writes_the_peer_reads() {
    let (mut own, fd) = OwnMemory::create("test", 3 * PAGE - 5).expect("memory");
    assert_eq!(own.size(), 3 * PAGE, "whole pages");
    let peer = PeerMemory::open(&fd, 1, 1 << 20).expect("good memory");
    drop(fd);
    assert_eq!(peer.size(), own.size());
    own.word(8).store(42, Ordering::Release);
    own.copy_in(PAGE - 3, b"across the pages");
    assert_eq!(peer.word(8).load(Ordering::Acquire), 42);
    let mut buf = [0; 16];
    peer.copy_out(PAGE - 3, &mut buf).expect("in range");
    assert_eq!(&buf, b"across the pages");
    own.copy_out(PAGE - 3, &mut buf);
    assert_eq!(&buf, b"across the pages");
    assert_eq!(own.word(8).swap(43, Ordering::SeqCst), 42);
}

#[test]
fn reads_beyond_the_end_are_errors() {
    let (_own, fd) = OwnMemory::create("test", PAGE).expect("memory");
    let peer = PeerMemory::open(&fd, PAGE, PAGE).expect("good memory");
    let mut buf = [0; 16];
    peer.copy_out(PAGE - 16, &mut buf).expect("the last bytes");
    for offset in [PAGE - 15, PAGE, PAGE + 1, usize::MAX, usize::MAX - 15] {
        assert_eq!(peer.copy_out(offset, &mut buf), Err(OutOfRange { offset, length: 16 }));
    }
    peer.copy_out(PAGE, &mut []).expect("nothing at the end");
    for offset in [PAGE, PAGE - 4, 4, usize::MAX - 7] {
        std::panic::catch_unwind(|| peer.word(offset).load(Ordering::Relaxed)).expect_err("our own mistake");
    }
}

#[test]
fn nobody_else_can_write_punch_or_resize_what_was_sent() {
    let (_own, fd) = OwnMemory::create("test", PAGE).expect("memory");
    let seals = fcntl_get_seals(&fd).expect("a memfd");
    assert!(seals.contains(RING), "{seals:?}");
    rustix::io::write(&fd, b"x").expect_err("sealed");
    rustix::io::pwrite(&fd, b"x", 0).expect_err("sealed");
    ftruncate(&fd, 0).expect_err("sealed");
    ftruncate(&fd, 2 * PAGE as u64).expect_err("sealed");
    let punch = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&fd, punch, 0, PAGE as u64).expect_err("sealed");
    fcntl_add_seals(&fd, SealFlags::WRITE).expect_err("the seals are sealed");
    let anew = OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{}", fd.raw()));
    if let Ok(mut file) = anew {
        file.write_all(b"x").expect_err("sealed, also by a new description");
    }
}

#[test]
fn each_missing_seal_is_named() {
    for (seal, name) in [
        (SealFlags::SHRINK, "SHRINK"),
        (SealFlags::GROW, "GROW"),
        (SealFlags::FUTURE_WRITE, "FUTURE_WRITE"),
        (SealFlags::SEAL, "SEAL"),
    ] {
        match PeerMemory::open(&memfd(PAGE as u64, RING.difference(seal)), PAGE, PAGE) {
            Err(MemoryError::Unsealed { missing }) => assert_eq!(missing, name),
            other => panic!("without {name}: {other:?}"),
        }
    }
    match PeerMemory::open(&memfd(PAGE as u64, SealFlags::empty()), PAGE, PAGE) {
        Err(MemoryError::Unsealed { missing }) => assert_eq!(missing, "SEAL+SHRINK+GROW+FUTURE_WRITE"),
        other => panic!("unsealed: {other:?}"),
    }
}

#[test]
fn a_size_out_of_range_or_of_half_a_page_is_refused() {
    for size in [0, PAGE, 4 * PAGE] {
        let refused = PeerMemory::open(&memfd(size as u64, RING), 2 * PAGE, 3 * PAGE);
        assert!(matches!(refused, Err(MemoryError::Size { size: s, .. }) if s == size as u64), "{size}");
    }
    let refused = PeerMemory::open(&memfd(2 * PAGE as u64 + 8, RING), 2 * PAGE, 3 * PAGE);
    assert!(matches!(refused, Err(MemoryError::PartialPage { .. })), "{refused:?}");
    let refused = PeerMemory::open(&memfd(0, RING), 0, PAGE);
    assert!(matches!(refused, Err(MemoryError::PartialPage { size: 0 })), "{refused:?}");
    PeerMemory::open(&memfd(2 * PAGE as u64, RING), 2 * PAGE, 3 * PAGE).expect("at the bound");
    PeerMemory::open(&memfd(3 * PAGE as u64, RING), 2 * PAGE, 3 * PAGE).expect("at the bound");
}

#[test]
fn memory_that_was_shrunk_before_sealing_is_judged_by_what_it_is_now() {
    let fd = memfd(4 * PAGE as u64, SealFlags::empty());
    ftruncate(&fd, PAGE as u64).expect("shrink");
    fcntl_add_seals(&fd, RING).expect("seal");
    let refused = PeerMemory::open(&fd, 4 * PAGE, 4 * PAGE);
    assert!(matches!(refused, Err(MemoryError::Size { size: 4096, .. })), "{refused:?}");
}

#[test]
fn an_executable_seal_is_accepted() {
    let fd = memfd_create("test", MemfdFlags::ALLOW_SEALING | MemfdFlags::NOEXEC_SEAL);
    let Ok(fd) = fd else { return };
    ftruncate(&fd, PAGE as u64).expect("resize");
    fcntl_add_seals(&fd, RING).expect("seal");
    PeerMemory::open(&Fd::adopt(fd), PAGE, PAGE).expect("more seals do no harm");
}

#[test]
fn whatever_is_no_memory_file_is_refused() {
    for (name, fd) in strangers() {
        let refused = PeerMemory::open(&fd, PAGE, PAGE);
        assert!(matches!(refused, Err(MemoryError::NotAFile)), "{name}: {refused:?}");
    }
    let program = std::env::current_exe().expect("the test program");
    let ordinary = Fd::adopt(File::open(program).expect("a file").into());
    let refused = PeerMemory::open(&ordinary, PAGE, PAGE);
    // In a build directory that is itself in memory the missing seals tell.
    assert!(matches!(refused, Err(MemoryError::NotMemory | MemoryError::Unsealed { .. })), "{refused:?}");
    let refused = PeerMemory::open(&shared_memory_file(), PAGE, PAGE);
    assert!(matches!(refused, Err(MemoryError::Unsealed { .. })), "{refused:?}");
    if let Ok(huge) = memfd_create("huge", MemfdFlags::ALLOW_SEALING | MemfdFlags::HUGETLB) {
        let refused = PeerMemory::open(&Fd::adopt(huge), PAGE, PAGE);
        assert!(matches!(refused, Err(MemoryError::NotMemory)), "{refused:?}");
    }
}
