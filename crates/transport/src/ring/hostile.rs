//! A peer that writes whatever it likes into the memory it may write: every lie is told by its own test, and
//! then by chance. Nothing may panic, read outside of the ring, or go on as if nothing had happened.

use proptest::prelude::*;

use super::layout::{HEAD, HEADER, KIND, MAX_CAPACITY, ROOM, SLEEP, TAIL, consumer_kind, frame, producer_kind};
use super::{Consumer, Larger, Producer, Record};
use crate::atomic::Ordering;
use crate::error::{PushError, RingError};
use crate::memory::{MemoryFile, OwnMemory};

const CAPACITY: usize = 1024;

/// The memory of a producer that is not one, in good order until it lies.
fn forged_producer() -> (OwnMemory, MemoryFile) {
    let (memory, file) = OwnMemory::create("forged", HEADER + CAPACITY).expect("memory");
    memory.word(KIND).store(producer_kind(CAPACITY), Ordering::Relaxed);
    (memory, file)
}

fn forged_consumer() -> (OwnMemory, MemoryFile) {
    let (memory, file) = OwnMemory::create("forged", HEADER).expect("memory");
    memory.word(KIND).store(consumer_kind(), Ordering::Relaxed);
    (memory, file)
}

/// An honest consumer of a ring with `count` records of 16 bytes in a forged memory.
fn victim_of_producer(count: u64) -> (OwnMemory, Consumer) {
    let (mut memory, file) = forged_producer();
    for number in 0..count {
        memory.copy_in(HEADER + number as usize * 24, &frame(number as u32, 16));
    }
    memory.word(HEAD).store(count * 24, Ordering::Release);
    let (consumer, _) = Consumer::open(&file).expect("in good order");
    (memory, consumer)
}

/// An honest producer with `count` records of 16 bytes, attached to a forged memory.
fn victim_of_consumer(count: u64) -> (OwnMemory, Producer) {
    let (memory, file) = forged_consumer();
    let (mut producer, _) = Producer::create(CAPACITY).expect("a ring");
    producer.attach(&file).expect("in good order");
    for number in 0..count {
        producer.push(number as u32, &[&[number as u8; 16]]).expect("room");
    }
    (memory, producer)
}

fn is_corrupt<T>(result: &Result<T, RingError>) -> bool {
    matches!(result, Err(RingError::Corrupt))
}

#[test]
fn a_header_that_is_not_a_ring_of_ours_is_refused() {
    let good = producer_kind(CAPACITY);
    let capacities = [0, 5, 22, 23, 63, 64, 255].map(|log| good & !0xff | log);
    let others = [0, u64::MAX, consumer_kind(), good ^ 1 << 63, good ^ 1 << 16, good ^ 1 << 8];
    for kind in capacities.into_iter().chain(others) {
        let (memory, file) = forged_producer();
        memory.word(KIND).store(kind, Ordering::Relaxed);
        assert!(is_corrupt(&Consumer::open(&file)), "{kind:x}");
    }
    for kind in [0, u64::MAX, good, consumer_kind() ^ 1] {
        let (memory, file) = forged_consumer();
        memory.word(KIND).store(kind, Ordering::Relaxed);
        let (mut producer, _) = Producer::create(CAPACITY).expect("a ring");
        assert!(is_corrupt(&producer.attach(&file)), "{kind:x}");
        assert!(!producer.attached());
    }
}

#[test]
fn memory_of_a_wrong_size_is_refused() {
    let (_memory, file) = OwnMemory::create("small", 1).expect("memory");
    assert!(matches!(Consumer::open(&file), Err(RingError::Corrupt)), "a header and no ring");
    let (_memory, file) = OwnMemory::create("large", HEADER + MAX_CAPACITY * 2).expect("memory");
    assert!(matches!(Consumer::open(&file), Err(RingError::Memory(_))));
    let (mut producer, _) = Producer::create(CAPACITY).expect("a ring");
    assert!(matches!(producer.attach(&file), Err(RingError::Memory(_))));
}

#[test]
fn an_impossible_head_is_corrupt() {
    let beyond = CAPACITY as u64 + 8;
    for head in [beyond, 1, 7, 12, u64::MAX, u64::MAX - 7, 1 << 63] {
        let (memory, mut consumer) = victim_of_producer(0);
        memory.word(HEAD).store(head, Ordering::Release);
        assert!(is_corrupt(&consumer.peek()), "{head}");
        assert!(is_corrupt(&consumer.peek()), "and stays so");
        assert!(is_corrupt(&consumer.sleep()), "{head}");
        assert!(!consumer.asleep());
    }
}

#[test]
fn a_head_that_moves_backwards_is_corrupt() {
    let (memory, mut consumer) = victim_of_producer(4);
    for _ in 0..4 {
        let record = consumer.peek().expect("honest").expect("a record");
        consumer.consume(record);
    }
    for head in [0, 24, 88] {
        memory.word(HEAD).store(head, Ordering::Release);
        assert!(is_corrupt(&consumer.peek()), "{head}");
    }
    memory.word(HEAD).store(96 + CAPACITY as u64 + 8, Ordering::Release);
    assert!(is_corrupt(&consumer.peek()), "more than a lap ahead");
}

#[test]
fn a_frame_that_is_not_all_there_is_corrupt() {
    for len in [17, 24, CAPACITY / 4, CAPACITY / 4 + 1, CAPACITY, u32::MAX as usize] {
        let (mut memory, mut consumer) = victim_of_producer(1);
        memory.copy_in(HEADER, &frame(0, len));
        assert!(is_corrupt(&consumer.peek()), "{len}");
    }
    let (mut memory, mut consumer) = victim_of_producer(40);
    memory.copy_in(HEADER, &frame(0, CAPACITY / 4 + 1));
    assert!(is_corrupt(&consumer.peek()), "longer than any record may be, though it is all there");
}

#[test]
fn a_frame_that_changes_after_peek_does_not_move_the_tail_elsewhere() {
    let (mut memory, mut consumer) = victim_of_producer(2);
    let record = consumer.peek().expect("honest").expect("a record");
    memory.copy_in(HEADER, &frame(9, 4000));
    assert_eq!(record, Record { tag: 0, len: 16, position: 0 });
    consumer.consume(record);
    assert_eq!(consumer.tail(), 24);
    assert_eq!(consumer.peek().expect("honest").map(|record| record.tag), Some(1));
}

#[test]
fn an_impossible_tail_is_corrupt_and_nothing_is_given_up_for_it() {
    // Beyond the head, inside a record, unaligned.
    for tail in [24 * 42 + 8, 24 * 43, 8, 16, 23, 25, u64::MAX, 1 << 63] {
        let (memory, mut producer) = victim_of_consumer(42);
        memory.word(TAIL).store(tail, Ordering::Release);
        assert_eq!(producer.push(0, &[&[0; 16]]), Err(PushError::Corrupt), "{tail}");
        assert!(is_corrupt(&producer.has_room(&[16])), "{tail}");
        assert!(is_corrupt(&producer.announce_wait()), "{tail}");
        assert!(is_corrupt(&producer.tail()), "{tail}");
        assert_eq!(producer.unread().len(), 42, "{tail}");
    }
}

#[test]
fn a_tail_that_moves_backwards_is_corrupt() {
    let (memory, mut producer) = victim_of_consumer(42);
    memory.word(TAIL).store(24 * 10, Ordering::Release);
    assert_eq!(producer.tail().expect("between two records"), 240);
    for tail in [0, 24, 24 * 9] {
        memory.word(TAIL).store(tail, Ordering::Release);
        assert!(is_corrupt(&producer.tail()), "{tail}");
        let tags: Vec<u32> = producer.unread().map(|(tag, _, _)| tag).collect();
        assert_eq!(tags, (10..42).collect::<Vec<u32>>(), "what it said last while it told the truth");
    }
}

#[test]
fn a_restless_sleep_or_room_word_costs_a_bell_and_no_more() {
    let (memory, mut producer) = victim_of_consumer(1);
    for word in [u64::MAX, 1, 1 << 63 | 1, 3] {
        memory.word(SLEEP).store(word, Ordering::Relaxed);
        assert!(producer.must_ring());
        assert!(!producer.must_ring());
    }
    let (memory, mut consumer) = victim_of_producer(3);
    for word in [u64::MAX, 1, 3] {
        memory.word(ROOM).store(word, Ordering::Relaxed);
        let record = consumer.peek().expect("honest").expect("a record");
        let _ = consumer.consume(record);
    }
}

/// A memory of a ring of `capacity`, its head where the switch of an empty ring ends.
fn forged_larger(capacity: usize) -> (OwnMemory, MemoryFile) {
    let (memory, file) = OwnMemory::create("forged", HEADER + capacity).expect("memory");
    memory.word(KIND).store(producer_kind(capacity), Ordering::Relaxed);
    memory.word(HEAD).store(8, Ordering::Relaxed);
    (memory, file)
}

/// A consumer that has a switch before it, and has accepted `larger`.
fn before_the_switch(larger: &MemoryFile, records: u64, len: usize) -> (OwnMemory, Consumer, Record) {
    let (mut memory, mut consumer) = victim_of_producer(0);
    memory.copy_in(HEADER, &frame(0, len));
    memory.word(HEAD).store(8 * records + len as u64, Ordering::Release);
    consumer.accept(larger, MAX_CAPACITY).expect("in good order");
    let record = consumer.peek().expect("honest").expect("a record");
    (memory, consumer, record)
}

#[test]
fn a_larger_memory_that_is_not_one_is_refused() {
    let most = CAPACITY * 16;
    for capacity in [CAPACITY / 2, CAPACITY, CAPACITY * 32] {
        let (_memory, mut consumer) = victim_of_producer(0);
        let (_larger, file) = forged_larger(capacity);
        let refused = consumer.accept(&file, most);
        assert!(matches!(refused, Err(RingError::Corrupt | RingError::Memory(_))), "{capacity}");
    }
    // One that claims more than is there, or to be something else.
    for kind in [producer_kind(CAPACITY * 8), producer_kind(MAX_CAPACITY), consumer_kind(), 0, u64::MAX] {
        let (_memory, mut consumer) = victim_of_producer(0);
        let (larger, file) = forged_larger(CAPACITY * 4);
        larger.word(KIND).store(kind, Ordering::Relaxed);
        assert!(is_corrupt(&consumer.accept(&file, most)), "{kind:x}");
    }
    let (_memory, mut consumer) = victim_of_producer(0);
    let unsealed = crate::sys::create_memfd("unsealed").expect("memory");
    crate::sys::resize(&unsealed, HEADER + CAPACITY * 4).expect("memory");
    assert!(matches!(consumer.accept(&unsealed, most), Err(RingError::Memory(_))));
}

#[test]
fn a_ring_grows_once_and_only_into_what_was_offered() {
    let (_larger, file) = forged_larger(CAPACITY * 4);
    let (_memory, mut consumer, record) = before_the_switch(&file, 1, 0);
    assert!(is_corrupt(&consumer.accept(&file, MAX_CAPACITY)), "a second offer");
    assert!(!consumer.switch(record).expect("the first one"));
    let (_more, file) = forged_larger(CAPACITY * 8);
    assert!(is_corrupt(&consumer.accept(&file, MAX_CAPACITY)), "an offer after it has grown");

    let (mut memory, mut consumer) = victim_of_producer(0);
    memory.copy_in(HEADER, &frame(0, 0));
    memory.word(HEAD).store(8, Ordering::Release);
    let record = consumer.peek().expect("honest").expect("a record");
    assert!(is_corrupt(&consumer.switch(record)), "nothing was offered");
}

#[test]
fn a_switch_that_is_not_the_end_of_the_old_ring_is_corrupt() {
    let (_larger, file) = forged_larger(CAPACITY * 4);
    for (records, len) in [(2, 0), (1, 8), (5, 64)] {
        let (_memory, mut consumer, record) = before_the_switch(&file, records, len);
        assert!(is_corrupt(&consumer.switch(record)), "{records} {len}");
    }
    // The new head is before the switch, off the grid, or too far.
    for head in [0, 12, u64::MAX, 8 + CAPACITY as u64 * 4 + 8] {
        let (larger, file) = forged_larger(CAPACITY * 4);
        larger.word(HEAD).store(head, Ordering::Relaxed);
        let (_memory, mut consumer, record) = before_the_switch(&file, 1, 0);
        let _ = consumer.switch(record);
        assert!(is_corrupt(&consumer.peek()), "{head}");
    }
}

#[test]
fn a_tail_across_the_switch_is_believed_only_between_two_records() {
    // 3 records of 24 bytes, the switch, then 3 more.
    let switched = || {
        let (memory, file) = forged_consumer();
        let (mut producer, _) = Producer::create(CAPACITY).expect("a ring");
        producer.keep_room_to_grow();
        producer.attach(&file).expect("in good order");
        for number in 0..6 {
            if number == 3 {
                producer.switch(9, Larger::create(CAPACITY * 4).expect("memory").0).expect("room");
            }
            producer.push(number, &[&[number as u8; 16]]).expect("room");
        }
        (memory, producer)
    };
    let starts = [0, 24, 48, 72, 80, 104, 128, 152];
    for tail in (0..176).chain([CAPACITY as u64, CAPACITY as u64 + 80, u64::MAX]) {
        let (memory, mut producer) = switched();
        memory.word(TAIL).store(tail, Ordering::Release);
        let left = starts.iter().filter(|start| **start >= tail && **start < 152).count();
        if starts.contains(&tail) {
            assert_eq!(producer.tail().expect("between two records"), tail);
            assert_eq!(producer.unread().len(), left, "{tail}");
        } else {
            assert!(is_corrupt(&producer.tail()), "{tail}");
            assert_eq!(producer.unread().len(), 7, "{tail}");
        }
    }
}

/// One thing a hostile producer does to its memory.
fn scribble() -> impl Strategy<Value = (usize, u64)> {
    let data = (0..CAPACITY / 8).prop_map(|index| HEADER + index * 8);
    let place = prop_oneof![3 => Just(HEAD), 1 => Just(ROOM), 4 => data];
    let small = (0..200_u64).prop_map(|count| count * 8);
    let framed = (any::<u32>(), 0..300_usize).prop_map(|(tag, len)| u64::from_ne_bytes(frame(tag, len)));
    (place, prop_oneof![4 => small, 4 => framed, 1 => any::<u64>()])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 5 } else { 2000 }))]

    #[test]
    fn no_producer_can_hurt_a_consumer(steps in prop::collection::vec(scribble(), 1..60)) {
        let (mut memory, mut consumer) = victim_of_producer(5);
        let mut buf = [0; CAPACITY];
        for (place, value) in steps {
            if place < HEADER {
                memory.word(place).store(value, Ordering::Release);
            } else {
                memory.copy_in(place, &value.to_ne_bytes());
            }
            let before = consumer.tail();
            match consumer.peek() {
                Ok(Some(record)) => {
                    prop_assert!(record.len <= CAPACITY / 4);
                    consumer.copy_out(&record, 0, &mut buf[..record.len]);
                    let _ = consumer.consume(record);
                    prop_assert!(consumer.tail() > before && consumer.tail() % 8 == 0);
                }
                Ok(None) => {
                    let _ = consumer.sleep();
                    consumer.wake();
                }
                Err(error) => prop_assert!(matches!(error, RingError::Corrupt)),
            }
        }
    }

    #[test]
    fn no_consumer_can_hurt_a_producer(
        steps in prop::collection::vec((0..300_usize, 0..300_u64, any::<bool>(), any::<u64>()), 1..60),
    ) {
        let (memory, mut producer) = victim_of_consumer(5);
        for (len, multiple, wild, random) in steps {
            let tail = if wild { random } else { multiple * 8 };
            memory.word(TAIL).store(tail, Ordering::Release);
            memory.word(SLEEP).store(random, Ordering::Relaxed);
            let body = vec![len as u8; len];
            let room = producer.has_room(&[len]);
            let pushed = producer.push(len as u32, &[&body]);
            if let Ok(room) = room {
                prop_assert_eq!(room, pushed.is_ok());
            }
            let _ = producer.announce_wait();
            producer.cancel_wait();
            // Whatever it said, our own records are whole.
            let mut end = None;
            for (tag, position, len) in producer.unread() {
                prop_assert!(end.is_none_or(|end| end == position));
                end = Some(position + 8 + (len as u64).next_multiple_of(8));
                let mut back = vec![0; len];
                producer.read(position, 0, &mut back);
                if tag > 4 {
                    prop_assert!(tag as usize == len && back.iter().all(|byte| *byte == len as u8));
                }
            }
            prop_assert!(end.is_none_or(|end| end == producer.head()));
        }
    }
}
