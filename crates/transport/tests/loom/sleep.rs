//! Nobody sleeps or waits for ever: the fences between a word that says "I sleep" and a look at the ring.

use ipmb_transport::ring::{Consumer, MemoryFile, Producer, Pushed};
use loom::sync::Arc;
use loom::thread;

use crate::line::Line;
use crate::sides::{CAPACITY, check, check_both, push_all, records, ring, take, take_all};

#[test]
fn sleep_wake() {
    check(None, || {
        let (mut producer, mut consumer) = ring();
        let bell = Line::new();
        let ringer = Arc::clone(&bell);
        let writer = thread::spawn(move || push_all(&mut producer, 0..records(), &Line::new(), &ringer));
        take_all(&mut consumer, 0..records(), &bell, &Line::new());
        writer.join().unwrap();
    });
}

#[test]
fn burst() {
    check(None, || {
        let (mut producer, mut consumer) = ring();
        let bell = Line::new();
        let ringer = Arc::clone(&bell);
        let writer = thread::spawn(move || {
            producer.stage(0, &[&[0]]).unwrap();
            producer.stage(1, &[&[1]]).unwrap();
            if producer.publish() == Pushed::Ring {
                ringer.send(());
            }
        });
        take_all(&mut consumer, 0..2, &bell, &Line::new());
        writer.join().unwrap();
    });
}

#[test]
fn room_wait() {
    check(None, || {
        let (mut producer, mut consumer) = ring();
        for number in 0..4 {
            producer.push(number, &[&[number as u8]]).unwrap();
        }
        let bell = Line::new();
        let waker = Arc::clone(&bell);
        let reader = thread::spawn(move || {
            for number in 0..4 {
                if take(&mut consumer, number).unwrap() {
                    waker.send(());
                }
            }
        });
        push_all(&mut producer, 4..6, &bell, &Line::new());
        reader.join().unwrap();
    });
}

#[test]
fn both_wait() {
    check(Some(3), || {
        let (mut producer, mut consumer) = ring();
        // Half a ring; the consumer gets to know that, and its knowledge grows old.
        for number in 0..2 {
            producer.push(number, &[&[number as u8]]).unwrap();
        }
        consumer.peek().unwrap();
        let (bell, room) = (Line::new(), Line::new());
        let (ringer, waker) = (Arc::clone(&bell), Arc::clone(&room));
        let writer = thread::spawn(move || push_all(&mut producer, 2..7, &room, &ringer));
        take_all(&mut consumer, 0..7, &bell, &waker);
        writer.join().unwrap();
    });
}

#[test]
fn attach() {
    check(None, || {
        let (mut producer, file) = Producer::create(CAPACITY).unwrap();
        let line: Arc<Line<MemoryFile>> = Line::new();
        let bell = Line::new();
        let (sender, ringer) = (Arc::clone(&line), Arc::clone(&bell));
        let reader = thread::spawn(move || {
            let (mut consumer, back) = Consumer::open(&file).unwrap();
            sender.send(back);
            take_all(&mut consumer, 0..2, &bell, &Line::new());
        });
        for number in 0..2 {
            let mut ring = producer.push(number, &[&[number as u8]]).unwrap() == Pushed::Ring;
            if !producer.attached()
                && let Some(back) = line.try_receive()
            {
                producer.attach(&back).unwrap();
                ring = producer.must_ring();
            }
            if ring {
                ringer.send(());
            }
        }
        reader.join().unwrap();
    });
}

#[test]
fn reading_wait() {
    check_both(|count| {
        let (mut producer, mut consumer) = ring();
        let (bell, room) = (Line::new(), Line::new());
        let (ringer, waker) = (Arc::clone(&bell), Arc::clone(&room));
        let writer = thread::spawn(move || {
            push_all(&mut producer, 0..count, &room, &ringer);
            // What came with the records is given up when they are read, whatever room there is.
            while producer.announce_reading().unwrap() < producer.head() {
                room.receive();
            }
        });
        take_all(&mut consumer, 0..count, &bell, &waker);
        writer.join().unwrap();
    });
}
