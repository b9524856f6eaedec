//! Each rule of the controller by itself. How they work together is the simulator's business, in `tests/simulator.rs`.

mod crowds;
mod history;

use super::*;
use crate::directory::HALF_BYTES;
use crate::label::Label;
use crate::proof::Key;

const SECOND: u64 = 1_000_000_000;
const MILLI: u64 = 1_000_000;
const ME: EndpointId = 1;
const UID: u32 = 1000;

/// A controller, a clock and the steps of joining.
struct Bench {
    controller: Controller,
    now: u64,
    conns: ConnId,
}

/// How somebody joins; everything else is the same for all.
#[derive(Clone)]
struct How {
    id: EndpointId,
    pid: u32,
    uid: u32,
    token: &'static str,
    label: Label,
    affinity: bool,
    last_term: u32,
}

fn how(id: EndpointId) -> How {
    let pid = 100 + id as u32;
    How { id, pid, uid: UID, token: "token", label: Label::default(), affinity: true, last_term: 0 }
}

impl Bench {
    fn new(term: u32, seed: Option<Snapshot>) -> Self {
        let now = 100 * SECOND;
        let policy =
            Policy { key: Key::derive("bus", b"token"), allowed_uids: vec![UID, 0], strangers: limits::PENDING_JOINS };
        Self { controller: Controller::new(policy, term, ME, seed, now), now, conns: 0 }
    }

    fn handle(&mut self, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        self.controller.handle(self.now, event, &mut out);
        out
    }

    fn frame(&mut self, conn: ConnId, frame: ClientFrame) -> Vec<Action> {
        self.handle(Event::Frame { conn, frame })
    }

    fn after(&mut self, time: u64) -> Vec<Action> {
        self.now += time;
        self.handle(Event::Tick)
    }

    fn accept(&mut self, pid: u32, uid: u32) -> (ConnId, Vec<Action>) {
        self.conns += 1;
        let conn = self.conns;
        (conn, self.handle(Event::Accepted { conn, uid, pid, nonce: [conn as u8; 32] }))
    }

    fn join(&mut self, how: &How) -> (ConnId, Vec<Action>) {
        self.join_recalling(how, None)
    }

    /// Joins with what the joiner remembers of the bus.
    fn join_recalling(&mut self, how: &How, recalled: Option<Snapshot>) -> (ConnId, Vec<Action>) {
        let (conn, actions) = self.accept(how.pid, how.uid);
        assert_eq!(actions, []);
        let nonce = [77; 32];
        let actions = self.frame(conn, ClientFrame::Hello { id: how.id, nonce });
        let challenge = [conn as u8; 32];
        assert_eq!(actions, [Action::Send { conn, frame: ServerFrame::Challenge { nonce: challenge } }]);
        let proof = proof::joiner_proof(&Key::derive("bus", how.token.as_bytes()), &nonce, &challenge, how.id);
        let request = JoinRequest {
            label: how.label.clone(),
            nonce: [how.id as u8; 16],
            affinity: how.affinity,
            receiving: true,
            last_term: how.last_term,
            proof,
        };
        if let Some(snapshot) = recalled {
            let wanted = how.token == "token" && how.last_term != self.controller.roll.known;
            assert_eq!(self.controller.wants_recollection(conn, &request), wanted);
            assert_eq!(self.handle(Event::Recalled { conn, snapshot }), []);
        }
        (conn, self.frame(conn, ClientFrame::Join(request)))
    }

    /// Joins and expects success.
    fn member(&mut self, id: EndpointId) -> ConnId {
        let (conn, actions) = self.join(&how(id));
        assert!(actions.iter().any(|action| matches!(action, Action::Welcome { .. })), "{actions:?}");
        conn
    }

    fn epoch(&self) -> u32 {
        self.controller.snapshot().epoch
    }

    fn ids(&self) -> Vec<EndpointId> {
        self.controller.snapshot().entries.iter().map(|entry| entry.id).collect()
    }
}

fn refused(conn: ConnId, refusal: Refusal) -> [Action; 2] {
    [Action::Send { conn, frame: ServerFrame::Refused(refusal) }, Action::Close { conn }]
}

fn nudge(conn: ConnId) -> Action {
    Action::Send { conn, frame: ServerFrame::Nudge }
}

fn entry(id: EndpointId) -> Entry {
    let How { pid, uid, label, .. } = how(id);
    Entry { id, pid, uid, nonce: [id as u8; 16], label, receiving: true }
}

fn seed(ids: &[EndpointId]) -> Snapshot {
    let entries = ids.iter().copied().map(entry).collect();
    Snapshot { term: 4, epoch: 9, controller: 9, predecessors: vec![7, 8], entries, tombstones: Vec::new() }
}

#[test]
fn a_join_commits_then_welcomes_then_nudges() {
    let mut bench = Bench::new(1, None);
    let watcher = bench.member(2);
    assert_eq!(bench.frame(watcher, ClientFrame::Watch(true)), []);
    let (conn, actions) = bench.join(&how(3));
    let proof = proof::controller_proof(&Key::derive("bus", b"token"), &[77; 32], &[conn as u8; 32], 3);
    let frame = ServerFrame::Welcome { term: 1, epoch: 3, proof, controller: ME };
    assert_eq!(actions, [Action::Commit, Action::Welcome { conn, frame, affinity: true }, nudge(watcher)]);
    assert_eq!(bench.ids(), [2, 3]);
    assert_eq!(bench.controller.member(conn), Some(3));
}

#[test]
fn affinity_is_handed_on() {
    let (_, actions) = Bench::new(1, None).join(&How { affinity: false, ..how(2) });
    assert!(matches!(actions[1], Action::Welcome { affinity: false, .. }));
}

#[test]
fn the_user_is_checked_before_anything_is_said() {
    let mut bench = Bench::new(1, None);
    let (conn, actions) = bench.accept(5, 4444);
    assert_eq!(actions, refused(conn, Refusal::Permission));
    assert_eq!(bench.frame(conn, ClientFrame::Hello { id: 5, nonce: [0; 32] }), []);
    assert_eq!(bench.controller.pending(), 0);
    let (_, actions) = bench.join(&How { uid: 0, ..how(2) });
    assert_eq!(actions[0], Action::Commit);
}

#[test]
fn a_wrong_token_changes_nothing() {
    let mut bench = Bench::new(1, None);
    for token in ["", "Token", "token "] {
        // It would also raise the term and take the place of a member, if it were believed.
        let (conn, actions) = bench.join(&How { token, last_term: 50, ..how(2) });
        assert_eq!(actions, refused(conn, Refusal::Token));
    }
    assert_eq!((bench.epoch(), bench.controller.term(), bench.ids()), (1, 1, vec![]));
}

#[test]
fn another_process_cannot_have_the_id_but_the_same_one_can() {
    let mut bench = Bench::new(1, None);
    let old = bench.member(2);
    let (conn, actions) = bench.join(&How { pid: 7, ..how(2) });
    assert_eq!(actions, refused(conn, Refusal::IdInUse));
    let (conn, actions) = bench.join(&How { uid: 0, ..how(2) });
    assert_eq!(actions, refused(conn, Refusal::IdInUse));
    // Nothing about it has changed, so there is nothing to commit; the connection is replaced.
    let (new, actions) = bench.join(&how(2));
    assert!(
        matches!(actions[..], [Action::Welcome { conn, .. }, Action::Close { conn: closed }] if conn == new && closed == old)
    );
    assert_eq!(bench.handle(Event::Closed { conn: old }), [], "the end of the old connection is nobody's departure");
    assert_eq!(bench.ids(), [2]);
    assert_eq!(bench.handle(Event::Closed { conn: new })[0], Action::Commit);
}

#[test]
fn leaving_and_dying_leave_a_tombstone_and_a_heritage() {
    let mut bench = Bench::new(1, None);
    let (leaver, dier, liar) = (bench.member(2), bench.member(3), bench.member(4));
    let adopt = |id, conn| Action::Adopt { id, conn: Some(conn) };
    let actions = bench.frame(leaver, ClientFrame::Leave);
    // The parking memory comes with the connection, so it is adopted before that is closed.
    assert_eq!(actions, [Action::Commit, adopt(2, leaver), Action::Close { conn: leaver }]);
    assert_eq!(bench.handle(Event::Closed { conn: leaver }), []);
    assert_eq!(bench.handle(Event::Closed { conn: dier }), [Action::Commit, adopt(3, dier)]);
    assert_eq!(bench.handle(Event::Closed { conn: dier }), [], "a second close is nothing new");
    let actions = bench.frame(liar, ClientFrame::Hello { id: 4, nonce: [0; 32] });
    let [send, close] = refused(liar, Refusal::Malformed);
    assert_eq!(actions, [Action::Commit, send, adopt(4, liar), close]);
    let tombstones = bench.controller.snapshot().tombstones;
    let reasons: Vec<_> = tombstones.iter().map(|dead| (dead.id, dead.reason, dead.departed)).collect();
    let now = bench.now;
    assert_eq!(reasons, [(2, Departure::Left, now), (3, Departure::Died, now), (4, Departure::Expelled, now)]);
}

#[test]
fn members_at_the_bound_and_one_past_it() {
    let ids: Vec<_> = (2..limits::MEMBERS as u64 + 1).collect();
    let mut bench = Bench::new(5, Some(seed(&ids)));
    bench.member(1_000_000);
    let (conn, actions) = bench.join(&how(2_000_000));
    assert_eq!(actions, refused(conn, Refusal::Full));
    assert_eq!(bench.controller.take_refused()[0].reason, RefuseReason::JoinFull);
    bench.member(2);
    bench.handle(Event::Probed { id: 3, alive: false });
    bench.member(2_000_000);
}

#[test]
fn what_is_admitted_always_fits_a_copy() {
    let long = Label::new((0..64).map(|number| format!("{number:064}"))).unwrap();
    let mut bench = Bench::new(1, None);
    let full = (2..).find(|&id| {
        let (conn, actions) = bench.join(&How { label: long.clone(), ..how(id) });
        actions == refused(conn, Refusal::Full)
    });
    assert!(full.unwrap() > (HALF_BYTES / 5000) as u64);
    // As many departed as fit, too, and then everybody new again.
    for id in bench.ids() {
        let conn = bench.join(&How { label: long.clone(), ..how(id) }).0;
        bench.frame(conn, ClientFrame::Leave);
        bench.join(&How { label: long.clone(), ..how(id + 1_000_000) });
    }
    let bytes = bench.controller.snapshot().encode().len();
    assert!(bytes <= limits::DIRECTORY_BYTES && bytes > limits::DIRECTORY_BYTES * 9 / 10, "{bytes}");
    // A predecessor that put more in than it may is not followed.
    let mut overfull = seed(&(2..4000).collect::<Vec<_>>());
    overfull.entries.iter_mut().for_each(|entry| entry.label = long.clone());
    let bench = Bench::new(5, Some(overfull));
    assert!(bench.controller.snapshot().encode().len() <= limits::DIRECTORY_BYTES / 2);
}

#[test]
fn frames_out_of_place_end_the_connection() {
    let join = || {
        let proof = [0; 32];
        let (label, nonce) = (Label::default(), [0; 16]);
        ClientFrame::Join(JoinRequest { label, nonce, affinity: true, receiving: true, last_term: 0, proof })
    };
    let mut bench = Bench::new(1, None);
    for frame in [
        join(),
        ClientFrame::Hello { id: 0, nonce: [0; 32] },
        ClientFrame::Leave,
        ClientFrame::Receiving(true),
        ClientFrame::Watch(true),
        ClientFrame::Seen { term: 1, epoch: 1 },
    ] {
        let (conn, _) = bench.accept(5, UID);
        assert_eq!(bench.frame(conn, frame.clone()), refused(conn, Refusal::Malformed), "{frame:?}");
        assert_eq!(bench.frame(conn, frame), [], "no more is heard of it");
    }
    let (conn, _) = bench.accept(5, UID);
    bench.frame(conn, ClientFrame::Hello { id: 5, nonce: [0; 32] });
    assert_eq!(bench.frame(conn, ClientFrame::Hello { id: 5, nonce: [0; 32] }), refused(conn, Refusal::Malformed));
    let conn = bench.member(2);
    let actions = bench.frame(conn, join());
    assert!(actions.contains(&Action::Close { conn }) && bench.ids().is_empty());
}

#[test]
fn unreadable_packets_are_answered_by_their_kind() {
    let mut bench = Bench::new(1, None);
    let (conn, _) = bench.accept(5, UID);
    let actions = bench.handle(Event::Unreadable { conn, version: Some(9) });
    assert_eq!(actions, refused(conn, Refusal::Version { ours: PROTOCOL_VERSION }));
    let (conn, _) = bench.accept(5, UID);
    assert_eq!(bench.handle(Event::Unreadable { conn, version: None }), refused(conn, Refusal::Malformed));
    assert_eq!(bench.handle(Event::Unreadable { conn, version: None }), []);
    let conn = bench.member(2);
    let actions = bench.handle(Event::Unreadable { conn, version: None });
    assert_eq!(actions[0], Action::Commit);
    assert!(bench.ids().is_empty());
}

#[test]
fn at_most_one_nudge_is_outstanding() {
    let mut bench = Bench::new(1, None);
    let watcher = bench.member(2);
    let seen = |bench: &mut Bench, epoch| bench.frame(watcher, ClientFrame::Seen { term: 1, epoch });
    bench.member(3);
    assert_eq!(bench.frame(watcher, ClientFrame::Watch(true)), [nudge(watcher)], "it is behind already");
    bench.member(4);
    assert!(!bench.join(&how(5)).1.contains(&nudge(watcher)), "it has one already");
    assert_eq!(bench.frame(watcher, ClientFrame::Watch(true)), []);
    // It has read an older directory than there is by now.
    assert_eq!(seen(&mut bench, 4), [nudge(watcher)]);
    assert_eq!(seen(&mut bench, 5), []);
    assert!(bench.join(&how(6)).1.contains(&nudge(watcher)));
    let epoch = bench.epoch();
    assert_eq!(seen(&mut bench, epoch), []);
    bench.frame(watcher, ClientFrame::Watch(false));
    assert!(!bench.join(&how(7)).1.contains(&nudge(watcher)));
    // A claim from the future does not keep later changes from it.
    assert_eq!(bench.frame(watcher, ClientFrame::Seen { term: u32::MAX, epoch: 1 }), []);
    bench.frame(watcher, ClientFrame::Watch(true));
    assert!(bench.join(&how(8)).1.contains(&nudge(watcher)));
}

#[test]
fn a_nudge_that_found_no_room_comes_again() {
    let mut bench = Bench::new(1, None);
    let watcher = bench.member(2);
    assert_eq!(bench.frame(watcher, ClientFrame::Watch(true)), []);
    assert!(bench.join(&how(3)).1.contains(&nudge(watcher)));
    // Not at once, and later each time, however much happens meanwhile.
    let mut pauses = Vec::new();
    for id in 4..20 {
        assert_eq!(bench.handle(Event::Unsent { conn: watcher }), []);
        assert!(!bench.join(&how(id)).1.contains(&nudge(watcher)));
        let pause = bench.controller.deadline().expect("it is to be sent again") - bench.now;
        assert_eq!(bench.after(pause - 1), []);
        assert_eq!(bench.after(1), [nudge(watcher)]);
        pauses.push(pause / MILLI);
    }
    assert_eq!((pauses[0], pauses[1], pauses[15]), (1, 2, 250));
    assert_eq!(bench.controller.deadline(), None, "it is under way");
    let epoch = bench.epoch();
    assert_eq!(bench.frame(watcher, ClientFrame::Seen { term: 1, epoch }), []);
    assert!(bench.join(&how(20)).1.contains(&nudge(watcher)), "as if nothing had happened");
    // One who does not want it any more, or is gone, is not waited for.
    for end in [ClientFrame::Watch(false), ClientFrame::Leave] {
        assert_eq!(bench.handle(Event::Unsent { conn: watcher }), []);
        assert!(bench.controller.deadline().is_some());
        bench.frame(watcher, end);
        assert_eq!(bench.controller.deadline(), None);
        bench.frame(watcher, ClientFrame::Watch(true));
        bench.after(SECOND);
    }
    assert_eq!(bench.handle(Event::Unsent { conn: watcher }), []);
}

#[test]
fn opening_and_closing_the_receiver_is_committed_once() {
    let mut bench = Bench::new(1, None);
    let conn = bench.member(2);
    assert_eq!(bench.frame(conn, ClientFrame::Receiving(true)), []);
    assert_eq!(bench.frame(conn, ClientFrame::Receiving(false)), [Action::Commit]);
    assert!(!bench.controller.snapshot().entries[0].receiving);
    assert_eq!(bench.frame(conn, ClientFrame::Receiving(false)), []);
}

#[test]
fn a_clock_that_runs_backwards_is_not_followed() {
    let mut bench = Bench::new(1, None);
    let (conn, _) = bench.accept(5, UID);
    bench.now -= 50 * SECOND;
    let (later, _) = bench.accept(6, UID);
    bench.now += 50 * SECOND + limits::HANDSHAKE_MILLIS * MILLI;
    assert_eq!(bench.handle(Event::Tick), [Action::Close { conn }, Action::Close { conn: later }]);
}

#[test]
fn a_connection_number_that_comes_again_ends_the_first_one() {
    let mut bench = Bench::new(1, None);
    let conn = bench.member(2);
    let actions = bench.handle(Event::Accepted { conn, uid: UID, pid: 9, nonce: [0; 32] });
    assert_eq!(actions, [Action::Commit, Action::Adopt { id: 2, conn: Some(conn) }]);
    assert_eq!((bench.controller.pending(), bench.controller.member(conn)), (1, None));
}
