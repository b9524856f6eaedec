//! What a sender has sent over a channel's socket and its receiver has not taken yet.
//!
//! The sender keeps descriptors of unicasts until they are taken, because it may have to send them to somebody else. They
//! are the very descriptions that it sent, so to the kernel, which counts the holders of regions, they are the receiver's.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use ipmb_transport::region::Region;
use ipmb_transport::sys::Fd;

use super::Content;
use crate::identity::EndpointId;
use crate::limits;

/// The descriptors of one message in the order in which they travel: the payload's region, regions, objects.
pub(super) struct Descriptors {
    /// The payload's region where it does not travel: the receiver has it, and we hold it until that has locked it.
    known: Option<Region>,
    shares: Vec<Fd>,
    objects: Vec<Arc<Fd>>,
    bytes: usize,
}

impl Descriptors {
    /// Gives `receiver` a share of every region. A payload's cannot be written through, even where it lies in a region of
    /// which others can; one that is `known` is not sent.
    pub(super) fn share(content: &Content<'_>, receiver: EndpointId, known: bool) -> io::Result<Descriptors> {
        let mut shares = Vec::with_capacity(content.descriptors());
        let mut held = None;
        match content.bulk {
            Some(bulk) if known => held = Some(bulk.region.clone()),
            Some(bulk) => shares.push(bulk.region.share_read_only(receiver)?),
            None => {}
        }
        for region in content.regions {
            shares.push(region.share(receiver)?);
        }
        Ok(Descriptors { known: held, shares, objects: content.objects.to_vec(), bytes: content.region_bytes() })
    }

    pub(super) fn borrow(&self) -> Vec<BorrowedFd<'_>> {
        self.shares.iter().map(|fd| fd.as_fd()).chain(self.objects.iter().map(|fd| fd.as_fd())).collect()
    }

    /// The payload's region if it was known, the shares, and the objects.
    pub(super) fn into_parts(self) -> (Option<Region>, Vec<Fd>, Vec<Arc<Fd>>) {
        (self.known, self.shares, self.objects)
    }
}

struct Flight {
    /// The ring's head after the record: taken once the tail is there.
    end: u64,
    count: usize,
    bytes: usize,
    /// Ours until the receiver has locked it.
    known: Option<Region>,
    /// Kept for whoever gets the message when its receiver dies.
    kept: Option<Descriptors>,
}

/// All that is in flight, oldest first.
#[derive(Default)]
pub(super) struct Flights {
    flights: VecDeque<Flight>,
    count: usize,
    bytes: usize,
}

impl Flights {
    /// Whether so much more may be sent. Where nothing is in flight anything may, or it could never be.
    pub(super) fn allow(&self, count: usize, bytes: usize) -> bool {
        let bytes = self.bytes.saturating_add(bytes);
        let few = |flights: &VecDeque<Flight>| {
            flights.iter().filter(|flight| flight.bytes > 0).count() < limits::LARGE_MESSAGES_IN_FLIGHT
        };
        let warm = bytes <= limits::REGION_BYTES_WARM || few(&self.flights);
        self.count == 0
            || (self.count + count <= limits::DESCRIPTORS_IN_FLIGHT_PER_PEER
                && bytes <= limits::REGION_BYTES_IN_FLIGHT_PER_PEER
                && warm)
    }

    /// The descriptors of the record that ends at `end` were sent; `keep` them for another receiver.
    pub(super) fn sent(&mut self, end: u64, descriptors: Descriptors, keep: bool) {
        let known = descriptors.known.clone();
        let count = usize::from(known.is_some()) + descriptors.shares.len() + descriptors.objects.len();
        let bytes = descriptors.bytes;
        self.push(Flight { end, count, bytes, known, kept: keep.then_some(descriptors) });
    }

    /// The first `count` descriptors of a message were sent that goes no further.
    pub(super) fn strayed(&mut self, end: u64, count: usize) {
        self.push(Flight { end, count, bytes: 0, known: None, kept: None });
    }

    fn push(&mut self, flight: Flight) {
        self.count += flight.count;
        self.bytes += flight.bytes;
        self.flights.push_back(flight);
    }

    /// Drops what the receiver has taken: everything up to its tail.
    pub(super) fn landed(&mut self, tail: u64) {
        while let Some(first) = self.flights.front()
            && first.end <= tail
        {
            self.count -= first.count;
            self.bytes -= first.bytes;
            self.flights.pop_front();
        }
    }

    /// The channel ends, and its receiver may yet read what is in flight: our pool must not use that memory again.
    pub(super) fn spend(&mut self) {
        for flight in self.flights.drain(..) {
            if let Some(region) = flight.known {
                region.spend();
            }
        }
    }

    /// Whether the receiver has taken anything that still counts.
    pub(super) fn any_landed(&self, tail: u64) -> bool {
        self.flights.front().is_some_and(|first| first.end <= tail)
    }

    /// How many descriptors there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Gives out what was kept for each of the last `records` records with descriptors.
    pub(super) fn take(&mut self, records: usize) -> impl Iterator<Item = Option<Descriptors>> + use<> {
        let taken = std::mem::take(self);
        let landed = taken.flights.len().saturating_sub(records);
        taken.flights.into_iter().skip(landed).map(|flight| flight.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(bytes: usize) -> Descriptors {
        Descriptors { known: None, shares: Vec::new(), objects: Vec::new(), bytes }
    }

    #[test]
    fn both_bounds_hold_and_one_message_is_always_possible() {
        let most = limits::REGION_BYTES_IN_FLIGHT_PER_PEER;
        let mut flights = Flights::default();
        assert!(flights.allow(limits::DESCRIPTORS_PER_MESSAGE, usize::MAX));
        flights.strayed(8, 1);
        assert!(flights.allow(limits::DESCRIPTORS_IN_FLIGHT_PER_PEER - 1, most));
        assert!(!flights.allow(limits::DESCRIPTORS_IN_FLIGHT_PER_PEER, 0));
        assert!(!flights.allow(1, most + 1) && !flights.allow(1, usize::MAX));
        for end in 9..limits::LARGE_MESSAGES_IN_FLIGHT as u64 + 8 {
            assert!(flights.allow(1, limits::REGION_BYTES_WARM + 1));
            flights.sent(end, nothing(1), false);
        }
        assert!(flights.allow(1, limits::REGION_BYTES_WARM + 1));
        flights.sent(100, nothing(1), false);
        assert!(flights.allow(1, limits::REGION_BYTES_WARM / 2) && !flights.allow(1, limits::REGION_BYTES_WARM));
        flights.landed(7);
        assert_eq!(flights.count(), 1);
        flights.landed(8);
        assert_eq!(flights.count(), 0);
    }

    #[test]
    fn what_was_kept_belongs_to_the_last_records() {
        let mut flights = Flights::default();
        for (end, keep) in [(8, true), (16, true), (24, false), (32, true)] {
            flights.sent(end, nothing(end as usize), keep);
        }
        let kept: Vec<_> = flights.take(3).map(|kept| kept.map(|kept| kept.bytes)).collect();
        assert_eq!(kept, [Some(16), None, Some(32)]);
        assert_eq!((flights.count(), flights.bytes), (0, 0));
    }
}
