//! The channels of an outbox: opened at the first use, offered messages, within the process's share of descriptors.

use std::sync::Arc;

use ipmb_transport::sys::Interest;

use super::{CHANNEL_TAG, State};
use crate::bulk;
use crate::channel::{Content, OpenError, Opener, Outbound, PushError, Serviced};
use crate::error::{FullReason, SendError};
use crate::identity::EndpointId;
use crate::incidents::{Incident, Who};
use crate::limits;
use crate::names;
use crate::reactor::Key;
use crate::record::{Bulk, LARGE, TypeId};
use crate::roster::Peer;
use crate::route::{RouteId, Target, Way};
use crate::stats::{RefuseReason, Shortage};

/// What became of one message at one endpoint.
#[derive(Clone, Copy)]
pub(crate) enum Offer {
    Sent,
    Full(FullReason),
    Gone,
}

/// A channel and the core thread's watch on its end.
pub(super) struct Link {
    pub(super) channel: Outbound,
    pub(super) watch: Key,
    /// It leads to the door at which an asker takes replies.
    pub(super) door: bool,
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
                    if descriptors > 0 {
                        self.grow_if_busy(place);
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
                Err(PushError::TooLong) => return self.push_in_region(place, route, content),
                Err(PushError::Broken) => break,
                Err(PushError::Io(error)) => return Err(SendError::Io(error)),
            }
        }
        self.bury(place);
        Ok(Offer::Gone)
    }

    /// Whether nobody waits for what would have to come first, and the directory is the one that routes were made from.
    #[inline]
    fn nothing_is_in_the_way(&self) -> bool {
        !self.closed
            && !self.unsettled
            && self.held.is_empty()
            && self.reader.as_ref().is_some_and(|reader| reader.word() == self.roster.word)
    }

    /// See [`Outbox::try_plain`](super::Outbox::try_plain).
    #[inline]
    pub(super) fn push_plain(&mut self, id: RouteId, type_id: TypeId, payload: &[u8]) -> bool {
        if !self.nothing_is_in_the_way() {
            return false;
        }
        let Some(route) = self.routes.get_mut(id) else { return false };
        let Some((place, channel)) = route.first(self.roster.word) else { return false };
        let Some(Some(link)) = self.links.get_mut(channel) else { return false };
        if !link.channel.push_plain(id, type_id, payload) {
            return false;
        }
        route.next = place + 1;
        self.pushed_plain(channel, 1, payload.len());
        true
    }

    /// See [`Outbox::try_plain_run`](super::Outbox::try_plain_run).
    pub(super) fn push_plain_run<'a>(
        &mut self,
        id: RouteId,
        message: impl Fn(usize) -> Option<(TypeId, &'a [u8])>,
    ) -> usize {
        if !self.nothing_is_in_the_way() {
            return 0;
        }
        let Some(route) = self.routes.get(id) else { return 0 };
        if route.targets.len() > 1 {
            // They take turns.
            let mut sent = 0;
            while let Some((type_id, payload)) = message(sent)
                && self.push_plain(id, type_id, payload)
            {
                sent += 1;
            }
            return sent;
        }
        let Some((_, channel)) = route.first(self.roster.word) else { return 0 };
        let Some(Some(link)) = self.links.get_mut(channel) else { return 0 };
        let (sent, bytes) = link.channel.push_plain_run(id, message);
        self.pushed_plain(channel, sent, bytes);
        sent
    }

    #[inline]
    fn pushed_plain(&mut self, channel: usize, count: usize, bytes: usize) {
        self.counters.sent += count as u64;
        self.counters.bytes += bytes as u64;
        if let Some(Some(link)) = self.links.get_mut(channel)
            && link.channel.heard()
        {
            self.tell_waiters();
        }
    }

    /// Reads what a receiver has said. Its word of room may be the only one, and is for everybody who waits.
    pub(super) fn service(&mut self, place: usize) -> Serviced {
        let Some(Some(link)) = self.links.get_mut(place) else { return Serviced::Nothing };
        let small = link.channel.stays_small();
        let seen = link.channel.service();
        if link.channel.stays_small() && !small {
            self.tally.count(Incident::Short(Shortage::RingGrowth), 1);
        }
        let (starved, heard) = (link.channel.is_starved(), link.channel.heard());
        if starved {
            self.starve();
        }
        if heard {
            self.tell_waiters();
        }
        self.grow_if_busy(place);
        seen
    }

    /// Sends a payload through a region that was meant for a larger ring: what a dead receiver left, or what had another
    /// receiver in mind.
    #[cold]
    fn push_in_region(&mut self, place: usize, route: RouteId, content: &Content<'_>) -> Result<Offer, SendError> {
        debug_assert!(content.bulk.is_none(), "the head of a large payload fits the smallest ring");
        let bulk = Bulk { region: bulk::copy(content.payload)?, offset: 0, len: content.payload.len() };
        let flags = content.flags | LARGE;
        self.push(place, route, &Content { flags, payload: &[], bulk: Some(&bulk), ..*content })
    }

    /// Whether all that a unicast route leads to have rings for long payloads.
    pub(super) fn takes_long(&mut self, id: RouteId) -> bool {
        let takes = |target: &Target| match target.channel.and_then(|place| self.links.get(place)) {
            Some(Some(link)) => link.channel.takes_long(),
            _ => false,
        };
        let Some(route) = self.routes.get(id) else { return false };
        matches!(route.way, Way::One) && !route.targets.is_empty() && route.targets.iter().all(takes)
    }

    /// Offers a larger ring to a receiver that proved busy, as long as this endpoint's budget for them lasts.
    fn grow_if_busy(&mut self, place: usize) {
        if !matches!(self.links.get(place), Some(Some(link)) if link.channel.is_to_grow()) {
            return;
        }
        let grown = self.links.iter().flatten().filter(|link| link.channel.has_larger()).count();
        let Some(Some(link)) = self.links.get_mut(place) else { return };
        if (grown + 1) * limits::GROWN_RING_BYTES <= limits::GROWN_RINGS_BYTES {
            link.channel.offer_growth();
        } else {
            link.channel.stay_small();
        }
        if link.channel.stays_small() {
            self.tally.count(Incident::Short(Shortage::RingGrowth), 1);
        }
    }

    /// The channel to an endpoint, opened at the first use.
    pub(super) fn link_to(&mut self, id: EndpointId) -> Result<Result<usize, Offer>, SendError> {
        if let Some(&place) = self.by_id.get(&id) {
            return Ok(Ok(place));
        }
        let Some(peer) = self.roster.member(id).filter(|peer| peer.receiving).cloned() else {
            return Ok(Err(Offer::Gone));
        };
        let name = names::endpoint(&self.me.identifier, id);
        let opened = self.open(&peer, &name, false)?;
        match opened {
            Ok(place) => {
                self.by_id.insert(id, place);
            }
            Err(Offer::Gone) => {
                self.gone.insert(id);
            }
            Err(_) => {}
        }
        Ok(opened)
    }

    /// The channel to the door of one who asked.
    pub(super) fn door_of(&mut self, id: EndpointId) -> Result<Result<usize, Offer>, SendError> {
        if let Some(&place) = self.doors.get(&id) {
            return Ok(Ok(place));
        }
        let Some(peer) = self.roster.member(id).cloned() else { return Ok(Err(Offer::Gone)) };
        let name = names::replies(&self.me.identifier, id, &peer.nonce);
        let opened = self.open(&peer, &name, true)?;
        if let Ok(place) = opened {
            self.doors.insert(id, place);
        }
        Ok(opened)
    }

    fn open(&mut self, peer: &Arc<Peer>, name: &[u8], door: bool) -> Result<Result<usize, Offer>, SendError> {
        if self.left {
            return Ok(Err(Offer::Full(FullReason::Ring)));
        }
        let me = self.me.clone();
        let opener =
            Opener { id: me.id, nonce: me.nonce, key: &me.key, term: self.roster.term, allowed_uids: &me.allowed_uids };
        let channel = match Outbound::open(&opener, peer, name) {
            Ok(channel) => channel,
            Err(OpenError::Busy) => return Ok(Err(Offer::Full(FullReason::Ring))),
            Err(OpenError::Gone) => return Ok(Err(Offer::Gone)),
            Err(OpenError::Impostor { pid, uid }) => {
                self.tally.refuse(RefuseReason::Impostor, Who { pid, uid });
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
        self.links[place] = Some(Box::new(Link { channel, watch, door }));
        Ok(Ok(place))
    }
}
