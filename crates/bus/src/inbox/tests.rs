//! What one member may make a receiver keep.

use std::sync::{Arc, Mutex};

use ipmb_transport::sys::{self, Listener};

use super::{Build, Inbox, Polled};
use crate::channel::{Content, Opener, Outbound};
use crate::directory::{DirectoryReader, DirectoryWriter, Entry, Snapshot};
use crate::incidents::{Incident, Tally};
use crate::label::Label;
use crate::label_op::LabelOp;
use crate::limits;
use crate::local::Local;
use crate::names;
use crate::roster::View;
use crate::route::RouteTable;
use crate::selector::Selector;
use crate::stats::RefuseReason;

const OPENER: u64 = 10;
const NONCE: [u8; 16] = [7; 16];

/// A member may open another channel while an old one is read to its end, and no more than the bound: each costs its
/// receiver a descriptor and memory.
#[test]
fn channels_of_one_member_at_the_bound_and_one_past_it() {
    let uid = sys::effective_uid();
    let bus = format!("inbox.{}", std::process::id());
    let me = Local::new(bus, Label::default(), b"", true, vec![0, uid]);
    let entry = |id, nonce| {
        let pid = std::process::id();
        Entry { id, pid, uid, nonce, label: Label::default(), receiving: true }
    };
    let mut entries = vec![entry(OPENER, NONCE), entry(me.id, me.nonce)];
    entries.sort_by_key(|entry| entry.id);
    let snapshot =
        Snapshot { term: 1, epoch: 1, controller: OPENER, predecessors: Vec::new(), entries, tombstones: Vec::new() };
    let (_writer, memory) = DirectoryWriter::create(&snapshot).unwrap();
    let mut view = View::default();
    view.replace(Arc::new(DirectoryReader::open(&memory).unwrap()));
    let us = view.refresh().member(me.id).unwrap().clone();
    let view = Mutex::new(view);

    let name = names::endpoint(&me.identifier, me.id);
    let tally = Tally::new("bus", me.id);
    let inbox = Inbox::create(Listener::bind(&name, limits::LISTEN_BACKLOG).unwrap(), tally.clone()).unwrap();
    let opener = Opener { id: OPENER, nonce: NONCE, key: &me.key, term: 1, allowed_uids: &me.allowed_uids };
    let mut routes = RouteTable::default();
    let route = routes.intern(&Arc::new(Selector::unicast(LabelOp::constant(true)))).unwrap();
    let content =
        Content { flags: 0, type_id: [1; 16], extension: &[], payload: b"x", bulk: None, regions: &[], objects: &[] };
    let open = || {
        let mut channel = Outbound::open(&opener, &us, &name).unwrap();
        channel.push(routes.get(route).unwrap(), route, &content).unwrap();
        channel
    };
    let read = || {
        let mut read = 0;
        while let Polled::Got(()) = inbox.try_recv(&view, &me, |_| Build::Take(())).unwrap() {
            read += 1;
        }
        read
    };
    let refused = || tally.of(Incident::Refused(RefuseReason::ChannelCrowded));
    let mut kept: Vec<_> = (0..limits::CHANNELS_PER_PEER).map(|_| open()).collect();
    inbox.look_everywhere(&view, &me);
    assert_eq!((read(), refused()), (limits::CHANNELS_PER_PEER, 0));
    kept.push(open());
    inbox.look_everywhere(&view, &me);
    assert_eq!((read(), refused()), (0, 1), "one past the bound");
    // Where an old one has ended there is room again.
    kept.remove(0);
    inbox.look_everywhere(&view, &me);
    assert_eq!(read(), 0);
    kept.push(open());
    inbox.look_everywhere(&view, &me);
    assert_eq!((read(), refused()), (1, 1));
}
