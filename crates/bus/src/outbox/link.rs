//! The channels of an outbox: opened at the first use, offered messages, within the process's share of descriptors.

use ipmb_transport::sys::{self, Interest};

use super::{CHANNEL_TAG, State};
use crate::channel::{Content, OpenError, Opener, Outbound, PushError, Serviced};
use crate::error::{FullReason, SendError};
use crate::identity::EndpointId;
use crate::limits;
use crate::reactor::Key;
use crate::route::RouteId;

/// Pauses between two looks at descriptors in flight, in nanoseconds.
const FLIGHTS_FIRST: u64 = 5_000_000;
const FLIGHTS_LAST: u64 = 500_000_000;

/// What became of one message at one endpoint.
pub(super) enum Offer {
    Sent,
    Full(FullReason),
    Gone,
}

/// A channel and the core thread's watch on its end.
pub(super) struct Link {
    pub(super) channel: Outbound,
    pub(super) watch: Key,
}

impl State {
    /// Offers a message to one endpoint by its id.
    pub(super) fn offer_to(
        &mut self,
        route: RouteId,
        id: EndpointId,
        content: &Content<'_>,
    ) -> Result<Offer, SendError> {
        if self.held.contains(&id) {
            return Ok(Offer::Full(FullReason::Ring));
        }
        if self.gone.contains(&id) {
            return Ok(Offer::Gone);
        }
        match self.link_to(id)? {
            Ok(place) => self.push(place, route, content),
            Err(offer) => Ok(offer),
        }
    }

    /// Offers a message to the `place`th match of a route.
    #[inline]
    pub(super) fn offer(&mut self, route: RouteId, place: usize, content: &Content<'_>) -> Result<Offer, SendError> {
        let Some(target) = self.routes.get(route).and_then(|r| r.targets.get(place)).copied() else {
            return Ok(Offer::Gone);
        };
        if !self.held.is_empty() && self.held.contains(&target.id) {
            return Ok(Offer::Full(FullReason::Ring));
        }
        if let Some(link) = target.channel {
            return self.push(link, route, content);
        }
        if self.gone.contains(&target.id) {
            return Ok(Offer::Gone);
        }
        match self.link_to(target.id)? {
            Ok(link) => {
                if let Some(target) = self.routes.get_mut(route).and_then(|r| r.targets.get_mut(place)) {
                    target.channel = Some(link);
                }
                self.push(link, route, content)
            }
            Err(offer) => Ok(offer),
        }
    }

    #[inline]
    pub(super) fn push(&mut self, place: usize, route: RouteId, content: &Content<'_>) -> Result<Offer, SendError> {
        let descriptors = content.descriptors();
        if descriptors > 0 {
            if !self.prepaid && !self.descriptors_allow(descriptors) {
                return Ok(Offer::Full(FullReason::Descriptors));
            }
            self.watch_flights();
        }
        for attempt in 0..2 {
            let (Some(Some(link)), Some(known)) = (self.links.get_mut(place), self.routes.get(route)) else {
                return Ok(Offer::Gone);
            };
            match link.channel.push(known, route, content) {
                Ok(()) => {
                    if link.channel.heard() {
                        self.tell_waiters();
                    }
                    return Ok(Offer::Sent);
                }
                Err(PushError::Full) => {
                    let own = link.channel.peer.info.id == self.me.id;
                    match self.service(place) {
                        Serviced::Progress if attempt == 0 => {}
                        Serviced::Ended => break,
                        _ => return Ok(Offer::Full(if own { FullReason::Own } else { FullReason::Ring })),
                    }
                }
                Err(PushError::Broken) => break,
                Err(PushError::Io(error)) => return Err(SendError::Io(error)),
            }
        }
        self.bury(place);
        Ok(Offer::Gone)
    }

    /// Reads what a receiver has said. Its word of room may be the only one, and is for everybody who waits.
    pub(super) fn service(&mut self, place: usize) -> Serviced {
        let Some(Some(link)) = self.links.get_mut(place) else { return Serviced::Nothing };
        let seen = link.channel.service();
        if link.channel.heard() {
            self.tell_waiters();
        }
        seen
    }

    /// The channel to an endpoint, opened at the first use.
    pub(super) fn link_to(&mut self, id: EndpointId) -> Result<Result<usize, Offer>, SendError> {
        if let Some(&place) = self.by_id.get(&id) {
            return Ok(Ok(place));
        }
        let Some(peer) = self.roster.member(id).filter(|peer| peer.receiving).cloned() else {
            return Ok(Err(Offer::Gone));
        };
        let me = self.me.clone();
        let opener = Opener {
            identifier: &me.identifier,
            id: me.id,
            nonce: me.nonce,
            key: &me.key,
            term: self.roster.term,
            allowed_uids: &me.allowed_uids,
        };
        let channel = match Outbound::open(&opener, &peer) {
            Ok(channel) => channel,
            Err(OpenError::Busy) => return Ok(Err(Offer::Full(FullReason::Ring))),
            Err(OpenError::Gone) => {
                self.gone.insert(id);
                return Ok(Err(Offer::Gone));
            }
            Err(OpenError::Io(error)) => return Err(SendError::Io(error)),
        };
        let Some(owner) = self.owner.upgrade() else { return Err(SendError::Closed) };
        let place = self.links.iter().position(Option::is_none).unwrap_or(self.links.len());
        let watch = self.reactor.register(channel.socket.fd(), Interest::HANGUP, owner, CHANNEL_TAG | place as u64)?;
        if place == self.links.len() {
            self.links.push(None);
        }
        self.links[place] = Some(Box::new(Link { channel, watch }));
        self.by_id.insert(id, place);
        Ok(Ok(place))
    }

    /// Has the core thread look whether what is sent now was taken, also if this endpoint never sends again: until our
    /// duplicates are gone the end of a pipe is not the end, and a region is not free.
    pub(super) fn watch_flights(&mut self) {
        let due = sys::now() + FLIGHTS_FIRST;
        if self.flights_pause == 0 || self.flights_due > due {
            (self.flights_due, self.flights_pause) = (due, FLIGHTS_FIRST);
            self.schedule(due);
        }
    }

    /// Drops our duplicates of all that was taken, and looks again as long as there are any.
    pub(super) fn look_at_flights(&mut self) {
        let now = sys::now();
        if self.flights_pause == 0 || now < self.flights_due {
            if self.flights_pause > 0 {
                self.schedule(self.flights_due);
            }
            return;
        }
        let mut left = 0;
        for place in 0..self.links.len() {
            if !matches!(&self.links[place], Some(link) if link.channel.descriptors_in_flight() > 0) {
                continue;
            }
            // A receiver's tail is known once its page was taken from the socket.
            self.service(place);
            if let Some(Some(link)) = self.links.get_mut(place) {
                // A lie shows at the next message.
                let _ = link.channel.trim();
                left += link.channel.descriptors_in_flight();
            }
        }
        if left == 0 {
            self.flights_pause = 0;
            return;
        }
        self.flights_pause = (self.flights_pause * 2).min(FLIGHTS_LAST);
        self.flights_due = now + self.flights_pause;
        self.schedule(self.flights_due);
    }

    /// Keeps descriptors in flight to all receivers within our share of what the process may open.
    #[cold]
    pub(super) fn descriptors_allow(&mut self, more: usize) -> bool {
        let bound = (sys::descriptor_limit() / limits::DESCRIPTORS_IN_FLIGHT_SHARE) as usize;
        let in_flight = |links: &Vec<Option<Box<Link>>>| -> usize {
            links.iter().flatten().map(|link| link.channel.descriptors_in_flight()).sum()
        };
        // One message is always allowed, or it could never be sent.
        if in_flight(&self.links) == 0 || in_flight(&self.links) + more <= bound {
            return true;
        }
        for place in 0..self.links.len() {
            // A receiver's tail is known once its page was taken from the socket.
            self.service(place);
            if let Some(Some(link)) = self.links.get_mut(place) {
                let _ = link.channel.trim();
            }
        }
        in_flight(&self.links) == 0 || in_flight(&self.links) + more <= bound
    }
}
