//! Both ends of a channel in one test: what the kernel does not take, and what a sender that lies cannot do.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ipmb_transport::region::Region;
use ipmb_transport::ring::Consumer;
use ipmb_transport::sys::{self, Fd, Listener, MAX_FDS, Received, Socket};

use super::{Content, DESCRIPTORS, DOORBELL, Front, Inbound, Lie, Opener, Outbound, PushError, Unread};
use crate::limits;
use crate::names;
use crate::proof::{self, Key};
use crate::record::{Bulk, EXTENDED, Extension, Header, LARGE, Tag};
use crate::roster::{EndpointInfo, Peer};
use crate::route::{RouteId, RouteTable};
use crate::selector::Selector;

const FROM: u64 = 1;
const TO: u64 = 2;
const NONCE: [u8; 16] = [3; 16];

/// A channel whose receiver has not taken it up.
struct Channel {
    out: Outbound,
    socket: Socket,
    memory: Fd,
    routes: RouteTable,
    route: RouteId,
}

fn channel() -> Channel {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let bus = format!("channel.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let listener = Listener::bind(&names::endpoint(&bus, TO), 8).unwrap();
    let key = Key::derive("bus", b"");
    let opener = Opener { id: FROM, nonce: NONCE, key: &key, term: 1, allowed_uids: &[sys::effective_uid()] };
    let out = Outbound::open(&opener, &peer(TO), &names::endpoint(&bus, TO)).unwrap();
    let socket = listener.accept().unwrap().unwrap();
    let Received::Packet { mut fds, .. } = socket.receive(&mut [0; 256]).unwrap() else { panic!("the opening") };
    let mut routes = RouteTable::default();
    let selector = Arc::new(Selector::unicast(crate::label_op::LabelOp::constant(true)));
    let route = routes.intern(&selector).unwrap();
    Channel { out, socket, memory: fds.remove(0), routes, route }
}

fn peer(id: u64) -> Arc<Peer> {
    let info = EndpointInfo { id, label: Default::default(), pid: sys::pid() };
    Peer::new(info, sys::effective_uid(), NONCE, true)
}

impl Channel {
    fn push(&mut self, regions: &[Region], objects: &[Arc<Fd>]) -> Result<(), PushError> {
        let content =
            Content { flags: 0, type_id: [0; 16], extension: &[], payload: b"x", bulk: None, regions, objects };
        self.out.push(self.routes.get(self.route).unwrap(), self.route, &content)
    }

    /// Sends a record and descriptors as they are, whatever a receiver may think of them.
    fn lie(&mut self, tag: u32, extension: &Extension, payload: &[u8], fds: Vec<Fd>) {
        if !fds.is_empty() {
            let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
            assert!(self.out.socket.send(&[DESCRIPTORS], &fds).unwrap());
        }
        let extension = extension.encode();
        let header = Header { route: 0, extension: extension.len() as u32, type_id: [0; 16] }.encode();
        self.out.ring.push(tag, &[&header, &extension, payload]).unwrap();
    }

    fn take_up(self) -> (Outbound, Inbound) {
        let (ring, page) = Consumer::open(&self.memory).unwrap();
        let proof = proof::consumer_proof(&Key::derive("bus", b""), TO, FROM, &NONCE);
        (self.out, Inbound::new(self.socket, ring, &page, peer(FROM), proof, TO))
    }
}

fn null() -> Fd {
    Fd::adopt(OwnedFd::from(File::open("/dev/null").unwrap()))
}

fn objects(count: usize) -> Vec<Arc<Fd>> {
    (0..count).map(|_| Arc::new(null())).collect()
}

/// Leaves room for `packets` on the way to the receiver.
fn fill(channel: &Channel, packets: usize) {
    while channel.out.socket.send(&[DOORBELL], &[]).unwrap() {}
    for _ in 0..packets {
        assert!(matches!(channel.socket.receive(&mut [0; 1]).unwrap(), Received::Packet { .. }));
    }
}

#[test]
fn what_strayed_is_dropped_and_the_message_comes_whole_later() {
    let mut channel = channel();
    fill(&channel, 2);
    assert!(matches!(channel.push(&[], &objects(2 * MAX_FDS + 1)), Err(PushError::Full)));
    assert_eq!(channel.out.descriptors_in_flight(), 2 * MAX_FDS);
    let (route, routes) = (channel.route, std::mem::take(&mut channel.routes));
    let (mut out, mut inbound) = channel.take_up();
    assert!(matches!(inbound.front(), Ok(Front::Empty)));
    out.service();
    out.trim().unwrap();
    assert_eq!(out.descriptors_in_flight(), 0);
    let again = objects(2 * MAX_FDS + 1);
    let content = Content {
        flags: 0,
        type_id: [0; 16],
        extension: &[],
        payload: b"x",
        bulk: None,
        regions: &[],
        objects: &again,
    };
    out.push(routes.get(route).unwrap(), route, &content).unwrap();
    let Ok(Front::Message(popped)) = inbound.front() else { panic!("a message") };
    assert_eq!(inbound.take_luggage(popped.special.as_ref().unwrap()).unwrap().unwrap().objects.len(), again.len());
}

#[test]
fn strays_are_no_message_when_their_receiver_dies() {
    let mut channel = channel();
    fill(&channel, 1);
    assert!(matches!(channel.push(&[], &objects(MAX_FDS + 1)), Err(PushError::Full)));
    channel.push(&[], &[]).unwrap();
    let unread = channel.out.unread();
    assert!(matches!(&unread[..], [Unread { message: Some(message), .. }] if message.attachments.len() == 0));
    assert_eq!(channel.out.descriptors_in_flight(), 0);
}

#[test]
fn the_unread_keep_what_was_sent_with_them() {
    let mut channel = channel();
    let sent = objects(2);
    channel.push(&[], &sent).unwrap();
    channel.push(&[], &[]).unwrap();
    channel.push(&[], &objects(1)).unwrap();
    let counts: Vec<_> =
        channel.out.unread().into_iter().map(|unread| unread.message.unwrap().attachments.len()).collect();
    assert_eq!(counts, [2, 0, 1]);
}

#[test]
fn a_lie_about_what_travels_with_a_message_ends_its_channel() {
    let sealed = || Region::create("test", 4096).unwrap().share(TO).unwrap();
    let memory = |name: &str| {
        let (memory, fd) = ipmb_transport::memory::OwnMemory::create(name, 4096).unwrap();
        drop(memory);
        fd
    };
    let place = |offset: u64, len: u64| [offset.to_le_bytes(), len.to_le_bytes()].concat();
    let regions = |regions: u16| Extension { regions, ..Extension::default() };
    let none = Extension::default();
    let message = |flags, count| Tag::message(flags, count);
    /// What is wrong; tag, extension, payload and descriptors of the record.
    type Told = (&'static str, u32, Extension, Vec<u8>, Vec<Fd>);
    let lies: Vec<Told> = vec![
        ("large, with nothing", message(LARGE, 0), none.clone(), place(0, 1), vec![]),
        ("large, and no place", message(LARGE, 1), none.clone(), vec![0; 15], vec![sealed()]),
        ("large, and no memory", message(LARGE, 1), none.clone(), place(0, 1), vec![null()]),
        ("beyond the end", message(LARGE, 1), none.clone(), place(4096, 1), vec![sealed()]),
        ("longer than it is", message(LARGE, 1), none.clone(), place(0, 4097), vec![sealed()]),
        ("around the end", message(LARGE, 1), none.clone(), place(u64::MAX, 2), vec![sealed()]),
        ("memory with holes", message(LARGE, 1), none.clone(), place(0, 1), vec![memory("holes")]),
        ("more regions than descriptors", message(EXTENDED, 1), regions(2), vec![], vec![sealed()]),
        ("a region that is none", message(EXTENDED, 2), regions(2), vec![], vec![sealed(), null()]),
        ("descriptors that never came", message(0, 1), none.clone(), vec![], vec![]),
        ("fewer than it says", message(0, 3), none.clone(), vec![], vec![null(), null()]),
        ("strays, none", Tag::void(0), none.clone(), vec![], vec![]),
        ("strays that never came", Tag::void(1), none.clone(), vec![], vec![]),
    ];
    for (name, tag, extension, payload, fds) in lies {
        let mut channel = channel();
        channel.lie(tag, &extension, &payload, fds);
        let (_out, mut inbound) = channel.take_up();
        let believed = match inbound.front() {
            Ok(Front::Message(popped)) => inbound.take_luggage(popped.special.as_ref().unwrap()).is_ok(),
            Ok(_) => true,
            Err(Lie) => false,
        };
        assert!(!believed, "{name}");
    }
}

#[test]
fn a_place_is_read_once_and_checked_as_it_was_read() {
    let region = Region::create("test", 4096).unwrap();
    let mut channel = channel();
    let bulk = Bulk { region: region.clone(), offset: 64, len: 4032 };
    channel.lie(Tag::message(LARGE, 1), &Extension::default(), &bulk.place(), vec![region.share(TO).unwrap()]);
    let (_out, mut inbound) = channel.take_up();
    let Ok(Front::Message(popped)) = inbound.front() else { panic!("a message") };
    let came = inbound.take_luggage(popped.special.as_ref().unwrap()).unwrap().unwrap().bulk.unwrap();
    assert!(came.region.same(&region) && (came.offset, came.len) == (64, 4032));
}

#[test]
fn descriptors_without_a_message_are_bounded() {
    let channel = channel();
    let fds: Vec<_> = (0..MAX_FDS).map(|_| null()).collect();
    let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
    let packets = (limits::DESCRIPTORS_PER_MESSAGE + limits::DESCRIPTORS_IN_FLIGHT_PER_PEER) / MAX_FDS + 1;
    for _ in 0..packets {
        assert!(channel.out.socket.send(&[DESCRIPTORS], &fds).unwrap());
    }
    let (_out, mut inbound) = channel.take_up();
    assert!(inbound.service().is_err());
}
