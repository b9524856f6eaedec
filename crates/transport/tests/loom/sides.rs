//! The two sides of a ring as every model has them: one that sleeps when there is nothing, one that waits when there is
//! no room; and how far a model is explored.

use std::ops::Range;

use ipmb_transport::ring::{Consumer, Larger, MAX_CAPACITY, Producer, PushError, Pushed};
use loom::thread;

use crate::line::Line;

/// The smallest ring: 64 bytes, eight records without a body.
pub(crate) const CAPACITY: usize = 64;
/// The tag of the record that leads into a larger ring.
pub(crate) const SWITCH: u32 = u32::MAX;

/// The most preemptions, where that is asked for: larger models need it.
fn bound() -> Option<usize> {
    std::env::var("IPMB_LOOM_BOUND").ok()?.parse().ok()
}

/// How many records a model has that is explored to the end with two.
pub(crate) fn records() -> u32 {
    if bound().is_some() { 4 } else { 2 }
}

pub(crate) fn check(most: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound().or(most);
    builder.check(model);
}

pub(crate) fn ring() -> (Producer, Consumer) {
    let (mut producer, file) = Producer::create(CAPACITY).unwrap();
    let (consumer, back) = Consumer::open(&file).unwrap();
    producer.attach(&back).unwrap();
    (producer, consumer)
}

/// Takes the next record, whose tag and every byte of the body have to be `number`; says whether to wake.
pub(crate) fn take(consumer: &mut Consumer, number: u32) -> Option<bool> {
    let record = consumer.peek().unwrap()?;
    assert_eq!(record.tag, number);
    let mut body = vec![0; record.len];
    consumer.copy_out(&record, 0, &mut body);
    assert!(body.iter().all(|byte| *byte == number as u8));
    Some(consumer.consume(record))
}

/// Takes `numbers` as a receiver does that sleeps whenever there is nothing.
pub(crate) fn take_all(consumer: &mut Consumer, numbers: Range<u32>, bell: &Line<()>, room: &Line<()>) {
    for number in numbers {
        loop {
            let wake = match consumer.peek().unwrap() {
                Some(record) if record.tag == SWITCH => consumer.switch(record).unwrap(),
                Some(_) => {
                    if take(consumer, number).unwrap() {
                        room.send(());
                    }
                    break;
                }
                None => {
                    if consumer.sleep().unwrap() {
                        bell.receive();
                        consumer.wake();
                    }
                    false
                }
            };
            if wake {
                room.send(());
            }
        }
    }
}

/// Pushes `numbers` as a sender does that sleeps whenever the ring is full.
pub(crate) fn push_all(producer: &mut Producer, numbers: Range<u32>, room: &Line<()>, bell: &Line<()>) {
    for number in numbers {
        loop {
            match producer.push(number, &[&[number as u8]]) {
                Ok(pushed) => {
                    if pushed == Pushed::Ring {
                        bell.send(());
                    }
                    break;
                }
                Err(error) => {
                    assert_eq!(error, PushError::Full);
                    if producer.announce_wait().unwrap() {
                        room.receive();
                        producer.cancel_wait();
                    }
                }
            }
        }
    }
}

/// Takes `numbers` by looking again and again.
pub(crate) fn poll_all(consumer: &mut Consumer, numbers: Range<u32>) {
    for number in numbers {
        while take(consumer, number).is_none() {
            thread::yield_now();
        }
    }
}

/// With one record to the end; with two, which takes hours, with three preemptions.
pub(crate) fn check_both(model: impl Fn(u32) + Copy + Sync + Send + 'static) {
    check(None, move || model(records() / 2));
    check(Some(3), move || model(records()));
}

/// A ring that both sides are ready to grow.
pub(crate) fn growing() -> (Producer, Consumer, Larger) {
    let (mut producer, file) = Producer::create(CAPACITY).unwrap();
    producer.keep_room_to_grow();
    let (mut consumer, back) = Consumer::open(&file).unwrap();
    producer.attach(&back).unwrap();
    let (larger, file) = Larger::create(2 * CAPACITY).unwrap();
    consumer.accept(&file, MAX_CAPACITY).unwrap();
    (producer, consumer, larger)
}
