//! From a selector to the endpoints that get the message: one of the matches, or all.

use super::link::{Link, Offer};
use super::{Outgoing, Overflow, Progress, State};
use crate::error::{FullReason, SendError};
use crate::identity::EndpointId;
use crate::incidents::Incident;
use crate::route::Way;
use crate::stats::DropReason;

impl State {
    #[inline]
    pub(super) fn dispatch(&mut self, out: &mut Outgoing<'_>) -> Result<Progress, SendError> {
        let State { routes, roster, by_id, .. } = self;
        let route = routes.get_mut(out.route).ok_or(SendError::StaleRoute)?;
        route.update(roster, |id| by_id.get(&id).copied());
        let way = route.way;
        out.sockets.clear();
        out.until = None;
        match way {
            Way::One => self.unicast(out),
            Way::All => self.multicast(out),
            Way::Ask => self.ask(out),
            Way::Reply(to) => self.reply(out, to),
        }
    }

    #[inline]
    fn unicast(&mut self, out: &mut Outgoing<'_>) -> Result<Progress, SendError> {
        match self.first_with_room(out)? {
            Ok(_) => Ok(Progress::Done(1)),
            Err(None) => self.unroutable(out),
            Err(Some(reason)) => self.no_room(out, reason),
        }
    }

    /// Gives the message to the next match that has room, and tells the place of it among the route's targets. Or what
    /// is full; nothing where nobody is there.
    #[inline]
    pub(super) fn first_with_room(
        &mut self,
        out: &mut Outgoing<'_>,
    ) -> Result<Result<usize, Option<FullReason>>, SendError> {
        let Some(route) = self.routes.get(out.route) else { return Err(SendError::StaleRoute) };
        let (count, start) = (route.targets.len(), route.next);
        let mut full = None;
        for step in 0..count {
            let place = if start + step < count { start + step } else { (start + step) % count };
            match self.offer(out.route, place, &out.content())? {
                Offer::Sent => {
                    if let Some(route) = self.routes.get_mut(out.route) {
                        route.next = place + 1;
                    }
                    self.count_sent(1, out.content().payload_len());
                    return Ok(Ok(place));
                }
                Offer::Full(reason) if full != Some(FullReason::Ring) => full = Some(reason),
                Offer::Full(_) | Offer::Gone => {}
            }
        }
        Ok(Err(full))
    }

    /// Every match is full.
    pub(super) fn no_room(&mut self, out: &mut Outgoing<'_>, reason: FullReason) -> Result<Progress, SendError> {
        match out.overflow {
            Overflow::Drop => {
                self.tally.count(Incident::Dropped(DropReason::Full), 1);
                Ok(Progress::Done(0))
            }
            Overflow::Error => Err(SendError::Full { reason }),
            // Nobody else could make room while this thread waits for itself.
            Overflow::Block if reason == FullReason::Own => Err(SendError::Full { reason }),
            Overflow::Block => {
                let ids: Vec<_> =
                    self.routes.get(out.route).into_iter().flat_map(|r| &r.targets).map(|t| t.id).collect();
                self.enter(out, &ids)
            }
        }
    }

    pub(super) fn multicast(&mut self, out: &mut Outgoing<'_>) -> Result<Progress, SendError> {
        let first = out.remaining.is_none();
        let remaining = match out.remaining.take() {
            Some(remaining) => remaining,
            None => self.routes.get(out.route).into_iter().flat_map(|r| &r.targets).map(|t| t.id).collect(),
        };
        if first && let Err(reason) = self.reserve(out, &remaining)? {
            return Err(SendError::Full { reason });
        }
        if first {
            // What opening channels lacks shows before anybody has the message.
            for &id in &remaining {
                if !self.gone.contains(&id) {
                    let _ = self.link_to(id)?;
                }
            }
        }
        let mut full = Vec::new();
        self.prepaid = first && out.overflow == Overflow::Error;
        for id in remaining {
            let offer = match self.offer_to(out.route, id, &out.content()) {
                // Some have it already: what this process lacks now is waited for like room, or the others go without.
                Err(SendError::Io(_)) if out.reached > 0 => Offer::Full(FullReason::Descriptors),
                offer => offer.inspect_err(|_| self.prepaid = false)?,
            };
            match offer {
                Offer::Sent => {
                    out.reached += 1;
                    self.count_sent(1, out.content().payload_len());
                }
                // With `error` room was made sure of; what the kernel refuses all the same is counted, not waited for.
                Offer::Full(_) if out.overflow != Overflow::Block => {
                    self.tally.count(Incident::Dropped(DropReason::Full), 1)
                }
                Offer::Full(_) => full.push(id),
                Offer::Gone => {}
            }
        }
        self.prepaid = false;
        if !full.is_empty() {
            let blocked = self.enter(out, &full);
            out.remaining = Some(full);
            return blocked;
        }
        if out.reached == 0 && first { self.unroutable_unless_dropped(out) } else { Ok(Progress::Done(out.reached)) }
    }

    /// With `error` a multicast goes to everybody or to nobody; a full ring to oneself is an error in any case but `drop`.
    pub(super) fn reserve(
        &mut self,
        out: &Outgoing<'_>,
        ids: &[EndpointId],
    ) -> Result<Result<(), FullReason>, SendError> {
        if out.overflow == Overflow::Drop {
            return Ok(Ok(()));
        }
        let copies = ids.len() * out.descriptors();
        if out.overflow == Overflow::Error && copies > 0 && !self.descriptors_allow(copies) {
            return Ok(Err(FullReason::Descriptors));
        }
        for &id in ids {
            if out.overflow == Overflow::Block && id != self.me.id {
                continue;
            }
            if self.held.contains(&id) {
                return Ok(Err(FullReason::Ring));
            }
            let place = match self.link_to(id)? {
                Ok(place) => place,
                Err(Offer::Full(reason)) => return Ok(Err(reason)),
                Err(_) => continue,
            };
            let (Some(route), Some(Some(link))) = (self.routes.get(out.route), self.links.get_mut(place)) else {
                continue;
            };
            let room = |link: &mut Link| link.channel.has_room(route, out.route, &out.content());
            if let Ok(false) = room(link) {
                self.service(place);
                let (Some(route), Some(Some(link))) = (self.routes.get(out.route), self.links.get_mut(place)) else {
                    continue;
                };
                if let Ok(false) = link.channel.has_room(route, out.route, &out.content()) {
                    return Ok(Err(if id == self.me.id { FullReason::Own } else { FullReason::Ring }));
                }
            }
        }
        Ok(Ok(()))
    }

    pub(super) fn count_sent(&mut self, copies: u64, bytes: usize) {
        self.counters.sent(copies, bytes);
    }
}
