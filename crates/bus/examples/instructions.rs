//! What a message costs in instructions, which do not depend on how busy a machine is: `tests/instructions` runs this
//! under callgrind and compares with figures that are checked in. `make instructions` renews them.
//!
//! What is counted stands between two calls of `getppid`, at each of which callgrind writes down what it has counted
//! since the last; nothing else here makes that call. Before each such run a line is printed: how many calls, of what.
//! A run without calls tells what surrounds the others. The runs of a row lead through the largest ring several times, so
//! that what happens once a lap counts too.

use std::hint::black_box;
use std::os::unix::process::parent_id;
use std::sync::Arc;

use ipmb_bus::label::Label;
use ipmb_bus::label_op::LabelOp;
use ipmb_bus::selector::Selector;
use ipmb_bus::{Build, Options, Outgoing, Overflow, Payload, Polled, Progress, join};
use ipmb_transport::ring::{Consumer, Producer};

const TYPE: [u8; 16] = [1; 16];
/// As a channel's ring begins.
const CAPACITY: usize = 64 << 10;
/// Payload bytes that go through before anything counts, and then again while it does: several laps of the largest ring.
const BYTES: usize = 3 << 20;
/// Payload bytes in one run, which have to fit into the smallest ring with what is around them.
const RUN_BYTES: usize = 24 << 10;

fn main() {
    for size in [64, 1024] {
        ring("", size, || ());
        bus("", size, || ());
    }
    // Rows that show that one allocation more would be noticed.
    ring("control: ", 64, allocate);
    bus("control: ", 64, allocate);
}

fn allocate() {
    drop(black_box(Vec::<u8>::with_capacity(64)));
}

fn ring(prefix: &str, size: usize, beside: impl Fn()) {
    let (mut producer, file) = Producer::create(CAPACITY).unwrap();
    let (mut consumer, back) = Consumer::open(&file).unwrap();
    producer.attach(&back).unwrap();
    let (payload, mut into) = (vec![7; size], vec![0; size]);
    let push = || {
        black_box(producer.push(1, &[black_box(&payload)]).unwrap());
        beside();
    };
    let pop = || {
        let record = consumer.peek().unwrap().unwrap();
        consumer.copy_out(&record, 0, &mut into[..record.len]);
        black_box(&into);
        consumer.consume(record);
    };
    rows(["push", "pop"].map(|what| format!("{prefix}ring {what}, {size} B")), size, push, pop);
}

fn bus(prefix: &str, size: usize, beside: impl Fn()) {
    let bus = format!("instructions.{}.{prefix}{size}", std::process::id());
    let endpoint = |label: &str| join(Options::new(&*bus, Label::new([label]).unwrap()), None).unwrap();
    let (near, far) = (endpoint("near"), endpoint("far"));
    let (sender, receiver) = (near.sender(), far.receiver());
    let route = sender.intern(&Arc::new(Selector::unicast(LabelOp::leaf("far").unwrap()))).unwrap();
    let (payload, mut into) = (vec![7; size], vec![0; size]);
    let send = || {
        assert!(sender.try_plain(route, TYPE, black_box(&payload)));
        beside();
    };
    let try_send = || {
        let mut out = Outgoing::new(route, TYPE, Payload::Inline(black_box(&payload)), Overflow::Block).unwrap();
        assert!(matches!(sender.try_send(&mut out), Ok(Progress::Done(1))));
    };
    let mut recv = || {
        let taken = receiver.try_recv(|incoming| {
            incoming.read(&mut into[..incoming.len()]);
            black_box(&into);
            Build::Take(())
        });
        assert!(matches!(taken, Ok(Polled::Got(()))));
    };
    // Opens the channel.
    try_send();
    recv();
    rows(["send", "recv"].map(|what| format!("{prefix}bus {what}, {size} B")), size, send, &mut recv);
    if prefix.is_empty() {
        // The way of messages that carry more than a payload.
        rows(["any send", "any recv"].map(|what| format!("bus {what}, {size} B")), size, try_send, recv);
    }
}

/// Calls one thing as often as the other, in turns.
fn rows([one, other]: [String; 2], size: usize, mut first: impl FnMut(), mut second: impl FnMut()) {
    let calls = RUN_BYTES / size;
    let runs = BYTES / RUN_BYTES;
    for _ in 0..runs {
        repeat(calls, &mut first);
        repeat(calls, &mut second);
    }
    for calls in [0].into_iter().chain(std::iter::repeat_n(calls, runs)) {
        counted(&one, calls, &mut first);
        counted(&other, calls, &mut second);
    }
}

fn counted(row: &str, calls: usize, call: &mut impl FnMut()) {
    println!("{calls} {row}");
    let _ = parent_id();
    repeat(calls, call);
    let _ = parent_id();
}

fn repeat(calls: usize, call: &mut impl FnMut()) {
    for _ in 0..calls {
        call();
    }
}
