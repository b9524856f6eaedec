//! The one-way path from one endpoint to another: a ring in the sender's memory, a page with the receiver's tail, and
//! a socket that is doorbell, death notice and way for descriptors. `Outbound` is the sender's end, `Inbound` the
//! receiver's. Opening needs only the two of them.

mod answers;
mod beside;
mod content;
mod flight;
mod growth;
mod inbound;
mod known;
mod luggage;
mod news;
mod outbound;
mod salvage;
#[cfg(test)]
mod tests;

pub(crate) use answers::Serviced;
pub(crate) use content::Content;
pub(crate) use inbound::{Front, Inbound, Lie, Special};
pub(crate) use luggage::Luggage;
pub(crate) use outbound::{OpenError, Opener, Outbound, PushError};
pub(crate) use salvage::Unread;

/// Packets that are taken off a socket at a visit, as long as its other end is there: whoever sends, however fast, must not
/// keep the locks of whoever reads. The socket tells of the others.
const PACKETS: usize = 64;

pub(crate) use crate::wire::{DESCRIPTORS, DOORBELL, GROW, GROWN, KEPT, ROOM, STAYS};
