//! One side hangs up, whenever that is: the other one wakes, and each record is read or found unread, never both.

use std::ops::Range;

use ipmb_transport::ring::{Consumer, Producer, PushError};
use loom::sync::Arc;
use loom::thread;

use crate::line::Line;
use crate::sides::{SWITCH, check, check_both, growing, push_all, records, ring, take};

/// Reads until the sender has hung up and nothing is left, as a receiver does that sleeps whenever there is nothing.
fn take_to_the_end(consumer: &mut Consumer, bell: &Line<()>) -> u32 {
    let mut number = 0;
    loop {
        // The end first: what the ring holds after it is all there will be.
        let ended = bell.has_ended();
        if take(consumer, number).is_some() {
            number += 1;
        } else if ended {
            return number;
        } else if consumer.sleep().unwrap() {
            let _ = bell.receive_or_end();
            consumer.wake();
        }
    }
}

#[test]
fn sender_closes() {
    check_both(|count| {
        let (mut producer, mut consumer) = ring();
        let bell = Line::new();
        let ringer = Arc::clone(&bell);
        let writer = thread::spawn(move || {
            push_all(&mut producer, 0..count, &Line::new(), &ringer);
            ringer.close();
        });
        assert_eq!(take_to_the_end(&mut consumer, &bell), count);
        writer.join().unwrap();
    });
}

/// Takes records until one is missing or so many are read, then hangs up.
fn take_some(mut consumer: Consumer, most: u32, room: &Line<()>) -> u32 {
    let mut number = 0;
    while number < most {
        match consumer.peek().unwrap() {
            Some(record) if record.tag == SWITCH => {
                if consumer.switch(record).unwrap() {
                    room.send(());
                }
            }
            Some(_) => {
                if take(&mut consumer, number).unwrap() {
                    room.send(());
                }
                number += 1;
            }
            None => break,
        }
    }
    room.close();
    number
}

/// Pushes until all is in, or the receiver has hung up while there was no room. How many went in.
fn push_to_the_end(producer: &mut Producer, numbers: Range<u32>, room: &Line<()>) -> u32 {
    for number in numbers.clone() {
        while let Err(error) = producer.push(number, &[&[number as u8]]) {
            assert_eq!(error, PushError::Full);
            if producer.announce_wait().unwrap() {
                let heard = room.receive_or_end();
                producer.cancel_wait();
                if heard.is_none() {
                    return number;
                }
            }
        }
    }
    numbers.end
}

/// What the receiver has not read is found unread, and nothing else.
fn check_unread(producer: &mut Producer, read: u32, pushed: u32) {
    let unread: Vec<u32> = producer.unread().map(|(tag, _, _)| tag).filter(|tag| *tag != SWITCH).collect();
    assert_eq!(unread, (read..pushed).collect::<Vec<_>>());
}

#[test]
fn receiver_closes() {
    check(Some(3), || {
        let (mut producer, consumer) = ring();
        // Room for one: the second has to wait, perhaps for one who will never read.
        for number in 0..3 {
            producer.push(number, &[&[number as u8]]).unwrap();
        }
        let room = Line::new();
        let waker = Arc::clone(&room);
        let reader = thread::spawn(move || take_some(consumer, 2, &waker));
        let pushed = push_to_the_end(&mut producer, 3..3 + records(), &room);
        let read = reader.join().unwrap();
        // The end is heard first, then the tail is looked at.
        check_unread(&mut producer, read, pushed);
    });
}

#[test]
fn receiver_closes_while_it_grows() {
    check(None, || {
        let (mut producer, consumer, larger) = growing();
        producer.push(0, &[&[0]]).unwrap();
        let room = Line::new();
        let waker = Arc::clone(&room);
        let reader = thread::spawn(move || take_some(consumer, 2, &waker));
        producer.switch(SWITCH, larger).unwrap();
        let pushed = push_to_the_end(&mut producer, 1..1 + records(), &room);
        let read = reader.join().unwrap();
        check_unread(&mut producer, read, pushed);
    });
}
