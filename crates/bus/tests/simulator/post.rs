//! One endpoint's messages: the production code for those that wait or were left unread, on the channels of the network.
//!
//! [`Post`] is a [`Road`], so what becomes of its messages is decided by the same code as in an endpoint; below it is as much
//! of `outbox/` as that code needs; `reading.rs` has the receiving half.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use ipmb_transport::memory::{OwnMemory, PeerMemory};
use ipmb_transport::sys::Fd;

use super::mortal::{Board, Fuse, Mortal};
use super::network::{Network, ROOM, Record};
use crate::channel::Content;
use crate::directory::DirectoryReader;
use crate::error::{FullReason, SendError};
use crate::identity::EndpointId;
use crate::incidents::{Incident, Tally};
use crate::local::Local;
use crate::outbox::dead::{AGAIN, Leaving};
use crate::outbox::link::Offer;
use crate::outbox::road::{Left, Road};
use crate::outbox::waiting::Waiting;
use crate::parking::{self, AREA_BYTES, Parking};
use crate::proof;
use crate::reactor::lock;
use crate::record::{Attachments, EXTENDED, Extension, OwnedMessage};
use crate::roster::{Roster, View};
use crate::route::{RouteId, RouteTable};
use crate::seen::Seen;
use crate::selector::{Mode, Selector};
use crate::stats::{DropReason, SendCounters};
use crate::wire::Open;

/// What became of a message when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// So many rings have it.
    Pushed(usize),
    Waits,
    /// Nobody matches and it has no ttl, or there is no room: nothing was promised.
    Refused,
}

pub(crate) struct Post {
    pub(crate) local: Local,
    pub(crate) memory: Fd,
    pub(crate) roster: Arc<Roster>,
    pub(crate) parking: Parking<Mortal>,
    pub(crate) backlog: VecDeque<Left>,
    pub(crate) tally: Arc<Tally>,
    counters: SendCounters,
    /// When it wants to look again.
    pub(crate) timer: Option<u64>,
    pub(crate) fuse: Fuse,
    pid: u32,
    clock: Rc<Cell<u64>>,
    pub(crate) network: Rc<RefCell<Network>>,
    pub(crate) view: Mutex<View>,
    reader: Option<Arc<DirectoryReader>>,
    routes: RouteTable,
    links: BTreeMap<EndpointId, usize>,
    gone: HashSet<EndpointId>,
    hung_up: VecDeque<(u64, EndpointId)>,
    held: HashSet<EndpointId>,
    unsettled: bool,
    patience: u64,
    pub(crate) seen: Seen,
    /// No channel is opened any more.
    left: bool,
}

impl Road for Post {
    type Memory = Mortal;

    fn me(&self) -> EndpointId {
        self.local.id
    }

    fn now(&self) -> u64 {
        self.clock.get()
    }

    fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    fn parking(&mut self) -> &mut Parking<Mortal> {
        &mut self.parking
    }

    fn routes(&mut self) -> &mut RouteTable {
        &mut self.routes
    }

    fn counters(&mut self) -> &mut SendCounters {
        &mut self.counters
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn gone(&self) -> &HashSet<EndpointId> {
        &self.gone
    }

    fn held(&mut self) -> &mut HashSet<EndpointId> {
        &mut self.held
    }

    fn backlog(&mut self) -> &mut VecDeque<Left> {
        &mut self.backlog
    }

    fn unsettled(&mut self) -> &mut bool {
        &mut self.unsettled
    }

    fn patience(&mut self) -> &mut u64 {
        &mut self.patience
    }

    fn number(&mut self, selector: &Arc<Selector>) -> Result<RouteId, SendError> {
        Ok(self.routes.intern(selector).expect("no world has so many selectors"))
    }

    fn offer_to(&mut self, route: RouteId, id: EndpointId, content: &Content<'_>) -> Result<Offer, SendError> {
        if self.held.contains(&id) {
            return Ok(Offer::Full(FullReason::Ring));
        }
        if self.gone.contains(&id) {
            return Ok(Offer::Gone);
        }
        if self.left {
            return Ok(Offer::Full(FullReason::Ring));
        }
        let Some(place) = self.link_to(id) else { return Ok(Offer::Gone) };
        let network = self.network.clone();
        let mut network = network.borrow_mut();
        let channel = &mut network.channels[place];
        if channel.unread.len() >= ROOM {
            if !channel.ended {
                return Ok(Offer::Full(FullReason::Ring));
            }
            drop(network);
            self.bury(id);
            return Ok(Offer::Gone);
        }
        if self.fuse.burn() {
            let Content { flags, extension, payload, .. } = *content;
            let (extension, payload) = (extension.to_vec(), payload.to_vec());
            channel.unread.push_back(Record { route: route.index, flags, extension, payload });
        }
        Ok(Offer::Sent)
    }

    fn schedule(&mut self, at: u64) {
        self.timer = Some(self.timer.map_or(at, |due| due.min(at)));
    }

    fn update_interest(&mut self) {}
}

impl Post {
    pub(crate) fn new(
        local: Local,
        pid: u32,
        fuse: Fuse,
        clock: Rc<Cell<u64>>,
        network: Rc<RefCell<Network>>,
    ) -> std::io::Result<Post> {
        let (area, memory) = OwnMemory::create("ipmb-parking", AREA_BYTES)?;
        Ok(Post {
            local,
            memory,
            roster: Arc::default(),
            parking: Parking::within(Mortal::new(area, fuse.clone())),
            backlog: VecDeque::new(),
            tally: Tally::silent(),
            counters: SendCounters::default(),
            timer: None,
            fuse,
            pid,
            clock,
            network,
            view: Mutex::default(),
            reader: None,
            routes: RouteTable::default(),
            links: BTreeMap::new(),
            gone: HashSet::new(),
            hung_up: VecDeque::new(),
            held: HashSet::new(),
            unsettled: false,
            patience: 0,
            seen: Seen::default(),
            left: false,
        })
    }

    /// Its waiting messages, as somebody else maps them.
    pub(crate) fn area(&self) -> PeerMemory {
        parking::open(&self.memory).expect("an area")
    }

    /// Whether changes of the directory have to be heard of.
    pub(crate) fn interested(&self) -> bool {
        !self.parking.is_empty()
    }

    /// A controller has welcomed us: its directory counts from here on.
    pub(crate) fn welcomed(&mut self, board: &Board) {
        let reader = Arc::new(DirectoryReader::open(&board.fd).expect("a directory"));
        let mut view = lock(&self.view);
        view.replace(reader.clone());
        view.registered(self.clock.get());
        drop(view);
        self.reader = Some(reader);
        self.reload();
    }

    /// Looks whether the directory has changed.
    pub(crate) fn refresh(&mut self) {
        if self.reader.as_ref().is_some_and(|reader| reader.word() != self.roster.word) {
            self.reload();
        }
    }

    fn reload(&mut self) {
        let roster = lock(&self.view).refresh();
        if roster.word != self.roster.word {
            self.roster = roster;
            self.gone.clear();
            self.hung_up.clear();
            self.flush();
            self.deliver_waiting();
        }
    }

    /// The timer is due.
    pub(crate) fn tick(&mut self) {
        self.timer = None;
        self.refresh();
        let now = self.now();
        while let Some((_, id)) = self.hung_up.pop_front_if(|(at, _)| *at <= now) {
            self.gone.remove(&id);
        }
        if let Some(&(at, _)) = self.hung_up.front() {
            self.schedule(at);
        }
        self.flush();
        self.deliver_waiting();
    }

    /// Sends a message whose payload is its number.
    pub(crate) fn send(&mut self, selector: &Arc<Selector>, number: u64) -> Sent {
        self.refresh();
        if !self.held.is_empty() {
            self.deliver_waiting();
        }
        let sent = self.dispatch(selector, number);
        if self.unsettled {
            self.flush();
        }
        sent
    }

    fn dispatch(&mut self, selector: &Arc<Selector>, number: u64) -> Sent {
        let Ok(route) = self.number(selector) else { return Sent::Refused };
        let roster = self.roster.clone();
        let Some(known) = self.routes.get_mut(route) else { return Sent::Refused };
        known.update(&roster, |_| None);
        let ids: Vec<_> = known.targets.iter().map(|target| target.id).collect();
        let start = known.next;
        let payload = number.to_le_bytes();
        let content = Content {
            flags: 0,
            type_id: [0; 16],
            extension: &[],
            payload: &payload,
            bulk: None,
            regions: &[],
            objects: &[],
        };
        let (mut reached, mut full) = (0, false);
        for step in 0..ids.len() {
            let place = (start + step) % ids.len();
            match self.offer_to(route, ids[place], &content) {
                Ok(Offer::Sent) if selector.mode == Mode::Multicast => reached += 1,
                Ok(Offer::Sent) => {
                    if let Some(known) = self.routes.get_mut(route) {
                        known.next = place + 1;
                    }
                    return Sent::Pushed(1);
                }
                Ok(Offer::Full(_)) => full = true,
                Ok(Offer::Gone) | Err(_) => {}
            }
        }
        if reached > 0 {
            return Sent::Pushed(reached);
        }
        if full || selector.ttl.is_zero() {
            return Sent::Refused;
        }
        let message = OwnedMessage {
            flags: 0,
            type_id: [0; 16],
            extension: Extension::default(),
            payload: payload.to_vec(),
            bulk: None,
            attachments: Attachments::default(),
        };
        match self.park_message(selector, message) {
            Ok(()) => Sent::Waits,
            Err(_) => Sent::Refused,
        }
    }

    fn link_to(&mut self, id: EndpointId) -> Option<usize> {
        if let Some(&place) = self.links.get(&id) {
            return Some(place);
        }
        let peer = self.roster.member(id).filter(|peer| peer.receiving)?;
        let proof = proof::opener_proof(&self.local.key, self.local.id, id, &peer.nonce);
        let open = Open { opener: self.local.id, target: id, term: self.roster.term, proof };
        let opened = if self.fuse.burn() { self.network.borrow_mut().open(open, self.pid) } else { None };
        match opened {
            Some(place) => drop(self.links.insert(id, place)),
            None => drop(self.gone.insert(id)),
        }
        opened
    }

    /// The receivers whose end is closed, and nobody has noticed.
    pub(crate) fn lost_links(&self) -> Vec<EndpointId> {
        let network = self.network.borrow();
        self.links.iter().filter(|&(_, &place)| network.channels[place].ended).map(|(&id, _)| id).collect()
    }

    /// The core thread hears that a receiver's end is closed.
    pub(crate) fn hangup(&mut self, id: EndpointId) {
        self.refresh();
        self.bury(id);
        self.flush();
    }

    fn bury(&mut self, id: EndpointId) {
        let Some(place) = self.links.remove(&id) else { return };
        self.routes.forget(id);
        self.gone.insert(id);
        let at = self.now() + AGAIN;
        self.hung_up.push_back((at, id));
        self.schedule(at);
        let unread = std::mem::take(&mut self.network.borrow_mut().channels[place].unread);
        for Record { route, flags, extension, payload } in unread {
            let message = OwnedMessage {
                flags: flags & !EXTENDED,
                type_id: [0; 16],
                extension: Extension::decode(&extension).unwrap_or_default(),
                payload,
                bulk: None,
                attachments: Attachments::default(),
            };
            self.left_unread(route, Some(message));
        }
        self.unsettled = !self.backlog.is_empty();
    }

    /// The endpoint is about to leave: what can go out goes.
    pub(crate) fn hand_on(&mut self) {
        self.refresh();
        for id in self.lost_links() {
            self.bury(id);
        }
        self.flush();
    }

    /// The endpoint leaves: nothing of its own is on the way any more but what waits.
    pub(crate) fn shut_down(&mut self) {
        self.hand_on();
        self.left = true;
        let left = self.backlog.len() as u64;
        self.backlog.clear();
        self.tally.count(Incident::Dropped(DropReason::Closed), left);
        self.links.clear();
        self.timer = None;
    }
}
