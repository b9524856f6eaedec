//! When a channel's ring grows, and how its two ends come to know of it.
//!
//! A ring starts small, because every page of it becomes resident in its first lap and most pairs say little. A pair
//! has proved busy when its sender found the ring full again and again, each time after its receiver had read half
//! a ring more: whoever is stopped, or dead, or does not read, proves nothing. So has one that sends many payloads through
//! regions that a larger ring would take. Then the sender makes a larger memory and
//! sends it along with `GROW`; the receiver maps it and says `GROWN`, or `STAYS` when it has no descriptor or memory
//! for it; and the sender goes over with a `Switch` record (see `ring/growth.rs`). Sender and receiver may die at
//! any moment of this: until the switch stands in the ring nothing has changed.
//!
//! It is tried once. Whatever is in the way (descriptors, memory, the budget, the other side), the ring stays as it is,
//! which is slower and not wrong: the sender counts it, and nobody waits for it.

use std::os::fd::AsFd;

use ipmb_transport::MemoryError;
use ipmb_transport::RingError;
use ipmb_transport::ring::{Consumer, Larger, Pushed};
use ipmb_transport::sys::{Fd, Socket};

use super::{GROW, Lie, Outbound};
use crate::limits;
use crate::record::Tag;

/// How far the sender's end is.
#[derive(Debug)]
pub(super) enum Growth {
    /// It was found full so many times that count; the next one counts when the receiver has read up to `next`.
    /// And so many payloads went through regions that a grown ring would take.
    Small { fulls: u32, next: u64, long: u32 },
    /// It is to grow.
    Proved,
    /// The receiver has not answered yet.
    Offered(Larger),
    /// It has grown, or stays small for good.
    Settled { grown: bool },
}

impl Growth {
    pub(super) fn new() -> Growth {
        Growth::Small { fulls: 0, next: limits::RING_BYTES as u64 / 2, long: 0 }
    }
}

impl Outbound {
    /// The ring was found full.
    #[cold]
    pub(super) fn met_full(&mut self) {
        if let Growth::Small { fulls, next, .. } = &mut self.growth
            && let Ok(tail) = self.ring.tail()
            && tail >= *next
        {
            *next = tail + limits::RING_BYTES as u64 / 2;
            *fulls += 1;
            if *fulls >= limits::FULL_RINGS_BEFORE_GROWTH {
                self.growth = Growth::Proved;
            }
        }
    }

    /// A unicast's payload of `len` bytes went through a region.
    pub(super) fn carried(&mut self, len: usize) {
        if let Growth::Small { long, .. } = &mut self.growth
            && len <= limits::LONG_INLINE_BYTES
        {
            *long += 1;
            if *long >= limits::REGION_PAYLOADS_BEFORE_GROWTH {
                self.growth = Growth::Proved;
            }
        }
    }

    /// Whether payloads of up to [`limits::LONG_INLINE_BYTES`] travel in the ring.
    #[inline]
    pub(crate) fn takes_long(&self) -> bool {
        self.ring.capacity() >= limits::GROWN_RING_BYTES
    }

    /// Whether the receiver owes an answer.
    pub(super) fn is_offered(&self) -> bool {
        matches!(self.growth, Growth::Offered(_))
    }

    /// Whether the pair has proved busy, and nothing was done about it yet.
    #[inline]
    pub(crate) fn is_to_grow(&self) -> bool {
        matches!(self.growth, Growth::Proved)
    }

    /// Whether it has a larger memory, or has offered one.
    pub(crate) fn has_larger(&self) -> bool {
        matches!(self.growth, Growth::Offered(_) | Growth::Settled { grown: true })
    }

    /// Whether it was to have a larger memory, and has none for good.
    pub(crate) fn stays_small(&self) -> bool {
        matches!(self.growth, Growth::Settled { grown: false })
    }

    /// Offers the receiver a larger memory.
    pub(crate) fn offer_growth(&mut self) {
        self.growth = Growth::Settled { grown: false };
        if let Ok((larger, file)) = Larger::create(limits::GROWN_RING_BYTES)
            && let Ok(true) = self.socket.send(&[GROW], &[file.as_fd()])
        {
            self.growth = Growth::Offered(larger);
        }
    }

    /// The ring stays as it is.
    pub(crate) fn stay_small(&mut self) {
        self.growth = Growth::Settled { grown: false };
    }

    /// The receiver has answered. `false`: it was not asked, or the ring is broken.
    pub(super) fn answered(&mut self, accepted: bool) -> bool {
        let Growth::Offered(larger) = std::mem::replace(&mut self.growth, Growth::Settled { grown: accepted }) else {
            return false;
        };
        if !accepted {
            return true;
        }
        match self.ring.switch(Tag::switch(), larger) {
            Ok(Pushed::Ring) => {
                self.socket.ring();
                true
            }
            Ok(_) => true,
            Err(_) => false,
        }
    }
}

/// Takes up the memory that a sender offers. `false`: this process has no room for it.
pub(super) fn accept(ring: &mut Consumer, offered: &Fd) -> Result<bool, Lie> {
    match ring.accept(offered, limits::GROWN_RING_BYTES) {
        Ok(()) => Ok(true),
        Err(RingError::Io(_) | RingError::Memory(MemoryError::Io(_))) => Ok(false),
        Err(RingError::Corrupt | RingError::Memory(_)) => Err(Lie),
    }
}

/// Says whether the ring may grow. A sender that cannot be told stays with the small one.
pub(super) fn answer(socket: &Socket, accepted: bool) {
    let _ = socket.send(&[if accepted { super::GROWN } else { super::STAYS }], &[]);
}
