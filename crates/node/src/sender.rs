//! The sending half, and messages that wait for room.

use std::cell::RefCell;
use std::sync::Arc;

use ipmb_binding::letter::{Body, Correlation, Letter};
use ipmb_binding::sending::{self, Started};
use ipmb_binding::to::To;
use ipmb_bus::selector::{Mode, Selector, Ttl};
use ipmb_bus::{self as bus, Overflow};
use ipmb_transport::sys::Poller;
use napi::bindgen_prelude::{BigInt, Either};
use napi_derive::napi;

use crate::failure::{Result, invalid, told};
use crate::label_op::LabelOp;
use crate::luggage::Luggage;

/// The sending half of an endpoint.
#[napi]
pub struct Sender {
    pub(crate) core: bus::Sender,
}

/// What a payload travels as: its UUID, and its bytes in two parts.
pub(crate) struct Payload<'a> {
    pub(crate) kind: &'a [u8],
    pub(crate) parts: [&'a [u8]; 2],
}

/// Milliseconds as the core has them; infinity is for ever.
fn ttl(millis: f64) -> Result<Ttl> {
    Ttl::from_secs_f64(millis / 1e3).map_err(told)
}

pub(crate) fn selector(op: &LabelOp, multicast: bool, millis: f64) -> Result<Arc<Selector>> {
    let mode = if multicast { Mode::Multicast } else { Mode::Unicast };
    Ok(Arc::new(Selector { op: op.op.clone(), mode, ttl: ttl(millis)? }))
}

/// A number that JavaScript got from here.
pub(crate) fn number(argument: &str, given: &BigInt) -> Result<u64> {
    match given.get_u64() {
        (false, number, true) => Ok(number),
        _ => Err(invalid(format!("{argument} is out of range"))),
    }
}

impl Sender {
    /// Sends a message, or keeps it where there is no room.
    pub(crate) fn start(
        &self,
        to: To,
        payload: &Payload<'_>,
        luggage: Option<&Luggage>,
        correlation: Option<Correlation>,
        overflow: Overflow,
    ) -> Result<Either<u32, Pending>> {
        let kind = payload.kind.try_into().map_err(|_| invalid("kind is no UUID"))?;
        let body = Body::copied(&payload.parts).map_err(told)?;
        let (objects, regions) = luggage.map(Luggage::take).unwrap_or_default();
        let mut letter = Letter::new(to, u128::from_be_bytes(kind), body);
        (letter.objects, letter.regions) = (objects, regions);
        (letter.correlation, letter.overflow) = (correlation, overflow);
        match sending::start(&self.core, letter).map_err(told)? {
            Started::Done(reached) => Ok(Either::A(reached as u32)),
            Started::Waits(sending) => Ok(Either::B(Pending { sending: RefCell::new(*sending) })),
        }
    }
}

#[napi]
impl Sender {
    /// Sends a message to those who match: how many have it, or what waits for room.
    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments)]
    pub fn send(
        &self,
        op: &LabelOp,
        multicast: bool,
        ttl: f64,
        kind: &[u8],
        head: &[u8],
        data: &[u8],
        luggage: Option<&Luggage>,
        overflow: u32,
    ) -> Result<Either<u32, Pending>> {
        let overflow = match overflow {
            0 => Overflow::Block,
            1 => Overflow::Error,
            2 => Overflow::Drop,
            _ => return Err(invalid("overflow is out of range")),
        };
        let to = To::Selector(selector(op, multicast, ttl)?);
        self.start(to, &Payload { kind, parts: [head, data] }, luggage, None, overflow)
    }

    /// Sends a message to one endpoint; as the reply to its request, if there is a number of one.
    #[napi(catch_unwind)]
    pub fn reply(
        &self,
        id: BigInt,
        request: Option<BigInt>,
        kind: &[u8],
        head: &[u8],
        data: &[u8],
        luggage: Option<&Luggage>,
    ) -> Result<Either<u32, Pending>> {
        let id = number("id", &id)?;
        let (to, correlation) = match request {
            Some(request) => (To::Asker(id), Some((number("request", &request)?, false))),
            None => (To::Endpoint(id), None),
        };
        self.start(to, &Payload { kind, parts: [head, data] }, luggage, correlation, Overflow::Block)
    }

    /// Whether this half is closed.
    #[napi(getter, catch_unwind)]
    pub fn closed(&self) -> bool {
        self.core.is_closed()
    }

    /// Closes this half. What was sent stays sent.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.core.close();
    }
}

/// A message that found no room yet.
#[napi]
pub struct Pending {
    sending: RefCell<sending::Sending>,
}

impl Pending {
    /// What is readable when there may be room, good until the next try; `None` when it waits no more.
    pub(crate) fn descriptor(&self) -> std::io::Result<Option<Poller>> {
        self.sending.borrow().descriptor()
    }
}

#[napi]
impl Pending {
    /// Tries again. Whether it is done; an error gives it up.
    #[napi(catch_unwind)]
    pub fn poll(&self) -> Result<bool> {
        self.sending.borrow_mut().poll().map_err(told)
    }

    /// How many endpoints have it so far.
    #[napi(getter, catch_unwind)]
    pub fn reached(&self) -> u32 {
        self.sending.borrow().reached() as u32
    }

    /// Milliseconds after which to try again although nothing has been told. Null: no need.
    #[napi(getter, catch_unwind)]
    pub fn delay(&self) -> Option<f64> {
        self.sending.borrow().delay().map(|nanos| nanos as f64 / 1e6)
    }

    /// Gives it up: whoever does not have it yet will not.
    #[napi(catch_unwind)]
    pub fn give_up(&self) {
        self.sending.borrow_mut().give_up();
    }
}
