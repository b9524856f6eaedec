//! The same holds while the ring is exchanged for a larger one.

use ipmb_transport::ring::Pushed;
use loom::sync::Arc;
use loom::thread;

use crate::line::Line;
use crate::sides::{SWITCH, check, growing, push_all, take_all};

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
