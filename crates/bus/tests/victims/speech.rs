//! Numbered messages between endpoints named by a letter. Each says whose it is, for whom, and the how-manieth between the
//! two, in bytes that follow from that: whatever is lost, doubled, out of order, damaged, misaddressed or said in
//! another's name shows at the one who hears it.

use std::sync::Arc;
use std::time::Duration;

use ipmb_bus::error::{RecvError, SendError};
use ipmb_bus::label::Label;
use ipmb_bus::label_op::LabelOp;
use ipmb_bus::selector::{Selector, Ttl};
use ipmb_bus::{Build, Endpoint, Incoming, Options, Overflow, Polled, join};

pub(crate) const TYPE: [u8; 16] = [7; 16];
pub(crate) const LONG: Option<Duration> = Some(Duration::from_secs(10));
/// How long a message waits for a match: longer than anything here takes.
const TTL_SECONDS: f64 = 60.0;

/// Bytes of a message: short ones of many lengths, or few that make a lap, or too long for a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Short,
    Lap,
    Large,
}

/// From whom to whom, and the how-manieth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) from: char,
    pub(crate) to: char,
    pub(crate) number: u64,
}

impl Said {
    pub(crate) fn body(self, size: Size) -> Vec<u8> {
        let mut body = vec![self.from as u8, self.to as u8, size as u8, 0, 0, 0, 0, 0];
        body.extend(self.number.to_le_bytes());
        let more = match size {
            Size::Short => self.number as usize * 7 % 300,
            Size::Lap => 12_000,
            Size::Large => 150_000,
        };
        body.extend((0..more).map(|place| (place as u64 ^ self.number) as u8));
        body
    }

    fn of(body: &[u8]) -> Option<Said> {
        let number = u64::from_le_bytes(body.get(8..16)?.try_into().ok()?);
        let said = Said { from: char::from(body[0]), to: char::from(body[1]), number };
        let size = [Size::Short, Size::Lap, Size::Large].into_iter().find(|size| *size as u8 == body[2])?;
        (said.body(size) == body).then_some(said)
    }
}

/// What was heard, and how it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) said: Said,
    pub(crate) redelivered: bool,
    /// For a reply: who asked, under which number.
    pub(crate) asked: Option<(u64, u64)>,
}

/// Joins as one who may play controller, or as one who may not.
pub(crate) fn arrive(bus: &str, name: char, affinity: bool) -> Result<Endpoint, ipmb_bus::error::JoinError> {
    let label = Label::new([name.to_string()]).expect("a letter is a label");
    join(Options { controller_affinity: affinity, ..Options::new(bus, label) }, LONG)
}

/// To whoever has that letter; the message waits while nobody has.
pub(crate) fn to(name: char) -> Arc<Selector> {
    let leaf = LabelOp::leaf(name.to_string()).expect("a letter is a label");
    Arc::new(Selector::unicast(leaf).with_ttl(Ttl::from_secs_f64(TTL_SECONDS).expect("a ttl")))
}

pub(crate) fn say(end: &Endpoint, said: Said, size: Size, timeout: Option<Duration>) -> Result<usize, SendError> {
    end.sender().send(&to(said.to), TYPE, &said.body(size), Vec::new(), timeout, Overflow::Block)
}

/// Takes what is there, without waiting.
pub(crate) fn hear_now(end: &Endpoint) -> Result<Option<Result<Heard, String>>, RecvError> {
    match end.receiver().try_recv(|incoming| Build::Take(understand(incoming)))? {
        Polled::Got(heard) => Ok(Some(heard)),
        Polled::Empty => Ok(None),
    }
}

pub(crate) fn hear(end: &Endpoint, timeout: Option<Duration>) -> Result<Option<Result<Heard, String>>, RecvError> {
    end.receiver().recv(timeout, |incoming| Build::Take(understand(incoming)))
}

/// Reads a message and holds what it says against what the bus says of it.
pub(crate) fn understand(incoming: &mut Incoming<'_>) -> Result<Heard, String> {
    let bulk = incoming.take_bulk();
    let mut body = vec![0; bulk.as_ref().map_or(incoming.len(), |bulk| bulk.len)];
    match bulk {
        Some(bulk) => bulk.region.read(bulk.offset, &mut body).map_err(|error| format!("a region: {error}"))?,
        None => incoming.read(&mut body),
    }
    let said = Said::of(&body).ok_or_else(|| format!("{} damaged bytes", body.len()))?;
    let sender = &incoming.sender().info;
    if !sender.label.contains(&said.from.to_string()) {
        return Err(format!("{said:?} came from {:?}", sender.label));
    }
    let asked = incoming.correlation().map(|number| (sender.id, number));
    Ok(Heard { said, redelivered: incoming.redelivered(), asked })
}
