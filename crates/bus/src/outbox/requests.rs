//! Requests on their way out, replies on their way back, and who was asked what.
//!
//! Replies come through a door of their own: a second inbox, made at the first request, that belongs to the sending half. So
//! they never wait behind messages nobody has received yet, and whoever asks never has to take others' messages off a ring.
//! A reply counts when it comes from the one that was asked; any other is dropped and counted.

use std::collections::HashMap;
use std::sync::Arc;

use ipmb_transport::sys::{self, Listener};

use super::doubts::Doubt;
use super::link::Offer;
use super::{Outbox, Outgoing, Overflow, Progress, State, lock};
use crate::error::SendError;
use crate::identity::EndpointId;
use crate::inbox::Inbox;
use crate::incidents::Incident;
use crate::limits;
use crate::names;
use crate::reactor::Key;
use crate::roster::Peer;
use crate::stats::DropReason;

/// How a request ended.
#[derive(Debug)]
pub enum Outcome<R> {
    /// This is the reply.
    Reply(R),
    /// There will be none: the one asked is gone, with the request read or not.
    Lost {
        /// Who was asked.
        peer: Arc<Peer>,
        /// Whether it had read the request, and so may have done what it asks for.
        read: bool,
    },
}

/// What came through the door.
pub(crate) struct Arrived<R> {
    pub(crate) from: EndpointId,
    pub(crate) number: Option<u64>,
    pub(crate) bytes: u64,
    pub(crate) content: R,
}

#[derive(Default)]
pub(super) struct Requests {
    last: u64,
    /// Who was asked, of every request that somebody waits for and that was sent.
    pub(super) asked: HashMap<u64, Arc<Peer>>,
    /// Requests that were unread when the one asked was gone, to be told.
    pub(super) lost: Vec<(u64, Arc<Peer>)>,
    pub(super) doubts: Vec<Doubt>,
    /// Those of whom there is no doubt any more. Their last replies may stand in the door.
    pub(super) gone: Vec<Arc<Peer>>,
    pub(super) pause: u64,
    /// How many replies that nobody waits for any more each of those asked may still send.
    pub(super) late: HashMap<EndpointId, u64>,
    pub(super) door: Option<Arc<Inbox>>,
    /// While nobody waits for a reply the core thread takes the late ones, or those who send them would wait for room.
    pub(super) core_reads: Option<Key>,
    /// Somebody has the door's descriptor.
    pub(super) watched: bool,
    /// Replies taken, and their bytes.
    pub(super) taken: (u64, u64),
}

impl Requests {
    /// Has whoever waits at the door look.
    pub(super) fn poke(&self) {
        if let Some(door) = &self.door {
            door.poke();
        }
    }

    /// Whether the directory and the clock have to be heard of.
    pub(super) fn has_doubts(&self) -> bool {
        !self.doubts.is_empty()
    }
}

impl Outbox {
    /// The door for replies, opened at the first call.
    pub(crate) fn door(&self) -> Result<Arc<Inbox>, SendError> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(SendError::Closed);
        }
        if let Some(door) = &state.requests.door {
            return Ok(door.clone());
        }
        let name = names::replies(&state.me.identifier, state.me.id, &state.me.nonce);
        let listener = Listener::bind(&name, limits::LISTEN_BACKLOG)?;
        let door = Arc::new(Inbox::create(listener, state.tally.clone())?.of(state.owner.clone()));
        state.requests.door = Some(door.clone());
        Ok(door)
    }

    /// Lets go of the regions that senders of replies need kept no more. Returns how many are kept.
    pub(crate) fn tidy(&self) -> usize {
        let door = lock(&self.state).requests.door.clone();
        door.map_or(0, |door| door.tidy())
    }

    /// A number for a request.
    pub(crate) fn next_number(&self) -> Result<u64, SendError> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(SendError::Closed);
        }
        state.requests.last += 1;
        Ok(state.requests.last)
    }

    /// Nobody waits for this reply any more.
    pub(crate) fn forget(&self, number: u64) {
        let mut state = lock(&self.state);
        if let Some(peer) = state.requests.asked.remove(&number) {
            *state.requests.late.entry(peer.info.id).or_default() += 1;
            state.let_the_core_read();
        }
        state.requests.lost.retain(|(lost, _)| *lost != number);
    }

    /// The door's descriptor is given out.
    pub(crate) fn door_is_watched(&self) {
        lock(&self.state).requests.watched = true;
    }

    /// Whether something is to be told that does not stand in the door.
    pub(crate) fn has_news(&self) -> bool {
        let state = lock(&self.state);
        !state.requests.lost.is_empty() || !state.requests.gone.is_empty()
    }

    /// Pairs what came with what was asked, and adds what is lost. Returns those who are gone: once the door was read to
    /// its end after this, [`Outbox::give_up_on`] them.
    pub(crate) fn settle<R>(
        &self,
        arrived: Vec<Arrived<R>>,
        outcomes: &mut Vec<(u64, Outcome<R>)>,
        strays: &mut Vec<R>,
    ) -> Vec<Arc<Peer>> {
        let mut state = lock(&self.state);
        for Arrived { from, number, bytes, content } in arrived {
            let asked = number.filter(|number| state.requests.asked.get(number).is_some_and(|p| p.info.id == from));
            match asked {
                Some(number) => {
                    state.requests.asked.remove(&number);
                    state.requests.taken.0 += 1;
                    state.requests.taken.1 += bytes;
                    outcomes.push((number, Outcome::Reply(content)));
                }
                None => {
                    state.count_stray(from);
                    strays.push(content);
                }
            }
        }
        let lost = std::mem::take(&mut state.requests.lost);
        outcomes.extend(lost.into_iter().map(|(number, peer)| (number, Outcome::Lost { peer, read: false })));
        state.let_the_core_read();
        state.requests.gone.clone()
    }
}

impl State {
    /// Gives a request to one of the matches. While nobody matches it waits with its sender, and not where messages
    /// wait: who takes over from a dead sender could do nothing with the reply.
    pub(super) fn ask(&mut self, out: &mut Outgoing<'_>) -> Result<Progress, SendError> {
        let place = match self.first_with_room(out)? {
            Ok(place) => place,
            Err(None) => return self.wait_for_match(out),
            Err(Some(reason)) => {
                out.expiry = None;
                return self.no_room(out, reason);
            }
        };
        let id = self.routes.get(out.route).and_then(|route| route.targets.get(place)).map(|target| target.id);
        if let (Some(number), Some(peer)) = (out.extension.correlation, id.and_then(|id| self.roster.member(id))) {
            self.requests.asked.insert(number, peer.clone());
            self.stop_the_core();
        }
        Ok(Progress::Done(1))
    }

    /// Nobody matches: the request waits for its ttl at most.
    fn wait_for_match(&mut self, out: &mut Outgoing<'_>) -> Result<Progress, SendError> {
        let Some(selector) = self.routes.get(out.route).map(|route| &route.selector) else {
            return Err(SendError::StaleRoute);
        };
        let now = sys::now();
        let expiry = *out.expiry.get_or_insert(selector.ttl.deadline(now));
        if expiry <= now {
            return Err(SendError::NoRoute { labels: selector.op.to_string() });
        }
        let blocked = self.enter(out, &[])?;
        out.until = Some(out.until.map_or(expiry, |until| until.min(expiry)));
        Ok(blocked)
    }

    /// Puts a reply into the ring to the asker's door.
    pub(super) fn reply(&mut self, out: &mut Outgoing<'_>, to: EndpointId) -> Result<Progress, SendError> {
        let (place, full) = match self.door_of(to)? {
            Ok(place) => match self.push(place, out.route, &out.content())? {
                Offer::Sent => {
                    self.count_sent(1, out.content().payload_len());
                    return Ok(Progress::Done(1));
                }
                Offer::Full(reason) => (Some(place), Some(reason)),
                Offer::Gone => (None, None),
            },
            Err(Offer::Full(reason)) => (None, Some(reason)),
            Err(_) => (None, None),
        };
        match (full, out.overflow) {
            (None, _) => {
                self.tally.count(Incident::Dropped(DropReason::NoRoute), 1);
                Ok(Progress::Done(0))
            }
            (Some(_), Overflow::Drop) => {
                self.tally.count(Incident::Dropped(DropReason::Full), 1);
                Ok(Progress::Done(0))
            }
            (Some(reason), Overflow::Error) => Err(SendError::Full { reason }),
            // Also one's own door: another thread of this process asks, and takes replies off it.
            (Some(_), Overflow::Block) => self.enter_at(out, &[place], false),
        }
    }

    /// Everybody who waits for a reply comes back, and nobody can reply any more.
    pub(super) fn close_door(&mut self) {
        self.stop_the_core();
        if let Some(door) = &self.requests.door {
            drop(door.close());
        }
        self.requests.doubts.clear();
        self.requests.asked.clear();
        self.update_interest();
    }
}
