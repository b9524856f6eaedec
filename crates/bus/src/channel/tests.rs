//! Both ends of a channel in one test: what the kernel does not take, and what a sender that lies cannot do.

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

#[test]
fn what_strayed_is_dropped_and_the_message_comes_whole_later() {
    let mut channel = channel();
    fill(&channel, 2);
    assert!(matches!(channel.push(&[], &objects(2 * MAX_FDS + 1)), Err(PushError::Full)));
    assert_eq!(channel.out.descriptors_in_flight(), 2 * MAX_FDS);
    let (route, routes) = (channel.route, std::mem::take(&mut channel.routes));
    let (mut out, mut inbound) = channel.take_up();
    while let Ok(Front::News) = inbound.front() {}
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
    let Ok(Front::Message) = inbound.front() else { panic!("a message") };
    let mut special = inbound.at.special.take().unwrap();
    assert_eq!(inbound.take_luggage(&mut special).unwrap().unwrap().objects.len(), again.len());
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
    let place = |offset: u64, len: u64| [offset.to_le_bytes(), len.to_le_bytes(), [0; 8]].concat();
    let named = |slot: usize, offer: u32| {
        Bulk { region: Region::create("test", 1).unwrap(), offset: 0, len: 1 }
            .place(Name { slot: slot as u32, offer })
            .to_vec()
    };
    let regions = |regions: u16| Extension { regions, ..Extension::default() };
    let none = Extension::default();
    let message = |flags, count| Tag::message(flags, count);
    /// What is wrong; tag, extension, payload and descriptors of the record.
    type Told = (&'static str, u32, Extension, Vec<u8>, Vec<Fd>);
    let lies: Vec<Told> = vec![
        ("large, with nothing", message(LARGE, 0), none.clone(), place(0, 1), vec![]),
        ("large, and no place", message(LARGE, 1), none.clone(), vec![0; 23], vec![sealed()]),
        ("large, and no memory", message(LARGE, 1), none.clone(), place(0, 1), vec![null()]),
        ("beyond the end", message(LARGE, 1), none.clone(), place(4096, 1), vec![sealed()]),
        ("longer than it is", message(LARGE, 1), none.clone(), place(0, 4097), vec![sealed()]),
        ("around the end", message(LARGE, 1), none.clone(), place(u64::MAX, 2), vec![sealed()]),
        ("memory with holes", message(LARGE, 1), none.clone(), place(0, 1), vec![memory("holes")]),
        ("named, and nothing kept", message(LARGE | KNOWN, 1), none.clone(), named(0, 1), vec![]),
        ("named, and no payload", message(KNOWN, 1), none.clone(), named(0, 1), vec![]),
        ("named, and not counted", message(LARGE | KNOWN, 0), none.clone(), named(0, 1), vec![]),
        ("kept where nothing is", message(LARGE, 1), none.clone(), named(limits::KNOWN_REGIONS, 1), vec![sealed()]),
        ("forgotten, and which", Tag::forget(), none.clone(), vec![0; 3], vec![]),
        ("more regions than descriptors", message(EXTENDED, 1), regions(2), vec![], vec![sealed()]),
        ("a region that is none", message(EXTENDED, 2), regions(2), vec![], vec![sealed(), null()]),
        ("descriptors that never came", message(0, 1), none.clone(), vec![], vec![]),
        ("fewer than it says", message(0, 3), none.clone(), vec![], vec![null(), null()]),
        ("strays, none", Tag::void(0), none.clone(), vec![], vec![]),
        ("strays that never came", Tag::void(1), none.clone(), vec![], vec![]),
        ("strays, one of them named", Tag::void(1) | u32::from(KNOWN) << 8, none.clone(), vec![], vec![]),
        ("a flag that there is not", message(128, 0), none.clone(), vec![], vec![]),
    ];
    for (name, tag, extension, payload, fds) in lies {
        let mut channel = channel();
        channel.lie(tag, &extension, &payload, fds);
        let (_out, mut inbound) = channel.take_up();
        let believed = match inbound.front() {
            Ok(Front::Message) => {
                let mut special = inbound.at.special.take().unwrap();
                inbound.take_luggage(&mut special).is_ok()
            }
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
    channel.lie(
        Tag::message(LARGE, 1),
        &Extension::default(),
        &bulk.place(Name::default()),
        vec![region.share(TO).unwrap()],
    );
    let (_out, mut inbound) = channel.take_up();
    let Ok(Front::Message) = inbound.front() else { panic!("a message") };
    let mut special = inbound.at.special.take().unwrap();
    let came = inbound.take_luggage(&mut special).unwrap().unwrap().bulk.unwrap();
    assert!(came.region.same(&region) && (came.offset, came.len) == (64, 4032));
}

/// A pair whose channel is taken up, and the memory of its payloads.
struct Pair {
    out: Outbound,
    inbound: Inbound,
    routes: RouteTable,
    route: RouteId,
    pool: Pool<()>,
}

const SIZE: usize = 100_000;

fn pair() -> Pair {
    let mut channel = channel();
    let (route, routes) = (channel.route, std::mem::take(&mut channel.routes));
    let (mut out, inbound) = channel.take_up();
    out.service();
    Pair { out, inbound, routes, route, pool: Pool::new("test", Access::ReadOnly) }
}

impl Pair {
    fn push(&mut self, region: &Region) -> Result<(), PushError> {
        let bulk = Bulk { region: region.clone(), offset: 0, len: SIZE };
        let content = Content {
            flags: LARGE,
            type_id: [0; 16],
            extension: &[],
            payload: b"",
            bulk: Some(&bulk),
            regions: &[],
            objects: &[],
        };
        self.out.push(self.routes.get(self.route).unwrap(), self.route, &content)
    }

    /// Sends a payload in memory of the pool, and gives that back.
    fn send(&mut self) {
        let region = self.pool.take(SIZE, "", ()).unwrap();
        self.push(&region).unwrap();
    }

    /// Takes the next message; whether its region was named, and the region.
    fn take(&mut self) -> (bool, Region) {
        let Ok(Front::Message) = self.inbound.front() else { panic!("a message") };
        let mut special = self.inbound.at.special.take().unwrap();
        let named = special.tag.flags & KNOWN != 0;
        let bulk = self.inbound.take_luggage(&mut special).unwrap().unwrap().bulk.unwrap();
        self.inbound.consume(self.inbound.at.record);
        (named, bulk.region)
    }

    /// Has the first message bring a region that the receiver keeps.
    fn acquaint(&mut self) {
        self.send();
        assert!(!self.take().0, "the first brings it along");
    }

    fn held(&self) -> usize {
        self.pool.usage().held
    }
}

#[test]
fn a_region_that_comes_again_is_named_and_held_at_every_moment() {
    let mut pair = pair();
    pair.acquaint();
    for _ in 0..3 {
        pair.out.trim().unwrap();
        assert_eq!(pair.held(), 0, "nobody looks at it");
        pair.send();
        assert!(pair.held() > 0, "it is in flight");
        let (named, region) = pair.take();
        assert!(named);
        pair.out.trim().unwrap();
        assert!(pair.held() > 0, "the receiver has it");
        drop(region);
        assert_eq!(pair.held(), 0);
    }
}

/// Locks byte `at` for writing, as whoever was ever sent the region can.
fn keep_from(region: &Region, at: u64) -> File {
    let share = region.share_read_only(FROM).unwrap();
    let file =
        File::options().read(true).write(true).open(format!("/proc/self/fd/{}", share.as_fd().as_raw_fd())).unwrap();
    let lock = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as nix::libc::c_short,
        l_whence: nix::libc::SEEK_SET as nix::libc::c_short,
        l_start: at as nix::libc::off_t,
        l_len: 1,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).expect("nobody has it");
    file
}

#[test]
fn who_is_kept_from_holding_what_is_named_gets_a_copy() {
    let mut pair = pair();
    pair.acquaint();
    let region = pair.pool.take(SIZE, "", ()).unwrap();
    region.map(0, SIZE).unwrap().write(0, &[7; SIZE]).unwrap();
    pair.push(&region).unwrap();
    let kept_from = keep_from(&region, TO);
    let (named, came) = pair.take();
    assert!(named && !came.same(&region), "another has locked it");
    region.map(0, SIZE).unwrap().write(0, &[8; SIZE]).unwrap();
    let mut bytes = vec![0; SIZE];
    came.read(0, &mut bytes).unwrap();
    assert!(bytes == [7; SIZE], "as it was when it was taken");
    drop((came, kept_from));
    pair.push(&region).unwrap();
    let (named, came) = pair.take();
    assert!(named && came.same(&region), "nobody is in the way any more");
}

#[test]
fn a_region_that_is_named_goes_to_another_when_its_receiver_is_gone() {
    let mut pair = pair();
    pair.acquaint();
    let region = pair.pool.take(SIZE, "", ()).unwrap();
    pair.push(&region).unwrap();
    let unread = pair.out.unread();
    let [Unread { message: Some(message), .. }] = &unread[..] else { panic!("one message") };
    assert!(message.bulk.as_ref().is_some_and(|bulk| bulk.region.same(&region) && bulk.len == SIZE));
    assert_eq!(message.flags, LARGE);
}

#[test]
fn what_is_named_and_unread_is_never_used_again_when_its_sender_closes() {
    let mut pair = pair();
    pair.acquaint();
    pair.send();
    drop(pair.out);
    let again = pair.pool.take(SIZE, "", ()).unwrap();
    let Ok(Front::Message) = pair.inbound.front() else { panic!("a message") };
    let mut special = pair.inbound.at.special.take().unwrap();
    let bulk = pair.inbound.take_luggage(&mut special).unwrap().unwrap().bulk.unwrap();
    assert!(!bulk.region.same(&again));
}

#[test]
fn who_is_offered_more_than_it_may_keep_goes_on_getting_regions() {
    let mut pair = pair();
    let regions: Vec<_> = (0..2 * limits::KNOWN_REGIONS).map(|_| pair.pool.take(SIZE, "", ()).unwrap()).collect();
    for round in 0..2 {
        for (number, region) in regions.iter().enumerate() {
            pair.push(region).unwrap();
            let (named, came) = pair.take();
            assert!(came.same(region));
            assert_eq!(named, round == 1 && number < limits::KNOWN_REGIONS, "{number}");
        }
    }
    let huge = pair.pool.take(limits::KNOWN_REGION_BYTES + 1, "", ()).unwrap();
    for _ in 0..2 {
        pair.push(&huge).unwrap();
        assert!(!pair.take().0, "it costs little beside filling it");
    }
}

#[test]
fn what_is_not_used_any_more_is_forgotten() {
    let mut pair = pair();
    pair.acquaint();
    let later = sys::now() + limits::KNOWN_REGION_SECONDS * 1_000_000_000;
    pair.send();
    assert!(pair.take().0);
    assert_eq!((pair.out.forget_regions(sys::now()), pair.inbound.tidy()), (1, 1), "in use");
    assert_eq!(pair.out.forget_regions(later + 1_000_000_000), 0);
    assert_eq!(pair.inbound.tidy(), 0);
    pair.acquaint();
    pair.send();
    assert!(pair.take().0);
    pair.out.trim().unwrap();
    pair.pool.trim(u64::MAX);
    assert_eq!((pair.out.forget_regions(sys::now()), pair.inbound.tidy()), (0, 0), "given back");
}

#[test]
fn what_is_kept_of_a_sender_that_is_gone_is_let_go_once_all_is_read() {
    let mut pair = pair();
    pair.acquaint();
    pair.send();
    let Pair { out, mut inbound, .. } = pair;
    assert_eq!(inbound.tidy(), 1);
    drop(out);
    assert_eq!(inbound.tidy(), 1, "a message that is unread names it");
    let Ok(Front::Message) = inbound.front() else { panic!("a message") };
    let mut special = inbound.at.special.take().unwrap();
    assert!(inbound.take_luggage(&mut special).unwrap().unwrap().bulk.is_some());
    inbound.consume(inbound.at.record);
    assert_eq!(inbound.tidy(), 0);
}

#[test]
fn who_waits_for_what_is_in_flight_is_told_when_it_is_taken() {
    let mut pair = pair();
    pair.acquaint();
    pair.out.service();
    pair.out.trim().unwrap();
    pair.send();
    assert!(pair.out.announce_landing());
    assert_eq!(pair.out.service(), Serviced::Nothing);
    drop(pair.take());
    assert_eq!(pair.out.service(), Serviced::Progress, "the receiver says so");
    assert!(!pair.out.announce_landing(), "there is something to drop already");
    pair.out.trim().unwrap();
    assert!(pair.out.announce_landing(), "nothing is in flight, and nothing is told");
    pair.send();
    drop(pair.take());
    assert_eq!(pair.out.service(), Serviced::Nothing);
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

#[test]
fn doorbells_without_end_are_heard_a_few_at_a_time() {
    let mut channel = channel();
    while channel.out.socket.send(&[DOORBELL], &[]).unwrap() {}
    let mut bells = 0;
    while let Received::Packet { .. } = channel.socket.receive(&mut [0; 1]).unwrap() {
        bells += 1;
    }
    assert!(bells > 2 * PACKETS, "the kernel bears more than a visit takes");
    for _ in 0..2 * PACKETS {
        assert!(channel.out.socket.send(&[DOORBELL], &[]).unwrap());
    }
    channel.push(&[], &objects(1)).unwrap();
    let (out, mut inbound) = channel.take_up();
    assert!(matches!(inbound.front(), Ok(Front::News)), "what came with the message is behind them");
    inbound.service().unwrap();
    assert!(inbound.unfinished());
    let Ok(Front::Message) = inbound.front() else { panic!("a message") };
    let mut special = inbound.at.special.take().unwrap();
    assert_eq!(inbound.take_luggage(&mut special).unwrap().unwrap().objects.len(), 1);
    for _ in 0..2 * PACKETS {
        assert!(out.socket.send(&[DOORBELL], &[]).unwrap());
    }
    drop(out);
    inbound.service().unwrap();
    assert!(inbound.ended(), "what one who is gone has sent is all there is");
}

#[test]
fn words_of_room_without_end_are_heard_a_few_at_a_time() {
    let (mut out, inbound, _) = busy(1);
    out.service();
    for _ in 0..2 * PACKETS {
        assert!(inbound.socket.send(&[ROOM], &[]).unwrap());
    }
    assert_eq!((out.service(), out.service()), (Serviced::Progress, Serviced::Progress));
    assert_eq!(out.service(), Serviced::Nothing);
    for _ in 0..2 * PACKETS {
        assert!(inbound.socket.send(&[ROOM], &[]).unwrap());
    }
    drop(inbound);
    assert_eq!(out.service(), Serviced::Ended, "what one who is gone has sent is all there is");
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

#[test]
fn a_ring_that_was_full_again_and_again_grows_when_its_receiver_agrees() {
    let (out, ..) = busy(limits::FULL_RINGS_BEFORE_GROWTH);
    assert!(!out.is_to_grow(), "the first time counts when a whole ring was read");
    let (mut out, mut inbound, _) = busy(limits::FULL_RINGS_BEFORE_GROWTH + 1);
    assert!(out.is_to_grow());
    out.offer_growth();
    assert!(out.has_larger() && !out.is_to_grow());
    assert_eq!(out.ring.capacity(), limits::RING_BYTES, "nobody has agreed yet");
    inbound.service().unwrap();
    assert_eq!(out.service(), Serviced::Progress);
    assert_eq!(out.ring.capacity(), limits::GROWN_RING_BYTES);
    assert_eq!(drain(&mut inbound), 0);
    assert_eq!(inbound.ring.capacity(), limits::GROWN_RING_BYTES);
}

#[test]
fn a_receiver_that_says_no_ends_the_matter() {
    let (mut out, inbound, _) = busy(limits::FULL_RINGS_BEFORE_GROWTH + 1);
    out.offer_growth();
    inbound.socket.send(&[STAYS], &[]).unwrap();
    assert_eq!(out.service(), Serviced::Progress);
    assert_eq!(out.ring.capacity(), limits::RING_BYTES);
    assert!(!out.is_to_grow() && !out.has_larger());
}

#[test]
fn a_receiver_that_answers_what_it_was_not_asked_lies() {
    for answer in [GROWN, STAYS, b'?'] {
        let (mut out, inbound, _) = busy(1);
        inbound.socket.send(&[answer], &[]).unwrap();
        assert_eq!(out.service(), Serviced::Ended, "{answer}");
        assert!(inbound.socket.has_hung_up() && out.socket.has_hung_up(), "whoever waits for its end is told");
    }
    let (mut out, mut inbound, _) = busy(limits::FULL_RINGS_BEFORE_GROWTH + 1);
    out.offer_growth();
    inbound.service().unwrap();
    inbound.socket.send(&[GROWN], &[]).unwrap();
    assert_eq!(out.service(), Serviced::Ended, "it has said so before");
}

#[test]
fn a_sender_that_lies_about_growth_ends_its_channel() {
    let larger = |capacity| Larger::create(capacity).unwrap().1;
    let offers: [(&str, Vec<Fd>); 6] = [
        ("no memory", vec![null()]),
        ("smaller", vec![larger(limits::RING_BYTES / 2)]),
        ("as large", vec![larger(limits::RING_BYTES)]),
        ("too large", vec![larger(2 * limits::GROWN_RING_BYTES)]),
        ("two", vec![larger(limits::GROWN_RING_BYTES), larger(limits::GROWN_RING_BYTES)]),
        ("nothing", vec![]),
    ];
    for (name, fds) in offers {
        let (out, mut inbound, _) = busy(1);
        let fds: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
        out.socket.send(&[GROW], &fds).unwrap();
        assert!(inbound.service().is_err(), "{name}");
    }
    let (out, mut inbound, _) = busy(1);
    for _ in 0..2 {
        out.socket.send(&[GROW], &[larger(limits::GROWN_RING_BYTES).as_fd()]).unwrap();
    }
    assert!(inbound.service().is_err(), "twice");
    let (mut out, mut inbound, _) = busy(1);
    out.ring.push(Tag::switch(), &[]).unwrap();
    assert!(inbound.front().is_err(), "a switch to nothing");
    // The memory of another ring of its own, in which the head is not where it should be.
    let (mut out, mut inbound, _) = busy(1);
    let (_other, file) = Producer::create(limits::GROWN_RING_BYTES).unwrap();
    out.socket.send(&[GROW], &[file.as_fd()]).unwrap();
    inbound.service().unwrap();
    out.ring.push(Tag::switch(), &[]).unwrap();
    assert!(inbound.front().is_err(), "a head before the switch");
}
