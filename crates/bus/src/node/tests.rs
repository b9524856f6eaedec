//! What the controller says to a process that no endpoint of the bus is: one that joins under the id of another.
//!
//! A proper endpoint cannot do that, its own name would be taken. So a process of its own, which is this test again, speaks
//! the protocol by hand.

use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use ipmb_transport::sys::{self, Received, Socket};

use crate::identity::{EndpointId, check_users};
use crate::incidents::{Level, take_notice};
use crate::label::Label;
use crate::local::Local;
use crate::names;
use crate::parking::Parking;
use crate::proof;
use crate::stats::RefuseReason;
use crate::wire::{self, ClientFrame, JoinRequest, Refusal, ServerFrame};
use crate::{Options, join, wait};

/// Bus and id that the other process joins under.
const ORDER: &str = "IPMB_TEST_JOIN_AS";
const BOUND: u64 = 10_000_000_000;

fn next(socket: &Socket) -> ServerFrame {
    let mut packet = [0; 512];
    let end = sys::now() + BOUND;
    loop {
        match socket.receive(&mut packet).expect("the connection") {
            Received::Packet { len, .. } => return wire::decode(&packet[..len]).expect("a frame"),
            Received::Empty => {}
            _ => panic!("it was closed without a word"),
        }
        assert!(sys::now() < end, "the controller says nothing");
        let _ = wait::on(&[socket.fd().as_fd()], wait::left([Some(end)]));
    }
}

fn join_as(identifier: &str, id: EndpointId) -> ServerFrame {
    let users = check_users(&[], sys::effective_uid()).unwrap();
    let me = Local::new(identifier.to_owned(), Label::default(), b"", false, users);
    let socket = Socket::connect(&names::rendezvous(identifier)).unwrap();
    let nonce = [7; 32];
    socket.send(&wire::encode(&ClientFrame::Hello { id, nonce }), &[]).unwrap();
    let ServerFrame::Challenge { nonce: challenge } = next(&socket) else { panic!("no challenge") };
    let request = JoinRequest {
        label: me.label,
        nonce: me.nonce,
        affinity: false,
        receiving: true,
        last_term: 0,
        proof: proof::joiner_proof(&me.key, &nonce, &challenge, id),
    };
    let (_parking, memory) = Parking::create().unwrap();
    socket.send(&wire::encode(&ClientFrame::Join(request)), &[memory.as_fd()]).unwrap();
    next(&socket)
}

/// What the other process does; without an order nothing.
#[test]
fn the_other_process_is_refused() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let (identifier, id) = order.split_once(' ').unwrap();
    for _ in 0..2 {
        let said = join_as(identifier, id.parse().unwrap());
        assert_eq!(said, ServerFrame::Refused(Refusal::IdInUse));
    }
}

#[test]
fn who_joins_under_the_id_of_another_is_counted_and_told_once() {
    let identifier = format!("test.taken.{}", std::process::id());
    let end = join(Options::new(&*identifier, Label::default()), Some(std::time::Duration::from_nanos(BOUND))).unwrap();
    let other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "node::tests::the_other_process_is_refused"])
        .env(ORDER, format!("{identifier} {}", end.id()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = other.id();
    assert!(other.wait_with_output().unwrap().status.success());
    let place = RefuseReason::ALL.iter().position(|&reason| reason == RefuseReason::JoinIdInUse).unwrap();
    // It is answered before it is counted.
    let deadline = sys::now() + BOUND;
    while end.stats().unwrap().refused[place] < 2 {
        assert!(sys::now() < deadline, "{:?}", end.stats());
        std::thread::yield_now();
    }
    let told: Vec<_> = std::iter::from_fn(take_notice).filter(|notice| notice.id == end.id()).collect();
    let [notice] = &told[..] else { panic!("{told:?}") };
    assert_eq!((notice.level, notice.counter), (Level::Warning, ("refused_by_reason", Some("join_id_in_use"))));
    assert!(notice.text.contains("have it join again"), "{}", notice.text);
    assert!(notice.text.contains(&format!("process {pid} of user")), "{}", notice.text);
}
