//! What one member may make a receiver keep, and one whom its directory does not name.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use ipmb_transport::sys::{self, Listener, Socket};

use super::{ACCEPTS, Build, Inbox, Polled};
use crate::admission;
use crate::channel::{Content, Opener, Outbound};
use crate::directory::{DirectoryReader, DirectoryWriter, Entry, Snapshot};
use crate::incidents::{Incident, Tally};
use crate::label::Label;
use crate::label_op::LabelOp;
use crate::limits;
use crate::local::Local;
use crate::names;
use crate::record::{EXTENDED, Extension, Origin};
use crate::roster::View;
use crate::route::RouteTable;
use crate::selector::Selector;
use crate::stats::{DropReason, RefuseReason};

const OPENER: u64 = 10;
const NONCE: [u8; 16] = [7; 16];

/// A receiver with its directory, and whoever opens channels to it.
struct Scene {
    me: Local,
    snapshot: Snapshot,
    writer: DirectoryWriter,
    view: Mutex<View>,
    tally: Arc<Tally>,
    inbox: Inbox,
}

fn scene() -> Scene {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let uid = sys::effective_uid();
    let bus = format!("inbox.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let me = Local::new(bus, Label::default(), b"", true, vec![0, uid]);
    let entry = |id, nonce| {
        let pid = std::process::id();
        Entry { id, pid, uid, nonce, label: Label::default(), receiving: true }
    };
    let mut entries = vec![entry(OPENER, NONCE), entry(me.id, me.nonce)];
    entries.sort_by_key(|entry| entry.id);
    let snapshot =
        Snapshot { term: 1, epoch: 1, controller: OPENER, predecessors: Vec::new(), entries, tombstones: Vec::new() };
    let (writer, memory) = DirectoryWriter::create(&snapshot).unwrap();
    let mut view = View::default();
    view.replace(Arc::new(DirectoryReader::open(&memory).unwrap()));
    view.registered(sys::now());
    let tally = Tally::new("bus", me.id);
    let name = names::endpoint(&me.identifier, me.id);
    let inbox = Inbox::create(Listener::bind(&name, limits::LISTEN_BACKLOG).unwrap(), tally.clone()).unwrap();
    Scene { me, snapshot, writer, view: Mutex::new(view), tally, inbox }
}

#[test]
fn a_crowd_at_the_door_is_let_in_a_few_at_a_time() {
    let scene = scene();
    let name = names::endpoint(&scene.me.identifier, scene.me.id);
    for _ in 0..4 * ACCEPTS {
        drop(Socket::connect(&name).unwrap());
    }
    let left = |scene: &Scene| scene.inbox.state.lock().unwrap().listener.as_ref().unwrap().accept().unwrap().is_some();
    let look = |scene: &Scene| {
        let polled = scene.inbox.try_recv(&scene.view, &scene.me, |_| Build::Take(()));
        assert!(matches!(polled, Ok(Polled::Empty)));
    };
    look(&scene);
    assert!(left(&scene), "messages and deadlines have their turn");
    (0..4).for_each(|_| look(&scene));
    assert!(!left(&scene), "and the others come next");
}

impl Scene {
    /// A channel of `id` with one message in it.
    fn open(&self, id: u64) -> Outbound {
        self.open_with(id, [Extension::default()])
    }

    /// A channel of `id` with messages that say so much more.
    fn open_with<const N: usize>(&self, id: u64, messages: [Extension; N]) -> Outbound {
        let us = self.view.lock().unwrap().refresh().member(self.me.id).unwrap().clone();
        let name = names::endpoint(&self.me.identifier, self.me.id);
        let opener = Opener { id, nonce: NONCE, key: &self.me.key, term: 1, allowed_uids: &self.me.allowed_uids };
        let mut routes = RouteTable::default();
        let route = routes.intern(&Arc::new(Selector::unicast(LabelOp::constant(true)))).unwrap();
        let mut channel = Outbound::open(&opener, &us, &name).unwrap();
        for extension in messages {
            let extension = extension.encode();
            let content = Content {
                flags: if extension.is_empty() { 0 } else { EXTENDED },
                type_id: [1; 16],
                extension: &extension,
                payload: b"x",
                bulk: None,
                regions: &[],
                objects: &[],
            };
            channel.push(routes.get(route).unwrap(), route, &content).unwrap();
        }
        channel
    }

    /// Looks at everything there is, and counts the messages.
    fn read(&self) -> usize {
        self.inbox.look_everywhere(&self.view, &self.me);
        let mut read = 0;
        while let Polled::Got(()) = self.inbox.try_recv(&self.view, &self.me, |_| Build::Take(())).unwrap() {
            read += 1;
        }
        read
    }

    fn refused(&self, reason: RefuseReason) -> u64 {
        self.tally.of(Incident::Refused(reason))
    }
}

/// A member may open another channel while an old one is read to its end, and no more than the bound: each costs its
/// receiver a descriptor and memory.
#[test]
fn channels_of_one_member_at_the_bound_and_one_past_it() {
    let scene = scene();
    let refused = || scene.refused(RefuseReason::ChannelCrowded);
    let mut kept: Vec<_> = (0..limits::CHANNELS_PER_PEER).map(|_| scene.open(OPENER)).collect();
    assert_eq!((scene.read(), refused()), (limits::CHANNELS_PER_PEER, 0));
    kept.push(scene.open(OPENER));
    assert_eq!((scene.read(), refused()), (0, 1), "one past the bound");
    // Where an old one has ended there is room again.
    kept.remove(0);
    assert_eq!(scene.read(), 0);
    kept.push(scene.open(OPENER));
    assert_eq!((scene.read(), refused()), (1, 1));
}

/// It joined under a controller that neither the one now nor we have known. Once it has registered again it is read.
#[test]
fn one_whom_the_directory_does_not_name_has_a_moment_to_come_into_it() {
    let mut scene = scene();
    let late = 1;
    let channel = scene.open(late);
    assert_eq!((scene.read(), scene.inbox.interested()), (0, true), "it waits, and the directory is watched");
    assert_eq!(scene.refused(RefuseReason::ChannelProof), 0);
    let entry = Entry { id: late, ..scene.snapshot.entries[0].clone() };
    scene.snapshot.entries.insert(0, entry);
    scene.snapshot.epoch = 2;
    scene.writer.commit(&scene.snapshot).unwrap();
    scene.inbox.directory_changed();
    assert_eq!((scene.read(), scene.inbox.interested()), (1, false));
    drop(channel);
}

/// Nobody who never comes into the directory keeps a place at the door for longer than a stranger does.
#[test]
fn one_whom_the_directory_never_names_is_refused() {
    let scene = scene();
    let _channel = scene.open(1);
    assert_eq!(scene.read(), 0);
    let bound = sys::now() + 5 * admission::SILENCE;
    while scene.inbox.interested() {
        let slept = scene.inbox.park(&scene.view, &scene.me, Some(bound)).unwrap();
        assert!(slept && sys::now() < bound, "nobody wakes up to refuse it");
        assert_eq!(scene.read(), 0);
    }
    assert_eq!(scene.refused(RefuseReason::ChannelProof), 1);
}

/// What speaks in the name of another waits for the directory to say that its sender may; of one who comes, lies and goes it
/// does not wait for ever, and keeps nothing that it has sent of its own.
#[test]
fn one_who_is_gone_is_not_doubted_for_ever() {
    let mut scene = scene();
    (scene.snapshot.controller, scene.snapshot.epoch) = (scene.me.id, 2);
    scene.writer.commit(&scene.snapshot).unwrap();
    let origin = Some(Origin { pid: 7, label: Label::default() });
    let lie = Extension { parked: Some((99, 1)), origin, ..Extension::default() };
    let channels = || scene.inbox.state.lock().unwrap().channels.iter().flatten().count();
    let dropped = || scene.tally.of(Incident::Dropped(DropReason::SenderGone));
    let channel = scene.open_with(OPENER, [lie, Extension::default()]);
    assert_eq!((scene.read(), channels()), (0, 1), "it may have become controller");
    let deadline = || scene.inbox.state.lock().unwrap().deadline();
    assert_eq!(deadline(), None, "the living can wait");
    drop(channel);
    let (begin, bound) = (sys::now(), sys::now() + 5 * admission::SILENCE);
    let mut read = scene.read();
    assert!(deadline().is_some_and(|deadline| deadline >= begin));
    while read == 0 {
        let slept = scene.inbox.park(&scene.view, &scene.me, Some(bound)).unwrap();
        assert!(slept && sys::now() < bound, "nobody wakes up to look at it");
        read = scene.read();
    }
    assert!(sys::now() >= begin + admission::SILENCE, "its successor has a second to tell");
    assert_eq!((read, dropped()), (1, 1));
    assert_eq!((scene.read(), channels()), (0, 0));
}
