//! What a receiver left unread when it died: it is still in our own memory, and goes to somebody else.

use std::collections::HashSet;

use ipmb_transport::sys;

use super::State;
use super::link::{Link, Offer};
use super::road::Road;
use super::waiting::Waiting;
use crate::channel::{Content, Serviced, Unread};
use crate::error::{FullReason, SendError};
use crate::identity::EndpointId;
use crate::incidents::{Incident, Who};
use crate::record::{EXTENDED, OwnedMessage, REDELIVERED, REQUEST};
use crate::roster::Peer;
use crate::route::RouteId;
use crate::selector::Mode;
use crate::stats::{DropReason, RefuseReason, Shortage};

/// After so long, in nanoseconds, a member that hung up is tried again.
pub(crate) const AGAIN: u64 = 1_000_000_000;

/// Pause before another look at what a receiver has said that found no descriptors free, in nanoseconds.
const STARVED_PAUSE: u64 = 20_000_000;

impl State {
    /// Ends a channel whose receiver is gone or lies. Unicasts it has not read join the backlog.
    #[cold]
    pub(super) fn bury(&mut self, place: usize) {
        let Some(mut link) = self.links.get_mut(place).and_then(Option::take) else { return };
        let id = link.channel.peer.info.id;
        self.reactor.deregister(link.watch, link.channel.socket.fd());
        if link.door {
            self.doors.remove(&id);
        } else {
            self.by_id.remove(&id);
            self.routes.forget(id);
            // The directory may list it for a while.
            self.gone.insert(id);
        }
        link.channel.service();
        if !link.door && !link.channel.lied() {
            // One that only closed this channel answers the next one; the kernel says who is dead.
            let at = sys::now() + AGAIN;
            self.hung_up.push_back((at, id));
            self.schedule(at);
        }
        if link.channel.lied() {
            let Peer { info, uid, .. } = &*link.channel.peer;
            self.tally.refuse(RefuseReason::Lie, Who { pid: info.pid, uid: *uid });
        }
        let mut asked = Vec::new();
        for Unread { route, asked: number, message } in link.channel.unread() {
            asked.extend(number);
            self.left_unread(route, message.filter(|_| !link.door));
        }
        self.unsettled = !self.backlog.is_empty();
        if !link.door {
            self.ended(&link.channel.peer, asked);
        }
        self.tell_waiters();
    }
}

impl State {
    /// What a receiver has said finds no descriptors free in this process. Its end may stand behind that, and the kernel
    /// has told of it already.
    pub(super) fn starve(&mut self) {
        self.tally.count(Incident::Short(Shortage::OpenFiles), 1);
        self.schedule(sys::now() + STARVED_PAUSE);
    }

    /// Looks again at those whose words found no descriptors free.
    pub(super) fn hear_starved(&mut self) {
        let starved = |link: &Option<Box<Link>>| link.as_ref().is_some_and(|link| link.channel.is_starved());
        for place in 0..self.links.len() {
            if starved(&self.links[place]) && self.service(place) == Serviced::Ended {
                self.bury(place);
            }
        }
    }

    /// Those who hung up a while ago are members like others again, until the kernel says otherwise.
    pub(super) fn try_again(&mut self) {
        let (now, before) = (sys::now(), self.gone.len());
        while let Some(&(at, id)) = self.hung_up.front() {
            if at > now {
                self.schedule(at);
                break;
            }
            self.hung_up.pop_front();
            self.gone.remove(&id);
        }
        if self.gone.len() < before {
            self.tell_waiters();
            self.requests.poke();
        }
    }
}

/// What becomes of messages whose receiver is gone.
pub(crate) trait Leaving: Road {
    /// One that was not read: a unicast is for somebody else.
    fn left_unread(&mut self, route: u32, message: Option<OwnedMessage>) {
        let route = self.routes().by_index(route);
        let unicast = route.and_then(|id| self.routes().get(id)).is_some_and(|r| r.selector.mode == Mode::Unicast);
        match (route, message) {
            (Some(route), Some(mut message)) if unicast && message.flags & REQUEST == 0 => {
                message.flags |= REDELIVERED;
                self.backlog().push_back((route, message));
            }
            _ => self.tally().count(Incident::Dropped(DropReason::ReceiverGone), 1),
        }
    }

    /// Gives the backlog to whoever matches now. What finds only full rings stays; what finds nobody waits out its ttl.
    fn flush(&mut self) {
        // A receiver that turns out dead on the way adds to the backlog, and is not asked again.
        *self.unsettled() = false;
        if self.backlog().is_empty() {
            return;
        }
        let before = self.backlog().len();
        let (mut full, mut stuck) = (HashSet::new(), HashSet::new());
        for _ in 0..before {
            let Some((route, message)) = self.backlog().pop_front() else { break };
            if stuck.contains(&route) {
                self.backlog().push_back((route, message));
            } else if let Some(message) = self.redeliver(route, message, &mut full) {
                stuck.insert(route);
                self.backlog().push_back((route, message));
            }
        }
        if self.backlog().len() < before {
            *self.patience() = 0;
        }
        if !self.backlog().is_empty() {
            self.retry();
        }
    }

    /// Gives the message back when there is somebody, and no room. Whoever was found full is passed over from then on: a
    /// shorter message that still fits must not overtake.
    fn redeliver(
        &mut self,
        route: RouteId,
        mut message: OwnedMessage,
        full: &mut HashSet<EndpointId>,
    ) -> Option<OwnedMessage> {
        let extension = message.extension.encode();
        if !extension.is_empty() {
            message.flags |= EXTENDED;
        }
        let Some(known) = self.routes().get(route) else {
            self.tally().count(Incident::Dropped(DropReason::ReceiverGone), 1);
            return None;
        };
        let (selector, next) = (known.selector.clone(), known.next);
        let mut ids: Vec<_> = self.roster().matching(&selector.op).collect();
        let start = if ids.is_empty() { 0 } else { next % ids.len() };
        ids.rotate_left(start);
        let mut somebody = false;
        for id in ids {
            if full.contains(&id) {
                somebody = true;
                continue;
            }
            let content = content(&message, &extension);
            match self.offer_again(route, id, &content) {
                Offer::Sent => {
                    self.tally().count(Incident::Redelivered, 1);
                    if let Some(known) = self.routes().get_mut(route) {
                        known.next = known.next.wrapping_add(1) % known.targets.len().max(1);
                    }
                    return None;
                }
                Offer::Full(_) => {
                    somebody = true;
                    full.insert(id);
                }
                Offer::Gone => {}
            }
        }
        if somebody {
            return Some(message);
        }
        if selector.ttl.is_zero() || self.park_message(&selector, message).is_err() {
            self.tally().count(Incident::Dropped(DropReason::ReceiverGone), 1);
        }
        None
    }

    /// Offers what nobody waits for in a call. Out of descriptors or memory: it stays where it is, and is tried again.
    fn offer_again(&mut self, route: RouteId, id: EndpointId, content: &Content<'_>) -> Offer {
        self.offer_to(route, id, content).unwrap_or_else(|error| {
            if let SendError::Io(error) = error {
                self.tally().count_saying(Incident::Short(Shortage::OpenFiles), &error);
            }
            Offer::Full(FullReason::Descriptors)
        })
    }

    /// Looks again soon, with growing patience while nothing moves.
    fn retry(&mut self) {
        const FIRST: u64 = 2_000_000;
        const LAST: u64 = 100_000_000;
        let patience = (*self.patience() * 2).clamp(FIRST, LAST);
        *self.patience() = patience;
        let now = self.now();
        self.schedule(now + patience);
    }
}

impl<R: Road> Leaving for R {}

/// A message of our own as it goes into a ring.
pub(super) fn content<'a>(message: &'a OwnedMessage, extension: &'a [u8]) -> Content<'a> {
    Content {
        flags: message.flags,
        type_id: message.type_id,
        extension,
        payload: &message.payload,
        bulk: message.bulk.as_ref(),
        regions: &message.attachments.regions,
        objects: &message.attachments.objects,
    }
}
