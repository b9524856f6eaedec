//! A message that came, as the face gets it: bytes to decode, and all that came with them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use ipmb_binding::arrival::{Arrival, Content};
use ipmb_binding::refusal::Refused;
use ipmb_binding::types::{LAST, NONE, STR, VIEW};
use ipmb_bus::selector::{Mode, Selector};
use ipmb_bus::{Bulk, Peer};
use napi::bindgen_prelude::{ArrayBuffer, BigInt, BufferSlice, Env};
use napi_derive::napi;

use crate::external;
use crate::failure::{Result, refused, told, unable};
use crate::label_op::LabelOp;
use crate::object::Descriptor;
use crate::region::Region;
use crate::sender::Sender;

/// Who an endpoint is.
#[napi(object, object_from_js = false)]
pub struct PeerInfo {
    /// Number that no other endpoint of the bus has.
    pub id: BigInt,
    /// The label it joined with.
    pub label: Vec<String>,
    /// Its process.
    pub pid: u32,
}

impl PeerInfo {
    pub(crate) fn of(peer: &Peer) -> PeerInfo {
        let label = peer.info.label.iter().map(|element| element.to_string()).collect();
        PeerInfo { id: peer.info.id.into(), label, pid: peer.info.pid }
    }
}

/// Where a message was sent to.
#[napi(object, object_from_js = false)]
pub struct SelectorInfo {
    /// Who was meant.
    pub op: LabelOp,
    /// Whether all of them.
    pub multicast: bool,
    /// Milliseconds that it may have waited.
    pub ttl: f64,
}

impl SelectorInfo {
    fn of(selector: &Arc<Selector>) -> SelectorInfo {
        let Selector { op, mode, ttl } = &**selector;
        SelectorInfo {
            op: LabelOp { op: op.clone() },
            multicast: *mode == Mode::Multicast,
            ttl: ttl.as_secs_f64() * 1e3,
        }
    }
}

/// Who sent a message, and to where.
#[napi(object, object_from_js = false)]
pub struct OriginInfo {
    /// Who sent it.
    pub sender: PeerInfo,
    /// Where to.
    pub selector: SelectorInfo,
}

/// Most origins that are named by a number at a time.
const ORIGINS: usize = 256;

/// Where messages have come from lately. Each is told once, and named by a number from then on: making its objects anew for
/// each message would cost more than the message.
#[derive(Default)]
pub(crate) struct Origins {
    /// By the addresses of sender and selector.
    known: HashMap<(usize, usize), Known>,
}

/// An origin that has a number. It is held, so that its addresses cannot become another's.
struct Known {
    number: u32,
    _held: (Arc<Peer>, Arc<Selector>),
}

impl Origins {
    /// The number of an origin, and what it is where that is new. The number 0 says that all others mean nothing any more.
    fn name(&mut self, sender: Arc<Peer>, selector: Arc<Selector>) -> (u32, Option<OriginInfo>) {
        let place = (Arc::as_ptr(&sender).addr(), Arc::as_ptr(&selector).addr());
        if let Some(known) = self.known.get(&place) {
            return (known.number, None);
        }
        if self.known.len() == ORIGINS {
            self.known.clear();
        }
        let number = self.known.len() as u32;
        let info = OriginInfo { sender: PeerInfo::of(&sender), selector: SelectorInfo::of(&selector) };
        self.known.insert(place, Known { number, _held: (sender, selector) });
        (number, Some(info))
    }
}

/// A request that waits for a reply.
#[napi]
pub struct Request {
    refused: Refused,
}

#[napi]
impl Request {
    /// The asker's number.
    #[napi(getter, catch_unwind)]
    pub fn number(&self) -> BigInt {
        self.refused.number().get().into()
    }

    /// Tells the asker that there will be no reply: the request could not be decoded.
    #[napi(catch_unwind)]
    pub fn refuse(&self, back: &Sender, why: String) {
        self.refused.tell(&back.core, Some(why));
    }
}

/// A received message. What there is none of is left out.
#[napi(object, object_from_js = false)]
pub struct Received<'env> {
    /// The number of a built-in type, 0 for another one.
    pub kind: u32,
    /// The UUID of another one.
    pub uuid: Option<BufferSlice<'env>>,
    /// The payload, if it is text.
    pub text: Option<String>,
    /// The payload, if it is not; of one that lies in shared memory what stands before that.
    pub data: Option<BufferSlice<'env>>,
    /// The part that lies in shared memory: a copy of one's own, made page by page where it is written to.
    pub bulk: Option<ArrayBuffer<'env>>,
    /// The number of who sent it to where.
    pub origin: u32,
    /// Who that is, where the number is new. With the number 0 all others are.
    pub fresh: Option<OriginInfo>,
    /// The first receiver died with it unread.
    pub redelivered: Option<bool>,
    /// What it asks for a reply with.
    pub request: Option<Request>,
    /// Descriptors that came with it.
    pub objects: Option<Vec<Descriptor>>,
    /// Regions that came with it.
    pub regions: Option<Vec<Region>>,
}

impl<'env> Received<'env> {
    pub(crate) fn of(env: &'env Env, arrival: Arrival, origins: &RefCell<Origins>) -> Result<Received<'env>> {
        let Arrival { type_id, content, sender, selector, redelivered, request, objects, regions } = arrival;
        let known = (NONE..=LAST).contains(&type_id);
        let (bytes, bulk) = match content {
            Content::Bulk { head, bulk } if !head.is_empty() || type_id == VIEW => (head, Some(shown(env, &bulk)?)),
            content => (content.into_bytes().map_err(told)?, None),
        };
        let (text, data) = match type_id {
            STR if bulk.is_none() && bytes.len() <= TEXT => match String::from_utf8(bytes) {
                Ok(text) => (Some(text), None),
                Err(garbage) => (None, Some(buffer(env, garbage.into_bytes())?)),
            },
            _ => (None, Some(buffer(env, bytes)?)),
        };
        let uuid = if known { None } else { Some(buffer(env, type_id.to_be_bytes().to_vec())?) };
        // The last step: nothing fails after it, for who is told once is not told again.
        let (origin, fresh) = origins.borrow_mut().name(sender, selector);
        Ok(Received {
            kind: if known { (type_id - NONE + 1) as u32 } else { 0 },
            uuid,
            text,
            data,
            bulk,
            origin,
            fresh,
            redelivered: redelivered.then_some(true),
            request: request.map(|refused| Request { refused }),
            objects: some(objects.into_iter().map(Descriptor::new).collect()),
            regions: some(regions.into_iter().map(Region::new).collect()),
        })
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// Text up to this length is made here. What is longer than any text may be is found out by the decoder, which says whose it was.
const TEXT: usize = 64 << 20;

/// Bytes up to this length are copied: that costs less than to have an owner told when they are collected.
const COPIED: usize = 8 << 10;

fn buffer(env: &Env, bytes: Vec<u8>) -> Result<BufferSlice<'_>> {
    let made =
        if bytes.len() <= COPIED { BufferSlice::copy_from(env, bytes) } else { BufferSlice::from_data(env, bytes) };
    made.map_err(unable)
}

fn shown<'env>(env: &'env Env, bulk: &Bulk) -> Result<ArrayBuffer<'env>> {
    let failed = |error| refused("a large payload cannot be mapped", &error);
    let view = bulk.region.map_writable(bulk.offset, bulk.len).map_err(failed)?;
    external::array_buffer(env, view).map_err(unable)
}
