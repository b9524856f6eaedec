//! How many messages a second two endpoints of one process exchange through the Rust API, by size; and a round trip.
//!
//! `cargo run --release -p ipmb-bus --example rate`

use std::sync::Arc;
use std::time::Instant;

use ipmb_bus::label::Label;
use ipmb_bus::label_op::LabelOp;
use ipmb_bus::selector::Selector;
use ipmb_bus::{Build, Endpoint, Options, Overflow, join};

const TYPE: [u8; 16] = [1; 16];

fn main() {
    let bus = format!("rate.{}", std::process::id());
    let endpoint = |label: &str| join(Options::new(&*bus, Label::new([label]).unwrap()), None).unwrap();
    let (near, far) = (endpoint("near"), endpoint("far"));
    for size in [16, 64, 1024, 16_384, 65_536, 1 << 20] {
        let count = (200_000_000 / (size + 100)).min(2_000_000);
        let seconds = one_way(&near, &far, size, count);
        println!("{size:>8} B one way: {:>12.0} messages/s", count as f64 / seconds);
    }
    let count = 100_000;
    let seconds = round_trips(&near, &far, count);
    println!("round trip of 16 B: {:.2} us", seconds * 1e6 / count as f64);
}

fn send(from: &Endpoint, selector: &Arc<Selector>, payload: &[u8]) {
    from.sender().send(selector, TYPE, payload, Vec::new(), None, Overflow::Block).unwrap();
}

fn recv(at: &Endpoint, into: &mut Vec<u8>) {
    at.receiver()
        .recv(None, |incoming| {
            let bulk = incoming.take_bulk();
            into.resize(bulk.as_ref().map_or(incoming.len(), |bulk| bulk.len), 0);
            match bulk {
                Some(bulk) => bulk.region.read(bulk.offset, into).unwrap(),
                None => incoming.read(into),
            }
            Build::Take(())
        })
        .unwrap();
}

fn to(label: &str) -> Arc<Selector> {
    Arc::new(Selector::unicast(LabelOp::leaf(label).unwrap()))
}

fn one_way(near: &Endpoint, far: &Endpoint, size: usize, count: usize) -> f64 {
    std::thread::scope(|scope| {
        let start = Instant::now();
        scope.spawn(|| {
            let (selector, payload) = (to("far"), vec![7; size]);
            (0..count).for_each(|_| send(near, &selector, &payload));
        });
        let mut payload = Vec::new();
        (0..count).for_each(|_| recv(far, &mut payload));
        start.elapsed().as_secs_f64()
    })
}

fn round_trips(near: &Endpoint, far: &Endpoint, count: usize) -> f64 {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (selector, mut payload) = (to("near"), Vec::new());
            (0..count).for_each(|_| {
                recv(far, &mut payload);
                send(far, &selector, &payload);
            });
        });
        let (selector, mut payload) = (to("far"), Vec::new());
        let start = Instant::now();
        (0..count).for_each(|_| {
            send(near, &selector, &[7; 16]);
            recv(near, &mut payload);
        });
        start.elapsed().as_secs_f64()
    })
}
