//! The sending half: routing, a channel to each endpoint it has talked to, and everything that can befall a message
//! before somebody has read it.
//!
//! `send` runs in the caller's thread from the route cache into the ring. The core thread comes in only for what happens
//! while nobody sends: a receiver's death ([`dead`]), a match for a message that waits ([`waiting`]). Both work on the
//! same state under one lock, which is never held while anybody waits.

pub(crate) mod dead;
mod doubts;
mod end;
mod flights;
mod kept;
mod late;
pub(crate) mod link;
mod outgoing;
mod requests;
pub(crate) mod road;
mod room;
mod routing;
pub(crate) mod waiting;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, Weak};

use ipmb_transport::sys::Signal;

use self::dead::Leaving;
use self::flights::FlightWatch;
use self::link::Link;
use self::requests::Requests;
use self::waiting::Waiting;
use crate::channel::Serviced;
use crate::directory::DirectoryReader;
use crate::error::{FullReason, SendError};
use crate::identity::EndpointId;
use crate::incidents::Tally;
use crate::local::Local;
use crate::parking::Parking;
use crate::reactor::{Owner, Reactor, TimerKey, lock};
use crate::record::{OwnedMessage, TypeId};
use crate::roster::{Roster, View};
use crate::route::{RouteId, RouteTable};
use crate::selector::Selector;
use crate::stats::SendCounters;

pub use kept::Kept;
pub use outgoing::{INLINE_BYTES, Outgoing, Overflow, Payload, prepare};
pub(crate) use requests::Arrived;
pub use requests::Outcome;

/// What became of an attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many endpoints have it in their rings.
    Done(usize),
    /// Some have to make room first.
    Blocked,
}

/// Tags under which the owner hands events on.
pub(crate) const CHANNEL_TAG: u64 = 1 << 63;
pub(crate) const TIMER_TAG: u64 = 1 << 61;
pub(crate) const DOOR_TAG: u64 = 1 << 60;

pub(crate) struct Outbox {
    state: Mutex<State>,
    /// Held while replies are taken off the door and paired, and before every other lock: what another thread has taken
    /// and not paired yet must not be judged lost.
    pub(crate) reading: Mutex<()>,
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
    /// Channels to the doors of those who asked.
    doors: HashMap<EndpointId, usize>,
    requests: Requests,
    /// Members that the directory still lists and the kernel says are gone.
    gone: HashSet<EndpointId>,
    /// Those of them who have only hung up, and when they are tried again, the next first.
    hung_up: VecDeque<(u64, EndpointId)>,
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
    watch: FlightWatch,
    counters: SendCounters,
    tally: Arc<Tally>,
    /// The share of descriptors was looked at for all copies of the multicast under way.
    prepaid: bool,
    closed: bool,
    /// No channel and no timer is made any more.
    left: bool,
}

impl Outbox {
    pub(crate) fn new(
        me: Arc<Local>,
        view: Arc<Mutex<View>>,
        reactor: Arc<Reactor>,
        owner: Weak<dyn Owner>,
        parking: Parking,
        tally: Arc<Tally>,
    ) -> Outbox {
        Outbox {
            reading: Mutex::default(),
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
                doors: HashMap::new(),
                requests: Requests::default(),
                gone: HashSet::new(),
                hung_up: VecDeque::new(),
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
                watch: FlightWatch::default(),
                counters: SendCounters::default(),
                tally,
                prepaid: false,
                closed: false,
                left: false,
            }),
        }
    }

    /// The number under which a selector is routed.
    pub(crate) fn intern(&self, selector: &Arc<Selector>) -> Result<RouteId, SendError> {
        lock(&self.state).intern(selector)
    }

    /// The number of the route to one endpoint.
    pub(crate) fn intern_endpoint(&self, id: EndpointId) -> Result<RouteId, SendError> {
        lock(&self.state).intern_by(|routes| routes.intern_endpoint(id))
    }

    /// The number under which a selector is routed for requests.
    pub(crate) fn intern_request(&self, selector: &Arc<Selector>) -> Result<RouteId, SendError> {
        lock(&self.state).intern_by(|routes| routes.intern_request(selector))
    }

    /// The number of the route to the door at which an endpoint takes replies.
    pub(crate) fn intern_replies(&self, id: EndpointId) -> Result<RouteId, SendError> {
        lock(&self.state).intern_by(|routes| routes.intern_replies(id))
    }

    /// The whole way of a message that is nothing but a payload and has nothing in its way: a unicast over a channel that
    /// is open, with room, while nobody waits. `false`: nothing was done, and [`Outbox::try_send`] finds out what there
    /// is to do.
    #[inline]
    pub(crate) fn try_plain(&self, route: RouteId, type_id: TypeId, payload: &[u8]) -> bool {
        lock(&self.state).push_plain(route, type_id, payload)
    }

    /// The same for messages in a row, which `message` gives by their number. How many went; the rest has something in its
    /// way.
    pub(crate) fn try_plain_run<'a>(
        &self,
        route: RouteId,
        message: impl Fn(usize) -> Option<(TypeId, &'a [u8])>,
    ) -> usize {
        lock(&self.state).push_plain_run(route, message)
    }

    /// Whether a payload of up to [`limits::LONG_INLINE_BYTES`](crate::limits::LONG_INLINE_BYTES) for this route travels in
    /// rings. When that is not so any more once it is sent, it is copied into a region then.
    pub(crate) fn takes_long(&self, route: RouteId) -> bool {
        lock(&self.state).takes_long(route)
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
        if state.held_may_move() {
            state.deliver_waiting();
        }
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
        // Otherwise the next `send` reads it.
        if state.awaits_somebody() {
            state.reload();
        }
        state.tell_waiters();
        state.requests.poke();
    }

    /// The directory changed.
    pub(crate) fn directory_changed(&self) {
        let mut state = lock(&self.state);
        state.refresh();
        state.tell_waiters();
        state.requests.poke();
    }

    /// The receiver's end of a channel may be closed.
    pub(crate) fn hangup(&self, tag: u64) {
        let mut state = lock(&self.state);
        let place = (tag & !CHANNEL_TAG) as usize;
        if state.service(place) == Serviced::Ended {
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
        state.look_at_flights();
        state.refresh();
        state.hear_starved();
        state.try_again();
        state.flush();
        state.deliver_waiting();
        state.look_at_doubts();
    }

    /// Whether nudges are wanted.
    pub(crate) fn interested(&self) -> bool {
        let state = lock(&self.state);
        state.interested || state.requests.door.as_ref().is_some_and(|door| door.interested())
    }

    pub(crate) fn counters(&self) -> (SendCounters, u64) {
        let state = lock(&self.state);
        (state.counters, (state.parking.len() + state.backlog.len()) as u64)
    }

    /// How many messages wait for a match.
    pub(crate) fn waiting(&self) -> u64 {
        lock(&self.state).parking.len() as u64
    }

    /// Replies taken, and their bytes.
    pub(crate) fn replies(&self) -> (u64, u64) {
        lock(&self.state).requests.taken
    }
}

impl State {
    fn intern(&mut self, selector: &Arc<Selector>) -> Result<RouteId, SendError> {
        self.intern_by(|routes| routes.intern(selector))
    }

    fn intern_by(&mut self, intern: impl Fn(&mut RouteTable) -> Option<RouteId>) -> Result<RouteId, SendError> {
        if let Some(route) = intern(&mut self.routes) {
            return Ok(route);
        }
        self.collect_routes();
        intern(&mut self.routes).ok_or(SendError::Full { reason: FullReason::Routes })
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

    /// Whether anything here is for somebody who may have come.
    fn awaits_somebody(&self) -> bool {
        self.interested || self.unsettled || !self.backlog.is_empty()
    }

    #[cold]
    fn reload(&mut self) {
        let roster = lock(&self.view).refresh();
        if roster.word != self.roster.word {
            self.roster = roster;
            self.gone.clear();
            self.hung_up.clear();
            self.flush();
            self.deliver_waiting();
            self.look_at_doubts();
        }
    }

    fn update_interest(&mut self) {
        let interested = self.patient > 0 || !self.parking.is_empty() || self.requests.has_doubts();
        if interested != self.interested {
            self.interested = interested;
            if let Some(owner) = self.owner.upgrade() {
                owner.interest();
            }
        }
    }

    /// Has the core thread look again at `at`, or sooner if that was asked for already.
    fn schedule(&mut self, at: u64) {
        if self.left {
            return;
        }
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
