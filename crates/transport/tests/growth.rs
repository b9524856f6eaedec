//! A ring that grows, between two well-behaved sides: nothing is lost, doubled or out of order, whatever lies in the
//! old memory when the switch is pushed, and what a dead consumer left is read back from both memories.

#![cfg(not(loom))]

use std::collections::VecDeque;
use std::thread;

use ipmb_transport::ring::{Consumer, Larger, MAX_CAPACITY, MemoryFile, Producer, PushError, Pushed};
use proptest::prelude::*;

const SWITCH: u32 = u32::MAX;
const SMALL: usize = 1024;
const LARGE: usize = 4096;

fn ring(capacity: usize) -> (Producer, Consumer) {
    let (mut producer, file) = Producer::create(capacity).expect("a ring");
    producer.keep_room_to_grow();
    let (consumer, back) = Consumer::open(&file).expect("its reader");
    producer.attach(&back).expect("the reader's memory");
    (producer, consumer)
}

fn body(number: u32, len: usize) -> Vec<u8> {
    (0..len).map(|index| (number as u8).wrapping_mul(31).wrapping_add(index as u8)).collect()
}

/// Both sides of growth at once.
fn grow(producer: &mut Producer, consumer: &mut Consumer, capacity: usize) -> Pushed {
    let (larger, file) = Larger::create(capacity).expect("memory");
    consumer.accept(&file, MAX_CAPACITY).expect("in good order");
    producer.switch(SWITCH, larger).expect("room is kept for it")
}

/// The next record, its body, and whether to wake the producer; goes over where the ring does.
fn pop(consumer: &mut Consumer) -> Option<(u32, Vec<u8>, bool)> {
    let mut woken = false;
    loop {
        let record = consumer.peek().expect("an honest producer")?;
        if record.tag == SWITCH {
            woken |= consumer.switch(record).expect("an honest producer");
            continue;
        }
        let mut body = vec![0; record.len];
        consumer.copy_out(&record, 0, &mut body);
        return Some((record.tag, body, woken | consumer.consume(record)));
    }
}

/// Pushes records of 24 bytes until there is no room.
fn fill(producer: &mut Producer, mut next: u32) -> u32 {
    while producer.push(next, &[&body(next, 24)]).is_ok() {
        next += 1;
    }
    next
}

fn left(producer: &mut Producer) -> Vec<(u32, Vec<u8>)> {
    let records: Vec<_> = producer.unread().filter(|(tag, ..)| *tag != SWITCH).collect();
    let read = |position, len| {
        let mut body = vec![0; len];
        producer.read(position, 0, &mut body);
        body
    };
    records.into_iter().map(|(tag, position, len)| (tag, read(position, len))).collect()
}

#[test]
fn a_full_ring_grows_and_all_of_it_arrives_in_order() {
    let (mut producer, mut consumer) = ring(SMALL);
    let small = fill(&mut producer, 0);
    assert_eq!(small, 31, "room for one switch is kept");
    let before = producer.head();
    grow(&mut producer, &mut consumer, LARGE);
    assert_eq!(producer.head(), before + 8, "positions go on");
    assert_eq!((producer.capacity(), consumer.capacity()), (LARGE, SMALL), "its consumer has not come to it");
    let all = fill(&mut producer, small);
    assert!(all as usize >= LARGE / 32 - 1, "{all}");
    for number in 0..all {
        let (tag, bytes, _) = pop(&mut consumer).expect("all of it");
        assert_eq!((tag, bytes), (number, body(number, 24)));
    }
    assert_eq!(pop(&mut consumer), None);
    assert_eq!((consumer.capacity(), consumer.tail()), (LARGE, producer.head()));
    assert_eq!(producer.tail().expect("honest"), producer.head());
    assert!(left(&mut producer).is_empty());
}

#[test]
fn a_longer_record_fits_at_once() {
    let (mut producer, mut consumer) = ring(SMALL);
    let long = body(1, LARGE / 4);
    assert_eq!(producer.push(1, &[&long]), Err(PushError::TooLarge));
    grow(&mut producer, &mut consumer, LARGE);
    producer.push(1, &[&long]).expect("it fits now");
    assert_eq!(pop(&mut consumer).map(|found| found.1), Some(long));
}

#[test]
fn what_is_left_in_both_memories_is_read_back_whole() {
    for read in [0, 1, 15, 30, 31, 40] {
        let (mut producer, mut consumer) = ring(SMALL);
        let small = fill(&mut producer, 0);
        grow(&mut producer, &mut consumer, LARGE);
        let all = fill(&mut producer, small);
        for number in 0..read {
            assert_eq!(pop(&mut consumer).map(|found| found.0), Some(number));
        }
        drop(consumer);
        let expected: Vec<_> = (read..all).map(|number| (number, body(number, 24))).collect();
        assert_eq!(left(&mut producer), expected, "{read} were read");
    }
}

#[test]
fn who_dies_before_the_switch_leaves_the_small_ring() {
    let (mut producer, mut consumer) = ring(SMALL);
    let small = fill(&mut producer, 0);
    let (larger, file) = Larger::create(LARGE).expect("memory");
    consumer.accept(&file, MAX_CAPACITY).expect("in good order");
    drop((larger, producer));
    let read: Vec<_> = std::iter::from_fn(|| pop(&mut consumer)).map(|found| found.0).collect();
    assert_eq!(read, (0..small).collect::<Vec<_>>());
}

#[test]
fn a_sleeping_consumer_is_rung_for_what_stands_in_the_larger_ring() {
    let (mut producer, mut consumer) = ring(SMALL);
    assert!(consumer.sleep().expect("honest"));
    assert_eq!(grow(&mut producer, &mut consumer, LARGE), Pushed::Ring);
    assert_eq!(producer.push(1, &[]), Ok(Pushed::Quiet), "rung already");
    consumer.wake();
    assert!(!consumer.sleep().expect("honest"), "there is something");
    assert_eq!(pop(&mut consumer).map(|found| found.0), Some(1));
    assert!(consumer.sleep().expect("honest"));
    assert_eq!(producer.push(2, &[]), Ok(Pushed::Ring), "rung through the new memory");
}

#[test]
fn a_producer_that_waited_when_the_ring_grew_is_woken() {
    let (mut producer, mut consumer) = ring(SMALL);
    fill(&mut producer, 0);
    assert!(producer.announce_wait().expect("honest"));
    grow(&mut producer, &mut consumer, LARGE);
    assert_eq!(std::iter::from_fn(|| pop(&mut consumer)).filter(|found| found.2).count(), 1, "once");
    fill(&mut producer, 0);
    assert!(producer.announce_wait().expect("honest"));
    assert_eq!(std::iter::from_fn(|| pop(&mut consumer)).filter(|found| found.2).count(), 1, "and in the larger");
}

#[test]
fn staged_records_are_published_by_the_switch() {
    let (mut producer, mut consumer) = ring(SMALL);
    producer.stage(7, &[b"staged"]).expect("room");
    grow(&mut producer, &mut consumer, LARGE);
    producer.stage(8, &[b"staged"]).expect("room");
    assert_eq!(pop(&mut consumer).map(|found| found.0), Some(7));
    assert_eq!(pop(&mut consumer), None);
    producer.publish();
    assert_eq!(pop(&mut consumer).map(|found| found.0), Some(8));
}

#[test]
fn two_threads_do_not_notice_that_their_ring_grows() {
    const COUNT: u32 = if cfg!(miri) { 300 } else { 20_000 };
    for round in 0..if cfg!(miri) { 3 } else { 8 } {
        let (mut producer, mut consumer) = ring(SMALL);
        let (larger, file) = Larger::create(LARGE).expect("memory");
        consumer.accept(&file, MAX_CAPACITY).expect("in good order");
        let mut larger = Some(larger);
        let writer = thread::spawn(move || {
            for number in 0..COUNT {
                if number == round * (COUNT / 28) {
                    producer.switch(SWITCH, larger.take().expect("once")).expect("room is kept for it");
                }
                let sent = body(number, (number % 200) as usize);
                while producer.push(number, &[&sent]).is_err() {
                    thread::yield_now();
                }
            }
        });
        for number in 0..COUNT {
            let (tag, received, _) = loop {
                match pop(&mut consumer) {
                    Some(found) => break found,
                    None => thread::yield_now(),
                }
            };
            assert_eq!((tag, received), (number, body(number, (number % 200) as usize)));
        }
        writer.join().expect("the writer");
    }
}

/// One step of the model.
#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    Stage(usize),
    Publish,
    Pop,
    Offer,
    Switch,
    /// The consumer looks and does not read on; the producer looks how far it is.
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..257_usize).prop_map(Step::Push),
        2 => (0..257_usize).prop_map(Step::Stage),
        1 => Just(Step::Publish),
        6 => Just(Step::Pop),
        1 => Just(Step::Offer),
        1 => Just(Step::Switch),
        2 => Just(Step::Look),
    ]
}

/// Where growth is.
enum Growth {
    None,
    Offered(Larger, MemoryFile),
    Accepted(Larger),
    Done,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 3 } else { 600 }))]

    #[test]
    fn a_ring_is_a_queue_wherever_it_grows(steps in prop::collection::vec(step(), 1..200)) {
        let (mut producer, mut consumer) = ring(SMALL);
        let mut growth = Growth::None;
        let (mut seen, mut staged) = (VecDeque::new(), VecDeque::new());
        let mut next = 0;
        for step in steps {
            match step {
                Step::Push(len) | Step::Stage(len) => {
                    let sent = body(next, len);
                    match producer.stage(next, &[&sent]) {
                        Ok(()) => {
                            staged.push_back((next, sent));
                            next += 1;
                        }
                        Err(error) => {
                            let full = matches!(error, PushError::Full);
                            prop_assert!(full || (len > SMALL / 4 && producer.capacity() == SMALL));
                            let used = producer.head() - producer.tail().expect("honest");
                            // What is staged and the switch count too.
                            let staged: usize = staged.iter().map(|(_, body): &(u32, Vec<u8>)| 16 + body.len()).sum();
                            prop_assert!(!full || used as usize + staged + len + 24 > producer.capacity());
                        }
                    }
                    if matches!(step, Step::Push(_)) {
                        producer.publish();
                        seen.append(&mut staged);
                    }
                }
                Step::Publish => {
                    producer.publish();
                    seen.append(&mut staged);
                }
                Step::Pop => prop_assert_eq!(pop(&mut consumer).map(|found| (found.0, found.1)), seen.pop_front()),
                Step::Offer => {
                    growth = match growth {
                        Growth::None => {
                            let (larger, file) = Larger::create(LARGE).expect("memory");
                            Growth::Offered(larger, file)
                        }
                        Growth::Offered(larger, file) => {
                            consumer.accept(&file, MAX_CAPACITY).expect("in good order");
                            Growth::Accepted(larger)
                        }
                        other => other,
                    }
                }
                Step::Switch => {
                    growth = match growth {
                        Growth::Accepted(larger) => {
                            producer.switch(SWITCH, larger).expect("room is kept for it");
                            seen.append(&mut staged);
                            Growth::Done
                        }
                        other => other,
                    }
                }
                Step::Look => {
                    let left = left(&mut producer);
                    prop_assert!(left.iter().eq(seen.iter()));
                    prop_assert_eq!(consumer.peek().expect("honest").is_some(), producer.unread().len() > 0);
                }
            }
        }
        producer.publish();
        seen.append(&mut staged);
        prop_assert!(left(&mut producer).iter().eq(seen.iter()));
        while let Some(expected) = seen.pop_front() {
            prop_assert_eq!(pop(&mut consumer).map(|found| (found.0, found.1)), Some(expected));
        }
        prop_assert_eq!(pop(&mut consumer), None);
        prop_assert_eq!(producer.tail().expect("honest"), producer.head());
    }
}
