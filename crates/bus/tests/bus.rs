//! Endpoints of one process on a bus of their own: what they send arrives, and what cannot is accounted for.
//!
//! Deaths of processes are tested from Python, where processes are cheap to make; here is what needs none.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ipmb_bus::error::{FullReason, JoinError, SendError};
use ipmb_bus::label::Label;
use ipmb_bus::label_op::LabelOp;
use ipmb_bus::limits;
use ipmb_bus::selector::{Selector, Ttl};
use ipmb_bus::stats::DropReason;
use ipmb_bus::{Build, Endpoint, Options, Overflow, join};
use support::{LONG, NOW, TYPE, bus, bytes, endpoint, eventually, recv, send, to};

#[test]
fn what_is_sent_arrives_in_order_at_every_size() {
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    assert!(a.is_controller() && !b.is_controller());
    let sizes = [0, 1, 16, 1000, 16_000, 16_384, 16_385, 70_000, 5_000_000];
    let receiver = std::thread::spawn(move || sizes.map(|_| recv(&b, LONG).unwrap().len()));
    for size in sizes {
        assert_eq!(send(&a, &to("b"), &vec![7; size]), 1);
    }
    assert_eq!(receiver.join().unwrap(), sizes);
}

#[test]
fn a_hundred_thousand_messages_through_a_full_ring() {
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    let count = 100_000_u64;
    let receiver = std::thread::spawn(move || {
        for expected in 0..count {
            assert_eq!(recv(&b, LONG).unwrap(), expected.to_le_bytes());
        }
    });
    for number in 0..count {
        send(&a, &to("b"), &number.to_le_bytes());
    }
    receiver.join().unwrap();
}

#[test]
fn unicast_spreads_and_multicast_reaches_all_with_oneself() {
    let bus = bus();
    let a = endpoint(&bus, "w");
    let others: Vec<_> = (0..3).map(|_| endpoint(&bus, "w")).collect();
    for _ in 0..8 {
        send(&a, &to("w"), b"x");
    }
    for endpoint in others.iter().chain([&a]) {
        assert_eq!((0..3).map_while(|_| recv(endpoint, Some(Duration::from_millis(50)))).count(), 2);
    }
    let everybody = Arc::new(Selector::multicast(LabelOp::constant(true)));
    assert_eq!(send(&a, &everybody, b"all"), 4);
    for endpoint in others.iter().chain([&a]) {
        assert_eq!(recv(endpoint, LONG).unwrap(), b"all");
    }
}

#[test]
fn a_message_waits_for_its_receiver_and_expires_on_an_idle_bus() {
    let bus = bus();
    let a = endpoint(&bus, "a");
    let waiting = Arc::new(Selector::unicast(LabelOp::leaf("b").unwrap()).with_ttl(Ttl::FOREVER));
    for payload in [&b"one"[..], b"two", &[3; 200_000]] {
        assert_eq!(send(&a, &waiting, payload), 0);
    }
    let short = Arc::new(Selector::unicast(LabelOp::leaf("c").unwrap()).with_ttl(Duration::from_millis(50).into()));
    send(&a, &short, b"gone");
    assert_eq!(a.stats().unwrap().waiting, 4);
    let b = endpoint(&bus, "b");
    assert_eq!(recv(&b, LONG).unwrap(), b"one");
    assert_eq!(recv(&b, LONG).unwrap(), b"two");
    assert_eq!(recv(&b, LONG).unwrap(), [3; 200_000]);
    let end = Instant::now() + Duration::from_secs(5);
    while a.stats().unwrap().expired == 0 {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
    assert_eq!(a.stats().unwrap().waiting, 0);
}

#[test]
fn a_closed_receivers_unread_messages_go_to_another() {
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "w"));
    for number in 0..10_u8 {
        send(&a, &to("w"), &[number]);
    }
    let c = endpoint(&bus, "w");
    assert_eq!(recv(&b, LONG).unwrap(), [0]);
    b.receiver().close();
    let again: Vec<_> = (1..10).map(|_| recv(&c, LONG).unwrap()[0]).collect();
    assert_eq!(again, (1..10).collect::<Vec<u8>>());
    assert_eq!(a.stats().unwrap().redelivered, 9);
}

#[test]
fn what_was_left_unread_counts_as_waiting_until_another_has_room() {
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "w"));
    let other = endpoint(&bus, "w");
    let mut sent = 0;
    while a.sender().send(&to("w"), TYPE, &[7; 1000], Vec::new(), NOW, Overflow::Error).is_ok() {
        sent += 1;
    }
    b.receiver().close();
    eventually("half of them wait for room", || a.stats().unwrap().waiting > sent / 3);
    let mut got = 0;
    while got < sent && recv(&other, LONG).is_some() {
        got += 1;
    }
    assert_eq!(got, sent);
    eventually("none waits any more", || a.stats().unwrap().waiting == 0);
}

#[test]
fn a_full_ring_is_waited_for_or_refused_or_counted() {
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    let sender = a.sender();
    let mut sent = 0;
    let refused = loop {
        match sender.send(&to("b"), TYPE, &[0; 1000], Vec::new(), None, Overflow::Error) {
            Ok(count) => sent += count,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, SendError::Full { reason: FullReason::Ring }), "{refused}");
    assert_eq!(sender.send(&to("b"), TYPE, &[0; 1000], Vec::new(), None, Overflow::Drop).unwrap(), 0);
    assert_eq!(a.stats().unwrap().dropped[1], 1);
    let late = sender.send(&to("b"), TYPE, &[0; 1000], Vec::new(), Some(Duration::from_millis(50)), Overflow::Block);
    assert!(matches!(late, Err(SendError::Timeout { delivered: 0 })), "{late:?}");
    assert_eq!((0..).map_while(|_| recv(&b, NOW)).count(), sent);
    let own = loop {
        match sender.send(&to("a"), TYPE, &[0; 1000], Vec::new(), None, Overflow::Block) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(own, SendError::Full { reason: FullReason::Own }), "{own}");
}

#[test]
fn tokens_have_to_agree() {
    let bus = bus();
    let with = |token: &[u8]| join(Options { token: token.to_vec(), ..Options::new(&*bus, Label::default()) }, LONG);
    let _first = with(b"secret").unwrap();
    assert!(matches!(with(b"wrong"), Err(JoinError::Token)));
    assert!(matches!(with(b""), Err(JoinError::Token)));
    assert!(with(b"secret").is_ok());
}

#[test]
fn without_affinity_there_has_to_be_a_bus() {
    let bus = bus();
    let without = || Options { controller_affinity: false, ..Options::new(&*bus, Label::default()) };
    let alone = join(without(), Some(Duration::from_millis(60)));
    assert!(matches!(alone, Err(JoinError::Timeout { .. })));
    let waiting = {
        let options = without();
        std::thread::spawn(move || join(options, LONG))
    };
    let first = endpoint(&bus, "first");
    assert!(waiting.join().unwrap().is_ok());
    drop(first);
}

#[test]
fn the_bus_goes_on_without_its_first_controller() {
    let bus = bus();
    let (a, b, c) = (endpoint(&bus, "a"), endpoint(&bus, "b"), endpoint(&bus, "c"));
    send(&b, &to("c"), b"before");
    a.close();
    send(&b, &to("c"), b"between");
    let d = endpoint(&bus, "d");
    // A sender that has not noticed the takeover yet sees the newcomer as soon as it has registered again.
    let end = Instant::now() + Duration::from_secs(5);
    while !b.peers().unwrap().iter().any(|peer| peer.info.id == d.id()) {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
    assert_eq!(send(&b, &to("d"), b"new"), 1);
    let playing = [&a, &b, &c, &d].map(Endpoint::is_controller);
    assert_eq!(playing.iter().filter(|plays| **plays).count(), 1, "{playing:?}");
    assert_eq!(recv(&c, LONG).unwrap(), b"before");
    assert_eq!(recv(&c, LONG).unwrap(), b"between");
    assert_eq!(recv(&d, LONG).unwrap(), b"new");
}

#[test]
fn a_watch_tells_who_comes_and_goes() {
    use ipmb_bus::PeerEvent;
    let bus = bus();
    let a = endpoint(&bus, "a");
    let watch = a.watch().unwrap();
    let next = || loop {
        if let Some(event) = watch.poll() {
            return event;
        }
        watch.park(ipmb_bus::wait::deadline(LONG)).unwrap();
    };
    let b = endpoint(&bus, "b");
    assert!(matches!(next(), PeerEvent::Joined(peer) if peer.info.id == b.id()));
    let id = b.id();
    b.close();
    assert!(matches!(next(), PeerEvent::Left(peer, Some(_)) if peer.info.id == id));
    // Those who came and went while nobody looked are told too, each once.
    let passers: Vec<_> =
        (0..5).map(|_| endpoint(&bus, "passer")).map(|passer| (passer.id(), passer.close()).0).collect();
    let last = endpoint(&bus, "last");
    let mut told = Vec::new();
    loop {
        match next() {
            PeerEvent::Joined(peer) if peer.info.id == last.id() => break,
            PeerEvent::Joined(peer) => told.push((peer.info.id, true)),
            PeerEvent::Left(peer, _) => told.push((peer.info.id, false)),
        }
    }
    for id in passers {
        let of: Vec<_> = told.iter().filter(|(told, _)| *told == id).map(|(_, joined)| *joined).collect();
        // The last one's leaving may still be on its way.
        assert!(of == [true, false] || of == [true], "{of:?}");
    }
}

#[test]
fn those_who_talk_go_on_while_the_bus_is_founded_anew() {
    let bus = bus();
    let mut founder = endpoint(&bus, "founder");
    let without = |label: &str| {
        let label = Label::new([label]).unwrap();
        join(Options { controller_affinity: false, ..Options::new(&*bus, label) }, LONG).unwrap()
    };
    let (a, b) = (without("a"), without("b"));
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let talk = scope.spawn(|| {
            let mut sent = 0_u64;
            while !over.load(Ordering::Relaxed) {
                assert_eq!(send(&a, &to("b"), &sent.to_le_bytes()), 1, "message {sent}");
                assert_eq!(recv(&b, LONG).unwrap(), sent.to_le_bytes());
                sent += 1;
            }
            sent
        });
        for _ in 0..20 {
            founder.close();
            founder = endpoint(&bus, "founder");
            let end = Instant::now() + Duration::from_secs(5);
            while founder.peers().unwrap().len() < 2 {
                assert!(Instant::now() < end);
                std::thread::yield_now();
            }
        }
        over.store(true, Ordering::Relaxed);
        assert!(talk.join().unwrap() > 20);
    });
}

/// Receives with the sender's id.
fn recv_from(endpoint: &Endpoint) -> (u64, Vec<u8>) {
    let taken =
        endpoint.receiver().recv(LONG, |incoming| Build::Take((incoming.sender().info.id, bytes(incoming)))).unwrap();
    taken.unwrap()
}

#[test]
fn what_waits_outlives_its_sender_and_the_controller_in_its_name() {
    let bus = bus();
    let waiting = Arc::new(Selector::unicast(LabelOp::leaf("late").unwrap()).with_ttl(Ttl::FOREVER));
    let (first, second, third) = (endpoint(&bus, "first"), endpoint(&bus, "second"), endpoint(&bus, "third"));
    let senders = [second.id(), first.id()];
    send(&second, &waiting, b"of a member");
    second.close();
    send(&first, &waiting, b"of the controller");
    // The controller has taken over what the member left when it goes itself.
    let end = Instant::now() + Duration::from_secs(5);
    while first.stats().unwrap().waiting < 2 {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
    first.close();
    while !third.is_controller() || third.stats().unwrap().waiting < 2 {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
    let late = endpoint(&bus, "late");
    let mut came = [recv_from(&late), recv_from(&late)];
    came.sort_by_key(|(id, _)| *id != senders[0]);
    assert_eq!(came, [(senders[0], b"of a member".to_vec()), (senders[1], b"of the controller".to_vec())]);
    assert_eq!(recv(&late, Some(Duration::from_millis(50))), None, "each once");
}

/// What dead members let wait goes into the controller's own area: it keeps no more than one sender may, and counts the rest.
#[test]
fn what_many_dead_let_wait_is_bounded_by_the_area_of_one() {
    let bus = bus();
    let controller = endpoint(&bus, "controller");
    let waiting = Arc::new(Selector::unicast(LabelOp::leaf("late").unwrap()).with_ttl(Ttl::FOREVER));
    let each = (limits::PARKED_MESSAGES / 2 + 100) as u64;
    for _ in 0..2 {
        let member = endpoint(&bus, "member");
        (0..each).for_each(|_| assert_eq!(send(&member, &waiting, b"waits"), 0));
        member.close();
    }
    let most = limits::PARKED_MESSAGES as u64;
    support::eventually("both are taken over", || {
        let stats = controller.stats().unwrap();
        stats.waiting == most && stats.dropped[DropReason::SenderGone as usize] == 2 * each - most
    });
    assert_eq!(controller.stats().unwrap().shortages.iter().sum::<u64>(), 0, "nobody was refused here");
}

/// Seen to fail: a look without waiting heard only those who had sent lately.
#[test]
fn a_look_without_waiting_finds_what_was_sent_before_it() {
    let bus = bus();
    let (earth, mars, moon) = (endpoint(&bus, "earth"), endpoint(&bus, "mars"), endpoint(&bus, "moon"));
    send(&earth, &to("moon"), b"first");
    assert_eq!(recv(&moon, LONG).unwrap(), b"first");
    // It has slept, so the first sender has to ring; the other one is looked at without.
    assert!(recv(&moon, Some(Duration::from_millis(20))).is_none());
    send(&mars, &to("moon"), b"second");
    assert_eq!(recv(&moon, LONG).unwrap(), b"second");
    send(&earth, &to("moon"), b"third");
    assert_eq!(recv(&moon, NOW).unwrap(), b"third");
    assert!(recv(&moon, NOW).is_none());
}
