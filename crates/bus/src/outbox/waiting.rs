//! Messages that nobody matches yet: into the parking area, out of it when a match appears, and what a departed sender
//! left there.
//!
//! A message is claimed for its receiver before it is pushed and done after: whoever takes over in between gives it to
//! that receiver again, which knows it by its number, and to nobody else.

use std::collections::HashSet;
use std::sync::Arc;

use super::dead::{Leaving, content};
use super::link::Offer;
use super::road::Road;
use super::{Outbox, Outgoing, Progress, State, lock};
use crate::bulk;
use crate::channel::Content;
use crate::error::{FullReason, SendError};
use crate::identity::EndpointId;
use crate::incidents::Incident;
use crate::limits;
use crate::parking::{Parcel, Remains, Unparked};
use crate::record::{Bulk, EXTENDED, LARGE, Origin, OwnedMessage, REDELIVERED, REQUEST};
use crate::roster::{EndpointInfo, Roster};
use crate::route::RouteId;
use crate::selector::{Mode, Selector};
use crate::stats::{DropReason, Shortage};

/// Claimed by a multicast: whoever takes over gives it to every match, and those who have it know it.
const EVERYBODY: EndpointId = EndpointId::MAX;

impl Outbox {
    /// Takes over what `sender` left waiting.
    pub(crate) fn adopt(&self, sender: &EndpointInfo, remains: Remains) {
        let mut state = lock(&self.state);
        state.inherit(sender, remains);
        state.refresh();
        state.deliver_waiting();
    }
}

impl State {
    /// Nobody matches: the message waits if it has a ttl.
    #[cold]
    pub(super) fn unroutable(&mut self, out: &mut Outgoing<'_>) -> Result<Progress, SendError> {
        let Some(selector) = self.routes.get(out.route).map(|route| route.selector.clone()) else {
            return Err(SendError::StaleRoute);
        };
        if selector.ttl.is_zero() {
            self.tally.count(Incident::Dropped(DropReason::NoRoute), 1);
            return Ok(Progress::Done(0));
        }
        let message = OwnedMessage {
            flags: out.flags,
            type_id: out.type_id,
            extension: out.extension.clone(),
            payload: out.content().payload.to_vec(),
            bulk: out.bulk.clone(),
            attachments: out.attachments.as_deref().cloned().unwrap_or_default(),
        };
        match self.park_message(&selector, message) {
            Ok(()) => Ok(Progress::Done(0)),
            Err(Unparked::NoRoom) => Err(SendError::Full { reason: FullReason::Parking }),
            Err(Unparked::TooLong(len)) => Err(SendError::TooLargeToWait { len, max: limits::PARKED_BYTES as u64 }),
        }
    }

    /// A multicast that reached nobody because all its targets are gone waits like one that had none.
    pub(super) fn unroutable_unless_dropped(&mut self, out: &mut Outgoing<'_>) -> Result<Progress, SendError> {
        let dropped = self.routes.get(out.route).is_some_and(|r| r.targets.iter().any(|t| !self.gone.contains(&t.id)));
        if dropped { Ok(Progress::Done(0)) } else { self.unroutable(out) }
    }

    /// Whether a receiver that messages wait for has made room since it was found full.
    #[inline]
    pub(super) fn held_may_move(&mut self) -> bool {
        if self.held.is_empty() {
            return false;
        }
        let State { held, by_id, links, .. } = self;
        held.iter().any(|id| match by_id.get(id).and_then(|&place| links[place].as_deref_mut()) {
            Some(link) => link.channel.is_half_free(),
            None => true,
        })
    }
}

/// What becomes of messages that wait.
pub(crate) trait Waiting: Road + Leaving {
    /// Puts what somebody has left waiting among our own.
    fn inherit(&mut self, sender: &EndpointInfo, remains: Remains) {
        self.tally().count(Incident::Dropped(DropReason::SenderGone), remains.lost);
        for mut parcel in remains.parcels {
            let origin = Origin { pid: sender.pid, label: sender.label.clone() };
            parcel.extension.origin.get_or_insert(origin);
            let me = self.me();
            // Requests do not wait here; whose it was could do nothing with the reply.
            if parcel.flags & REQUEST != 0 || self.parking().park(me, parcel).is_err() {
                self.tally().count(Incident::Dropped(DropReason::SenderGone), 1);
            }
        }
    }

    /// Puts a message into the area, with the bytes of its region: they have to outlive us.
    fn park_message(&mut self, selector: &Arc<Selector>, message: OwnedMessage) -> Result<(), Unparked> {
        let bulk = match &message.bulk {
            Some(bulk) if bulk.len > limits::PARKED_BYTES => {
                return Err(Unparked::TooLong((message.payload.len() + bulk.len) as u64));
            }
            Some(bulk) => Some(bulk.to_vec().map_err(|_| Unparked::NoRoom)?),
            None => None,
        };
        self.park(Parcel {
            expiry: selector.ttl.deadline(self.now()),
            selector: selector.clone(),
            type_id: message.type_id,
            flags: message.flags & !(LARGE | EXTENDED),
            extension: message.extension,
            payload: message.payload,
            bulk,
            attachments: message.attachments,
            claim: None,
        })
    }

    fn park(&mut self, parcel: Parcel) -> Result<(), Unparked> {
        let expiry = parcel.expiry;
        let me = self.me();
        let parked = self.parking().park(me, parcel);
        if matches!(parked, Err(Unparked::NoRoom)) {
            self.tally().count(Incident::Short(Shortage::Parking), 1);
        }
        parked?;
        if expiry != crate::parking::NEVER {
            self.schedule(expiry);
        }
        self.update_interest();
        Ok(())
    }

    /// Gives what waits to those who match now, in the order in which it was sent.
    #[cold]
    fn deliver_waiting(&mut self) {
        self.held().clear();
        if self.parking().is_empty() {
            return;
        }
        let now = self.now();
        let mut held = HashSet::new();
        let mut moved = false;
        let mut known = MatchCache::default();
        for sequence in self.parking().sequences() {
            let Some(waiting) = self.parking().get(sequence) else { continue };
            let (selector, claim, owed) = (waiting.selector.clone(), waiting.claim, waiting.owed.clone());
            if waiting.expiry <= now {
                self.parking().done(sequence);
                self.tally().count(Incident::Expired, 1);
                continue;
            }
            let claimed =
                claim.filter(|&id| id != EVERYBODY && self.roster().member(id).is_some() && !self.gone().contains(&id));
            let mut ids: Vec<_> = match claimed {
                Some(id) => vec![id],
                None => known.matches(&selector, self.roster()).filter(|id| !self.gone().contains(id)).collect(),
            };
            if let Some(owed) = owed {
                ids.retain(|id| owed.contains(id));
                self.owe(sequence, &ids, owed.len() - ids.len());
            }
            // Nothing is read for those who are known to have no room: many messages may wait behind one.
            if ids.iter().any(|id| !held.contains(id)) {
                moved |= self.deliver_one(sequence, &selector, ids, claim, &mut held);
            }
            // Whom it was claimed for turns out to be gone: to the others now, or what waits behind it would overtake it.
            if claimed.is_some_and(|id| self.gone().contains(&id)) && self.parking().get(sequence).is_some() {
                let ids: Vec<_> =
                    known.matches(&selector, self.roster()).filter(|id| !self.gone().contains(id)).collect();
                moved |= !ids.is_empty() && self.deliver_one(sequence, &selector, ids, claim, &mut held);
            }
        }
        *self.held() = held;
        if moved {
            *self.patience() = 0;
        }
        if !self.held().is_empty() {
            self.retry();
        }
        if let Some(deadline) = self.parking().deadline() {
            self.schedule(deadline);
        }
        if !self.backlog().is_empty() {
            self.flush();
        }
        self.update_interest();
    }

    fn deliver_one(
        &mut self,
        sequence: u64,
        selector: &Arc<Selector>,
        ids: Vec<EndpointId>,
        old: Option<EndpointId>,
        held: &mut HashSet<EndpointId>,
    ) -> bool {
        let (Ok(route), Some(parcel)) = (self.number(selector), self.parking().read(sequence)) else { return false };
        let Some(message) = unpack(parcel) else {
            held.extend(ids);
            return false;
        };
        let extension = message.extension.encode();
        let content = Content { flags: message.flags | EXTENDED, ..content(&message, &extension) };
        if selector.mode == Mode::Multicast {
            return self.deliver_to_all(sequence, route, &ids, &content, held);
        }
        let start = self.routes().get(route).map_or(0, |r| r.next) % ids.len();
        for step in 0..ids.len() {
            let id = ids[(start + step) % ids.len()];
            if held.contains(&id) {
                continue;
            }
            self.parking().claim(sequence, id);
            // Whoever had claimed it may have given it to one who is gone since: it goes to somebody else, late.
            let again = old.is_some_and(|old| old != id);
            let content = Content { flags: content.flags | if again { REDELIVERED } else { 0 }, ..content };
            match self.offer_again(route, id, &content) {
                Offer::Sent => {
                    self.parking().done(sequence);
                    self.tally().count(Incident::Redelivered, again.into());
                    self.counters().sent(1, content.payload_len());
                    if let Some(route) = self.routes().get_mut(route) {
                        route.next = route.next.wrapping_add(1) % ids.len();
                    }
                    return true;
                }
                Offer::Full(_) => {
                    held.insert(id);
                }
                Offer::Gone => {}
            }
        }
        // A claim that we took over stands until its receiver is gone: it may have the message.
        match old.filter(|id| held.contains(id)) {
            Some(id) => self.parking().claim(sequence, id),
            None => self.parking().unclaim(sequence),
        }
        false
    }

    /// Gives a multicast to those of `ids` that have room. Once one of them has it, it is owed to the others and to nobody else.
    fn deliver_to_all(
        &mut self,
        sequence: u64,
        route: RouteId,
        ids: &[EndpointId],
        content: &Content<'_>,
        held: &mut HashSet<EndpointId>,
    ) -> bool {
        let was_owed = self.parking().get(sequence).is_some_and(|waiting| waiting.owed.is_some());
        self.parking().claim(sequence, EVERYBODY);
        let (mut reached, mut owed, mut lost) = (0, Vec::new(), 0);
        for &id in ids {
            match if held.contains(&id) { Offer::Full(FullReason::Ring) } else { self.offer_again(route, id, content) }
            {
                Offer::Sent => reached += 1,
                Offer::Full(_) => {
                    held.insert(id);
                    owed.push(id);
                }
                Offer::Gone => lost += 1,
            }
        }
        if reached == 0 && !was_owed {
            self.parking().unclaim(sequence);
            return false;
        }
        self.counters().sent(reached, content.payload_len());
        self.owe(sequence, &owed, if was_owed { lost } else { 0 });
        reached > 0
    }

    /// A multicast that some have waits on for these alone; `lost` others are gone.
    fn owe(&mut self, sequence: u64, ids: &[EndpointId], lost: usize) {
        if lost > 0 {
            self.tally().count(Incident::Dropped(DropReason::ReceiverGone), lost as u64);
        }
        match ids {
            [] => self.parking().done(sequence),
            ids => self.parking().owe(sequence, ids.to_vec()),
        }
    }
}

impl<R: Road> Waiting for R {}

/// The matches of the selectors met in one walk over what waits: mostly the same few.
#[derive(Default)]
struct MatchCache(Vec<(Arc<Selector>, Vec<EndpointId>)>);

impl MatchCache {
    fn matches<'a>(&'a mut self, selector: &Arc<Selector>, roster: &Roster) -> impl Iterator<Item = EndpointId> + 'a {
        let place = self.0.iter().position(|(known, _)| Arc::ptr_eq(known, selector)).unwrap_or_else(|| {
            const KEPT: usize = 64;
            if self.0.len() == KEPT {
                self.0.clear();
            }
            self.0.push((selector.clone(), roster.matching(&selector.op).collect()));
            self.0.len() - 1
        });
        self.0[place].1.iter().copied()
    }
}

/// A waiting message in the form in which it travels. `None`: there is no memory for it now.
fn unpack(parcel: Parcel) -> Option<OwnedMessage> {
    let Parcel { mut flags, mut payload, mut bulk, attachments, .. } = parcel;
    // With the label of its first sender it may not fit a record any more.
    if bulk.is_none() && payload.len() > limits::HEAD_BYTES {
        bulk = Some(std::mem::take(&mut payload));
    }
    let bulk = match bulk {
        Some(bytes) => {
            flags |= LARGE;
            Some(Bulk { region: bulk::copy(&bytes).ok()?, offset: 0, len: bytes.len() })
        }
        None => None,
    };
    Some(OwnedMessage { flags, type_id: parcel.type_id, extension: parcel.extension, payload, bulk, attachments })
}
