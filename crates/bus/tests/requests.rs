//! Requests and their replies among those who live.

mod support;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipmb_bus::error::{InvalidArgument, RecvError, SendError};
use ipmb_bus::label_op::LabelOp;
use ipmb_bus::selector::Selector;
use ipmb_bus::stats::DropReason;
use ipmb_bus::wait::{deadline, is_over};
use ipmb_bus::{Build, Outcome, Outgoing, Overflow, Payload, Progress};
use ipmb_transport::sys::Fd;
use support::requests::{Asked, End, ask, ask_with, dropped, ends, pair, reply, take, try_reply, wait_for};
use support::{LONG, NOW, TYPE, all, bus, endpoint, eventually, send, to};

#[test]
fn a_request_gets_its_reply_at_every_size() {
    let (asker, asking, worker) = pair();
    for size in [0, 1, 1000, 16_000, 16_385, 70_000, 3_000_000] {
        let payload: Vec<_> = (0..size).map(|i| i as u8).collect();
        let number = ask(&asker, &asking, "worker", &payload);
        let asked = take(&worker.receiver(), LONG).unwrap();
        assert_eq!((asked.number, asked.asker, &asked.payload), (number, asker.id(), &payload));
        assert_eq!(reply(&worker, &asked, &payload), 1);
        assert_eq!(wait_for(&asking, 1), [(number, End::Reply(payload))]);
    }
    let (asked, replied) = (asker.stats().unwrap(), worker.stats().unwrap());
    assert_eq!((asked.sent, asked.received, asked.bytes_sent), (7, 7, asked.bytes_received));
    assert_eq!((replied.sent, replied.received, replied.bytes_sent), (7, 7, asked.bytes_received));
}

#[test]
fn replies_do_not_wait_behind_messages_and_need_no_receiver() {
    let (asker, asking, worker) = pair();
    for _ in 0..10 {
        send(&worker, &to("asker"), b"message");
    }
    let first = ask(&asker, &asking, "worker", b"one");
    asker.receiver().close();
    let second = ask(&asker, &asking, "worker", b"two");
    for _ in 0..2 {
        let asked = take(&worker.receiver(), LONG).unwrap();
        assert_eq!(reply(&worker, &asked, &asked.payload), 1);
    }
    let found = wait_for(&asking, 2);
    assert_eq!(found, [(first, End::Reply(b"one".to_vec())), (second, End::Reply(b"two".to_vec()))]);
}

#[test]
fn many_are_in_flight_and_each_gets_its_own_in_any_order() {
    const COUNT: u64 = 10_000;
    let (asker, asking, worker) = pair();
    let server = std::thread::spawn(move || {
        let mut held = Vec::new();
        for _ in 0..COUNT {
            held.push(take(&worker.receiver(), LONG).unwrap());
            // The latest first, a hundred at a time.
            if held.len() == 100 {
                for asked in held.drain(..).rev() {
                    assert_eq!(reply(&worker, &asked, &asked.payload), 1);
                }
            }
        }
    });
    let found = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait_for(&asking, COUNT as usize));
        for number in 1..=COUNT {
            assert_eq!(ask(&asker, &asking, "worker", &number.to_le_bytes()), number);
        }
        waiting.join().unwrap()
    });
    server.join().unwrap();
    for (place, (number, end)) in found.into_iter().enumerate() {
        assert_eq!((number, end), (place as u64 + 1, End::Reply(number.to_le_bytes().to_vec())));
    }
}

#[test]
fn requests_spread_over_the_matches_and_oneself_is_one() {
    let bus = bus();
    let (one, two) = (endpoint(&bus, "worker"), endpoint(&bus, "worker"));
    let asking = one.sender().asking().unwrap();
    let numbers = [1, 2, 3, 4].map(|payload| ask(&one, &asking, "worker", &[payload]));
    for worker in [&one, &two] {
        for _ in 0..2 {
            let asked = take(&worker.receiver(), LONG).unwrap();
            reply(worker, &asked, &[asked.payload[0] * 10]);
        }
    }
    assert_eq!(wait_for(&asking, 4), [1, 2, 3, 4].map(|i: u8| (numbers[i as usize - 1], End::Reply(vec![i * 10]))));
}

#[test]
fn nobody_matches() {
    let (asker, asking, _worker) = pair();
    let refused = ask_with(&asker.sender(), &asking, &to("nobody"), b"x", LONG);
    assert!(matches!(refused, Err(SendError::NoRoute { .. })), "{refused:?}");
    let short = |millis| {
        let ttl = Duration::from_millis(millis).into();
        Arc::new(Selector::unicast(LabelOp::leaf("nobody").unwrap()).with_ttl(ttl))
    };
    let begun = Instant::now();
    let late = ask_with(&asker.sender(), &asking, &short(60), b"x", LONG);
    assert!(matches!(late, Err(SendError::NoRoute { .. })), "{late:?}");
    assert!(begun.elapsed() >= Duration::from_millis(60), "{:?}", begun.elapsed());
    let sooner = ask_with(&asker.sender(), &asking, &short(60_000), b"x", Some(Duration::from_millis(40)));
    assert!(matches!(sooner, Err(SendError::Timeout { delivered: 0 })), "{sooner:?}");
    let stats = asker.stats().unwrap();
    assert_eq!((stats.sent, stats.waiting, stats.expired, stats.dropped.iter().sum::<u64>()), (0, 0, 0, 0));
    let everybody = ask_with(&asker.sender(), &asking, &all("worker"), b"x", LONG);
    let Err(SendError::Invalid(InvalidArgument { argument: "selector", .. })) = everybody else {
        panic!("{everybody:?}")
    };
}

#[test]
fn a_request_waits_with_its_asker_for_somebody_to_join() {
    let bus = bus();
    let asker = endpoint(&bus, "asker");
    let asking = asker.sender().asking().unwrap();
    let forever = Arc::new(Selector::unicast(LabelOp::leaf("worker").unwrap()).with_ttl(LONG.unwrap().into()));
    let number = std::thread::scope(|scope| {
        let asks = scope.spawn(|| ask_with(&asker.sender(), &asking, &forever, b"x", LONG).unwrap());
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(asker.stats().unwrap().waiting, 0, "it is not parked");
        let worker = endpoint(&bus, "worker");
        let asked = take(&worker.receiver(), LONG).unwrap();
        reply(&worker, &asked, b"y");
        asks.join().unwrap()
    });
    assert_eq!(wait_for(&asking, 1), [(number, End::Reply(b"y".to_vec()))]);
}

#[test]
fn late_and_second_replies_are_counted_also_while_nobody_waits() {
    let (asker, asking, worker) = pair();
    let number = ask(&asker, &asking, "worker", b"one");
    let asked = take(&worker.receiver(), LONG).unwrap();
    asking.forget(number);
    // Many more than there is room for: the core thread takes them.
    let late = 5_000;
    for _ in 0..late {
        assert_eq!(reply(&worker, &asked, &[0; 100]), 1);
        if dropped(&asker, DropReason::LateReply) > 0 {
            break;
        }
    }
    eventually("the late reply is counted", || dropped(&asker, DropReason::LateReply) > 0);
    // The next one gets its own reply, and a second copy of it is one too many.
    let second = ask(&asker, &asking, "worker", b"two");
    let asked = take(&worker.receiver(), LONG).unwrap();
    reply(&worker, &asked, b"right");
    reply(&worker, &asked, b"once more");
    assert_eq!(wait_for(&asking, 1), [(second, End::Reply(b"right".to_vec()))]);
    eventually("all are counted", || {
        assert_eq!(ends(&asking).unwrap(), []);
        asker.stats().unwrap().received == 1 && dropped(&asker, DropReason::LateReply) >= 2
    });
}

#[test]
fn forgotten_requests_hold_up_nobody_who_replies() {
    const COUNT: usize = 3_000;
    let (asker, asking, worker) = pair();
    let server = std::thread::spawn(move || {
        let asked: Vec<_> = (0..COUNT).map(|_| take(&worker.receiver(), LONG).unwrap()).collect();
        for asked in &asked {
            assert_eq!(reply(&worker, asked, &[0; 200]), 1);
        }
        worker
    });
    let numbers: Vec<_> = (0..COUNT).map(|_| ask(&asker, &asking, "worker", b"x")).collect();
    numbers.iter().for_each(|&number| asking.forget(number));
    // Nobody waits and nobody polls.
    let worker = server.join().unwrap();
    eventually("all are counted", || dropped(&asker, DropReason::LateReply) == COUNT as u64);
    let next = ask(&asker, &asking, "worker", b"y");
    let asked = take(&worker.receiver(), LONG).unwrap();
    reply(&worker, &asked, b"z");
    assert_eq!(wait_for(&asking, 1), [(next, End::Reply(b"z".to_vec()))]);
}

#[test]
fn only_the_one_that_was_asked_can_reply() {
    let (asker, asking, worker) = pair();
    let liar = endpoint(asker.identifier(), "liar");
    let number = ask(&asker, &asking, "worker", b"x");
    let asked = take(&worker.receiver(), LONG).unwrap();
    assert_eq!(reply(&liar, &asked, b"lie"), 1);
    assert_eq!(reply(&worker, &Asked { number: number + 1, ..asked }, b"guess"), 1);
    eventually("both are counted", || {
        assert_eq!(ends(&asking).unwrap(), []);
        dropped(&asker, DropReason::LateReply) == 2
    });
    let asked = Asked { asker: asker.id(), number, payload: Vec::new() };
    // A request is no reply, whatever its number.
    let mut out =
        Outgoing::new(worker.sender().intern_reply(asker.id()).unwrap(), TYPE, Payload::Inline(b"r"), Overflow::Block)
            .unwrap();
    out.correlate(number, true);
    assert!(matches!(worker.sender().try_send(&mut out), Ok(Progress::Done(1))));
    assert_eq!(reply(&worker, &asked, b"truth"), 1);
    assert_eq!(wait_for(&asking, 1), [(number, End::Reply(b"truth".to_vec()))]);
    assert_eq!(dropped(&asker, DropReason::LateReply), 3);
}

#[test]
fn a_full_door_is_waited_for() {
    let (asker, asking, worker) = pair();
    let number = ask(&asker, &asking, "worker", b"x");
    let asked = take(&worker.receiver(), LONG).unwrap();
    let sender = worker.sender();
    let mut count = 0;
    let full = loop {
        match try_reply(&sender, &asked, Payload::Inline(&[0; 10_000]), Vec::new(), Some(Duration::from_millis(20))) {
            Ok(reached) => count += reached,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SendError::Timeout { delivered: 0 }) && count > 1, "{full:?} after {count}");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| reply(&worker, &asked, &[1; 10_000]));
        assert_eq!(wait_for(&asking, 1), [(number, End::Reply(vec![0; 10_000]))]);
        assert_eq!(waits.join().unwrap(), 1);
    });
}

#[test]
fn whoever_replies_to_a_full_door_of_one_that_goes_comes_back() {
    let (asker, asking, worker) = pair();
    ask(&asker, &asking, "worker", b"x");
    let asked = take(&worker.receiver(), LONG).unwrap();
    let sender = worker.sender();
    while try_reply(&sender, &asked, Payload::Inline(&[0; 10_000]), Vec::new(), NOW).is_ok() {}
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| reply(&worker, &asked, &[0; 10_000]));
        std::thread::sleep(Duration::from_millis(20));
        asker.close();
        assert_eq!(waits.join().unwrap(), 0);
    });
    assert_eq!(reply(&worker, &asked, b"z"), 0);
}

#[test]
fn a_closed_asker_waits_for_nothing_and_is_not_replied_to() {
    let (asker, asking, worker) = pair();
    let fd = asking.fileno().unwrap();
    assert!(fd >= 0);
    ask(&asker, &asking, "worker", b"x");
    let asked = take(&worker.receiver(), LONG).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            while asking.park(deadline(LONG)).unwrap() {
                if let Err(error) = ends(&asking) {
                    return error;
                }
            }
            panic!("nobody closed it")
        });
        std::thread::sleep(Duration::from_millis(20));
        asker.sender().close();
        assert!(matches!(waits.join().unwrap(), RecvError::Closed));
    });
    assert!(matches!(asking.begin(), Err(SendError::Closed)));
    assert!(matches!(asking.fileno(), Err(SendError::Closed)));
    assert!(matches!(asker.sender().asking(), Err(SendError::Closed)));
    assert_eq!(reply(&worker, &asked, b"y"), 0, "its receiver is open, its sender is not");
    assert_eq!(send(&worker, &to("asker"), b"message"), 1);
}

#[test]
fn objects_travel_with_both() {
    let (asker, asking, worker) = pair();
    let null = || Fd::adopt(OwnedFd::from(std::fs::File::open("/dev/null").unwrap()));
    let number = asking.begin().unwrap();
    let route = asker.sender().intern_request(&to("worker")).unwrap();
    let mut out = Outgoing::new(route, TYPE, Payload::Inline(b"x"), Overflow::Block).unwrap();
    out.attach(Vec::new(), vec![null(), null()]).unwrap();
    out.correlate(number, true);
    assert_eq!(asker.sender().try_send(&mut out).unwrap(), Progress::Done(1));
    // Its objects are nobody's when the receiver dies; the number is known all the same.
    let lost = asking.begin().unwrap();
    let mut out = Outgoing::new(route, TYPE, Payload::Inline(b"y"), Overflow::Block).unwrap();
    out.attach(Vec::new(), vec![null()]).unwrap();
    out.correlate(lost, true);
    assert_eq!(asker.sender().try_send(&mut out).unwrap(), Progress::Done(1));
    let mut count = 0;
    let asked = worker.receiver().recv(LONG, |incoming| {
        count = incoming.take_descriptors().len();
        Build::Take(Asked {
            asker: incoming.sender().info.id,
            number: incoming.correlation().unwrap(),
            payload: vec![],
        })
    });
    assert_eq!(count, 2);
    let asked = asked.unwrap().unwrap();
    let body = Payload::Inline(b"z");
    assert_eq!(try_reply(&worker.sender(), &asked, body, vec![null(), null(), null()], LONG).unwrap(), 1);
    let late = deadline(LONG);
    let mut counts = Vec::new();
    while counts.is_empty() {
        assert!(!is_over(late));
        counts = asking.poll(|incoming| incoming.take_descriptors().len()).unwrap();
        asking.park(late).unwrap();
    }
    assert!(matches!(counts[..], [(got, Outcome::Reply(3))] if got == number));
    worker.close();
    assert_eq!(wait_for(&asking, 1), [(lost, End::Lost { read: false })]);
}
