//! Rings that grow, between endpoints of one process: who gets a larger one, and that nobody notices otherwise.

mod support;

use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipmb_bus::error::SendError;
use ipmb_bus::{Build, Endpoint, Incoming, Overflow, limits};
use support::{LONG, NOW, TYPE, bus, endpoint, recv, send, to};

/// The tests look at the mappings of their process, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Larger rings that this process writes to.
fn grown() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let size = |line: &str| {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        usize::from_str_radix(to, 16).unwrap() - usize::from_str_radix(from, 16).unwrap()
    };
    let rings = maps.lines().filter(|line| line.contains("memfd:ipmb-ring") && line.contains(" rw-s "));
    rings.filter(|line| size(line) > limits::GROWN_RING_BYTES).count()
}

fn body(number: u64) -> Vec<u8> {
    let mut body = number.to_le_bytes().to_vec();
    body.resize(8 + (number as usize * 7) % 300, number as u8);
    body
}

/// Sends without waiting; `false` when there is no room.
fn offer(from: &Endpoint, label: &str, payload: &[u8]) -> bool {
    match from.sender().send(&to(label), TYPE, payload, Vec::new(), NOW, Overflow::Error) {
        Ok(count) => count == 1,
        Err(SendError::Full { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Fills the ring and reads all of it, so many times; the numbers of all messages, in order.
fn laps(from: &Endpoint, to: &Endpoint, label: &str, count: u32, next: &mut u64) {
    for _ in 0..count {
        let first = *next;
        while offer(from, label, &body(*next)) {
            *next += 1;
        }
        for number in first..*next {
            assert_eq!(recv(to, LONG).unwrap(), body(number));
        }
    }
}

/// Laps until both sides have agreed on more; the receiver looks at its doorbells by the clock.
fn laps_until_grown(from: &Endpoint, to: &Endpoint, label: &str, next: &mut u64) {
    let (before, end) = (grown(), Instant::now() + Duration::from_secs(10));
    let mut most = 0;
    while most <= limits::RING_BYTES as u64 / 40 {
        assert!(Instant::now() < end, "it does not grow");
        let first = *next;
        laps(from, to, label, 1, next);
        most = *next - first;
    }
    assert_eq!(grown(), before + 1);
}

#[test]
fn a_busy_pair_gets_a_larger_ring_and_nothing_is_lost() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    let mut next = 0;
    laps(&a, &b, "b", limits::FULL_RINGS_BEFORE_GROWTH - 1, &mut next);
    assert_eq!(grown(), 0, "it has not proved busy yet");
    laps_until_grown(&a, &b, "b", &mut next);
    laps(&a, &b, "b", 20, &mut next);
    assert_eq!(grown(), 1, "once");
    drop((a, b));
    assert_eq!(grown(), 0, "and it goes with its owner");
}

#[test]
fn a_waiting_sender_goes_on_in_the_larger_ring() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    const COUNT: u64 = 50_000;
    let reader = std::thread::spawn(move || {
        for number in 0..COUNT {
            assert_eq!(recv(&b, LONG).unwrap(), body(number));
        }
        b
    });
    for number in 0..COUNT {
        assert_eq!(send(&a, &to("b"), &body(number)), 1);
    }
    let _b = reader.join().unwrap();
}

#[test]
fn who_does_not_read_gets_no_larger_ring() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    let mut next = 0;
    // It has read some before it stopped.
    laps(&a, &b, "b", limits::FULL_RINGS_BEFORE_GROWTH / 2, &mut next);
    while offer(&a, "b", b"x") {}
    for _ in 0..1000 {
        assert!(!offer(&a, "b", b"x"));
    }
    assert_eq!(grown(), 0);
}

#[test]
fn what_a_closed_receiver_leaves_in_both_memories_goes_to_another() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    let mut next = 0;
    laps_until_grown(&a, &b, "b", &mut next);
    let first = next;
    while offer(&a, "b", &body(next)) {
        next += 1;
    }
    assert!(next - first > limits::RING_BYTES as u64 / 40, "more than a small ring");
    let other = endpoint(&bus, "b");
    drop(b);
    for number in first..next {
        assert_eq!(recv(&other, LONG).unwrap(), body(number));
    }
    assert!(recv(&other, Some(Duration::from_millis(50))).is_none());
}

/// A payload that no small ring takes.
fn long(number: u64) -> Vec<u8> {
    let mut body = body(number);
    body.resize(limits::LONG_INLINE_BYTES - number as usize % 9, number as u8);
    body
}

#[test]
fn long_payloads_travel_in_a_grown_ring_and_go_on_through_regions() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    let in_region = |receiver: &Endpoint, number| {
        let take = |incoming: &mut Incoming<'_>| {
            let bulk = incoming.take_bulk();
            let mut bytes = vec![0; bulk.as_ref().map_or(incoming.len(), |bulk| bulk.len)];
            match &bulk {
                Some(bulk) => bulk.region.read(bulk.offset, &mut bytes).unwrap(),
                None => incoming.read(&mut bytes),
            }
            assert_eq!(bytes, long(number));
            Build::Take(bulk.is_some())
        };
        receiver.receiver().recv(LONG, take).unwrap().unwrap()
    };
    assert!(offer(&a, "b", &long(0)));
    assert!(in_region(&b, 0), "the ring is small");
    laps_until_grown(&a, &b, "b", &mut 0);
    let mut next = 0;
    while offer(&a, "b", &long(next)) {
        next += 1;
    }
    let room = limits::GROWN_RING_BYTES / limits::LONG_INLINE_BYTES;
    assert!((room - 2..=room).contains(&(next as usize)), "{next} filled it");
    assert!(!in_region(&b, 0));
    // Its heir has a small ring.
    let heir = endpoint(&bus, "b");
    drop(b);
    for number in 1..next {
        assert!(in_region(&heir, number));
    }
}

#[test]
fn a_pair_that_sends_many_payloads_through_regions_gets_a_larger_ring() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bus = bus();
    let (a, b, idle) = (endpoint(&bus, "a"), endpoint(&bus, "b"), endpoint(&bus, "idle"));
    for number in 0..2 * u64::from(limits::REGION_PAYLOADS_BEFORE_GROWTH) {
        assert_eq!(send(&a, &to("b"), &long(number)), 1);
        assert_eq!(recv(&b, LONG).unwrap(), long(number));
        offer(&a, "idle", &long(number));
    }
    assert_eq!(grown(), 1, "who does not read gets none");
    drop(idle);
}

#[test]
fn an_endpoint_grows_so_many_rings_and_no_more() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bus = bus();
    let a = endpoint(&bus, "a");
    let most = limits::GROWN_RINGS_BYTES / limits::GROWN_RING_BYTES;
    let receivers: Vec<_> =
        (0..most + 2).map(|number| (format!("b{number}"), endpoint(&bus, &format!("b{number}")))).collect();
    // Long messages, for few make a lap.
    let lap = |label: &str, receiver: &Endpoint| {
        let mut count = 0;
        while offer(&a, label, &[7; 10_000]) {
            count += 1;
        }
        (0..count).for_each(|_| assert!(recv(receiver, LONG).is_some()));
        count
    };
    for (label, receiver) in &receivers[..most] {
        let end = Instant::now() + Duration::from_secs(10);
        while lap(label, receiver) <= limits::RING_BYTES / 10_000 {
            assert!(Instant::now() < end, "{label} does not grow");
        }
    }
    for (label, receiver) in &receivers[most..] {
        (0..3 * limits::FULL_RINGS_BEFORE_GROWTH).for_each(|_| assert!(lap(label, receiver) > 0));
    }
    assert_eq!(grown(), most);
    drop(receivers);
}
