//! The ring between two well-behaved sides: order, wrapping, room, bells, and reading back.

#![cfg(not(loom))]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use ipmb_transport::ring::{Consumer, Larger, MAX_CAPACITY, MIN_CAPACITY, Producer, PushError, Pushed};

fn ring(capacity: usize) -> (Producer, Consumer) {
    let (mut producer, file) = Producer::create(capacity).expect("a ring");
    let (consumer, back) = Consumer::open(&file).expect("its reader");
    producer.attach(&back).expect("the reader's memory");
    (producer, consumer)
}

fn pop(consumer: &mut Consumer) -> Option<(u32, Vec<u8>, bool)> {
    let record = consumer.peek().expect("an honest producer")?;
    let mut body = vec![0; record.len];
    consumer.copy_out(&record, 0, &mut body);
    let wake = consumer.consume(record);
    Some((record.tag, body, wake))
}

/// A body that tells its number and its length.
fn body(number: u64, len: usize) -> Vec<u8> {
    (0..len).map(|index| (number as u8).wrapping_mul(31).wrapping_add(index as u8)).collect()
}

fn fill(producer: &mut Producer) -> u32 {
    let mut count = 0;
    while producer.push(count, &[&[7; 24]]).is_ok() {
        count += 1;
    }
    count
}

#[test]
fn records_of_every_length_arrive_in_order_and_whole() {
    let (mut producer, mut consumer) = ring(4096);
    for number in 0..if cfg!(miri) { 200 } else { 20_000_u64 } {
        let len = (number as usize * 7) % (producer.max_body() + 1);
        let sent = body(number, len);
        let (first, rest) = sent.split_at(len / 3);
        producer.push(number as u32, &[first, &[], rest]).expect("an empty ring has room");
        let (tag, received, _) = pop(&mut consumer).expect("what was just pushed");
        assert_eq!((tag, received), (number as u32, sent));
    }
    assert_eq!(pop(&mut consumer), None);
}

#[test]
fn pieces_of_a_body_that_goes_round_the_end_are_the_right_ones() {
    let (mut producer, mut consumer) = ring(256);
    for number in 0..if cfg!(miri) { 5 } else { 100 } {
        let sent = body(number, 61);
        producer.push(0, &[&sent]).expect("room");
        let record = consumer.peek().expect("honest").expect("a record");
        for offset in 0..=61 {
            for len in 0..=61 - offset {
                let mut piece = vec![0; len];
                consumer.copy_out(&record, offset, &mut piece);
                assert_eq!(piece, sent[offset..offset + len]);
            }
        }
        consumer.consume(record);
    }
}

#[test]
fn two_threads_exchange_records_through_a_small_ring() {
    const COUNT: u64 = if cfg!(miri) { 300 } else { 200_000 };
    let (mut producer, mut consumer) = ring(1024);
    let writer = thread::spawn(move || {
        for number in 0..COUNT {
            let sent = body(number, (number % 200) as usize);
            while producer.push(number as u32, &[&sent]).is_err() {
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
        assert_eq!((tag, received), (number as u32, body(number, (number % 200) as usize)));
    }
    writer.join().expect("the writer");
}

#[test]
fn a_ring_takes_bodies_up_to_a_quarter_and_capacities_that_are_powers_of_two() {
    for capacity in [0, 1, 32, 100, 4097, MAX_CAPACITY * 2] {
        assert!(Producer::create(capacity).is_err(), "{capacity}");
    }
    // Miri takes minutes for a body of a mebibyte.
    for capacity in [64, 4096, 65536, if cfg!(miri) { 1 << 14 } else { MAX_CAPACITY }] {
        let (mut producer, mut consumer) = ring(capacity);
        assert_eq!(producer.max_body(), capacity / 4);
        assert_eq!((producer.capacity(), consumer.capacity()), (capacity, capacity));
        let longest = body(1, capacity / 4);
        assert!(producer.has_room(&[longest.len()]).expect("honest"));
        assert!(!producer.has_room(&[longest.len() + 1]).expect("honest"));
        assert_eq!(producer.push(1, &[&longest, &[0]]), Err(PushError::TooLarge));
        producer.push(1, &[&longest]).expect("the longest body fits");
        assert_eq!(pop(&mut consumer).map(|found| found.1), Some(longest));
    }
}

#[test]
fn a_full_ring_refuses_and_takes_again_what_was_read() {
    let (mut producer, mut consumer) = ring(1024);
    assert_eq!(fill(&mut producer), 32);
    assert_eq!(producer.push(99, &[]), Err(PushError::Full));
    assert!(!producer.has_room(&[0]).expect("honest"));
    let _ = pop(&mut consumer).expect("a record");
    assert!(producer.has_room(&[24]).expect("honest"));
    assert!(!producer.has_room(&[25]).expect("honest"));
    producer.push(99, &[&[0; 24]]).expect("what was read is free");
    assert_eq!(producer.push(100, &[]), Err(PushError::Full));
}

#[test]
fn a_sleeping_consumer_is_rung_once_per_sleep() {
    let (mut producer, mut consumer) = ring(1024);
    assert_eq!(producer.push(0, &[]), Ok(Pushed::Quiet));
    assert!(!consumer.sleep().expect("honest"), "there is a record");
    assert!(!consumer.asleep());
    assert_eq!(producer.push(1, &[]), Ok(Pushed::Quiet), "it did not sleep");
    while pop(&mut consumer).is_some() {}
    for _ in 0..3 {
        assert!(consumer.sleep().expect("honest"));
        assert_eq!(producer.push(2, &[]), Ok(Pushed::Ring));
        assert_eq!(producer.push(3, &[]), Ok(Pushed::Quiet), "rung already");
        consumer.wake();
        assert_eq!(producer.push(4, &[]), Ok(Pushed::Quiet), "awake");
        while pop(&mut consumer).is_some() {}
    }
}

#[test]
fn staged_records_are_seen_when_published() {
    let (mut producer, mut consumer) = ring(1024);
    assert!(consumer.sleep().expect("honest"));
    for number in 0..5 {
        producer.stage(number, &[b"burst"]).expect("room");
    }
    assert!(consumer.peek().expect("honest").is_none());
    assert_eq!(producer.head(), 0);
    assert_eq!(producer.publish(), Pushed::Ring);
    for number in 0..5 {
        assert_eq!(pop(&mut consumer).map(|found| found.0), Some(number));
    }
    assert_eq!(producer.tail().expect("honest"), producer.head());
}

#[test]
fn a_waiting_producer_is_woken_once_when_half_the_ring_is_free() {
    let (mut producer, mut consumer) = ring(1024);
    for _ in 0..3 {
        assert_eq!(fill(&mut producer), 32);
        assert!(producer.announce_wait().expect("honest"));
        let woken: Vec<bool> = std::iter::from_fn(|| pop(&mut consumer)).map(|(_, _, wake)| wake).collect();
        let expected: Vec<bool> = (1..=32).map(|read| read == 16).collect();
        assert_eq!(woken, expected);
        assert!(!producer.announce_wait().expect("honest"), "the ring is empty");
    }
    fill(&mut producer);
    assert!(producer.announce_wait().expect("honest"));
    producer.cancel_wait();
    assert!(std::iter::from_fn(|| pop(&mut consumer)).all(|(_, _, wake)| !wake), "it gave up waiting");
}

#[test]
fn a_producer_that_waits_again_is_woken_again() {
    let (mut producer, mut consumer) = ring(1024);
    fill(&mut producer);
    assert!(producer.announce_wait().expect("honest"));
    let first = (0..16).filter(|_| pop(&mut consumer).expect("a record").2).count();
    assert_eq!(first, 1);
    assert_eq!(fill(&mut producer), 16, "half the ring");
    assert!(producer.announce_wait().expect("honest"));
    let second = (0..16).filter(|_| pop(&mut consumer).expect("a record").2).count();
    assert_eq!(second, 1);
}

#[test]
fn records_pushed_before_the_consumer_came_are_there_and_rung_for() {
    let (mut producer, file) = Producer::create(1024).expect("a ring");
    for number in 0..3 {
        assert_eq!(producer.push(number, &[b"early"]), Ok(Pushed::Unattached));
    }
    let (mut consumer, back) = Consumer::open(&file).expect("its reader");
    assert!(!consumer.sleep().expect("honest"), "records wait");
    for number in 0..3 {
        assert_eq!(pop(&mut consumer).map(|found| found.0), Some(number));
    }
    assert!(consumer.sleep().expect("honest"));
    assert_eq!(producer.push(3, &[]), Ok(Pushed::Unattached), "nobody can be rung yet");
    assert!(!producer.attached());
    producer.attach(&back).expect("the reader's memory");
    assert!(producer.attached());
    assert!(producer.must_ring(), "it sleeps and has a record");
    assert!(!producer.must_ring(), "rung already");
    assert!(producer.attach(&back).is_err(), "a second attachment is a lie");
}

#[test]
fn what_a_consumer_left_unread_can_be_read_back() {
    let (mut producer, mut consumer) = ring(1024);
    for number in 0..100_u64 {
        producer.push(number as u32, &[&body(number, 40)]).expect("room");
        if number >= 10 {
            pop(&mut consumer).expect("a record");
        }
    }
    drop(consumer);
    let left: Vec<(u32, u64, usize)> = producer.unread().collect();
    assert_eq!(left.len(), 10);
    for (number, (tag, position, len)) in (90..100_u64).zip(left) {
        assert_eq!((tag, len), (number as u32, 40));
        let mut whole = vec![0; len];
        producer.read(position, 0, &mut whole);
        assert_eq!(whole, body(number, 40));
        let mut piece = [0; 7];
        producer.read(position, 30, &mut piece);
        assert_eq!(piece, body(number, 40)[30..37]);
    }
}

#[test]
fn a_full_lap_of_the_smallest_records_can_be_read_back() {
    let (mut producer, mut consumer) = ring(64);
    for lap in 0..50 {
        let mut count = 0;
        while producer.push(lap, &[]).is_ok() {
            count += 1;
        }
        assert_eq!(count, 8);
        assert_eq!(producer.unread().len(), 8);
        while pop(&mut consumer).is_some() {}
        assert_eq!(producer.unread().len(), 0);
    }
}

#[test]
fn who_waits_for_room_is_woken_by_what_was_read_in_one_go() {
    let (mut producer, memory) = Producer::create(1024).expect("memory");
    let (mut consumer, page) = Consumer::open(&memory).expect("a ring");
    producer.attach(&page).expect("its page");
    let read = |consumer: &mut Consumer, count: u32| {
        for _ in 0..count {
            let record = consumer.peek().expect("honest").expect("a record");
            consumer.advance(record);
        }
    };
    for number in 0..24 {
        producer.push(number, &[&[7; 24]]).expect("room");
    }
    read(&mut consumer, 1); // it has seen so many
    for number in 24..32 {
        producer.push(number, &[&[7; 24]]).expect("room");
    }
    assert!(producer.announce_wait().expect("honest"), "the ring is full");
    read(&mut consumer, 24); // one more than it had seen: it looks at the head again in the middle
    assert!(consumer.publish(), "three quarters are free");
    assert!(producer.has_room(&[24]).expect("honest"));
}

/// Whether the call panics, as a broken contract does.
fn panics(broken: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(broken)).is_err()
}

#[test]
fn what_a_ring_has_not_is_not_read() {
    let (mut producer, mut consumer) = ring(1024);
    producer.push(1, &[&[7; 16]]).expect("room");
    producer.push(2, &[&[8; 16]]).expect("room");
    let record = consumer.peek().expect("honest").expect("a record");
    for (offset, len) in [(17, 0), (0, 17), (16, 1), (usize::MAX, 2)] {
        assert!(panics(|| consumer.copy_out(&record, offset, &mut vec![0; len])), "{offset} {len}");
        assert!(panics(|| producer.read(0, offset, &mut vec![0; len])), "{offset} {len}");
    }
    // Inside a record, beyond the last, at no record at all, and read already.
    for position in [8, 12, 25, 48, 1024, u64::MAX] {
        assert!(panics(|| producer.read(position, 0, &mut [])), "{position}");
    }
    consumer.consume(record);
    producer.tail().expect("honest");
    assert!(panics(|| producer.read(0, 0, &mut [])));
    assert!(!panics(|| producer.read(24, 8, &mut [0; 8])));
}

#[test]
fn a_ring_grows_once_into_a_larger_one_for_which_it_has_kept_room() {
    let larger = |capacity| Larger::create(capacity).expect("memory").0;
    for capacity in [0, 100, MIN_CAPACITY / 2, MAX_CAPACITY * 2] {
        assert!(Larger::create(capacity).is_err(), "{capacity}");
    }
    let grows = || {
        let (mut producer, _memory) = Producer::create(1024).expect("memory");
        producer.keep_room_to_grow();
        producer
    };
    assert!(panics(|| assert!(grows().switch(0, larger(1024)).is_ok())), "not larger");
    let mut kept_none = Producer::create(1024).expect("memory").0;
    assert!(panics(|| assert!(kept_none.switch(0, larger(2048)).is_ok())), "no room kept");
    let mut grown = grows();
    grown.switch(0, larger(2048)).expect("room");
    assert!(panics(|| assert!(grown.switch(0, larger(4096)).is_ok())), "twice");
}
