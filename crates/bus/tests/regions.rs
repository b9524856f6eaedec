//! What travels beside a message: regions, objects, and payloads too long for a ring.

mod support;

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipmb_bus::error::{FullReason, SendError};
use ipmb_bus::label_op::LabelOp;
use ipmb_bus::selector::{Selector, Ttl};
use ipmb_bus::{Build, Bulk, Endpoint, Outgoing, Overflow, Payload, Progress, bulk, limits};
use ipmb_transport::region::{Access, Region};
use ipmb_transport::sys::Fd;
use support::{LONG, TYPE, all, bus, endpoint, eventually, recv, send, to};

/// Everything a message brings.
struct Came {
    payload: Vec<u8>,
    bulk: Option<Bulk>,
    regions: Vec<Region>,
    objects: Vec<Fd>,
    redelivered: bool,
}

fn take(endpoint: &Endpoint) -> Came {
    let came = endpoint.receiver().recv(LONG, |incoming| {
        let mut payload = vec![0; incoming.len()];
        incoming.read(&mut payload);
        Build::Take(Came {
            payload,
            bulk: incoming.take_bulk(),
            regions: incoming.take_regions(),
            objects: incoming.take_descriptors(),
            redelivered: incoming.redelivered(),
        })
    });
    came.unwrap().expect("a message")
}

fn give(
    endpoint: &Endpoint,
    selector: &Arc<Selector>,
    payload: Payload<'_>,
    regions: Vec<Region>,
    objects: Vec<Fd>,
) -> Result<usize, SendError> {
    let sender = endpoint.sender();
    let mut out = Outgoing::new(sender.intern(selector)?, TYPE, payload, Overflow::Error)?;
    out.attach(regions, objects)?;
    match sender.try_send(&mut out)? {
        Progress::Done(reached) => Ok(reached),
        Progress::Blocked => panic!("nothing waits with overflow=error"),
    }
}

fn small(endpoint: &Endpoint, selector: &Arc<Selector>, regions: Vec<Region>, objects: Vec<Fd>) -> usize {
    give(endpoint, selector, Payload::Inline(b"small"), regions, objects).unwrap()
}

fn region(bytes: &[u8]) -> Region {
    let region = Region::create("test", 100_000).unwrap();
    region.map(0, bytes.len()).unwrap().write(0, bytes).unwrap();
    region
}

fn start_of(region: &Region) -> [u8; 5] {
    let mut bytes = [0; 5];
    region.read(0, &mut bytes).unwrap();
    bytes
}

fn inode(region: &Region) -> u64 {
    File::from(region.share_read_only(1).unwrap().into_owned()).metadata().unwrap().ino()
}

/// The end of a pipe to write to, and the other one.
fn pipe() -> (Fd, std::io::PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    (Fd::adopt(OwnedFd::from(writer)), reader)
}

fn file(number: usize) -> Fd {
    let mut file = File::from(region(&number.to_le_bytes()).share(1).unwrap().into_owned());
    file.write_all(&number.to_le_bytes()).unwrap();
    Fd::adopt(OwnedFd::from(file))
}

fn number_in(object: &Fd) -> usize {
    let mut bytes = [0; 8];
    Region::open(object.try_clone().unwrap(), 1).unwrap().read(0, &mut bytes).unwrap();
    usize::from_le_bytes(bytes)
}

#[test]
fn a_large_payload_is_looked_at_in_place_and_its_memory_used_again() {
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    let mut places = HashSet::new();
    for number in 0..40_u8 {
        send(&a, &to("b"), &[number; 300_000]);
        let Bulk { region, offset, len } = take(&b).bulk.unwrap();
        let view = region.map(offset, len).unwrap();
        assert!(len == 300_000 && !view.is_writable() && view.as_ptr().addr().is_multiple_of(64));
        let mut bytes = vec![0; len];
        region.read(offset, &mut bytes).unwrap();
        assert!(bytes.iter().all(|byte| *byte == number));
        places.insert(inode(&region));
    }
    // Other tests of this process draw from the same pool.
    assert!(places.len() < 20, "{}", places.len());
}

#[test]
fn memory_of_a_payload_that_is_held_is_left_alone() {
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    let held: Vec<_> = (0..10_u8)
        .map(|number| {
            send(&a, &to("b"), &[number; 50_000]);
            let bulk = take(&b).bulk.unwrap();
            bulk.region.map(bulk.offset, bulk.len).unwrap()
        })
        .collect();
    for (number, view) in held.iter().enumerate() {
        assert_eq!(start_of(view.region()), [number as u8; 5]);
    }
}

#[test]
fn a_multicast_is_one_copy_for_all() {
    let bus = bus();
    let a = endpoint(&bus, "a");
    let others: Vec<_> = (0..3).map(|_| endpoint(&bus, "w")).collect();
    assert_eq!(send(&a, &all("w"), &[7; 100_000]), 3);
    let came: Vec<_> = others.iter().map(|endpoint| take(endpoint).bulk.unwrap()).collect();
    assert!(came.iter().all(|bulk| bulk.region.same(&came[0].region)));
    assert_eq!(came[0].region.ref_count().unwrap(), 3);
}

#[test]
fn a_payload_is_filled_in_place_and_has_a_head() {
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    let bulk = bulk::alloc(50_000).unwrap();
    bulk.map(128, 5).unwrap().write(0, b"hello").unwrap();
    let head = vec![3; limits::HEAD_BYTES];
    let payload = |offset, len, head| Payload::Large { region: bulk.clone(), offset, len, head };
    assert_eq!(give(&a, &to("b"), payload(128, 5, &head), Vec::new(), Vec::new()).unwrap(), 1);
    let came = take(&b);
    let place = came.bulk.unwrap();
    assert_eq!((&came.payload, place.offset, place.len), (&head, 128, 5));
    assert!(place.region.same(&bulk));
    let too_long = vec![3; limits::HEAD_BYTES + 1];
    for wrong in [payload(0, bulk.size() + 1, &[]), payload(usize::MAX, 2, &[]), payload(0, 5, &too_long)] {
        let refused = give(&a, &to("b"), wrong, Vec::new(), Vec::new());
        assert!(matches!(refused, Err(SendError::Invalid(_))), "{refused:?}");
    }
}

#[test]
fn a_payload_in_a_shared_region_cannot_be_written_by_its_receiver() {
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    let region = region(b"hello");
    let payload = Payload::Large { region: region.clone(), offset: 0, len: 5, head: &[] };
    give(&a, &to("b"), payload, Vec::new(), Vec::new()).unwrap();
    let bulk = take(&b).bulk.unwrap();
    assert_eq!(bulk.region.access(), Access::ReadOnly);
    region.map(0, 5).unwrap().write(0, b"later").unwrap();
    assert_eq!(start_of(&bulk.region), *b"later", "the memory itself is shared");
}

#[test]
fn regions_are_shared_and_counted_by_who_holds_them() {
    let bus = bus();
    let (a, b, c) = (endpoint(&bus, "a"), endpoint(&bus, "b"), endpoint(&bus, "c"));
    let mine = region(b"hello");
    assert_eq!(small(&a, &to("b"), vec![mine.clone(), region(b"other")], Vec::new()), 1);
    assert_eq!(mine.ref_count().unwrap(), 2, "a message in flight counts as its receiver");
    let mut came = take(&b);
    assert_eq!((came.regions.len(), came.objects.len(), start_of(&came.regions[1])), (2, 0, *b"other"));
    let theirs = came.regions.remove(0);
    theirs.map(0, 5).unwrap().write(0, b"wrote").unwrap();
    assert_eq!(start_of(&mine), *b"wrote");
    assert_eq!(small(&b, &to("c"), vec![theirs.clone()], Vec::new()), 1);
    let forwarded = take(&c).regions.remove(0);
    assert_eq!([&mine, &theirs, &forwarded].map(|region| region.ref_count().unwrap()), [3; 3]);
    drop(mine);
    eventually("the sender's share is gone", || theirs.ref_count().unwrap() == 2);
    drop(theirs);
    eventually("the forwarder's too", || forwarded.ref_count().unwrap() == 1);
}

#[test]
fn all_of_a_message_goes_to_another_when_its_receiver_closes() {
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "w"));
    let mine = region(b"hello");
    let (writer, mut reader) = pipe();
    let bulk = bulk::alloc(50_000).unwrap();
    bulk.map(0, 5).unwrap().write(0, b"large").unwrap();
    let payload = Payload::Large { region: bulk, offset: 0, len: 5, head: b"head" };
    assert_eq!(give(&a, &to("w"), payload, vec![mine.clone()], vec![writer]).unwrap(), 1);
    // Not for anybody else: gone with its receiver.
    assert_eq!(small(&a, &all("w"), vec![mine.clone()], Vec::new()), 1);
    let c = endpoint(&bus, "w");
    b.close();
    let came = take(&c);
    assert!(came.redelivered);
    assert_eq!((came.payload, start_of(&came.bulk.unwrap().region)), (b"head".to_vec(), *b"large"));
    assert!(came.regions[0].same(&mine));
    File::from(came.objects.into_iter().next().unwrap().into_owned()).write_all(b"through").unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
    eventually("the dead hold nothing", || mine.ref_count().unwrap() == 2);
    drop(came.regions);
    eventually("nobody else holds it", || mine.ref_count().unwrap() == 1);
}

#[test]
fn what_nobody_is_left_for_is_let_go() {
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    let mine = region(b"hello");
    small(&a, &to("b"), vec![mine.clone()], Vec::new());
    b.close();
    eventually("it is let go", || mine.ref_count().unwrap() == 1);
    eventually("it is counted", || a.stats().unwrap().dropped.iter().sum::<u64>() == 1);
}

#[test]
fn the_senders_duplicates_go_without_another_send() {
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    let (writer, mut reader) = pipe();
    small(&a, &to("b"), Vec::new(), vec![writer]);
    // Read late, when the pauses have grown.
    std::thread::sleep(Duration::from_millis(700));
    drop(take(&b));
    let start = Instant::now();
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn more_objects_than_a_packet_holds_arrive_whole_and_in_order() {
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    for count in [1, 5, 252, 253, 254, 507, limits::OBJECTS_PER_MESSAGE] {
        let objects = (0..count).map(file).collect();
        let regions = (0..count.min(3)).map(|number| region(&number.to_le_bytes())).collect();
        let memory = bulk::alloc(20_000).unwrap();
        let payload = Payload::Large { region: memory.clone(), offset: 0, len: 20_000, head: &[] };
        give(&a, &to("b"), payload, regions, objects).unwrap();
        let came = take(&b);
        assert!(came.bulk.unwrap().region.same(&memory));
        assert_eq!(came.regions.len(), count.min(3));
        assert!(came.objects.iter().map(number_in).eq(0..count), "{count}");
    }
    let many = |count: usize| (0..count).map(|_| Fd::adopt(OwnedFd::from(File::open("/dev/null").unwrap()))).collect();
    let refused = give(&a, &to("b"), Payload::Inline(b""), Vec::new(), many(limits::OBJECTS_PER_MESSAGE + 1));
    assert!(matches!(refused, Err(SendError::Invalid(_))), "{refused:?}");
    let one = region(b"hello");
    let refused = give(&a, &to("b"), Payload::Inline(b""), vec![one.clone(); limits::REGIONS_PER_MESSAGE + 1], many(0));
    assert!(matches!(refused, Err(SendError::Invalid(_))), "{refused:?}");
    give(&a, &to("b"), Payload::Inline(b""), vec![one; limits::REGIONS_PER_MESSAGE], many(3)).unwrap();
    let came = take(&b);
    assert_eq!((came.regions.len(), came.objects.len()), (limits::REGIONS_PER_MESSAGE, 3));
}

#[test]
fn bytes_in_flight_are_bounded_and_one_message_is_always_possible() {
    let bus = bus();
    let (a, b) = (endpoint(&bus, "a"), endpoint(&bus, "b"));
    let large = Region::create("test", limits::REGION_BYTES_IN_FLIGHT_PER_PEER / 2 + 1).unwrap();
    let send = || give(&a, &to("b"), Payload::Inline(b""), vec![large.clone()], Vec::new());
    assert_eq!(send().unwrap(), 1);
    let refused = send();
    assert!(matches!(refused, Err(SendError::Full { reason: FullReason::Ring })), "{refused:?}");
    drop(take(&b));
    assert_eq!(send().unwrap(), 1);
    take(&b);
    let twice = || vec![large.clone(), large.clone(), large.clone()];
    assert_eq!(give(&a, &to("b"), Payload::Inline(b""), twice(), Vec::new()).unwrap(), 1);
}

#[test]
fn what_is_large_and_waits_outlives_its_sender() {
    let bus = bus();
    let waiting = Arc::new(Selector::unicast(LabelOp::leaf("late").unwrap()).with_ttl(Ttl::FOREVER));
    let (first, second) = (endpoint(&bus, "first"), endpoint(&bus, "second"));
    send(&second, &waiting, &[9; 300_000]);
    let memory = bulk::alloc(50_000).unwrap();
    memory.map(0, 5).unwrap().write(0, b"hello").unwrap();
    let payload = Payload::Large { region: memory, offset: 0, len: 50_000, head: &[4; 300] };
    give(&second, &waiting, payload, Vec::new(), Vec::new()).unwrap();
    let nothing = Payload::Large { region: bulk::alloc(1).unwrap(), offset: 0, len: 0, head: b"none" };
    give(&second, &waiting, nothing, Vec::new(), Vec::new()).unwrap();
    // What is attached dies with its sender, and the message with it.
    small(&second, &waiting, vec![region(b"hello")], Vec::new());
    second.close();
    eventually("the controller has adopted it", || first.stats().unwrap().waiting == 3);
    let late = endpoint(&bus, "late");
    assert_eq!(recv(&late, LONG).unwrap(), [9; 300_000]);
    let came = take(&late);
    let bulk = came.bulk.unwrap();
    assert_eq!((came.payload, bulk.len, start_of(&bulk.region)), (vec![4; 300], 50_000, *b"hello"));
    assert!(came.regions.is_empty());
    let came = take(&late);
    assert_eq!((came.payload, came.bulk.unwrap().len), (b"none".to_vec(), 0));
}

#[test]
fn what_is_attached_waits_with_its_message() {
    let bus = bus();
    let a = endpoint(&bus, "a");
    let waiting = Arc::new(Selector::unicast(LabelOp::leaf("late").unwrap()).with_ttl(Ttl::FOREVER));
    let mine = region(b"hello");
    let (writer, mut reader) = pipe();
    assert_eq!(small(&a, &waiting, vec![mine.clone()], vec![writer]), 0);
    let late = endpoint(&bus, "late");
    let came = take(&late);
    assert!(came.regions[0].same(&mine) && came.objects.len() == 1);
    drop(came);
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}
