//! The protocol of the ring under the loom model checker: the production code of `ring/` on loom's atomics and
//! on memory whose every byte loom watches. Run by
//! `RUSTFLAGS="--cfg loom" cargo test -p ipmb-transport --test loom --release --target-dir target/loom`.
//!
//! What each model proves, for all interleavings and all reorderings that the memory model allows (`both_wait` and
//! `grow_while_full`, and the two records of `reading_wait` and `sender_closes`, with at most three preemptions; with
//! `IPMB_LOOM_BOUND=3` all have as many at most, and twice the records):
//! `two_records`: records arrive in order and complete, and no byte of one is read before it is written, also
//! round the end of the ring; `overwrite`: none is overwritten before it is read; `sleep_wake` and `burst`: a
//! consumer never sleeps with a record that nobody rings for; `room_wait`: a producer never waits with room
//! and nobody to wake it; `both_wait`: the two do not get into each other's way, also when the consumer's idea
//! of the head is old; `attach`: records pushed before the consumer's memory came are found or rung for; `grow` and
//! `grow_while_full`: the same holds across a switch into a larger memory, for a consumer that sleeps and for a
//! producer that waits; `reading_wait`: a producer that waits until its records are read hears of it;
//! `sender_closes`, `receiver_closes` and `receiver_closes_while_it_grows`: when one side hangs up, whenever that is, the
//! other one wakes, and each record was either read or is found unread, never both.
//!
//! They can fail. Tried by hand: without the fence in `Word::publish` all but the first two deadlock; without
//! the one in `Consumer::sleep` `sleep_wake`, `burst`, `both_wait` and `attach` do; without the one in
//! `announce_wait` `room_wait` and `both_wait` do; if the consumer does not look at the room word where it
//! catches up with the head, `both_wait` does; with a relaxed load of the head or the tail, or a relaxed
//! store of the tail, loom reports bytes that are read while they are written; without the fence in
//! `announce_reading` `reading_wait` deadlocks; if the receiver looks into the ring before it looks for the end,
//! `sender_closes` loses a record.

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
    queue: Mutex<Queue<T>>,
    came: Condvar,
}

struct Queue<T> {
    packets: VecDeque<T>,
    /// The other side has hung up.
    ended: bool,
}

impl<T> Line<T> {
    fn new() -> Arc<Line<T>> {
        Arc::new(Line { queue: Mutex::new(Queue { packets: VecDeque::new(), ended: false }), came: Condvar::new() })
    }

    fn send(&self, packet: T) {
        self.queue.lock().unwrap().packets.push_back(packet);
        self.came.notify_one();
    }

    fn try_receive(&self) -> Option<T> {
        self.queue.lock().unwrap().packets.pop_front()
    }

    /// The sending side is closed.
    fn close(&self) {
        self.queue.lock().unwrap().ended = true;
        self.came.notify_one();
    }

    /// Whether it is, and everything was received.
    fn has_ended(&self) -> bool {
        let queue = self.queue.lock().unwrap();
        queue.ended && queue.packets.is_empty()
    }

    /// Blocks; loom reports a deadlock when nobody will ever send.
    fn receive(&self) -> T {
        self.receive_or_end().expect("nobody hangs up in this model")
    }

    /// The same; `None` when the other side has hung up.
    fn receive_or_end(&self) -> Option<T> {
        let mut queue = self.queue.lock().unwrap();
        loop {
            match queue.packets.pop_front() {
                Some(packet) => return Some(packet),
                None if queue.ended => return None,
                None => queue = self.came.wait(queue).unwrap(),
            }
        }
    }
}

/// The most preemptions, where that is asked for: larger models need it.
fn bound() -> Option<usize> {
    std::env::var("IPMB_LOOM_BOUND").ok()?.parse().ok()
}

/// How many records a model has that is explored to the end with two.
fn records() -> u32 {
    if bound().is_some() { 4 } else { 2 }
}

fn check(most: Option<usize>, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = bound().or(most);
    builder.check(model);
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
    check(None, || {
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
    check(Some(3), || {
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

/// With one record to the end; with two, which takes hours, with three preemptions.
fn check_both(model: impl Fn(u32) + Copy + Sync + Send + 'static) {
    check(None, move || model(records() / 2));
    check(Some(3), move || model(records()));
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
