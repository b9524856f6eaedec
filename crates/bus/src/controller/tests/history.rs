//! What a controller keeps of those who were there before: the departed, and the members of its predecessor.

use super::*;
use crate::directory::Tombstone;

#[test]
fn tombstones_stay_their_time_and_go_with_a_later_commit() {
    let mut bench = Bench::new(1, None);
    let (first, second) = (bench.member(2), bench.member(3));
    bench.handle(Event::Closed { conn: first });
    let time = limits::TOMBSTONE_SECONDS * SECOND;
    assert_eq!(bench.after(time), []);
    assert_eq!(bench.controller.deadline(), None, "nothing wakes up for a tombstone");
    bench.frame(second, ClientFrame::Receiving(false));
    assert_eq!(bench.controller.snapshot().tombstones.len(), 1, "at the bound it is still there");
    assert_eq!(bench.after(1), []);
    assert_eq!(bench.controller.snapshot().tombstones.len(), 1);
    bench.frame(second, ClientFrame::Receiving(true));
    assert_eq!(bench.controller.snapshot().tombstones.len(), 0);
}

#[test]
fn tombstones_past_the_bound_push_the_oldest_out() {
    let mut bench = Bench::new(1, None);
    for id in 2..limits::TOMBSTONES as u64 + 3 {
        let conn = bench.member(id);
        bench.frame(conn, ClientFrame::Leave);
    }
    let tombstones = bench.controller.snapshot().tombstones;
    assert_eq!(tombstones.len(), limits::TOMBSTONES);
    assert_eq!(tombstones[0].id, 3);
}

#[test]
fn a_takeover_confirms_who_registers_and_looks_for_the_others() {
    let mut bench = Bench::new(5, Some(seed(&[2, 3, 4])));
    assert_eq!((bench.controller.term(), bench.epoch(), bench.ids()), (5, 1, vec![2, 3, 4]));
    assert_eq!(bench.controller.deadline(), Some(bench.now + limits::TAKEOVER_GRACE_MILLIS * MILLI));
    bench.member(2);
    assert_eq!(bench.after(limits::TAKEOVER_GRACE_MILLIS * MILLI - 1), []);
    assert_eq!(bench.after(1), [Action::Probe { id: 3 }, Action::Probe { id: 4 }]);
    let actions = bench.handle(Event::Probed { id: 3, alive: false });
    assert_eq!(actions, [Action::Commit, Action::Adopt { id: 3, conn: None }]);
    assert_eq!(bench.controller.snapshot().tombstones[0].reason, Departure::Vanished);
    // The one that lives, and one whose look has no answer, are looked for again.
    assert_eq!(bench.handle(Event::Probed { id: 4, alive: true }), []);
    assert_eq!(bench.after(limits::PROBE_MILLIS * MILLI), [Action::Probe { id: 4 }]);
    assert_eq!(bench.after(limits::PROBE_MILLIS * MILLI), [Action::Probe { id: 4 }]);
    bench.member(4);
    assert_eq!(bench.handle(Event::Probed { id: 4, alive: false }), [], "it has registered meanwhile");
    assert_eq!((bench.ids(), bench.controller.deadline()), (vec![2, 4], None));
}

#[test]
fn a_takeover_keeps_tombstones_for_their_time() {
    let departed = 10 * SECOND;
    let dead = |id, departed| {
        let How { pid, uid, label, .. } = how(id);
        Tombstone { id, pid, uid, label, departed, reason: Departure::Left }
    };
    // The third one claims to be from the future; it must go all the same.
    let tombstones = vec![dead(7, departed), dead(8, 99 * SECOND), dead(9, u64::MAX)];
    let mut bench = Bench::new(5, Some(Snapshot { tombstones, ..seed(&[]) }));
    assert_eq!(bench.controller.snapshot().tombstones.len(), 3);
    bench.member(2);
    let ids = |bench: &Bench| bench.controller.snapshot().tombstones.iter().map(|dead| dead.id).collect::<Vec<_>>();
    assert_eq!(ids(&bench), [8, 9]);
    bench.after(limits::TOMBSTONE_SECONDS * SECOND + 1);
    bench.member(3);
    assert_eq!(ids(&bench), [0; 0]);
}

#[test]
fn a_member_from_a_later_term_raises_ours() {
    let mut bench = Bench::new(5, Some(seed(&[2, 3])));
    let (_, actions) = bench.join(&How { last_term: 4, ..how(2) });
    assert!(matches!(actions[..], [Action::Welcome { .. }]), "an earlier term is as it should be: {actions:?}");
    let before = bench.controller.word();
    let (_, actions) = bench.join(&How { last_term: 8, ..how(3) });
    assert!(matches!(
        actions[..],
        [Action::Commit, Action::Welcome { frame: ServerFrame::Welcome { term: 9, .. }, .. }]
    ));
    assert!(bench.controller.word() > before);
    let (_, actions) = bench.join(&How { last_term: 9, ..how(4) });
    assert!(matches!(actions[1], Action::Welcome { frame: ServerFrame::Welcome { term: 10, .. }, .. }));
}

#[test]
fn a_liar_cannot_use_the_term_up() {
    let mut bench = Bench::new(5, None);
    for last_term in [5 + limits::TERM_LEAP, u32::MAX - 1, u32::MAX] {
        let (conn, actions) = bench.join(&How { last_term, ..how(2) });
        assert_eq!(actions, refused(conn, Refusal::Malformed));
    }
    let (_, actions) = bench.join(&How { last_term: 4 + limits::TERM_LEAP, ..how(2) });
    assert_eq!(actions[0], Action::Commit);
    assert_eq!(bench.controller.term(), 5 + limits::TERM_LEAP);
}

#[test]
fn the_term_takes_over_where_the_epoch_ends() {
    let mut bench = Bench::new(5, None);
    bench.controller.roll.epoch = u32::MAX;
    let before = bench.controller.word();
    bench.member(2);
    assert_eq!((bench.controller.term(), bench.epoch()), (6, 0));
    assert!(bench.controller.word() > before);
}

#[test]
fn a_seed_from_a_later_term_than_ours_is_outbid() {
    assert_eq!(Bench::new(2, Some(seed(&[]))).controller.term(), 5);
    assert_eq!(Bench::new(0, None).controller.term(), 1);
}

#[test]
fn a_departed_id_stays_its_owners() {
    let mut bench = Bench::new(1, None);
    let conn = bench.member(2);
    bench.handle(Event::Closed { conn });
    let (conn, actions) = bench.join(&How { pid: 7, ..how(2) });
    assert_eq!(actions, refused(conn, Refusal::IdInUse));
    bench.member(2);
    let snapshot = bench.controller.snapshot();
    assert_eq!((snapshot.entries.len(), snapshot.tombstones.len()), (1, 0));
}

#[test]
fn a_bus_founded_anew_learns_from_its_members_who_was_there() {
    let mut bench = Bench::new(1, None);
    let back = How { last_term: 4, ..how(2) };
    let (_, actions) = bench.join_recalling(&back, Some(seed(&[2, 3, 4])));
    assert_eq!(actions[0], Action::Commit);
    assert_eq!((bench.ids(), bench.controller.term()), (vec![2, 3, 4], 5), "in the very directory that it is shown");
    bench.after(limits::TAKEOVER_GRACE_MILLIS * MILLI);
    bench.handle(Event::Probed { id: 4, alive: false });
    bench.join_recalling(&How { last_term: 4, ..how(3) }, Some(seed(&[2, 3, 4, 5])));
    assert_eq!(bench.ids(), [2, 3, 5], "whoever comes next may know of more");
}

#[test]
fn one_who_missed_a_term_learns_from_its_members_who_was_there() {
    // Term 5 was another's: the lock file says so, and its directory only those know who had registered there.
    let mut bench = Bench::new(6, Some(seed(&[2, 3])));
    bench.join_recalling(&How { last_term: 4, ..how(3) }, Some(seed(&[2, 3, 4])));
    assert_eq!(bench.ids(), [2, 3], "this one knows no more than we do");
    let missed = Snapshot { term: 5, controller: 3, ..seed(&[2, 3, 7]) };
    bench.join_recalling(&How { last_term: 5, ..how(2) }, Some(missed));
    assert_eq!((bench.ids(), bench.controller.term()), (vec![2, 3, 7], 6));
    bench.after(limits::TAKEOVER_GRACE_MILLIS * MILLI);
    bench.handle(Event::Probed { id: 7, alive: false });
    assert!(bench.controller.tombstone(7).is_some(), "whoever hears from it now knows who it was");
}

#[test]
fn one_who_follows_a_controller_that_missed_a_term_learns_of_it_too() {
    // Term 6 knew nothing of 5, and died before anybody had told it.
    let mut bench = Bench::new(7, Some(Snapshot { term: 6, controller: 2, predecessors: vec![7, 8, 9], ..seed(&[2]) }));
    let missed = Snapshot { term: 5, controller: 3, ..seed(&[2, 3, 7]) };
    bench.join_recalling(&How { last_term: 5, ..how(3) }, Some(missed.clone()));
    assert_eq!(bench.ids(), [2, 3, 7]);
    // A liar who was quicker is not the last who is heard.
    let mut bench = Bench::new(7, Some(Snapshot { term: 6, controller: 2, predecessors: vec![7, 8, 9], ..seed(&[2]) }));
    bench.join_recalling(&How { last_term: 5, ..how(4) }, Some(Snapshot { entries: Vec::new(), ..missed.clone() }));
    bench.join_recalling(&How { last_term: 5, ..how(3) }, Some(missed));
    assert_eq!(bench.ids(), [2, 3, 4, 7]);
    let old = Snapshot { term: 3, controller: 8, ..seed(&[2, 5]) };
    bench.join_recalling(&How { last_term: 3, ..how(6) }, Some(old));
    assert_eq!(bench.ids(), [2, 3, 4, 6, 7], "of that one we know all there is");
}

#[test]
fn who_left_in_a_later_directory_is_not_there_by_an_earlier_one() {
    let How { pid, uid, label, .. } = how(4);
    let dead = Tombstone { id: 4, pid, uid, label, departed: 99 * SECOND, reason: Departure::Left };
    let earlier = || (How { last_term: 4, ..how(2) }, Some(seed(&[2, 3, 4])));
    let later = || (How { last_term: 8, ..how(3) }, Some(Snapshot { tombstones: vec![dead.clone()], ..seed(&[2, 3]) }));
    for (first, second) in [(earlier(), later()), (later(), earlier())] {
        let mut bench = Bench::new(1, None);
        bench.join_recalling(&first.0, first.1);
        bench.join_recalling(&second.0, second.1);
        let snapshot = bench.controller.snapshot();
        assert_eq!((bench.ids(), &snapshot.tombstones[..]), (vec![2, 3], &[dead.clone()][..]));
        assert_eq!(Snapshot::decode(&snapshot.encode()).unwrap(), snapshot, "what the next controller can read");
        assert!(!bench.after(limits::TAKEOVER_GRACE_MILLIS * MILLI).contains(&Action::Probe { id: 4 }));
        // Whoever lives all the same says so itself.
        bench.member(4);
        assert_eq!((bench.ids(), bench.controller.snapshot().tombstones.len()), (vec![2, 3, 4], 0));
    }
}

#[test]
fn what_is_remembered_late_goes_when_its_own_time_is_over() {
    let mut bench = Bench::new(1, None);
    let How { pid, uid, label, .. } = how(4);
    let old = Tombstone { id: 4, pid, uid, label, departed: bench.now - SECOND, reason: Departure::Left };
    let leaver = bench.member(2);
    bench.frame(leaver, ClientFrame::Leave);
    bench.join_recalling(&How { last_term: 4, ..how(3) }, Some(Snapshot { tombstones: vec![old], ..seed(&[3]) }));
    let departed = |bench: &Bench| bench.controller.snapshot().tombstones.iter().map(|t| t.id).collect::<Vec<_>>();
    assert_eq!(departed(&bench), [4, 2], "the longest departed first");
    let forgotten = Tombstone { id: 6, departed: 1, ..bench.controller.tombstone(4).unwrap().clone() };
    bench.join_recalling(&How { last_term: 4, ..how(3) }, Some(Snapshot { tombstones: vec![forgotten], ..seed(&[3]) }));
    assert_eq!(departed(&bench), [4, 2], "that one's time is over");
    bench.after((limits::TOMBSTONE_SECONDS - 1) * SECOND + 1);
    bench.member(5);
    assert_eq!(departed(&bench), [2]);
}

#[test]
fn what_a_member_remembers_takes_nobodys_id() {
    let mut bench = Bench::new(1, None);
    let mut lies = seed(&[2, 3]);
    lies.entries[1].pid = 666;
    bench.join_recalling(&How { last_term: 4, ..how(2) }, Some(lies));
    assert_eq!(bench.controller.snapshot().entry(3).unwrap().pid, 666);
    bench.member(3);
    assert_eq!(*bench.controller.snapshot().entry(3).unwrap(), entry(3), "the kernel's word counts");
}

#[test]
fn one_without_the_token_is_not_listened_to() {
    let mut bench = Bench::new(1, None);
    let (conn, actions) = bench.join_recalling(&How { token: "wrong", last_term: 4, ..how(2) }, Some(seed(&[2, 3])));
    assert_eq!(actions, refused(conn, Refusal::Token));
    assert!(bench.ids().is_empty());
}

#[test]
fn former_controllers_are_named_up_to_the_bound() {
    let mut last = seed(&[]);
    last.predecessors.clear();
    let bound = limits::PREDECESSORS - limits::MISSED_CONTROLLERS;
    for number in 0..bound as u64 + 1 {
        last.controller = 1000 + number;
        last = Bench::new(1, Some(last)).controller.snapshot();
        assert_eq!(last.predecessors.len(), (number as usize + 1).min(bound));
        assert_eq!(last.predecessors.last(), Some(&(1000 + number)));
    }
    assert_eq!(last.predecessors.first(), Some(&1001), "the oldest went");
    // A member, or a liar, may name others; never so many that one of these goes.
    let mut bench = Bench::new(9, Some(last.clone()));
    let missed = Snapshot { term: 8, controller: 99, predecessors: (100..163).collect(), ..seed(&[]) };
    bench.join_recalling(&How { last_term: 8, ..how(2) }, Some(missed));
    let named = bench.controller.snapshot().predecessors;
    assert_eq!(named.len(), limits::PREDECESSORS);
    assert_eq!(named[limits::MISSED_CONTROLLERS..][..bound - 1], last.predecessors[1..]);
    assert_eq!(named.iter().filter(|id| [99, 162, 161].contains(id)).count(), 3, "the latest of those");
}

#[test]
fn tombstones_past_their_bytes_push_the_oldest_out() {
    let longest = |id: u64| {
        let elements = (0..limits::LABEL_ELEMENTS as u64).map(|number| format!("{:064}", id * 64 + number));
        Label::new(elements).unwrap()
    };
    let dead = |id| Tombstone { id, pid: 5, uid: UID, label: longest(id), departed: 1, reason: Departure::Died };
    let count = limits::TOMBSTONES as u64 * 3 / 4;
    let tombstones: Vec<_> = (10..10 + count).map(dead).collect();
    let mut bench = Bench::new(1, Some(Snapshot { tombstones, ..seed(&[]) }));
    let kept = bench.controller.snapshot().tombstones;
    assert!(kept.len() < limits::TOMBSTONES * 3 / 4, "fewer than their number allows");
    assert_eq!(kept.last().map(|dead| dead.id), Some(9 + count), "the latest stay");
    assert!(bench.controller.snapshot().encode().len() <= limits::DIRECTORY_BYTES);
    bench.member(2);
}

#[test]
fn what_was_remembered_of_an_earlier_term_is_not_listened_to() {
    let mut bench = Bench::new(6, Some(Snapshot { term: 5, ..seed(&[]) }));
    let How { pid, uid, label, .. } = how(3);
    let (conn, _) = bench.accept(pid, uid);
    bench.frame(conn, ClientFrame::Hello { id: 3, nonce: [77; 32] });
    // The host asks first whether it is wanted; the controller does not count on that.
    bench.handle(Event::Recalled { conn, snapshot: seed(&[2]) });
    let proof = proof::joiner_proof(&Key::derive("bus", b"token"), &[77; 32], &[conn as u8; 32], 3);
    let request = JoinRequest { label, nonce: [3; 16], affinity: true, receiving: true, last_term: 5, proof };
    assert!(!bench.controller.wants_recollection(conn, &request));
    bench.frame(conn, ClientFrame::Join(request));
    assert_eq!(bench.ids(), [3]);
}

#[test]
fn who_has_said_nothing_is_not_asked_what_it_remembers() {
    let mut bench = Bench::new(1, None);
    let (conn, _) = bench.accept(5, UID);
    let request = JoinRequest {
        label: Label::default(),
        nonce: [3; 16],
        affinity: true,
        receiving: true,
        last_term: 9,
        proof: [0; 32],
    };
    assert!(!bench.controller.wants_recollection(conn, &request));
}

#[test]
fn a_tombstone_of_one_who_is_here_is_not_believed() {
    let mut bench = Bench::new(4, None);
    bench.member(2);
    let How { pid, uid, label, .. } = how(2);
    let dead = Tombstone { id: 2, pid, uid, label, departed: 1, reason: Departure::Died };
    bench.join_recalling(&How { last_term: 4, ..how(3) }, Some(Snapshot { tombstones: vec![dead], ..seed(&[]) }));
    assert_eq!(bench.ids(), [2, 3]);
    assert!(bench.controller.snapshot().tombstones.is_empty());
}
