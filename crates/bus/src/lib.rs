//! The ipmb message bus, without a line of unsafe code.
//!
//! From the bottom up: [`error`] and [`limits`]; [`label`], [`label_op`], [`label_text`] and [`selector`], who a message is
//! for; [`identity`], [`names`], [`proof`] and [`wire`], how endpoints know each other and speak; [`directory`] and [`controller`], who
//! is on the bus. Each module imports only from those named before it.
#![forbid(unsafe_code)]

pub mod controller;
pub mod directory;
pub mod error;
pub mod identity;
pub mod label;
pub mod label_op;
pub mod label_text;
pub mod limits;
pub mod names;
pub mod proof;
pub mod selector;
pub mod wire;

mod admission;
mod channel;
pub mod endpoint;
mod host;
mod inbox;
mod local;
mod member;
mod node;
mod outbox;
mod parking;
mod reactor;
mod record;
mod roster;
mod route;
mod seen;
pub mod stats;
pub mod wait;
mod watch;

pub use endpoint::{Endpoint, Joining, Options, Receiver, Sender, begin_join, join};
pub use inbox::{Build, Incoming, Polled};
pub use outbox::{INLINE_BYTES, Outgoing, Overflow, Payload, Progress, prepare};
pub use record::TypeId;
pub use roster::{EndpointInfo, Face, Peer};
pub use route::RouteId;
pub use watch::{PeerEvent, Watch};
