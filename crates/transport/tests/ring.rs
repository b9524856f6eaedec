//! The ring between two well-behaved sides: order, wrapping, room, bells, and reading back.

#![cfg(not(loom))]

use ipmb_transport::PushError;
use ipmb_transport::ring::{Consumer, Producer, Pushed};

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
    (0..len)
        .map(|index| (number as u8).wrapping_mul(31).wrapping_add(index as u8))
        .collect()
}

#[test]
fn records_of_every_length_arrive_in_order_and_whole() {
    let (mut producer, mut consumer) = ring(4096);
    for number in 0..20_000_u64 {
        let len = (number as usize * 7) % (producer.max_body() + 1);
        let sent = body(number, len);
        let (first, rest) = sent.split_at(len / 3);
        producer
            .push(number as u32, &[first, &[], rest])
            .expect("an empty ring has room");
        let (tag, received, _) = pop(&mut consumer).expect("what was just pushed");
        assert_eq!((tag, received), (number as u32, sent));
    }
    assert_eq!(pop(&mut consumer), None);
}
