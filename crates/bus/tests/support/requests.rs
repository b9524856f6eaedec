//! Asking and replying, with bounds.

use std::sync::Arc;
use std::time::Duration;

use ipmb_bus::error::{RecvError, SendError};
use ipmb_bus::selector::Selector;
use ipmb_bus::stats::DropReason;
use ipmb_bus::wait::{deadline, is_over};
use ipmb_bus::{Asking, Build, Endpoint, Outcome, Outgoing, Overflow, Payload, Progress, Receiver, Sender, prepare};
use ipmb_transport::sys::Fd;

use super::{LONG, TYPE, bus, bytes, endpoint, to};

/// How a request ended, in a form that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Reply(Vec<u8>),
    Lost { read: bool },
}

pub(crate) fn ends(asking: &Asking) -> Result<Vec<(u64, End)>, RecvError> {
    let outcomes = asking.poll(bytes)?;
    let end = |outcome| match outcome {
        Outcome::Reply(bytes) => End::Reply(bytes),
        Outcome::Lost { read, .. } => End::Lost { read },
    };
    Ok(outcomes.into_iter().map(|(number, outcome)| (number, end(outcome))).collect())
}

/// Waits for the end of `count` requests, sorted by number.
pub(crate) fn wait_for(asking: &Asking, count: usize) -> Vec<(u64, End)> {
    let late = deadline(LONG);
    let mut found = Vec::new();
    while found.len() < count {
        assert!(!is_over(late), "{} of {count} requests have ended", found.len());
        let now = ends(asking).unwrap();
        if now.is_empty() {
            asking.park(late).unwrap();
        }
        found.extend(now);
    }
    found.sort_unstable_by_key(|(number, _)| *number);
    found
}

/// Nothing comes for a while, although the asker is told to look again and again.
pub(crate) fn nothing_comes(asking: &Asking) {
    let end = deadline(Some(Duration::from_millis(100)));
    while !is_over(end) {
        assert_eq!(ends(asking).unwrap(), []);
        asking.park(end).unwrap();
    }
}

pub(crate) fn ask_with(
    sender: &Sender,
    asking: &Asking,
    selector: &Arc<Selector>,
    payload: &[u8],
    timeout: Option<Duration>,
) -> Result<u64, SendError> {
    let number = asking.begin()?;
    let late = deadline(timeout);
    let mut out = Outgoing::new(sender.intern_request(selector)?, TYPE, prepare(payload)?, Overflow::Block)?;
    out.correlate(number, true);
    loop {
        match sender.try_send(&mut out) {
            Ok(Progress::Done(reached)) => {
                assert_eq!(reached, 1);
                return Ok(number);
            }
            Ok(Progress::Blocked) => {}
            Err(error) => return Err(error),
        }
        if is_over(late) {
            sender.abandon(&mut out);
            return Err(SendError::Timeout { delivered: 0 });
        }
        let _ = out.wait(late);
    }
}

pub(crate) fn ask(endpoint: &Endpoint, asking: &Asking, label: &str, payload: &[u8]) -> u64 {
    ask_with(&endpoint.sender(), asking, &to(label), payload, LONG).unwrap()
}

/// A request that was received.
pub(crate) struct Asked {
    pub(crate) asker: u64,
    pub(crate) number: u64,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn take(receiver: &Receiver, timeout: Option<Duration>) -> Option<Asked> {
    receiver
        .recv(timeout, |incoming| {
            assert!(incoming.is_request());
            let (asker, number) = (incoming.sender().info.id, incoming.correlation().unwrap());
            Build::Take(Asked { asker, number, payload: bytes(incoming) })
        })
        .unwrap()
}

pub(crate) fn try_reply(
    sender: &Sender,
    to: &Asked,
    payload: Payload<'_>,
    objects: Vec<Fd>,
    timeout: Option<Duration>,
) -> Result<usize, SendError> {
    let late = deadline(timeout);
    let mut out = Outgoing::new(sender.intern_reply(to.asker)?, TYPE, payload, Overflow::Block)?;
    out.attach(Vec::new(), objects)?;
    out.correlate(to.number, false);
    loop {
        match sender.try_send(&mut out)? {
            Progress::Done(reached) => return Ok(reached),
            Progress::Blocked if is_over(late) => {
                sender.abandon(&mut out);
                return Err(SendError::Timeout { delivered: 0 });
            }
            Progress::Blocked => {
                let _ = out.wait(late);
            }
        }
    }
}

pub(crate) fn reply(endpoint: &Endpoint, to: &Asked, payload: &[u8]) -> usize {
    try_reply(&endpoint.sender(), to, prepare(payload).unwrap(), Vec::new(), LONG).unwrap()
}

/// Two endpoints: one that asks, and one that is asked.
pub(crate) fn pair() -> (Endpoint, Asking, Endpoint) {
    let bus = bus();
    let asker = endpoint(&bus, "asker");
    let asking = asker.sender().asking().unwrap();
    (asker, asking, endpoint(&bus, "worker"))
}

pub(crate) fn dropped(endpoint: &Endpoint, reason: DropReason) -> u64 {
    endpoint.stats().unwrap().dropped[reason as usize]
}
