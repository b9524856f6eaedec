//! Records arrive in order, whole, and are not overwritten before they are read.

use ipmb_transport::ring::PushError;
use loom::thread;

use crate::sides::{check, poll_all, ring, take};

#[test]
fn two_records() {
    check(None, || {
        let (mut producer, mut consumer) = ring();
        // From here on the second of two records of 24 bytes goes round the end.
        producer.push(0, &[&[0; 16]]).unwrap();
        take(&mut consumer, 0).unwrap();
        let writer = thread::spawn(move || {
            producer.push(1, &[&[1; 16]]).unwrap();
            producer.push(2, &[&[2; 5], &[2; 11]]).unwrap();
        });
        poll_all(&mut consumer, 1..3);
        assert!(consumer.peek().unwrap().is_none());
        writer.join().unwrap();
    });
}

#[test]
fn overwrite() {
    check(None, || {
        let (mut producer, mut consumer) = ring();
        producer.push(0, &[&[0; 16]]).unwrap();
        producer.push(1, &[&[1; 16]]).unwrap();
        let writer = thread::spawn(move || {
            for number in 2..4 {
                while let Err(error) = producer.push(number, &[&[number as u8; 16]]) {
                    assert_eq!(error, PushError::Full);
                    thread::yield_now();
                }
            }
            producer
        });
        poll_all(&mut consumer, 0..3);
        let mut producer = writer.join().unwrap();
        let unread: Vec<u32> = producer.unread().map(|(tag, _, _)| tag).collect();
        assert_eq!(unread, [3]);
    });
}
