//! The sending half: routing, a channel to each endpoint it has talked to, and everything that can befall a message
//! before somebody has read it.
//!
//! `send` runs in the caller's thread from the route cache into the ring. The core thread comes in only for what happens
//! while nobody sends: a receiver's death ([`dead`]), a match for a message that waits ([`waiting`]). Both work on the
//! same state under one lock, which is never held while anybody waits.

mod dead;
mod outgoing;
mod waiting;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, Weak};

use ipmb_transport::sys::{self, Fd, Interest, Signal};

use crate::channel::{Content, OpenError, Opener, Outbound, PushError, Serviced};
use crate::directory::DirectoryReader;
use crate::error::{FullReason, SendError};
use crate::identity::EndpointId;
use crate::limits;
use crate::local::Local;
use crate::parking::Parking;
use crate::reactor::{Key, Reactor, Source, TimerKey, lock};
use crate::record::OwnedMessage;
use crate::roster::{Roster, View};
use crate::route::{RouteId, RouteTable};
use crate::selector::{Mode, Selector};
use crate::stats::{DropReason, SendCounters};

pub use outgoing::{INLINE_BYTES, Outgoing, Overflow, Payload, prepare};

/// What became of an attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many endpoints have it in their rings.
    Done(usize),
    /// Some have to make room first.
    Blocked,
}

/// The endpoint an outbox belongs to, as far as the outbox needs it.
pub(crate) trait Owner: Source {
    /// Whether the outbox has to hear of changes of the directory changed.
    fn interest(self: Arc<Self>);
}

/// Tags under which the owner hands events on.
pub(crate) const CHANNEL_TAG: u64 = 1 << 63;
pub(crate) const TIMER_TAG: u64 = 1 << 61;

pub(crate) struct Outbox {
    state: Mutex<State>,
}

struct Link {
    channel: Outbound,
    watch: Key,
}

struct State {
    me: Arc<Local>,
    view: Arc<Mutex<View>>,
    reactor: Arc<Reactor>,
    owner: Weak<dyn Owner>,
    reader: Option<Arc<DirectoryReader>>,
    roster: Arc<Roster>,
    routes: RouteTable,
    links: Vec<Option<Box<Link>>>,
    by_id: HashMap<EndpointId, usize>,
    /// Members that the directory still lists and the kernel says are gone.
    gone: HashSet<EndpointId>,
    /// What dead receivers left unread, on its way to somebody else.
    backlog: VecDeque<(RouteId, OwnedMessage)>,
    /// A receiver was found dead, and nobody has looked at the backlog since.
    unsettled: bool,
    parking: Parking,
    /// Receivers for whom messages that waited go first, and found the ring full.
    held: HashSet<EndpointId>,
    /// Senders that wait, to be told of whatever is not on the sockets they wait on.
    waiters: Vec<Arc<Signal>>,
    spare_signals: Vec<Arc<Signal>>,
    /// How many of them have waited long enough to want to hear of newcomers.
    patient: usize,
    interested: bool,
    timer: Option<(u64, TimerKey)>,
    retry_nanos: u64,
    counters: SendCounters,
    closed: bool,
}

/// What became of one message at one endpoint.
enum Offer {
    Sent,
    Full(FullReason),
    Gone,
}

impl Outbox {
    pub(crate) fn new(
        me: Arc<Local>,
        view: Arc<Mutex<View>>,
        reactor: Arc<Reactor>,
        owner: Weak<dyn Owner>,
        parking: Parking,
    ) -> Outbox {
        Outbox {
            state: Mutex::new(State {
                me,
                view,
                reactor,
                owner,
                reader: None,
                roster: Arc::default(),
                routes: RouteTable::default(),
                links: Vec::new(),
                by_id: HashMap::new(),
                gone: HashSet::new(),
                backlog: VecDeque::new(),
                unsettled: false,
                parking,
                held: HashSet::new(),
                waiters: Vec::new(),
                spare_signals: Vec::new(),
                patient: 0,
                interested: false,
                timer: None,
                retry_nanos: 0,
                counters: SendCounters::default(),
                closed: false,
            }),
        }
    }

    /// The number under which a selector is routed.
    pub(crate) fn intern(&self, selector: &Arc<Selector>) -> Result<RouteId, SendError> {
        lock(&self.state).intern(selector)
    }

    /// The number of the route to one endpoint.
    pub(crate) fn intern_endpoint(&self, id: EndpointId) -> Result<RouteId, SendError> {
        lock(&self.state).intern_endpoint(id)
    }

    /// Sends, or says what is in the way. Never waits.
    #[inline]
    pub(crate) fn try_send(&self, out: &mut Outgoing<'_>) -> Result<Progress, SendError> {
        let mut state = lock(&self.state);
        if state.closed {
            state.leave(out);
            return Err(SendError::Closed);
        }
        state.refresh();
        let result = state.dispatch(out);
        if state.unsettled {
            state.flush();
        }
        if out.waits() && !matches!(result, Ok(Progress::Blocked)) {
            state.leave(out);
        }
        result
    }

    /// The caller gives up waiting.
    pub(crate) fn abandon(&self, out: &mut Outgoing<'_>) {
        lock(&self.state).leave(out);
    }

    /// A new controller's directory takes over.
    pub(crate) fn directory_replaced(&self, reader: Arc<DirectoryReader>) {
        let mut state = lock(&self.state);
        state.reader = Some(reader);
        state.reload();
        state.tell_waiters();
    }

    /// The directory changed.
    pub(crate) fn directory_changed(&self) {
        let mut state = lock(&self.state);
        state.refresh();
        state.tell_waiters();
    }

    /// The receiver's end of a channel may be closed.
    pub(crate) fn hangup(&self, tag: u64) {
        let mut state = lock(&self.state);
        let place = (tag & !CHANNEL_TAG) as usize;
        let ended = match state.links.get_mut(place) {
            Some(Some(link)) => link.channel.service() == Serviced::Ended,
            _ => false,
        };
        if ended {
            // Whoever is to have what it left unread may have joined since we last looked.
            state.refresh();
            state.bury(place);
            state.flush();
        }
    }

    /// A timer is due.
    pub(crate) fn tick(&self) {
        let mut state = lock(&self.state);
        state.timer = None;
        state.refresh();
        state.flush();
        state.deliver_waiting();
    }

    /// Whether nudges are wanted.
    pub(crate) fn interested(&self) -> bool {
        lock(&self.state).interested
    }

    pub(crate) fn counters(&self) -> (SendCounters, u64) {
        let state = lock(&self.state);
        (state.counters, state.parking.len() as u64)
    }

    /// Nothing is sent any more; what is under way stays under way.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.tell_waiters();
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// The endpoint leaves. Receivers read their rings to the end; what waits is left to the controller.
    pub(crate) fn shut_down(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.flush();
        let left = state.backlog.len() as u64;
        state.backlog.clear();
        state.counters.drop(DropReason::Closed, left);
        if let Some((_, timer)) = state.timer.take() {
            state.reactor.cancel(timer);
        }
        let links = std::mem::take(&mut state.links);
        for link in links.into_iter().flatten() {
            state.reactor.deregister(link.watch, link.channel.socket.fd());
        }
        state.by_id.clear();
        state.tell_waiters();
    }
}

impl State {
    fn intern(&mut self, selector: &Arc<Selector>) -> Result<RouteId, SendError> {
        if let Some(route) = self.routes.intern(selector) {
            return Ok(route);
        }
        self.collect_routes();
        self.routes.intern(selector).ok_or(SendError::Full { reason: FullReason::Routes })
    }

    fn intern_endpoint(&mut self, id: EndpointId) -> Result<RouteId, SendError> {
        if let Some(route) = self.routes.intern_endpoint(id) {
            return Ok(route);
        }
        self.collect_routes();
        self.routes.intern_endpoint(id).ok_or(SendError::Full { reason: FullReason::Routes })
    }

    /// Frees the routes that nothing unread names.
    fn collect_routes(&mut self) {
        let mut used: HashSet<u32> = self.backlog.iter().map(|(route, _)| route.index).collect();
        for link in self.links.iter_mut().flatten() {
            link.channel.routes_in_flight(&mut used);
        }
        self.routes.collect(&used);
    }

    /// One load and a comparison, as long as nobody joined or left.
    #[inline]
    fn refresh(&mut self) {
        if let Some(reader) = &self.reader
            && reader.word() != self.roster.word
        {
            self.reload();
        }
    }

    #[cold]
    fn reload(&mut self) {
        let roster = lock(&self.view).refresh();
        if roster.word != self.roster.word {
            self.roster = roster;
            self.gone.clear();
            self.flush();
            self.deliver_waiting();
        }
    }

    #[inline]
    fn dispatch(&mut self, out: &mut Outgoing<'_>) -> Result<Progress, SendError> {
        let State { routes, roster, by_id, .. } = self;
        let route = routes.get_mut(out.route).ok_or(SendError::StaleRoute)?;
        route.update(roster, |id| by_id.get(&id).copied());
        let mode = route.selector.mode;
        out.sockets.clear();
        out.until = None;
        match mode {
            Mode::Unicast => self.unicast(out),
            Mode::Multicast => self.multicast(out),
        }
    }

    #[inline]
    fn unicast(&mut self, out: &mut Outgoing<'_>) -> Result<Progress, SendError> {
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
                    self.count_sent(1, out.payload_len());
                    return Ok(Progress::Done(1));
                }
                Offer::Full(reason) if full != Some(FullReason::Ring) => full = Some(reason),
                Offer::Full(_) | Offer::Gone => {}
            }
        }
        match full {
            None => self.unroutable(out),
            Some(reason) => match out.overflow {
                Overflow::Drop => {
                    self.counters.drop(DropReason::Full, 1);
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
            },
        }
    }

    fn multicast(&mut self, out: &mut Outgoing<'_>) -> Result<Progress, SendError> {
        let first = out.remaining.is_none();
        let remaining = match out.remaining.take() {
            Some(remaining) => remaining,
            None => self.routes.get(out.route).into_iter().flat_map(|r| &r.targets).map(|t| t.id).collect(),
        };
        if first && let Err(reason) = self.reserve(out, &remaining)? {
            return Err(SendError::Full { reason });
        }
        let mut full = Vec::new();
        for id in remaining {
            match self.offer_to(out.route, id, &out.content())? {
                Offer::Sent => {
                    out.reached += 1;
                    self.count_sent(1, out.payload_len());
                }
                Offer::Full(_) if out.overflow == Overflow::Drop => self.counters.drop(DropReason::Full, 1),
                Offer::Full(_) => full.push(id),
                Offer::Gone => {}
            }
        }
        if !full.is_empty() {
            let blocked = self.enter(out, &full);
            out.remaining = Some(full);
            return blocked;
        }
        if out.reached == 0 && first { self.unroutable_unless_dropped(out) } else { Ok(Progress::Done(out.reached)) }
    }

    /// With `error` a multicast goes to everybody or to nobody; a full ring to oneself is an error in any case but `drop`.
    fn reserve(&mut self, out: &Outgoing<'_>, ids: &[EndpointId]) -> Result<Result<(), FullReason>, SendError> {
        if out.overflow == Overflow::Drop {
            return Ok(Ok(()));
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
                link.channel.service();
                if let Ok(false) = room(link) {
                    return Ok(Err(if id == self.me.id { FullReason::Own } else { FullReason::Ring }));
                }
            }
        }
        Ok(Ok(()))
    }

    fn count_sent(&mut self, copies: u64, bytes: usize) {
        self.counters.sent += copies;
        self.counters.bytes += copies * bytes as u64;
    }

    /// Offers a message to one endpoint by its id.
    fn offer_to(&mut self, route: RouteId, id: EndpointId, content: &Content<'_>) -> Result<Offer, SendError> {
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
    fn offer(&mut self, route: RouteId, place: usize, content: &Content<'_>) -> Result<Offer, SendError> {
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
    fn push(&mut self, place: usize, route: RouteId, content: &Content<'_>) -> Result<Offer, SendError> {
        if !content.descriptors.is_empty() && !self.descriptors_allow(content.descriptors.len()) {
            return Ok(Offer::Full(FullReason::Descriptors));
        }
        for attempt in 0..2 {
            let (Some(Some(link)), Some(known)) = (self.links.get_mut(place), self.routes.get(route)) else {
                return Ok(Offer::Gone);
            };
            match link.channel.push(known, route, content) {
                Ok(()) => return Ok(Offer::Sent),
                Err(PushError::Full) => {
                    let own = link.channel.peer.info.id == self.me.id;
                    match link.channel.service() {
                        Serviced::Progress if attempt == 0 => self.tell_waiters(),
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

    /// The channel to an endpoint, opened at the first use.
    fn link_to(&mut self, id: EndpointId) -> Result<Result<usize, Offer>, SendError> {
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

    /// Keeps descriptors in flight to all receivers within our share of what the process may open.
    #[cold]
    fn descriptors_allow(&mut self, more: usize) -> bool {
        let bound = (sys::descriptor_limit() / limits::DESCRIPTORS_IN_FLIGHT_SHARE) as usize;
        let in_flight = |links: &Vec<Option<Box<Link>>>| -> usize {
            links.iter().flatten().map(|link| link.channel.descriptors_in_flight()).sum()
        };
        // One message is always allowed, or it could never be sent.
        if in_flight(&self.links) == 0 || in_flight(&self.links) + more <= bound {
            return true;
        }
        self.links.iter_mut().flatten().for_each(|link| {
            let _ = link.channel.trim();
        });
        in_flight(&self.links) == 0 || in_flight(&self.links) + more <= bound
    }

    /// Makes the caller one who waits for room at `ids`.
    fn enter(&mut self, out: &mut Outgoing<'_>, ids: &[EndpointId]) -> Result<Progress, SendError> {
        const SOCKETS: usize = 64;
        const SLICE: u64 = 20_000_000;
        const MOMENT: u64 = 1_000_000;
        let signal = match out.signal.take().or_else(|| self.spare_signals.pop()) {
            Some(signal) => signal,
            None => Arc::new(Signal::new()?),
        };
        if !self.waiters.iter().any(|waiter| Arc::ptr_eq(waiter, &signal)) {
            self.waiters.push(signal.clone());
        }
        signal.clear();
        out.signal = Some(signal);
        let now = sys::now();
        // What no socket tells (a queue of connections, a budget of the whole process) is looked at again by the clock.
        let mut silent = ids.len() > SOCKETS || !out.descriptors.is_empty();
        for &id in ids.iter().take(SOCKETS) {
            match self.by_id.get(&id).and_then(|&place| self.links[place].as_deref_mut()) {
                Some(link) => {
                    silent |= !link.channel.announce_wait();
                    out.sockets.push(link.channel.socket.clone());
                }
                None => silent = true,
            }
        }
        if out.tries > 0 && !out.patient && self.routes.get(out.route).is_some_and(|r| r.selector.mode == Mode::Unicast)
        {
            out.patient = true;
            self.patient += 1;
            self.update_interest();
        }
        out.until = if silent {
            Some(now + MOMENT)
        } else if out.patient {
            None
        } else {
            Some(now + SLICE)
        };
        Ok(Progress::Blocked)
    }

    /// The caller waits no more.
    fn leave(&mut self, out: &mut Outgoing<'_>) {
        if let Some(signal) = out.signal.take() {
            self.waiters.retain(|waiter| !Arc::ptr_eq(waiter, &signal));
            if self.spare_signals.len() < 8 {
                self.spare_signals.push(signal);
            }
        }
        if std::mem::take(&mut out.patient) {
            self.patient -= 1;
            self.update_interest();
        }
    }

    fn tell_waiters(&self) {
        self.waiters.iter().for_each(|waiter| waiter.set());
    }

    fn update_interest(&mut self) {
        let interested = self.patient > 0 || !self.parking.is_empty();
        if interested != self.interested {
            self.interested = interested;
            if let Some(owner) = self.owner.upgrade() {
                owner.interest();
            }
        }
    }

    /// Has the core thread look again at `at`, or sooner if that was asked for already.
    fn schedule(&mut self, at: u64) {
        match self.timer {
            Some((due, _)) if due <= at => return,
            Some((_, timer)) => self.reactor.cancel(timer),
            None => {}
        }
        if let Some(owner) = self.owner.upgrade() {
            self.timer = Some((at, self.reactor.timer(at, owner, TIMER_TAG)));
        }
    }
}

/// Duplicates of descriptors for one message.
pub(crate) fn shared(descriptors: Vec<Fd>) -> Vec<Arc<Fd>> {
    descriptors.into_iter().map(Arc::new).collect()
}
