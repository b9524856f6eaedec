//! A sender that waits for a budget sleeps. Alone in its process, whose processor time it measures.

mod support;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::Duration;

use ipmb_bus::Overflow;
use ipmb_bus::error::SendError;
use ipmb_transport::sys::Fd;
use support::{LONG, TYPE, bus, endpoint, to};

/// Processor time of the process, as the kernel counts it.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let words = text.rsplit(')').next().unwrap().split_ascii_whitespace();
    let ticks: u64 = words.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    const TICKS_PER_SECOND: u64 = 100;
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

#[test]
fn senders_that_wait_for_descriptors_to_be_taken_sleep() {
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    let objects = || (0..200).map(|_| Fd::adopt(OwnedFd::from(File::open("/dev/null").unwrap()))).collect();
    a.sender().send(&to("b"), TYPE, b"x", objects(), LONG, Overflow::Block).unwrap();
    let before = processor_time();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let late = Some(Duration::from_secs(1));
                let refused = a.sender().send(&to("b"), TYPE, b"x", objects(), late, Overflow::Block);
                assert!(matches!(refused, Err(SendError::Timeout { delivered: 0 })), "{refused:?}");
            });
        }
    });
    let spent = processor_time() - before;
    assert!(spent < Duration::from_millis(250), "{spent:?} in a second of waiting");
    drop(b);
}
