//! Endpoints of one process on a bus of their own.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod requests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ipmb_bus::label::Label;
use ipmb_bus::label_op::LabelOp;
use ipmb_bus::selector::Selector;
use ipmb_bus::{Build, Endpoint, Incoming, Options, Overflow, join};

pub(crate) const TYPE: [u8; 16] = [1; 16];
pub(crate) const LONG: Option<Duration> = Some(Duration::from_secs(10));
pub(crate) const NOW: Option<Duration> = Some(Duration::ZERO);

pub(crate) fn bus() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn endpoint(bus: &str, label: &str) -> Endpoint {
    join(Options::new(bus, Label::new([label]).unwrap()), LONG).unwrap()
}

pub(crate) fn to(label: &str) -> Arc<Selector> {
    Arc::new(Selector::unicast(LabelOp::leaf(label).unwrap()))
}

pub(crate) fn send(endpoint: &Endpoint, selector: &Arc<Selector>, payload: &[u8]) -> usize {
    endpoint.sender().send(selector, TYPE, payload, Vec::new(), LONG, Overflow::Block).unwrap()
}

pub(crate) fn bytes(incoming: &mut Incoming<'_>) -> Vec<u8> {
    let bulk = incoming.take_bulk();
    let mut bytes = vec![0; bulk.as_ref().map_or(incoming.len(), |bulk| bulk.len)];
    match bulk {
        Some(bulk) => bulk.region.read(bulk.offset, &mut bytes).unwrap(),
        None => incoming.read(&mut bytes),
    }
    bytes
}

pub(crate) fn recv(endpoint: &Endpoint, timeout: Option<Duration>) -> Option<Vec<u8>> {
    endpoint.receiver().recv(timeout, |incoming| Build::Take(bytes(incoming))).unwrap()
}

pub(crate) fn all(label: &str) -> Arc<Selector> {
    Arc::new(Selector::multicast(LabelOp::leaf(label).unwrap()))
}

/// Waits for a condition, within bounds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
