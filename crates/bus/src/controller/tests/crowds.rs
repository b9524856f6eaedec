//! Who connects and is no member: how long, how many, and what they are told.

use super::*;

#[test]
fn strangers_are_dropped_after_their_time() {
    let mut bench = Bench::new(1, None);
    let (silent, _) = bench.accept(5, UID);
    assert_eq!(bench.controller.deadline(), Some(bench.now + limits::HANDSHAKE_MILLIS * MILLI));
    let (halfway, _) = bench.accept(6, UID);
    bench.frame(halfway, ClientFrame::Hello { id: 6, nonce: [0; 32] });
    assert_eq!(bench.after(limits::HANDSHAKE_MILLIS * MILLI - 1), []);
    assert_eq!(bench.after(1), [Action::Close { conn: silent }, Action::Close { conn: halfway }]);
    assert_eq!((bench.controller.pending(), bench.controller.deadline()), (0, None));
}

#[test]
fn too_many_strangers_push_the_oldest_out() {
    let mut bench = Bench::new(1, None);
    let conns: Vec<_> = (0..limits::PENDING_JOINS).map(|_| bench.accept(5, UID)).collect();
    assert!(conns.iter().all(|(_, actions)| actions.is_empty()));
    let (_, actions) = bench.accept(5, UID);
    assert_eq!(actions, [Action::Close { conn: conns[0].0 }]);
    assert_eq!(bench.controller.pending(), limits::PENDING_JOINS);
    assert_eq!(bench.handle(Event::Closed { conn: conns[5].0 }), []);
    bench.member(2);
    assert_eq!(bench.controller.pending(), limits::PENDING_JOINS - 1);
}

#[test]
fn one_process_that_takes_all_places_loses_its_own() {
    let mut bench = Bench::new(1, None);
    let hello = |bench: &mut Bench, pid, id| {
        let (conn, gone) = bench.accept(pid, UID);
        bench.frame(conn, ClientFrame::Hello { id, nonce: [0; 32] });
        (conn, gone)
    };
    let (friend, _) = hello(&mut bench, 6, 6);
    let liars: Vec<_> = (1..limits::PENDING_JOINS as u64).map(|id| hello(&mut bench, 5, id).0).collect();
    for (id, oldest) in (1..).zip(liars) {
        assert_eq!(bench.controller.full_until(bench.now), None, "nobody waits for liars");
        assert_eq!(hello(&mut bench, 5, id).1, [Action::Close { conn: oldest }]);
    }
    let (silent, gone) = bench.accept(7, UID);
    assert!(!gone.contains(&Action::Close { conn: friend }));
    assert_eq!(hello(&mut bench, 5, 1).1, [Action::Close { conn: silent }], "one that has said nothing goes first");
}

#[test]
fn members_that_register_again_wait_for_each_other_a_moment() {
    let ids: Vec<u64> = (2..).take(limits::PENDING_JOINS + 2).collect();
    let mut bench = Bench::new(2, Some(seed(&ids)));
    let register = |bench: &mut Bench, id: u64| {
        let (conn, _) = bench.accept(how(id).pid, UID);
        bench.frame(conn, ClientFrame::Hello { id, nonce: [0; 32] });
        conn
    };
    let (liar, _) = bench.accept(5, UID);
    let mut conns: Vec<_> = ids[1..limits::PENDING_JOINS].iter().map(|&id| register(&mut bench, id)).collect();
    assert_eq!(bench.controller.full_until(bench.now), None, "a liar goes first");
    let (conn, gone) = bench.accept(how(ids[0]).pid, UID);
    assert_eq!(gone, [Action::Close { conn: liar }]);
    bench.frame(conn, ClientFrame::Hello { id: ids[0], nonce: [0; 32] });
    conns.push(conn);
    let until = bench.now + limits::CROWDED_MILLIS * MILLI;
    assert_eq!(bench.controller.full_until(bench.now), Some(until));
    assert_eq!(bench.controller.full_until(until - 1), Some(until));
    assert_eq!(bench.controller.full_until(until), None, "then the oldest has to go");
    bench.handle(Event::Closed { conn: conns[5] });
    assert_eq!(bench.controller.full_until(bench.now), None, "a place is free");
}

#[test]
fn who_is_refused_is_told_with_the_reason_and_never_more_than_the_bound() {
    let mut bench = Bench::new(1, None);
    let told = |bench: &mut Bench| -> Vec<_> {
        bench.controller.take_refused().into_iter().map(|refused| (refused.reason, refused.pid, refused.uid)).collect()
    };
    bench.accept(5, 4444);
    bench.join(&How { token: "wrong", ..how(2) });
    let member = bench.member(2);
    bench.join(&How { pid: 7, ..how(2) });
    bench.frame(member, ClientFrame::Hello { id: 2, nonce: [0; 32] });
    let (conn, _) = bench.accept(6, UID);
    bench.handle(Event::Unreadable { conn, version: Some(9) });
    let (conn, _) = bench.accept(6, UID);
    bench.handle(Event::Unreadable { conn, version: None });
    bench.accept(8, UID);
    bench.after(limits::HANDSHAKE_MILLIS * MILLI);
    let expected = [
        (RefuseReason::JoinPermission, 5, 4444),
        (RefuseReason::JoinToken, 102, UID),
        (RefuseReason::JoinIdInUse, 7, UID),
        (RefuseReason::Lie, 102, UID),
        (RefuseReason::JoinVersion, 6, UID),
        (RefuseReason::JoinMalformed, 6, UID),
        (RefuseReason::JoinSilent, 8, UID),
    ];
    assert_eq!(told(&mut bench), expected);
    assert_eq!(told(&mut bench), [], "each once");
    for _ in 0..limits::PENDING_JOINS + REFUSED + 1 {
        bench.accept(9, UID);
    }
    assert_eq!(told(&mut bench), [(RefuseReason::JoinCrowded, 9, UID); REFUSED]);
}
