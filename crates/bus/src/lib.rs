//! The ipmb message bus, without a line of unsafe code.
//!
//! Read it from the floor upwards; each module uses only those above it in this list, which a test holds it to.
//!
//! | module | what it is about |
//! |---|---|
//! | [`limits`] | every bound, once, with its reason |
//! | [`error`] | what a user can be told |
//! | [`identity`] | ids, and the two names a user gives |
//! | [`label`] | the set of strings that describes an endpoint |
//! | [`label_op`] | a boolean expression over labels |
//! | [`label_text`] | the same as people write it |
//! | [`selector`] | where a message goes |
//! | [`proof`] | knowing the token without showing it |
//! | [`names`] | under which socket names endpoints meet |
//! | [`wire`] | what control sockets carry |
//! | [`stats`] | what is counted |
//! | [`incidents`] | what is lost or refused: counted, and told once |
//! | `memory` | stores and loads in shared memory, one by one |
//! | [`directory`] | who is on the bus, in the controller's memory |
//! | [`controller`] | who is let in: a pure state machine |
//! | [`wait`] | waiting in a user's thread |
//! | `local` | what an endpoint knows of itself |
//! | `seen` | which messages came already |
//! | `reactor` | the core thread |
//! | [`bulk`] | memory for large payloads |
//! | `roster` | the directory, parsed |
//! | `route` | from a selector to those who match |
//! | `record` | what stands in a ring |
//! | `parking` | where messages wait for a match |
//! | `channel` | the path from one endpoint to another |
//! | `admission` | who may open one |
//! | `inbox` | the receiving half |
//! | `outbox` | the sending half |
//! | `node` | an endpoint from the inside: membership, and the controller's office |
//! | `watch` | who comes and goes |
//! | `asking` | requests, and what becomes of them |
//! | [`endpoint`] | what programs hold |
//! | [`joining`] | how they come to it |
//! | `fuzzing` | what fuzzers run; in no other build |
#![forbid(unsafe_code)]

mod admission;
mod asking;
pub mod bulk;
mod channel;
pub mod controller;
pub mod directory;
pub mod endpoint;
pub mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod identity;
mod inbox;
pub mod incidents;
pub mod joining;
pub mod label;
pub mod label_op;
pub mod label_text;
pub mod limits;
mod local;
mod memory;
pub mod names;
mod node;
mod outbox;
mod parking;
pub mod proof;
mod reactor;
mod record;
mod roster;
mod route;
mod seen;
pub mod selector;
pub mod stats;
pub mod wait;
mod watch;
pub mod wire;

#[cfg(test)]
#[path = "../tests/simulator/mod.rs"]
mod simulator;

pub use asking::Asking;
pub use endpoint::{Endpoint, Receiver, Sender, see_off};
pub use inbox::{Build, Incoming, Polled, Visit};
pub use joining::{Joining, Options, begin_join, join};
pub use outbox::{INLINE_BYTES, Kept, Outcome, Outgoing, Overflow, Payload, Progress, prepare};
pub use record::{Bulk, TypeId};
pub use roster::{EndpointInfo, Face, Peer};
pub use route::RouteId;
pub use watch::{PeerEvent, Watch};
