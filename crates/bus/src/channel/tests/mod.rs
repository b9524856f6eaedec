//! Both ends of a channel in one test. Here is what they share: a channel before and after it is taken up.

mod floods;
mod growth;
mod known;
mod luggage;

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ipmb_transport::region::{Access, Pool, Region};
use ipmb_transport::ring::{Consumer, Larger, Producer};
use ipmb_transport::sys::{self, Fd, Listener, MAX_FDS, Received, Socket};

use super::{
    Content, DESCRIPTORS, DOORBELL, Front, GROW, GROWN, Inbound, Lie, Opener, Outbound, PACKETS, PushError, ROOM,
    STAYS, Serviced, Unread,
};
use crate::limits;
use crate::names;
use crate::proof::{self, Key};
use crate::record::{Bulk, EXTENDED, Extension, Header, KNOWN, LARGE, Name, Tag};
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
        (self.out, Inbound::new(self.socket, ring, page, peer(FROM), proof, TO))
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

/// Reads everything; how many messages there were.
fn drain(inbound: &mut Inbound) -> usize {
    let mut count = 0;
    while let Front::Message = inbound.front().unwrap() {
        inbound.consume(inbound.at.record);
        count += 1;
    }
    count
}

/// A channel whose ring has been found full so many times, with its receiver reading in between.
fn busy(fulls: u32) -> (Outbound, Inbound, usize) {
    let mut channel = channel();
    let (route, routes) = (channel.route, std::mem::take(&mut channel.routes));
    let (mut out, mut inbound) = channel.take_up();
    out.service();
    let mut laps = 0;
    for _ in 0..fulls {
        laps = 0;
        while out.push(routes.get(route).unwrap(), route, &plain()).is_ok() {
            laps += 1;
        }
        assert_eq!(drain(&mut inbound), laps);
    }
    (out, inbound, laps)
}

fn plain() -> Content<'static> {
    let (regions, objects) = (&[], &[]);
    Content { flags: 0, type_id: [0; 16], extension: &[], payload: &[7; 100], bulk: None, regions, objects }
}
