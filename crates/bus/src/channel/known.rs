//! Regions that a channel's receiver keeps, so that large payloads in them need only name them.
//!
//! The memory of large payloads is a few regions of the sender's pool over and over. Sending one takes a descriptor, which
//! costs both sides more than filling a megabyte does. So the sender *offers* a region with the first message in it; the
//! receiver, if it can spare a descriptor, keeps it under a number and says so; from then on messages carry the number.
//! What is in flight is held by the sender, what is being looked at by the receiver, by a lock of its own which it takes
//! before it says that the message is read: so at no moment is the memory anybody's to reuse.
//!
//! Nobody has to: a receiver that keeps nothing gets every region sent, as does one that has not answered yet.

use std::sync::atomic::{AtomicUsize, Ordering};

use ipmb_transport::region::{Again, Region, Trace};
use ipmb_transport::sys;

use crate::limits;
use crate::record::Name;

/// How long the receiver is let keep a region that is not used, in nanoseconds.
const IDLE: u64 = limits::KNOWN_REGION_SECONDS * 1_000_000_000;

/// The sender's word for a payload's region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The receiver has it.
    Known(Name),
    /// It is sent, and may be kept under this name.
    Offer(Name),
    /// It is sent.
    Sent,
}

impl Word {
    pub(super) fn name(self) -> Name {
        match self {
            Word::Known(name) | Word::Offer(name) => name,
            Word::Sent => Name::default(),
        }
    }
}

struct Offered {
    trace: Trace,
    offer: u32,
    kept: bool,
    size: usize,
    /// When it was last named or sent, nanoseconds, and as which of all messages.
    used: u64,
    turn: u64,
}

/// What the receiver was offered.
#[derive(Default)]
pub(super) struct Names {
    slots: Vec<Option<Offered>>,
    offers: u32,
    turn: u64,
    /// Offers without an answer.
    open: usize,
}

impl Names {
    /// How the receiver is told of a region.
    pub(super) fn word(&mut self, region: &Region) -> Word {
        self.turn += 1;
        let (turn, used) = (self.turn, sys::now());
        let known = |slot: &Option<Offered>| slot.as_ref().is_some_and(|known| known.trace.is(region));
        if let Some(slot) = self.slots.iter().position(known)
            && let Some(known) = &mut self.slots[slot]
        {
            (known.turn, known.used) = (turn, used);
            return if known.kept { Word::Known(Name { slot: slot as u32, offer: known.offer }) } else { Word::Sent };
        }
        match region.can_be_kept().then(|| self.room_for(region.size())).flatten() {
            Some(slot) => Word::Offer(Name { slot: slot as u32, offer: self.offers.wrapping_add(1).max(1) }),
            None => Word::Sent,
        }
    }

    /// A slot for a region of `size` bytes: a new one, or that of what is gone or was not used for many messages.
    fn room_for(&self, size: usize) -> Option<usize> {
        let stale = |slot: &Option<Offered>| match slot {
            None => true,
            Some(known) => known.trace.is_gone() || known.turn + limits::KNOWN_REGIONS as u64 * 2 < self.turn,
        };
        let free = self.slots.iter().position(stale);
        let slot = free.or_else(|| (self.slots.len() < limits::KNOWN_REGIONS).then_some(self.slots.len()))?;
        let others = self.slots.iter().enumerate().filter(|(at, _)| *at != slot);
        let bytes: usize = others.filter_map(|(_, known)| known.as_ref()).map(|known| known.size).sum();
        (size <= limits::KNOWN_REGION_BYTES.saturating_sub(bytes)).then_some(slot)
    }

    /// The message with an offer is in the ring.
    pub(super) fn offered(&mut self, name: Name, region: &Region) {
        let slot = name.slot as usize;
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        self.remove(slot);
        let (trace, size) = (region.trace(), region.size());
        let (used, turn) = (sys::now(), self.turn);
        self.slots[slot] = Some(Offered { trace, offer: name.offer, kept: false, size, used, turn });
        self.offers = name.offer;
        self.open += 1;
    }

    fn remove(&mut self, slot: usize) {
        if let Some(known) = self.slots[slot].take() {
            self.open -= usize::from(!known.kept);
        }
    }

    /// Whether an answer may be on its way.
    pub(super) fn is_open(&self) -> bool {
        self.open > 0
    }

    /// The receiver keeps what it was offered. What is not on offer any more does not matter.
    pub(super) fn kept(&mut self, offer: u32) {
        let known = self.slots.iter_mut().flatten().find(|known| known.offer == offer && !known.kept);
        if let Some(known) = known {
            known.kept = true;
            self.open -= 1;
        }
    }

    /// Has the receiver forget what is gone or was not used for a while; `tell` says whether it could be told. Returns how
    /// many are left.
    pub(super) fn forget(&mut self, now: u64, mut tell: impl FnMut(u32) -> bool) -> usize {
        for slot in 0..self.slots.len() {
            let old = |known: &Offered| known.trace.is_gone() || known.used + IDLE <= now;
            if self.slots[slot].as_ref().is_some_and(old) {
                if !tell(slot as u32) {
                    break;
                }
                self.remove(slot);
            }
        }
        self.slots.iter().flatten().count()
    }
}

/// What all receivers of this process keep: regions, and bytes in them.
static KEPT: AtomicUsize = AtomicUsize::new(0);
static KEPT_BYTES: AtomicUsize = AtomicUsize::new(0);

/// A region that a receiver keeps.
struct Kept {
    offer: u32,
    again: Again,
    size: usize,
}

impl Kept {
    /// `None` when enough is kept already, or the region is not to be trusted to stay what it is.
    fn new(offer: u32, region: &Region) -> Option<Kept> {
        let size = region.size();
        let most = (sys::descriptor_limit() / limits::KNOWN_REGIONS_SHARE) as usize;
        let count = KEPT.fetch_add(1, Ordering::Relaxed);
        let bytes = KEPT_BYTES.fetch_add(size, Ordering::Relaxed);
        let room = count < most && bytes.saturating_add(size) <= limits::KNOWN_REGION_BYTES_IN_ALL;
        let again = if room { region.keep() } else { None };
        if again.is_none() {
            give_back(size);
        }
        again.map(|again| Kept { offer, again, size })
    }
}

fn give_back(size: usize) {
    KEPT.fetch_sub(1, Ordering::Relaxed);
    KEPT_BYTES.fetch_sub(size, Ordering::Relaxed);
}

impl Drop for Kept {
    fn drop(&mut self) {
        give_back(self.size);
    }
}

/// What the receiver keeps of one sender.
#[derive(Default)]
pub(super) struct Shelf {
    slots: Vec<Option<Kept>>,
}

impl Shelf {
    /// Keeps a region if there is room for it. `None`: the sender offers what it may not.
    pub(super) fn offered(&mut self, name: Name, region: &Region) -> Option<bool> {
        let slot = name.slot as usize;
        if slot >= limits::KNOWN_REGIONS {
            return None;
        }
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = None;
        let bytes: usize = self.slots.iter().flatten().map(|kept| kept.size).sum();
        if region.size() <= limits::KNOWN_REGION_BYTES.saturating_sub(bytes) {
            self.slots[slot] = Kept::new(name.offer, region);
        }
        Some(self.slots[slot].is_some())
    }

    /// What was kept under a name. `None`: there is none of that name.
    pub(super) fn named(&mut self, name: Name) -> Option<&mut Again> {
        let kept = self.slots.get_mut(name.slot as usize)?.as_mut()?;
        (kept.offer == name.offer).then_some(&mut kept.again)
    }

    /// How many are kept.
    pub(super) fn kept(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// The sender says that it will not be named any more.
    pub(super) fn forget(&mut self, slot: u32) {
        if let Some(kept) = self.slots.get_mut(slot as usize) {
            *kept = None;
        }
    }
}
