//! The made-up world around a controller: processes, their connections, the kernel's queues, and a clock.
//!
//! It behaves as the real one does where that matters. A connection keeps its order, connections among each other have
//! none. What a dead process has sent is still read, then comes the end. A connection made while nobody plays controller
//! waits in the backlog as long as somebody holds the listening socket. A stopped process reads nothing and keeps its lock.
//! Each controller has a directory of its own, and a member sees that of the one who welcomed it last: a process that was
//! stopped for two takeovers starts a third from an old copy.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use ipmb_bus::controller::{Action, ConnId, Controller, Event, Policy};
use ipmb_bus::directory::Snapshot;
use ipmb_bus::label::Label;
use ipmb_bus::limits::PENDING_JOINS;
use ipmb_bus::proof::{self, Key};
use ipmb_bus::wire::{ClientFrame, EndpointId, JoinRequest, Refusal, ServerFrame};

use crate::audit::Audit;
use crate::rng::Rng;

pub(crate) const UID: u32 = 1000;
pub(crate) const MILLI: u64 = 1_000_000;

/// The memory of one controller's directory, as everybody maps it.
pub(crate) type Board = Rc<RefCell<Snapshot>>;

/// One endpoint; its process may have others.
pub(crate) struct End {
    pub id: EndpointId,
    pub pid: u32,
    pub label: Label,
    pub affinity: bool,
    pub alive: bool,
    pub stopped: bool,
    /// It means to be on the bus.
    pub wanted: bool,
    /// It has sent something that makes no sense, so it may be refused for it.
    pub lying: bool,
    pub receiving: bool,
    pub watching: bool,
    pub conn: Option<ConnId>,
    pub welcomed: bool,
    hello: [u8; 32],
    challenge: [u8; 32],
    /// The directory of whoever welcomed it last. With affinity it holds the listening socket, too.
    pub board: Option<Board>,
    /// The latest directory it has read.
    pub read: u64,
}

impl End {
    pub(crate) fn running(&self) -> bool {
        self.alive && !self.stopped
    }

    fn holds_listener(&self) -> bool {
        self.alive && self.wanted && self.affinity && self.board.is_some()
    }
}

pub(crate) enum ToServer {
    Frame(ClientFrame),
    Garbage(Option<u16>),
    Closed,
}

pub(crate) enum ToClient {
    Frame(ServerFrame),
    Welcome(ServerFrame, Board),
    End,
}

/// One connection, both directions.
pub(crate) struct Conn {
    /// The endpoint it is of; strangers have none.
    pub end: Option<usize>,
    pub uid: u32,
    pub pid: u32,
    pub to_server: VecDeque<ToServer>,
    pub to_client: VecDeque<ToClient>,
    /// The controller has accepted it and not closed it.
    pub accepted: bool,
    /// Its endpoint has dropped it.
    pub dropped: bool,
    /// Nothing of it arrives before the world comes to rest.
    pub late: bool,
}

/// Whoever plays controller.
pub(crate) struct Host {
    pub controller: Controller,
    pub end: usize,
    pub board: Board,
}

pub(crate) struct World {
    pub rng: Rng,
    pub now: u64,
    pub ends: Vec<End>,
    pub conns: BTreeMap<ConnId, Conn>,
    pub backlog: VecDeque<ConnId>,
    pub host: Option<Host>,
    pub probes: Vec<EndpointId>,
    pub audit: Audit,
    pub key: Key,
    next_conn: ConnId,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            now: 1_000_000 * MILLI,
            ends: Vec::new(),
            conns: BTreeMap::new(),
            backlog: VecDeque::new(),
            host: None,
            probes: Vec::new(),
            audit: Audit::default(),
            key: Key::derive("bus", b"token"),
            next_conn: 0,
        }
    }

    pub(crate) fn host_running(&self) -> bool {
        self.host.as_ref().is_some_and(|host| self.ends[host.end].running())
    }

    /// Whether connecting to the name of the bus succeeds.
    pub(crate) fn somebody_listens(&self) -> bool {
        self.host.is_some() || self.ends.iter().any(End::holds_listener)
    }

    pub(crate) fn spawn(&mut self) -> usize {
        let number = self.ends.len();
        // Every third endpoint shares the process of the one before, if that is still there.
        let shared = self.ends.last().filter(|last| last.alive && number % 3 == 2).map(|last| last.pid);
        let elements = (0..self.rng.below(3)).map(|element| format!("element-{element}-{number}"));
        let label = Label::new(elements).unwrap();
        self.ends.push(End {
            id: self.rng.next().max(1),
            pid: shared.unwrap_or(1000 + number as u32),
            label,
            affinity: self.rng.chance(70),
            alive: true,
            stopped: false,
            wanted: true,
            lying: false,
            receiving: self.rng.chance(80),
            watching: self.rng.chance(50),
            conn: None,
            welcomed: false,
            hello: [0; 32],
            challenge: [0; 32],
            board: None,
            read: 0,
        });
        number
    }

    /// A new connection in the backlog, with something in it already.
    pub(crate) fn connect(&mut self, end: Option<usize>, uid: u32, pid: u32, first: Vec<ToServer>) -> ConnId {
        self.next_conn += 1;
        let (to_server, to_client) = (first.into(), VecDeque::new());
        let conn = Conn { end, uid, pid, to_server, to_client, accepted: false, dropped: false, late: false };
        self.conns.insert(self.next_conn, conn);
        self.backlog.push_back(self.next_conn);
        self.next_conn
    }

    /// An endpoint connects, if it has no connection and somebody listens.
    pub(crate) fn register(&mut self, end: usize) {
        if self.ends[end].conn.is_some() || !self.somebody_listens() {
            return;
        }
        let hello = self.rng.bytes();
        let (id, pid) = (self.ends[end].id, self.ends[end].pid);
        let first = vec![ToServer::Frame(ClientFrame::Hello { id, nonce: hello })];
        let conn = self.connect(Some(end), UID, pid, first);
        self.ends[end].conn = Some(conn);
        self.ends[end].hello = hello;
    }

    pub(crate) fn send(&mut self, end: usize, frame: ClientFrame) {
        if let Some(conn) = self.ends[end].conn.and_then(|conn| self.conns.get_mut(&conn)) {
            conn.to_server.push_back(ToServer::Frame(frame));
        }
    }

    /// An endpoint drops its connection without a word.
    pub(crate) fn disconnect(&mut self, end: usize) {
        self.ends[end].welcomed = false;
        if let Some(conn) = self.ends[end].conn.take().and_then(|conn| self.conns.get_mut(&conn)) {
            conn.to_server.push_back(ToServer::Closed);
            if self.rng.chance(20) {
                conn.to_server.push_back(ToServer::Closed);
            }
            conn.late = self.rng.chance(10);
            conn.to_client.clear();
            conn.dropped = true;
        }
    }

    /// SIGKILL: all endpoints of the process are gone, with the controller if it was there.
    pub(crate) fn kill(&mut self, pid: u32) {
        for end in 0..self.ends.len() {
            if self.ends[end].pid == pid && self.ends[end].alive {
                self.disconnect(end);
                self.ends[end].alive = false;
            }
        }
        self.retire();
    }

    /// Nobody plays controller any more if the endpoint that did has died or left; the rest of its process may live on.
    pub(crate) fn retire(&mut self) {
        let gone = |end: &End| !end.alive || !end.wanted && end.conn.is_none();
        if self.host.as_ref().is_some_and(|host| gone(&self.ends[host.end])) {
            self.host = None;
            self.probes.clear();
            for conn in self.conns.values_mut().filter(|conn| conn.accepted) {
                conn.accepted = false;
                conn.to_server.clear();
                conn.to_client.push_back(ToClient::End);
            }
        }
        if !self.somebody_listens() {
            // The last descriptor of the listening socket is gone, and with it whatever waited there.
            while let Some(conn) = self.backlog.pop_front() {
                let state = self.conns.get_mut(&conn).unwrap();
                state.to_server.clear();
                state.to_client.push_back(ToClient::End);
            }
        }
    }

    /// An endpoint gets the lock, or binds the free name, and plays controller from now on.
    pub(crate) fn take_over(&mut self, end: usize) {
        let me = &self.ends[end];
        if self.host.is_some() || !(me.running() && me.affinity && me.wanted) {
            return;
        }
        if self.somebody_listens() && !me.holds_listener() {
            return;
        }
        let seed = me.board.as_ref().map(|board| board.borrow().clone());
        let term = seed.as_ref().map_or(1, |seed| seed.term + 1);
        let policy = Policy { key: self.key.clone(), allowed_uids: vec![UID, 0], strangers: PENDING_JOINS };
        let controller = Controller::new(policy, term, me.id, seed.clone(), self.now);
        self.audit.begin(&controller, seed.as_ref(), self.now);
        let board = Rc::new(RefCell::new(controller.snapshot()));
        self.host = Some(Host { controller, end, board });
    }

    /// Accepts the first of the backlog.
    pub(crate) fn accept(&mut self) {
        if let Some(conn) = self.backlog.pop_front() {
            let nonce = self.rng.bytes();
            let state = self.conns.get_mut(&conn).unwrap();
            state.accepted = true;
            let (uid, pid) = (state.uid, state.pid);
            self.handle(Event::Accepted { conn, uid, pid, nonce });
        }
    }

    /// Hands the controller the next thing that a connection has brought.
    pub(crate) fn deliver_to_server(&mut self, conn: ConnId) {
        let event = match self.conns.get_mut(&conn).and_then(|conn| conn.to_server.pop_front()) {
            Some(ToServer::Frame(frame)) => Event::Frame { conn, frame },
            Some(ToServer::Garbage(version)) => Event::Unreadable { conn, version },
            Some(ToServer::Closed) => {
                self.conns.get_mut(&conn).unwrap().accepted = false;
                Event::Closed { conn }
            }
            None => return,
        };
        self.handle(event);
    }

    pub(crate) fn handle(&mut self, event: Event) -> Vec<Action> {
        let host = self.host.as_mut().expect("somebody plays controller");
        let mut actions = Vec::new();
        host.controller.handle(self.now, event.clone(), &mut actions);
        self.audit.check(&event, &actions, &host.controller, &self.conns, &self.ends, self.now);
        for action in &actions {
            match action.clone() {
                Action::Send { conn, frame } => {
                    self.conns.get_mut(&conn).unwrap().to_client.push_back(ToClient::Frame(frame))
                }
                Action::Welcome { conn, frame, .. } => {
                    let welcome = ToClient::Welcome(frame, host.board.clone());
                    self.conns.get_mut(&conn).unwrap().to_client.push_back(welcome);
                }
                Action::Close { conn } => {
                    let state = self.conns.get_mut(&conn).unwrap();
                    state.accepted = false;
                    // What else it has said is never read, but a reactor may have read its end already.
                    state.to_server.clear();
                    if self.rng.chance(20) {
                        state.to_server.push_back(ToServer::Closed);
                    }
                    state.to_client.push_back(ToClient::End);
                }
                Action::Commit => *host.board.borrow_mut() = host.controller.snapshot(),
                Action::Probe { id } => self.probes.push(id),
                Action::Adopt { .. } => {}
            }
        }
        actions
    }

    /// Answers one look at an endpoint: somebody listens there as long as its process lives, stopped or not.
    pub(crate) fn answer_probe(&mut self, place: usize) {
        let id = self.probes.swap_remove(place);
        let alive = self.ends.iter().any(|end| end.id == id && end.alive && end.wanted);
        self.handle(Event::Probed { id, alive });
    }

    /// An endpoint reads the next thing from its connection.
    pub(crate) fn deliver_to_client(&mut self, conn: ConnId) {
        let Some(end) = self.conns.get(&conn).filter(|conn| !conn.dropped).and_then(|conn| conn.end) else { return };
        match self.conns.get_mut(&conn).unwrap().to_client.pop_front() {
            Some(ToClient::Frame(frame)) => self.client_frame(end, frame),
            Some(ToClient::Welcome(frame, board)) => self.client_welcome(end, frame, board),
            Some(ToClient::End) => {
                self.conns.remove(&conn);
                self.backlog.retain(|waiting| *waiting != conn);
                self.ends[end].conn = None;
                self.ends[end].welcomed = false;
                self.retire();
            }
            None => {}
        }
    }

    fn client_frame(&mut self, end: usize, frame: ServerFrame) {
        match frame {
            ServerFrame::Challenge { nonce: challenge } => {
                self.ends[end].challenge = challenge;
                let request = self.request(end);
                self.send(end, ClientFrame::Join(request));
            }
            ServerFrame::Nudge => {
                let word = self.read(end);
                self.send(end, ClientFrame::Seen { term: (word >> 32) as u32, epoch: word as u32 });
            }
            ServerFrame::Refused(refusal) => {
                let me = &mut self.ends[end];
                assert!(me.lying && refusal == Refusal::Malformed, "an honest endpoint is refused: {refusal:?}");
                me.wanted = false;
            }
            ServerFrame::Welcome { .. } => unreachable!("welcomes come with a board"),
        }
    }

    fn client_welcome(&mut self, end: usize, frame: ServerFrame, board: Board) {
        let ServerFrame::Welcome { term, epoch, proof, .. } = frame else { unreachable!() };
        let me = &mut self.ends[end];
        assert_eq!(proof, proof::controller_proof(&self.key, &me.hello, &me.challenge, me.id));
        let word = ipmb_bus::directory::word(term, epoch);
        let same = me.board.as_ref().is_some_and(|old| Rc::ptr_eq(old, &board));
        assert!(word > me.read || same && word == me.read, "a later welcome has to be of a later directory");
        // Had it gone from the directory again, the connection would have ended first; an old board stays as it was.
        me.board = Some(board);
        me.welcomed = true;
        let (watching, receiving) = (me.watching, me.receiving);
        self.read(end);
        // It may have changed its mind while it joined.
        self.send(end, ClientFrame::Receiving(receiving));
        if watching {
            self.send(end, ClientFrame::Watch(true));
        }
    }

    /// The endpoint reads its directory.
    fn read(&mut self, end: usize) -> u64 {
        let me = &mut self.ends[end];
        let word = me.board.as_ref().map_or(0, |board| board.borrow().word());
        assert!(word >= me.read, "the directory has gone backwards");
        me.read = word;
        word
    }

    fn request(&mut self, end: usize) -> JoinRequest {
        let me = &self.ends[end];
        JoinRequest {
            label: me.label.clone(),
            nonce: nonce_of(me.id),
            affinity: me.affinity,
            receiving: me.receiving,
            last_term: (me.read >> 32) as u32,
            proof: proof::joiner_proof(&self.key, &me.hello, &me.challenge, me.id),
        }
    }
}

/// What an endpoint publishes for channels; here it need not be random.
pub(crate) fn nonce_of(id: EndpointId) -> [u8; 16] {
    u128::from(id).to_le_bytes()
}
