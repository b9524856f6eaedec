//! A message that came, taken out of its ring in one step, with all that it brought.
//!
//! What somebody else can still write is copied out before anybody looks at it. Python copies payloads straight into its
//! own objects and has a way of its own for that.

use std::sync::Arc;

use ipmb_bus::error::RecvError;
use ipmb_bus::label_op::LabelOp;
use ipmb_bus::selector::Selector;
use ipmb_bus::{Build, Bulk, Incoming, Peer, Receiver, Sender, Visit, wait};
use ipmb_transport::region::Region;
use ipmb_transport::sys::Fd;

use crate::failure::{Failure, Kind};
use crate::refusal::{Refused, named};
use crate::types::Type;

/// Visits of the channels that one look makes at most: how long a flood of what is not taken can keep a call from its deadline.
const VISITS: usize = 64;

/// And askers that it tells before it makes no other visit: each costs more than many messages that are passed over.
const TOLD: usize = 256;

/// A payload as it came.
#[derive(Debug)]
pub enum Content {
    /// In its ring.
    Bytes(Vec<u8>),
    /// In a region, with a head that travelled in the ring: empty for what was only too long for one.
    Bulk {
        /// Its head.
        head: Vec<u8>,
        /// The rest. Others may write there still.
        bulk: Bulk,
    },
}

impl Content {
    fn take(incoming: &mut Incoming<'_>) -> Content {
        let bulk = incoming.take_bulk();
        let mut bytes = vec![0; incoming.len()];
        incoming.read(&mut bytes);
        match bulk {
            None => Content::Bytes(bytes),
            Some(bulk) => Content::Bulk { head: bytes, bulk },
        }
    }

    /// How many bytes there are, the head left out.
    pub fn len(&self) -> usize {
        match self {
            Content::Bytes(bytes) => bytes.len(),
            Content::Bulk { bulk, .. } => bulk.len,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it as bytes that nobody else can write; copied out, where it came in a region.
    ///
    /// # Errors
    /// [`Kind::Decode`] for what has a head and so is more than bytes, [`Kind::OutOfMemory`] where there is no room for a copy.
    pub fn into_bytes(self) -> Result<Vec<u8>, Failure> {
        match self {
            Content::Bytes(bytes) => Ok(bytes),
            Content::Bulk { head, bulk } if head.is_empty() => copied_out(&bulk),
            Content::Bulk { .. } => Err(Failure::new(
                Kind::Decode,
                "the payload is no plain bytes but a list, dict or array with large buffers in it, which are beside its bytes: have them sent \
                 as bytes or as a memory region",
            )),
        }
    }
}

/// No message came in time. Who gets what he does not take is told so: he would look for his sender's error otherwise.
pub fn late(core: &Receiver) -> Failure {
    let text = "no message came in time: give a longer timeout, or look whether anybody sends";
    match core.skipped() {
        0 => Failure::new(Kind::RecvTimeout, text),
        skipped => {
            let so_far = "so far were of types that this receiver does not take, and were passed over";
            Failure::new(Kind::RecvTimeout, format!("{text}; {skipped} {so_far}"))
        }
    }
}

fn copied_out(bulk: &Bulk) -> Result<Vec<u8>, Failure> {
    let none = || Failure::new(Kind::OutOfMemory, format!("there is no memory for a payload of {} bytes", bulk.len));
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(bulk.len).map_err(|_| none())?;
    bytes.resize(bulk.len, 0);
    bulk.region.read(bulk.offset, &mut bytes).map_err(|error| Failure::system("a large payload", &error))?;
    Ok(bytes)
}

/// A received message.
#[derive(Debug)]
pub struct Arrival {
    /// What the payload is.
    pub type_id: Type,
    /// The payload.
    pub content: Content,
    /// Who sent it.
    pub sender: Arc<Peer>,
    /// The selector it was sent with.
    pub selector: Arc<Selector>,
    /// Whether the first receiver died with it unread.
    pub redelivered: bool,
    /// Who waits for a reply, of a request.
    pub request: Option<Refused>,
    /// Descriptors that came with it.
    pub objects: Vec<Fd>,
    /// Regions that came with it.
    pub regions: Vec<Region>,
}

impl Arrival {
    /// Takes a message out of its ring.
    pub fn take(incoming: &mut Incoming<'_>) -> Arrival {
        // A sender that never said is a liar; what it sent goes to nobody by label. A reply has no selector either.
        let nobody = || Arc::new(Selector::unicast(LabelOp::constant(false)));
        Arrival {
            type_id: Type::from_be_bytes(incoming.type_id()),
            content: Content::take(incoming),
            sender: incoming.sender().clone(),
            selector: incoming.selector().cloned().unwrap_or_else(nobody),
            redelivered: incoming.redelivered(),
            request: Refused::of(incoming),
            objects: incoming.take_descriptors(),
            regions: incoming.take_regions(),
        }
    }

    /// The error of one that cannot be decoded.
    pub fn garbage(&self, what: &str) -> Failure {
        let text =
            format!("a message of {} bytes is no {what}; it came from {}", self.content.len(), named(&self.sender));
        Failure::new(Kind::Decode, text)
    }
}

/// Which types a receiver takes.
#[derive(Clone, Debug)]
pub struct Takes(Option<Box<[Type]>>);

impl Takes {
    /// Whatever comes.
    pub fn all() -> Takes {
        Takes(None)
    }

    /// These.
    pub fn only(types: &[Type]) -> Takes {
        let mut types: Vec<_> = types.to_vec();
        types.sort_unstable();
        types.dedup();
        Takes(Some(types.into()))
    }

    /// Whether a type is taken.
    pub fn has(&self, type_id: Type) -> bool {
        self.0.as_ref().is_none_or(|types| types.binary_search(&type_id).is_ok())
    }
}

/// The next message, if one is there. Others are passed over, and who asked by one of them is told, through `back`.
///
/// # Errors
/// See [`RecvError`]. No message is lost by it.
pub fn poll(core: &Receiver, back: Option<&Sender>, takes: &Takes) -> Result<Option<Arrival>, RecvError> {
    let mut taken = None;
    let mut told = 0;
    for _ in 0..VISITS {
        let mut refused = Vec::new();
        let visit = core.try_drain(1, |incoming| {
            if incoming.selector().is_some() && takes.has(Type::from_be_bytes(incoming.type_id())) {
                taken = Some(Arrival::take(incoming));
                return Build::Enough(());
            }
            refused.extend(Refused::of(incoming));
            Build::Skip
        });
        told += refused.len();
        if let Some(back) = back {
            refused.into_iter().for_each(|request: Refused| request.tell(back, None));
        }
        match (taken, visit) {
            (Some(arrival), _) => return Ok(Some(arrival)),
            (None, Ok(Visit::Unfinished)) if told < TOLD => taken = None,
            (None, visit) => return visit.map(|_| None),
        }
    }
    Ok(None)
}

/// The next message, waited for until `deadline` (`None`: for ever). `None`: the time is over. Signals do not end the wait.
///
/// # Errors
/// See [`RecvError`]. No message is lost by it.
pub fn recv(
    core: &Receiver,
    back: Option<&Sender>,
    takes: &Takes,
    deadline: Option<u64>,
) -> Result<Option<Arrival>, RecvError> {
    loop {
        if let Some(arrival) = poll(core, back, takes)? {
            return Ok(Some(arrival));
        }
        if wait::is_over(deadline) {
            core.listen()?;
            return poll(core, back, takes);
        }
        if !core.spin() {
            let _ = core.park(deadline);
        }
    }
}
