//! Both ends of a channel across from one that lies: records, routes, places of regions, descriptors, packets.
//!
//! The ring itself is honest here (the target `ring` is about that one): what is made up is what stands in the records and
//! what comes over the socket, in any order, with descriptors of every kind.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ipmb_transport::memory::OwnMemory;
use ipmb_transport::region::Region;
use ipmb_transport::ring::{Consumer, Larger, Producer};
use ipmb_transport::sys::{self, Fd, Listener, Received, Socket};

use super::case::Case;
use crate::channel::{
    Content, DESCRIPTORS, DOORBELL, Front, GROW, GROWN, Inbound, KEPT, Lie, Opener, Outbound, ROOM, STAYS,
};
use crate::identity::EndpointId;
use crate::label_op::LabelOp;
use crate::limits;
use crate::names;
use crate::proof::{self, Key};
use crate::record::{Bulk, EXTENDED, Extension, HEADER_BYTES, Header, KNOWN, LARGE, Name, REQUEST, Tag};
use crate::roster::{EndpointInfo, Peer};
use crate::route::RouteTable;
use crate::selector::Selector;
use crate::wire::{self, PeerFrame};

const FROM: EndpointId = 1;
const TO: EndpointId = 2;
const NONCE: [u8; 16] = [3; 16];

/// A case for either end; its first byte says for which.
pub fn channel(data: &[u8]) {
    let mut case = Case::new(data);
    match case.byte() % 2 {
        0 => hostile_sender(case),
        _ => hostile_receiver(case),
    }
}

fn peer(id: EndpointId) -> Arc<Peer> {
    let info = EndpointInfo { id, label: Default::default(), pid: sys::pid() };
    Peer::new(info, sys::effective_uid(), NONCE, true)
}

/// A descriptor of one of the kinds that a peer could send.
fn descriptor(case: &mut Case<'_>, region: &Region) -> Option<Fd> {
    match case.byte() % 8 {
        // As an honest sender would.
        0..=2 => region.share_read_only(TO).ok(),
        // Held in nobody's name, or for writing.
        3 => region.share(FROM).ok(),
        4 => Larger::create(1 << (7 + case.byte() % 12)).ok().map(|(_, file)| file),
        5 => OwnMemory::create("forged", usize::from(case.short())).ok().map(|(_, file)| file),
        6 => Some(Fd::adopt(OwnedFd::from(File::open("/dev/null").ok()?))),
        _ => Socket::pair().ok()?.0.fd().try_clone().ok(),
    }
}

/// A packet of the case's choice.
fn packet(case: &mut Case<'_>, socket: &Socket, kinds: &[u8], region: &Region) {
    let kind = case.byte();
    let first = kinds.get(usize::from(kind)).copied().unwrap_or(kind);
    let mut bytes = vec![first];
    let more = case.byte() % 16;
    bytes.extend(case.bytes(more.into()));
    let fds: Vec<_> = (0..case.byte() % 8).filter_map(|_| descriptor(case, region)).collect();
    let _ = socket.send(&bytes, &fds.iter().map(Fd::as_fd).collect::<Vec<_>>());
}

/// A record of the case's choice; most are nearly right.
fn record(case: &mut Case<'_>, ring: &mut Producer, region: &Region) {
    let route = u32::from(case.byte());
    let type_id = [case.byte(); 16];
    let (tag, body) = match case.byte() % 8 {
        0 => (case.word() as u32, case.bytes(64).to_vec()),
        1 => {
            let encoded = if case.byte().is_multiple_of(2) {
                Selector::unicast(LabelOp::constant(true)).encode()
            } else {
                let len = usize::from(case.byte());
                case.bytes(len).to_vec()
            };
            (Tag::route(), [&route.to_le_bytes()[..], &encoded].concat())
        }
        2 => (Tag::switch(), Vec::new()),
        3 => (Tag::void(usize::from(case.byte() % 8)), Vec::new()),
        4 => (Tag::forget(), (case.word() as u32).to_le_bytes().to_vec()),
        5 => {
            // An extension, or bytes that say they are one.
            let extension = match case.byte() % 2 {
                0 => Extension { regions: u16::from(case.byte() % 4), ..Extension::default() }.encode(),
                _ => case.bytes(12).to_vec(),
            };
            let header = Header { route, extension: extension.len() as u32 + u32::from(case.byte() / 128), type_id };
            let tag = Tag::message(case.byte() & (EXTENDED | LARGE | KNOWN | REQUEST), usize::from(case.byte() % 8));
            let len = usize::from(case.byte());
            (tag, [&header.encode()[..], &extension, case.bytes(len)].concat())
        }
        6 => {
            let (offset, len) = (case.word() as usize, case.word() as usize);
            let name = Name { slot: u32::from(case.byte()), offer: u32::from(case.byte()) };
            let place = Bulk { region: region.clone(), offset, len }.place(name);
            let header = Header { route, extension: 0, type_id };
            let flags = LARGE | if case.byte().is_multiple_of(3) { KNOWN } else { 0 };
            let cut = usize::from(case.byte()).max(HEADER_BYTES);
            let mut body = [&header.encode()[..], &place, b"head"].concat();
            body.truncate(cut);
            (Tag::message(flags, usize::from(case.byte() % 4)), body)
        }
        _ => {
            let len = usize::from(case.short());
            (Tag::message(0, 0), [&Header { route, extension: 0, type_id }.encode()[..], &vec![7; len]].concat())
        }
    };
    let _ = ring.push(tag, &[&body]);
}

fn hostile_sender(mut case: Case<'_>) {
    let Ok((mut ring, memory)) = Producer::create(limits::RING_BYTES) else { return };
    ring.keep_room_to_grow();
    let (Ok((here, there)), Ok(region)) = (Socket::pair(), Region::create("ipmb-payload", 8192)) else { return };
    let Ok((consumer, page)) = Consumer::open(&memory) else { return };
    drop(ring.attach(&page));
    let mut inbound = Inbound::new(there, consumer, page, peer(FROM), [0; 32], TO);
    let mut offered = None;
    while let Some(step) = case.step() {
        match step % 8 {
            0 => packet(&mut case, &here, &[DOORBELL, DESCRIPTORS, GROW], &region),
            1 | 2 => record(&mut case, &mut ring, &region),
            3 => {
                // Descriptors for the record that follows.
                let fds: Vec<_> = (0..case.byte() % 8).filter_map(|_| descriptor(&mut case, &region)).collect();
                let _ = here.send(&[DESCRIPTORS], &fds.iter().map(Fd::as_fd).collect::<Vec<_>>());
            }
            4 if offered.is_none() => {
                let Ok((larger, file)) = Larger::create(limits::GROWN_RING_BYTES) else { return };
                let _ = here.send(&[GROW], &[file.as_fd()]);
                offered = Some(Some(larger));
            }
            5 => {
                if let Some(larger) = offered.as_mut().and_then(Option::take) {
                    let _ = ring.switch(Tag::switch(), larger);
                }
            }
            6 => drop(inbound.tidy()),
            _ => {
                if receive(&mut inbound, &mut case).is_err() {
                    return;
                }
            }
        }
    }
    drop((here, ring));
    // Whoever is dead is read to the end.
    while let Ok(true) = receive(&mut inbound, &mut case) {}
}

/// One look of a receiver. Whether there was something.
fn receive(inbound: &mut Inbound, case: &mut Case<'_>) -> Result<bool, Lie> {
    inbound.service()?;
    match inbound.front()? {
        Front::Message => {}
        Front::News => return Ok(true),
        Front::Empty | Front::TooManyOpenFiles => return Ok(false),
    }
    let at = &inbound.at;
    assert!(at.payload_at + at.payload_len == at.record.len);
    let mut payload = vec![0; at.payload_len];
    inbound.ring.copy_out(&at.record, at.payload_at, &mut payload);
    let _ = (inbound.selector(at.header.route), inbound.face(at.header.route));
    if let Some(mut special) = inbound.at.special.take() {
        if case.byte().is_multiple_of(4) {
            inbound.drop_luggage(&special);
        } else if let Some(luggage) = inbound.take_luggage(&mut special)? {
            let count = usize::from(luggage.bulk.is_some()) + luggage.regions.len() + luggage.objects.len();
            assert_eq!(count, usize::from(special.tag.descriptors));
            if let Some(bulk) = luggage.bulk {
                // Something to read it into, and no more than the sender could send.
                assert!(bulk.len <= bulk.region.size() && bulk.to_vec().is_ok_and(|bytes| bytes.len() == bulk.len));
            }
        }
    }
    inbound.pass();
    inbound.publish();
    Ok(true)
}

/// A sender, and the socket and memory that the other end got from it.
fn open() -> Option<(Outbound, Socket, Fd)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let bus = format!("fuzz.{}.{}", sys::pid(), NEXT.fetch_add(1, Ordering::Relaxed));
    let listener = Listener::bind(&names::endpoint(&bus, TO), 8).ok()?;
    let key = Key::derive("bus", b"");
    let opener = Opener { id: FROM, nonce: NONCE, key: &key, term: 1, allowed_uids: &[sys::effective_uid()] };
    let out = Outbound::open(&opener, &peer(TO), &names::endpoint(&bus, TO)).ok()?;
    let socket = listener.accept().ok()??;
    let Ok(Received::Packet { mut fds, .. }) = socket.receive(&mut [0; 256]) else { return None };
    Some((out, socket, fds.pop()?))
}

fn hostile_receiver(mut case: Case<'_>) {
    let Some((mut out, socket, memory)) = open() else { return };
    // What its page says follows the ring honestly or not at all; lies in it are the other target's business.
    let (Ok((mut ring, page)), Ok(region)) = (Consumer::open(&memory), Region::create("ipmb-payload", 8192)) else {
        return;
    };
    let mut routes = RouteTable::default();
    let Some(route) = routes.intern(&Arc::new(Selector::unicast(LabelOp::constant(true)))) else { return };
    let Some(way) = routes.get(route) else { return };
    let proof = proof::consumer_proof(&Key::derive("bus", b""), TO, FROM, &NONCE);
    let mut sent = 0;
    while let Some(step) = case.step() {
        match step % 10 {
            0 => packet(&mut case, &socket, &[ROOM, GROWN, STAYS, KEPT], &region),
            1 => {
                let mut proof = proof;
                proof[0] ^= u8::from(case.byte() == 0xff);
                let attach = wire::encode(&PeerFrame::Attach { proof });
                let other = if case.byte() == 0xff { descriptor(&mut case, &region) } else { None };
                let _ = socket.send(&attach, &[other.as_ref().unwrap_or(&page).as_fd()]);
            }
            2 => {
                while let Ok(Some(record)) = ring.peek()
                    && record.tag != Tag::switch()
                    && !case.byte().is_multiple_of(8)
                {
                    ring.consume(record);
                }
            }
            3 => drop(ring.sleep()),
            4 | 5 => {
                let body = vec![7; usize::from(case.short() % 17000)];
                let bulk = Bulk { region: region.clone(), offset: 0, len: 4096 };
                let large = case.byte().is_multiple_of(4);
                let content = Content {
                    flags: if large { LARGE } else { 0 },
                    type_id: [0; 16],
                    extension: &[],
                    payload: &body,
                    bulk: large.then_some(&bulk),
                    regions: &[],
                    objects: &[],
                };
                sent += usize::from(out.push(way, route, &content).is_ok());
            }
            6 => sent += usize::from(out.push_plain(route, [0; 16], case.bytes(9))),
            7 => {
                out.service();
                let _ = out.trim();
            }
            8 => {
                if out.is_to_grow() {
                    out.offer_growth();
                }
                let _ = (out.announce_wait(), out.is_half_free(), out.heard());
            }
            _ => drop(out.forget_regions(u64::from(case.byte()) << 32)),
        }
    }
    let unread = out.unread();
    assert!(unread.len() <= sent);
    for message in unread.into_iter().filter_map(|unread| unread.message) {
        assert_eq!(message.bulk.is_some(), message.flags & LARGE != 0);
        assert!(message.bulk.is_none_or(|bulk| bulk.len == 4096));
    }
}
