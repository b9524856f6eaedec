//! Impostors: everything about an opening is right but one thing, and who may speak in whose name.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use ipmb_transport::memory::OwnMemory;
use ipmb_transport::sys::{self, Listener, Socket};

use super::{Pending, SILENCE, Verdict, identify, judge};
use crate::directory::{Departure, DirectoryReader, DirectoryWriter, Entry, Snapshot, Tombstone};
use crate::incidents::Tally;
use crate::label::Label;
use crate::limits;
use crate::local::Local;
use crate::names;
use crate::proof;
use crate::record::{Extension, Origin};
use crate::roster::{EndpointInfo, Peer, View};
use crate::wire::{self, Open, PeerFrame};

const TERM: u32 = 3;
const OPENER: u64 = 10;
const DEPARTED: u64 = 20;
const CONTROLLER: u64 = 30;
const FORMER: u64 = 40;
const PID: u32 = 4321;

/// An endpoint that has read a directory in which all of the above stand.
struct Scene {
    me: Local,
    uid: u32,
    snapshot: Snapshot,
    view: Mutex<View>,
    _writer: DirectoryWriter,
}

fn scene() -> Scene {
    let bus = format!("admission.{}", std::process::id());
    let me = Local::new(bus, Label::default(), b"token", true, vec![0, sys::effective_uid()]);
    let uid = sys::effective_uid();
    let entry = |id| Entry { id, pid: PID, uid, nonce: [1; 16], label: Label::default(), receiving: true };
    let snapshot = Snapshot {
        term: TERM,
        epoch: 1,
        controller: CONTROLLER,
        predecessors: vec![FORMER],
        entries: vec![entry(OPENER), entry(CONTROLLER)],
        tombstones: vec![tombstone(DEPARTED, uid), tombstone(FORMER, uid)],
    };
    let (writer, memory) = DirectoryWriter::create(&snapshot).unwrap();
    let mut view = View::default();
    view.replace(Arc::new(DirectoryReader::open(&memory).unwrap()));
    Scene { me, uid, snapshot, view: Mutex::new(view), _writer: writer }
}

fn tombstone(id: u64, uid: u32) -> Tombstone {
    Tombstone { id, pid: PID, uid, label: Label::default(), departed: 1, reason: Departure::Died }
}

impl Scene {
    fn opening(&self, opener: u64) -> Open {
        let proof = proof::opener_proof(&self.me.key, opener, self.me.id, &self.me.nonce);
        Open { opener, target: self.me.id, term: TERM, proof }
    }

    /// What becomes of an opening that the kernel says comes from this user and process.
    fn identify(&self, open: &Open, uid: u32, pid: u32) -> Verdict {
        identify(open, uid, pid, &self.me, &self.view)
    }

    /// What becomes of a message on the channel of `from` that says `first` had sent it.
    fn judge(&self, from: u64, first: Option<u64>, origin: Option<Origin>) -> Verdict {
        let info = EndpointInfo { id: from, label: Label::default(), pid: PID };
        let extension = Extension { parked: first.map(|first| (first, 1)), origin, ..Extension::default() };
        judge(&extension, &Peer::new(info, self.uid, [1; 16], true), &self.view)
    }
}

fn is_refused(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Refuse)
}

#[test]
fn an_opener_is_who_the_directory_and_the_kernel_say() {
    let scene = scene();
    for opener in [OPENER, DEPARTED] {
        let verdict = scene.identify(&scene.opening(opener), scene.uid, PID);
        assert!(matches!(verdict, Verdict::Accept(Some(peer)) if peer.info.id == opener));
    }
}

#[test]
fn an_impostor_is_refused_whatever_it_knows() {
    let scene = scene();
    for opener in [OPENER, DEPARTED] {
        let open = scene.opening(opener);
        assert!(is_refused(&scene.identify(&open, scene.uid, PID + 1)), "another process");
        assert!(is_refused(&scene.identify(&open, scene.uid + 1, PID)), "another user");
    }
    let other = Local::new("admission".into(), Label::default(), b"token", true, vec![0, sys::effective_uid()]);
    let stale = proof::opener_proof(&scene.me.key, OPENER, scene.me.id, &other.nonce);
    let outside = proof::opener_proof(&proof::Key::derive("admission", b"guess"), OPENER, scene.me.id, &scene.me.nonce);
    let open = scene.opening(OPENER);
    for (what, lie) in [
        ("the number of another endpoint", Open { proof: stale, ..open.clone() }),
        ("another token", Open { proof: outside, ..open.clone() }),
        ("a proof for another id", Open { opener: DEPARTED, ..open.clone() }),
        ("meant for somebody else", Open { target: other.id, ..open.clone() }),
    ] {
        assert!(is_refused(&scene.identify(&lie, scene.uid, PID)), "{what}");
    }
}

#[test]
fn who_is_not_in_the_directory_has_a_moment_to_come_into_it() {
    let scene = scene();
    assert!(matches!(scene.identify(&scene.opening(99), scene.uid, PID), Verdict::Unknown));
}

#[test]
fn who_has_read_a_newer_directory_waits_for_ours() {
    let scene = scene();
    let newer = Open { term: TERM + 1, ..scene.opening(99) };
    assert!(matches!(scene.identify(&newer, scene.uid, PID), Verdict::Later));
}

/// However long it had to wait for our directory, which was that of a controller that is gone.
#[test]
fn the_moment_begins_when_the_directory_is_there() {
    let mut scene = scene();
    let name = names::endpoint(&scene.me.identifier, scene.me.id);
    let listener = Listener::bind(&name, limits::LISTEN_BACKLOG).unwrap();
    let theirs = Socket::connect(&name).unwrap();
    let newer = Open { term: TERM + 1, ..scene.opening(99) };
    let (_ring, memory) = OwnMemory::create("ring", 4096).unwrap();
    assert!(theirs.send(&wire::encode(&PeerFrame::Open(newer)), &[memory.as_fd()]).unwrap());

    let mut pending = Pending::new(Tally::silent());
    let key = pending.add(listener.accept().unwrap().unwrap(), &scene.me, 0).unwrap();
    pending.read(key);
    assert!(pending.judge(&scene.me, &scene.view, 0).is_empty());
    assert_eq!(pending.deadline(), None, "nobody waits for it but us");
    pending.expire(5 * SILENCE);

    scene.snapshot.term = TERM + 1;
    let (_writer, memory) = DirectoryWriter::create(&scene.snapshot).unwrap();
    scene.view.lock().unwrap().replace(Arc::new(DirectoryReader::open(&memory).unwrap()));
    assert!(pending.judge(&scene.me, &scene.view, 5 * SILENCE).is_empty());
    assert_eq!(pending.deadline(), Some(6 * SILENCE));
    pending.expire(6 * SILENCE - 1);
    assert!(pending.judge(&scene.me, &scene.view, 6 * SILENCE - 1).is_empty());
    assert_eq!(pending.deadline(), Some(6 * SILENCE), "and ends, however often it is looked");
    pending.expire(6 * SILENCE);
    assert!(pending.socket(key).is_none());
}

#[test]
fn only_a_controller_speaks_for_others() {
    let scene = scene();
    let origin = || Origin { pid: 7, label: Label::default() };
    assert!(matches!(scene.judge(OPENER, None, None), Verdict::Accept(None)), "for itself");
    assert!(matches!(scene.judge(OPENER, Some(OPENER), None), Verdict::Accept(None)), "for itself, after waiting");
    assert!(is_refused(&scene.judge(OPENER, None, Some(origin()))), "an origin that never waited");
    // It may have become controller since; until that shows, the message is not believed.
    assert!(matches!(scene.judge(OPENER, Some(DEPARTED), None), Verdict::Later), "a member, for another");
    for from in [CONTROLLER, FORMER] {
        let verdict = scene.judge(from, Some(DEPARTED), Some(origin()));
        assert!(
            matches!(verdict, Verdict::Accept(Some(peer)) if peer.info.id == DEPARTED),
            "the directory's word counts"
        );
        let verdict = scene.judge(from, Some(99), Some(origin()));
        assert!(
            matches!(verdict, Verdict::Accept(Some(peer)) if (peer.info.id, peer.info.pid) == (99, 7)),
            "forgotten"
        );
        assert!(is_refused(&scene.judge(from, Some(99), None)), "nobody knows who");
    }
}
