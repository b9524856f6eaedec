//! The protocol of the ring under the loom model checker: the production code of `ring/` on loom's atomics and
//! on memory whose every byte loom watches. Run by
//! `RUSTFLAGS="--cfg loom" cargo test -p ipmb-transport --test loom --release --target-dir target/loom`.
//!
//! What each model proves, for all interleavings and all reorderings that the memory model allows (`both_wait`
//! with at most three preemptions):
//! `two_records`: records arrive in order and complete, and no byte of one is read before it is written, also
//! round the end of the ring; `overwrite`: none is overwritten before it is read; `sleep_wake` and `burst`: a
//! consumer never sleeps with a record that nobody rings for; `room_wait`: a producer never waits with room
//! and nobody to wake it; `both_wait`: the two do not get into each other's way, also when the consumer's idea
//! of the head is old; `attach`: records pushed before the consumer's memory came are found or rung for; `grow` and
//! `grow_while_full`: the same holds across a switch into a larger memory, for a consumer that sleeps and for a
//! producer that waits.
//!
//! They can fail. Tried by hand: without the fence in `Word::publish` all but the first two deadlock; without
//! the one in `Consumer::sleep` `sleep_wake`, `burst`, `both_wait` and `attach` do; without the one in
//! `announce_wait` `room_wait` and `both_wait` do; if the consumer does not look at the room word where it
//! catches up with the head, `both_wait` does; with a relaxed load of the head or the tail, or a relaxed
//! store of the tail, loom reports bytes that are read while they are written.

#![cfg(loom)]

use std::collections::VecDeque;
use std::ops::Range;

use ipmb_transport::ring::{Consumer, Larger, MAX_CAPACITY, MemoryFile, Producer, PushError, Pushed};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// The smallest ring: 64 bytes, eight records without a body.
const CAPACITY: usize = 64;
/// The tag of the record that leads into a larger ring.
const SWITCH: u32 = u32::MAX;

/// One direction of the channel's socket: what was sent waits until it is received.
struct Line<T> {
    queue: Mutex<VecDeque<T>>,
    came: Condvar,
}

impl<T> Line<T> {
    fn new() -> Arc<Line<T>> {
        Arc::new(Line { queue: Mutex::new(VecDeque::new()), came: Condvar::new() })
    }

    fn send(&self, packet: T) {
        self.queue.lock().unwrap().push_back(packet);
        self.came.notify_one();
    }

    fn try_receive(&self) -> Option<T> {
        self.queue.lock().unwrap().pop_front()
    }

    /// Blocks; loom reports a deadlock when nobody will ever send.
    fn receive(&self) -> T {
        let mut queue = self.queue.lock().unwrap();
        loop {
            match queue.pop_front() {
                Some(packet) => return packet,
                None => queue = self.came.wait(queue).unwrap(),
            }
        }
    }
}

fn ring() -> (Producer, Consumer) {
    let (mut producer, file) = Producer::create(CAPACITY).unwrap();
    let (consumer, back) = Consumer::open(&file).unwrap();
    producer.attach(&back).unwrap();
    (producer, consumer)
}

/// Takes the next record, whose tag and every byte of the body have to be `number`; says whether to wake.
fn take(consumer: &mut Consumer, number: u32) -> Option<bool> {
    let record = consumer.peek().unwrap()?;
    assert_eq!(record.tag, number);
    let mut body = vec![0; record.len];
    consumer.copy_out(&record, 0, &mut body);
    assert!(body.iter().all(|byte| *byte == number as u8));
    Some(consumer.consume(record))
}

/// Takes `numbers` as a receiver does that sleeps whenever there is nothing.
fn take_all(consumer: &mut Consumer, numbers: Range<u32>, bell: &Line<()>, room: &Line<()>) {
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
fn push_all(producer: &mut Producer, numbers: Range<u32>, room: &Line<()>, bell: &Line<()>) {
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
fn poll_all(consumer: &mut Consumer, numbers: Range<u32>) {
    for number in numbers {
        while take(consumer, number).is_none() {
            thread::yield_now();
        }
    }
}

#[test]
fn two_records() {
    loom::model(|| {
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
    loom::model(|| {
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

#[test]
fn sleep_wake() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring();
        let bell = Line::new();
        let ringer = Arc::clone(&bell);
        let writer = thread::spawn(move || push_all(&mut producer, 0..2, &Line::new(), &ringer));
        take_all(&mut consumer, 0..2, &bell, &Line::new());
        writer.join().unwrap();
    });
}

#[test]
fn burst() {
    loom::model(|| {
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
    loom::model(|| {
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
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
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
    loom::model(|| {
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

/// A ring that both sides are ready to grow.
fn growing() -> (Producer, Consumer, Larger) {
    let (mut producer, file) = Producer::create(CAPACITY).unwrap();
    producer.keep_room_to_grow();
    let (mut consumer, back) = Consumer::open(&file).unwrap();
    producer.attach(&back).unwrap();
    let (larger, file) = Larger::create(2 * CAPACITY).unwrap();
    consumer.accept(&file, MAX_CAPACITY).unwrap();
    (producer, consumer, larger)
}

#[test]
fn grow() {
    loom::model(|| {
        let (mut producer, mut consumer, larger) = growing();
        let bell = Line::new();
        let ringer = Arc::clone(&bell);
        let writer = thread::spawn(move || {
            if producer.switch(SWITCH, larger).unwrap() == Pushed::Ring {
                ringer.send(());
            }
            push_all(&mut producer, 0..1, &Line::new(), &ringer);
        });
        take_all(&mut consumer, 0..1, &bell, &Line::new());
        writer.join().unwrap();
    });
}

#[test]
fn grow_while_full() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let (mut producer, mut consumer, larger) = growing();
        for number in 0..3 {
            producer.push(number, &[&[number as u8]]).unwrap();
        }
        let (bell, room) = (Line::new(), Line::new());
        let (ringer, waker) = (Arc::clone(&bell), Arc::clone(&room));
        let writer = thread::spawn(move || {
            // One waits in the old memory, and the word that ends its wait comes through the new one.
            let waits = producer.announce_wait().unwrap();
            if producer.switch(SWITCH, larger).unwrap() == Pushed::Ring {
                ringer.send(());
            }
            if waits {
                room.receive();
            }
            push_all(&mut producer, 3..4, &Line::new(), &ringer);
        });
        take_all(&mut consumer, 0..4, &bell, &waker);
        writer.join().unwrap();
    });
}
