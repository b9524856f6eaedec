//! Joining, and the endpoint that comes of it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use ipmb_binding::arrival::Takes;
use ipmb_binding::failure::{Failure, Kind};
use ipmb_bus as bus;
use ipmb_bus::directory::Departure;
use ipmb_bus::error::{JoinError, SendError};
use ipmb_bus::label::Label;
use ipmb_bus::stats::{DropReason, RefuseReason, Shortage};
use napi::bindgen_prelude::{BigInt, Env};
use napi_derive::napi;

use crate::failure::{Result, invalid, told, unable};
use crate::message::PeerInfo;
use crate::receiver::Receiver;
use crate::sender::Sender;

/// A joining under way.
#[napi]
pub struct Joining {
    /// `None` once it was given up.
    pub(crate) joining: Rc<RefCell<Option<bus::Joining>>>,
}

#[napi]
impl Joining {
    /// Starts to join.
    #[napi(factory, catch_unwind)]
    pub fn begin(
        identifier: String,
        label: Vec<String>,
        token: &[u8],
        controller_affinity: bool,
        users: Vec<u32>,
        receiving: bool,
    ) -> Result<Joining> {
        let label = Label::new(label).map_err(told)?;
        let token = token.to_vec();
        let options = bus::Options { identifier, label, token, controller_affinity, users, receiving };
        let joining = bus::begin_join(options).map_err(told)?;
        Ok(Joining { joining: Rc::new(RefCell::new(Some(joining))) })
    }

    /// The outcome, if it is there; when the time is over, an error that says what was in the way.
    #[napi(catch_unwind)]
    pub fn poll(&self, env: &Env, over: bool) -> Result<Option<Endpoint>> {
        let deadline = over.then_some(0);
        let mut joining = self.joining.borrow_mut();
        let Some(joining) = &mut *joining else { return Err(told(JoinError::Closed)) };
        let outcome = joining.poll(deadline).transpose().map_err(told)?;
        outcome.map(|core| Endpoint::new(env, core)).transpose()
    }

    /// Gives it up.
    #[napi(catch_unwind)]
    pub fn give_up(&self) {
        let joining = self.joining.borrow_mut().take();
        drop(joining);
    }
}

/// An endpoint on a bus.
#[napi]
pub struct Endpoint {
    core: Rc<bus::Endpoint>,
}

thread_local! {
    /// Those of this environment, which end with it. `None`: it does not tell us of its end yet.
    static LIVING: RefCell<Option<Vec<Weak<bus::Endpoint>>>> = const { RefCell::new(None) };
}

impl Endpoint {
    /// Closing it never holds up the event loop; the end of the environment waits instead.
    fn new(env: &Env, core: bus::Endpoint) -> Result<Endpoint> {
        core.close_at_once(true);
        let core = Rc::new(core);
        LIVING.with_borrow_mut(|living| {
            if living.is_none() {
                env.add_env_cleanup_hook((), |()| leave()).map_err(unable)?;
            }
            let living = living.get_or_insert_default();
            living.retain(|endpoint| endpoint.strong_count() > 0);
            living.push(Rc::downgrade(&core));
            Ok(Endpoint { core: core.clone() })
        })
    }
}

/// The environment ends: what its endpoints let wait for a receiver is handed over before.
fn leave() {
    LIVING.take().iter().flatten().filter_map(Weak::upgrade).for_each(|endpoint| endpoint.close());
    bus::see_off();
}

/// What an endpoint counted.
#[napi(object, object_from_js = false)]
pub struct Counters {
    /// By name.
    pub all: HashMap<&'static str, f64>,
    /// `dropped`, taken apart.
    pub dropped: HashMap<&'static str, f64>,
    /// `refused`, taken apart.
    pub refused: HashMap<&'static str, f64>,
    /// `shortages`, taken apart.
    pub shortages: HashMap<&'static str, f64>,
}

#[napi]
impl Endpoint {
    /// Number that no other endpoint of the bus has.
    #[napi(getter, catch_unwind)]
    pub fn id(&self) -> BigInt {
        self.core.id().into()
    }

    /// Whether it plays controller now.
    #[napi(getter, catch_unwind)]
    pub fn is_controller(&self) -> bool {
        self.core.is_controller()
    }

    /// Whether it has left the bus.
    #[napi(getter, catch_unwind)]
    pub fn closed(&self) -> bool {
        self.core.is_closed()
    }

    /// The sending half.
    #[napi(catch_unwind)]
    pub fn sender(&self) -> Sender {
        Sender { core: self.core.sender() }
    }

    /// The receiving half, which takes payloads of these UUIDs, one after another.
    #[napi(catch_unwind)]
    pub fn receiver(&self, takes: &[u8]) -> Result<Receiver> {
        let (kinds, rest) = takes.as_chunks::<16>();
        if !rest.is_empty() {
            return Err(invalid("takes is no row of UUIDs"));
        }
        let kinds: Vec<_> = kinds.iter().map(|kind| u128::from_be_bytes(*kind)).collect();
        Ok(Receiver::new(&self.core, Takes::only(&kinds)))
    }

    /// Everybody on the bus but this one.
    #[napi(catch_unwind)]
    pub fn peers(&self) -> Result<Vec<PeerInfo>> {
        let peers = self.core.peers().map_err(|error| match error {
            SendError::Closed => told(Failure::new(Kind::Closed, "the endpoint is closed: join again")),
            error => told(error),
        })?;
        Ok(peers.iter().map(|peer| PeerInfo::of(peer)).collect())
    }

    /// What it counted so far.
    #[napi(catch_unwind)]
    pub fn stats(&self) -> Result<Counters> {
        let stats = self.core.stats().map_err(told)?;
        let sum = |counts: &[u64]| counts.iter().sum::<u64>();
        let all = [
            ("sent", stats.sent),
            ("received", stats.received),
            ("skipped", stats.skipped),
            ("dropped", sum(&stats.dropped)),
            ("expired", stats.expired),
            ("redelivered", stats.redelivered),
            ("duplicates", stats.duplicates),
            ("refused", sum(&stats.refused)),
            ("shortages", sum(&stats.shortages)),
            ("takeovers", stats.takeovers),
            ("waiting", stats.waiting),
            ("bytesSent", stats.bytes_sent),
            ("bytesReceived", stats.bytes_received),
        ];
        let table = |names: &mut dyn Iterator<Item = &'static str>, counts: &[u64]| {
            names.zip(counts).map(|(name, count)| (name, *count as f64)).collect()
        };
        Ok(Counters {
            all: all.into_iter().map(|(name, count)| (name, count as f64)).collect(),
            dropped: table(&mut DropReason::ALL.iter().map(|reason| reason.name()), &stats.dropped),
            refused: table(&mut RefuseReason::ALL.iter().map(|reason| reason.name()), &stats.refused),
            shortages: table(&mut Shortage::ALL.iter().map(|kind| kind.name()), &stats.shortages),
        })
    }

    /// Tells who joins and leaves from now on.
    #[napi(catch_unwind)]
    pub fn watch(&self) -> Result<Watch> {
        let watch = self.core.watch().map_err(told)?;
        Ok(Watch { watch: Rc::new(watch) })
    }

    /// Closes both halves and leaves the bus.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.core.close();
    }
}

/// Something that happened to an endpoint of the bus.
#[napi(object, object_from_js = false)]
pub struct Event {
    /// Whether it joined; otherwise it left.
    pub joined: bool,
    /// Who.
    pub peer: PeerInfo,
    /// Why it left, where anybody knows.
    pub reason: Option<&'static str>,
}

/// Tells who joins and leaves.
#[napi]
pub struct Watch {
    pub(crate) watch: Rc<bus::Watch>,
}

#[napi]
impl Watch {
    /// The next event, if there is one.
    #[napi(catch_unwind)]
    pub fn poll(&self) -> Option<Event> {
        Some(match self.watch.poll()? {
            bus::PeerEvent::Joined(peer) => Event { joined: true, peer: PeerInfo::of(&peer), reason: None },
            bus::PeerEvent::Left(peer, why) => {
                let reason = why.map(|why| match why {
                    Departure::Left => "closed",
                    Departure::Died => "died",
                    Departure::Expelled => "expelled",
                    Departure::Vanished => "vanished",
                });
                Event { joined: false, peer: PeerInfo::of(&peer), reason }
            }
        })
    }

    /// Whether nothing new will come any more.
    #[napi(getter, catch_unwind)]
    pub fn ended(&self) -> bool {
        self.watch.ended()
    }

    /// Ends it.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        self.watch.close();
    }
}
