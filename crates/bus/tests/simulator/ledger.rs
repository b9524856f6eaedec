//! What has become of every message: nothing that was promised may vanish, come twice, come late or to the wrong one.
//!
//! After each step it is looked where each message is that nobody has got: in memory where messages wait that somebody living
//! can reach, in a ring that will be read or taken back, among what a receiver left unread. One that was somewhere and is
//! nowhere has to be accounted for: by a counter that has risen, by the clock, by deaths.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::reading::Got;
use super::world::World;
use crate::identity::EndpointId;
use crate::incidents::Incident;
use crate::label_op::LabelOp;
use crate::parking::{NEVER, remains};
use crate::selector::{Mode, Selector};
use crate::stats::DropReason;

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It waits in the memory of an endpoint.
    Area(EndpointId),
    Ring(EndpointId, EndpointId),
    /// Its sender is about to give it to somebody else.
    Backlog(EndpointId),
}

struct Message {
    sender: EndpointId,
    selector: Arc<Selector>,
    /// `send` has returned, so it counts.
    promised: bool,
    /// Who has got it.
    got: Vec<usize>,
    /// It was got, or is accounted for.
    settled: bool,
    /// When it expires, while it waits.
    expiry: u64,
    places: Vec<Place>,
}

#[derive(Default)]
pub(crate) struct Ledger {
    messages: Vec<Message>,
    open: BTreeSet<u64>,
    /// The last number by sender, receiver, and whose channel it came on.
    last: BTreeMap<(EndpointId, usize, EndpointId), u64>,
    /// What all endpoints have counted, at the last look.
    expired: u64,
    dropped: u64,
    /// Whose messages a controller has taken over: what stands in their memory is old.
    adopted: BTreeSet<EndpointId>,
    /// Whom the controller knew at the last look, and that controller.
    registered: BTreeSet<EndpointId>,
    host: Option<EndpointId>,
}

/// What a step was, as far as it may lose something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Death,
    /// An endpoint has left or closed its receiver.
    Leaving(EndpointId),
    Other,
}

impl Ledger {
    pub(crate) fn next(&self) -> u64 {
        self.messages.len() as u64
    }

    /// A controller takes over what an endpoint has let wait.
    pub(crate) fn adopted(&mut self, id: EndpointId) {
        self.adopted.insert(id);
    }

    /// How many messages nobody has got yet.
    pub(crate) fn pending(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn sent(&mut self, sender: EndpointId, selector: &Arc<Selector>, promised: bool) {
        let number = self.next();
        self.open.insert(number);
        self.messages.push(Message {
            sender,
            selector: selector.clone(),
            promised,
            got: Vec::new(),
            settled: false,
            expiry: NEVER,
            places: Vec::new(),
        });
    }

    /// The `send` of the last message has returned.
    pub(crate) fn promise(&mut self) {
        if let Some(message) = self.messages.last_mut() {
            message.promised = true;
        }
    }

    /// The sender was told that nobody has got the message sent last.
    pub(crate) fn refused(&mut self) {
        let number = self.next() - 1;
        self.open.remove(&number);
        let message = &mut self.messages[number as usize];
        assert!(message.got.is_empty());
        message.settled = true;
    }
}

impl World {
    /// An endpoint has got a message.
    pub(crate) fn got(&mut self, end: usize, got: &Got) {
        self.say(|| format!("{} gets {got:?}", self.ends[end].id));
        let me = &self.ends[end];
        let ledger = &mut self.ledger;
        let message = &mut ledger.messages[got.number as usize];
        let number = got.number;
        assert_eq!(got.sender, message.sender, "message {number} comes in the wrong name");
        assert!(message.selector.op.matches(&me.label), "message {number} comes to the wrong one");
        for &before in &message.got {
            assert!(before != end, "message {number} comes twice to the same");
            let there = self.ends[before].alive && self.ends[before].wanted;
            let one = message.selector.mode == Mode::Unicast;
            // The window: its sender died between giving it to one and striking it off, and that one had lost its connection
            // to the controller, so that the heir could not know that it lives.
            let lost_sight = got.redelivered && got.by != got.sender && self.ends[before].dropped;
            assert!(!one || !there || lost_sight, "message {number} comes to two who live");
        }
        if !got.redelivered {
            let last = ledger.last.insert((got.sender, end, got.by), number);
            assert!(last.is_none_or(|last| last < number), "message {number} comes after {last:?}");
        }
        let again = message.selector.mode == Mode::Unicast && !message.got.is_empty();
        let what = match (got.by != got.sender, got.redelivered, !again) {
            (_, _, false) => "got again after a death",
            (true, _, _) => "got in a dead sender's name",
            (_, true, _) => "redelivered",
            _ => "got",
        };
        message.got.push(end);
        message.settled = true;
        ledger.open.remove(&number);
        self.audit.count(what);
    }

    /// Whether somebody who lives can reach what waits in the memory of an endpoint.
    fn reaches(&self, id: EndpointId) -> bool {
        let owner = |end: &super::world::End| end.id == id && end.alive && end.wanted;
        let heir = |end: &super::world::End| {
            end.holds_listener() && end.predecessor.as_ref().is_some_and(|(predecessor, _)| *predecessor == id)
        };
        let mapped = |conn: &super::world::Conn| {
            conn.accepted && conn.parking.is_some() && conn.end.is_some_and(|end| self.ends[end].id == id)
        };
        if self.ledger.adopted.contains(&id) {
            return self.ends.iter().any(owner);
        }
        self.ends.iter().any(|end| owner(end) || heir(end))
            || self.host.as_ref().is_some_and(|host| host.heritage.holds(id))
            || self.conns.values().any(mapped)
    }

    /// Where each message is that nobody has got, and when those that wait expire.
    fn places(&self) -> BTreeMap<u64, (Vec<Place>, u64)> {
        let mut found: BTreeMap<u64, (Vec<Place>, u64)> = BTreeMap::new();
        let mut note = |payload: &[u8], place, expiry: u64| {
            let number = u64::from_le_bytes(payload.try_into().expect("a number"));
            if self.ledger.open.contains(&number) {
                let (places, first) = found.entry(number).or_insert((Vec::new(), NEVER));
                places.push(place);
                *first = expiry.min(*first);
            }
        };
        for end in self.ends.iter().filter(|end| self.reaches(end.id)) {
            let remains = remains(&end.area, end.id, true);
            assert_eq!(remains.lost, 0, "what waits cannot be read");
            remains.parcels.iter().for_each(|parcel| note(&parcel.payload, Place::Area(end.id), parcel.expiry));
        }
        for end in self.ends.iter().filter(|end| end.alive) {
            end.post.backlog.iter().for_each(|(_, message)| note(&message.payload, Place::Backlog(end.id), NEVER));
        }
        for channel in self.network.borrow().channels.iter().filter(|channel| !channel.ended || !channel.left) {
            let place = Place::Ring(channel.open.opener, channel.open.target);
            channel.unread.iter().for_each(|record| note(&record.payload, place, NEVER));
        }
        found
    }

    /// A step is over: every message is somewhere, or accounted for.
    pub(crate) fn audit_messages(&mut self, step: Step) {
        let counted = |incident| self.ends.iter().map(|end| end.post.tally.of(incident)).sum::<u64>();
        let expired = counted(Incident::Expired);
        let reasons = [DropReason::ReceiverGone, DropReason::SenderGone, DropReason::Closed];
        let dropped: u64 = reasons.map(|reason| counted(Incident::Dropped(reason))).iter().sum();
        let (mut may_expire, mut may_drop) = (expired - self.ledger.expired, dropped - self.ledger.dropped);
        (self.ledger.expired, self.ledger.dropped) = (expired, dropped);
        let host = self.host.as_ref().map(|host| self.ends[host.end].id);
        if !self.ledger.open.is_empty() {
            let mut places = self.places();
            // What the living have counted is theirs; the dead count nothing.
            let of_the_dead = |number: &u64| {
                let at = &self.ledger.messages[*number as usize].places;
                at.iter().any(|place| matches!(*place, Place::Area(of) if !self.is_there(of)))
            };
            let mut open: Vec<_> = self.ledger.open.iter().copied().collect();
            open.sort_by_key(of_the_dead);
            for number in open {
                let (now_at, expiry) = places.remove(&number).unwrap_or((Vec::new(), NEVER));
                let message = &mut self.ledger.messages[number as usize];
                if !now_at.is_empty() {
                    (message.places, message.expiry) = (now_at, expiry);
                    continue;
                }
                let before = std::mem::take(&mut message.places);
                let due = message.expiry <= self.clock.get();
                message.settled = true;
                let promised = message.promised;
                self.ledger.open.remove(&number);
                let what = if due && may_expire > 0 {
                    may_expire -= 1;
                    "expired"
                } else if may_drop > 0 {
                    may_drop -= 1;
                    "dropped and counted"
                } else if !promised {
                    "lost with its send"
                } else {
                    self.excuse(number, &before, step, host)
                };
                self.audit.count(what);
            }
        }
        let known = |conn: &super::world::Conn| {
            conn.end.filter(|_| conn.accepted && conn.parking.is_some()).map(|end| self.ends[end].id)
        };
        self.ledger.registered = self.conns.values().filter_map(known).collect();
        self.ledger.host = host;
    }

    /// Whether an endpoint is on the bus, and means to stay.
    fn is_there(&self, id: EndpointId) -> bool {
        self.ends.iter().any(|end| end.id == id && end.alive && end.wanted && !end.leaving)
    }

    /// Why a message may have vanished that nobody has counted.
    fn excuse(&self, number: u64, before: &[Place], step: Step, host: Option<EndpointId>) -> &'static str {
        // It went into the ring of one who was gone, by one who is gone now, too.
        let payload = number.to_le_bytes();
        let both_gone = |channel: &super::network::Channel| {
            channel.ended && channel.left && channel.unread.iter().any(|record| record.payload == payload)
        };
        if self.network.borrow().channels.iter().any(both_gone) {
            return "lost with both ends";
        }
        let there = |id| self.is_there(id);
        for place in before {
            match (*place, step) {
                // Whoever is killed takes what it had read or was about to send on; a receiver that leaves leaves its rings.
                (Place::Ring(from, _), Step::Death | Step::Leaving(_)) if !there(from) => {}
                (Place::Ring(..), Step::Death) => {
                    panic!("message {number} was in the ring of one who lives: {before:?}")
                }
                (Place::Backlog(of), Step::Death) if !there(of) => {}
                // The window: the controller knows nothing of its memory, or goes with it.
                (Place::Area(of), Step::Death)
                    if !there(of) && (host != self.ledger.host || !self.ledger.registered.contains(&of)) => {}
                // The controller leaves a bus on which nobody is who could follow, or the one who could leaves before it does.
                (Place::Area(of), Step::Leaving(_)) if !there(of) && self.host.is_none() => {}
                // Nobody who knew the last controller has asked for its office, so nobody has what waited there.
                (Place::Area(of), _) if !there(of) && self.host.as_ref().is_some_and(|host| host.stranger) => {}
                (Place::Area(of) | Place::Backlog(of), Step::Leaving(who))
                    if of == who && !self.ledger.registered.contains(&of) => {}
                _ => panic!("message {number} has vanished: {before:?}, {step:?}"),
            }
        }
        if self.host.as_ref().is_some_and(|host| host.stranger) {
            "lost with a controller that was missed"
        } else if before.iter().any(|place| matches!(place, Place::Area(_))) {
            "lost in the window"
        } else {
            "lost with both ends"
        }
    }

    /// Nothing happens any more: whoever could have a message has it.
    pub(crate) fn nothing_waits_in_vain(&mut self) {
        for end in self.ends.iter_mut().filter(|end| end.alive && end.wanted) {
            assert!(end.post.backlog.is_empty(), "something is still to be redelivered");
            for sequence in end.post.parking.sequences() {
                let Some(waiting) = end.post.parking.get(sequence) else { continue };
                let op: &LabelOp = &waiting.selector.op;
                assert!(waiting.expiry > self.clock.get(), "something waits past its time");
                let matching: Vec<_> = end.post.roster.matching(op).collect();
                assert!(matching.is_empty(), "{op:?} waits at {} for {matching:?}, claim {:?}", end.id, waiting.claim);
            }
        }
        for channel in &self.network.borrow().channels {
            let reads = self.ends.iter().any(|end| end.id == channel.open.target && end.alive && end.wanted);
            let why = (channel.open.term, channel.peer.is_some());
            // One whom nobody knew may have read a later directory than there will be for long.
            let known = channel.peer.is_some() || !self.unremembered.contains(&channel.open.opener);
            assert!(!reads || channel.ended || channel.unread.is_empty() || !known, "something was not read {why:?}");
        }
    }
}
