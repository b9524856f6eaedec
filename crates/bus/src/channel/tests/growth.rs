//! Rings that grow, that stay small, and lies about it.

use super::*;

#[test]
fn a_ring_that_was_full_again_and_again_grows_when_its_receiver_agrees() {
    let (out, ..) = busy(limits::FULL_RINGS_BEFORE_GROWTH);
    assert!(!out.is_to_grow(), "the first time counts when a whole ring was read");
    let (mut out, mut inbound, _) = busy(limits::FULL_RINGS_BEFORE_GROWTH + 1);
    assert!(out.is_to_grow());
    out.offer_growth();
    assert!(out.has_larger() && !out.is_to_grow());
    assert_eq!(out.ring.capacity(), limits::RING_BYTES, "nobody has agreed yet");
    inbound.service().unwrap();
    assert_eq!(out.service(), Serviced::Progress);
    assert_eq!(out.ring.capacity(), limits::GROWN_RING_BYTES);
    assert_eq!(drain(&mut inbound), 0);
    assert_eq!(inbound.ring.capacity(), limits::GROWN_RING_BYTES);
}

#[test]
fn a_receiver_that_says_no_ends_the_matter() {
    let (mut out, inbound, _) = busy(limits::FULL_RINGS_BEFORE_GROWTH + 1);
    out.offer_growth();
    inbound.socket.send(&[STAYS], &[]).unwrap();
    assert_eq!(out.service(), Serviced::Progress);
    assert_eq!(out.ring.capacity(), limits::RING_BYTES);
    assert!(!out.is_to_grow() && !out.has_larger());
}

#[test]
fn a_receiver_that_answers_what_it_was_not_asked_lies() {
    for answer in [GROWN, STAYS, b'?'] {
        let (mut out, inbound, _) = busy(1);
        inbound.socket.send(&[answer], &[]).unwrap();
        assert_eq!(out.service(), Serviced::Ended, "{answer}");
        assert!(inbound.socket.has_hung_up() && out.socket.has_hung_up(), "whoever waits for its end is told");
    }
    let (mut out, mut inbound, _) = busy(limits::FULL_RINGS_BEFORE_GROWTH + 1);
    out.offer_growth();
    inbound.service().unwrap();
    inbound.socket.send(&[GROWN], &[]).unwrap();
    assert_eq!(out.service(), Serviced::Ended, "it has said so before");
}

#[test]
fn a_sender_that_lies_about_growth_ends_its_channel() {
    let larger = |capacity| Larger::create(capacity).unwrap().1;
    let offers: [(&str, Vec<Fd>); 6] = [
        ("no memory", vec![null()]),
        ("smaller", vec![larger(limits::RING_BYTES / 2)]),
        ("as large", vec![larger(limits::RING_BYTES)]),
        ("too large", vec![larger(2 * limits::GROWN_RING_BYTES)]),
        ("two", vec![larger(limits::GROWN_RING_BYTES), larger(limits::GROWN_RING_BYTES)]),
        ("nothing", vec![]),
    ];
    for (name, fds) in offers {
        let (out, mut inbound, _) = busy(1);
        let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        out.socket.send(&[GROW], &fds).unwrap();
        assert!(inbound.service().is_err(), "{name}");
    }
    let (out, mut inbound, _) = busy(1);
    for _ in 0..2 {
        out.socket.send(&[GROW], &[larger(limits::GROWN_RING_BYTES).as_fd()]).unwrap();
    }
    assert!(inbound.service().is_err(), "twice");
    let (mut out, mut inbound, _) = busy(1);
    out.ring.push(Tag::switch(), &[]).unwrap();
    assert!(inbound.front().is_err(), "a switch to nothing");
    // The memory of another ring of its own, in which the head is not where it should be.
    let (mut out, mut inbound, _) = busy(1);
    let (_other, file) = Producer::create(limits::GROWN_RING_BYTES).unwrap();
    out.socket.send(&[GROW], &[file.as_fd()]).unwrap();
    inbound.service().unwrap();
    out.ring.push(Tag::switch(), &[]).unwrap();
    assert!(inbound.front().is_err(), "a head before the switch");
}
