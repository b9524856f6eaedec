//! The made-up world: processes, their endpoints and connections, the kernel's queues, and a clock.
//!
//! It behaves as the real one does where that matters. A connection keeps its order, connections among each other have
//! none. What a dead process has sent is still read, then comes the end. A connection made while nobody plays controller
//! waits in the backlog as long as somebody holds the listening socket. A stopped process reads nothing and keeps its lock.
//! Each controller has a directory of its own, and a member sees that of the one who welcomed it last: a process that was
//! stopped for two takeovers starts a third from an old copy.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use ipmb_transport::memory::PeerMemory;

use super::audit::Audit;
use super::host::Host;
use super::ledger::Ledger;
use super::mortal::{Board, Fuse};
use super::network::{Name, Network};
use super::post::Post;
use super::rng::Rng;
use crate::controller::ConnId;
use crate::identity::EndpointId;
use crate::label::Label;
use crate::limits;
use crate::local::Local;
use crate::node::succession::Succession;
use crate::node::told::Told;
use crate::proof::Key;
use crate::reactor::lock;
use crate::wire::{ClientFrame, JoinRequest, ServerFrame};

pub(crate) const UID: u32 = 1000;
pub(crate) const MILLI: u64 = 1_000_000;

/// What labels are made of, and selectors.
pub(crate) const ELEMENTS: [&str; 5] = ["a", "b", "c", "d", "nobody"];

/// One endpoint; its process may have others.
pub(crate) struct End {
    pub(crate) id: EndpointId,
    pub(crate) pid: u32,
    pub(crate) label: Label,
    pub(crate) affinity: bool,
    pub(crate) alive: bool,
    pub(crate) stopped: bool,
    /// It means to be on the bus.
    pub(crate) wanted: bool,
    /// It is about to leave: it reads and sends nothing new any more, and is there as long as its name answers.
    pub(crate) leaving: bool,
    /// It has sent something that makes no sense, so it may be refused for it.
    pub(crate) lying: bool,
    pub(crate) receiving: bool,
    pub(crate) watching: bool,
    pub(crate) conn: Option<ConnId>,
    pub(crate) welcomed: bool,
    pub(crate) fuse: Fuse,
    pub(crate) post: Post,
    /// Its waiting messages, as whoever can reach them would find them.
    pub(crate) area: PeerMemory,
    /// Where the controller that welcomed it last lets messages wait.
    pub(crate) predecessor: Option<(EndpointId, PeerMemory)>,
    pub(crate) last_term: u32,
    pub(crate) succession: Succession,
    pub(crate) hello: [u8; 32],
    pub(crate) challenge: [u8; 32],
    /// What it has told its controller.
    pub(crate) told: Told,
    /// The directory of whoever welcomed it last. With affinity it holds the listening socket, too.
    pub(crate) board: Option<Rc<Board>>,
    /// The latest directory it has read.
    pub(crate) read: u64,
    /// It has dropped a connection to a controller.
    pub(crate) dropped: bool,
    /// When it went from the bus last: died, left or lost its connection.
    pub(crate) gone_at: u64,
}

impl End {
    pub(crate) fn running(&self) -> bool {
        self.alive && !self.stopped
    }

    pub(crate) fn holds_listener(&self) -> bool {
        self.alive && self.wanted && self.affinity && self.board.is_some()
    }
}

pub(crate) enum ToServer {
    Frame(ClientFrame),
    Join(JoinRequest, PeerMemory),
    Garbage(Option<u16>),
    Closed,
}

pub(crate) enum ToClient {
    Frame(ServerFrame),
    Welcome(ServerFrame, Rc<Board>, Option<(EndpointId, PeerMemory)>),
    End,
}

/// One connection, both directions.
pub(crate) struct Conn {
    /// The endpoint it is of; strangers have none.
    pub(crate) end: Option<usize>,
    pub(crate) uid: u32,
    pub(crate) pid: u32,
    pub(crate) to_server: VecDeque<ToServer>,
    pub(crate) to_client: VecDeque<ToClient>,
    /// Where its member lets messages wait, as the controller has it.
    pub(crate) parking: Option<PeerMemory>,
    /// The controller has accepted it and not closed it.
    pub(crate) accepted: bool,
    /// Its endpoint has dropped it.
    pub(crate) dropped: bool,
    /// Nothing of it arrives before the world comes to rest.
    pub(crate) late: bool,
}

impl Conn {
    /// Whether the socket of the bus is on its way to a member, which keeps it open as well.
    fn brings_listener(&self) -> bool {
        let with_memory = |frame: &ToClient| matches!(frame, ToClient::Welcome(_, _, Some(_)));
        !self.dropped && self.end.is_some() && self.to_client.iter().any(with_memory)
    }
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) clock: Rc<Cell<u64>>,
    pub(crate) ends: Vec<End>,
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    pub(crate) backlog: VecDeque<ConnId>,
    pub(crate) host: Option<Host>,
    pub(crate) probes: Vec<EndpointId>,
    /// Who was known to nobody who lived on: its controller went with it, or before it, and no other member had registered there.
    pub(crate) unremembered: BTreeSet<EndpointId>,
    /// When the bus was founded last, by one who knew nothing of it.
    pub(crate) founded_at: u64,
    /// What the last controller has left in the lock file: the term in which it took office.
    pub(crate) left: u64,
    pub(crate) network: Rc<RefCell<Network>>,
    pub(crate) audit: Audit,
    pub(crate) ledger: Ledger,
    pub(crate) key: Key,
    /// Of a hundred packets between a controller and its members, for how many there is no room.
    pub(crate) scarce: u64,
    /// Every event is printed.
    pub(crate) talks: bool,
    next_conn: ConnId,
}

impl World {
    pub(crate) fn new(seed: u64, talks: bool) -> Self {
        Self {
            rng: Rng::new(seed),
            clock: Rc::new(Cell::new(1_000_000 * MILLI)),
            ends: Vec::new(),
            conns: BTreeMap::new(),
            backlog: VecDeque::new(),
            host: None,
            probes: Vec::new(),
            unremembered: BTreeSet::new(),
            founded_at: 0,
            left: 0,
            network: Rc::default(),
            audit: Audit::default(),
            ledger: Ledger::default(),
            key: Key::derive("bus", b"token"),
            scarce: 0,
            talks,
            next_conn: 0,
        }
    }

    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.talks {
            println!("{:>9} ms: {}", self.now() / MILLI, what());
        }
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.get()
    }

    pub(crate) fn pass(&self, nanos: u64) {
        self.clock.set(self.clock.get() + nanos);
    }

    /// Whether connecting to the name of the bus succeeds.
    pub(crate) fn somebody_listens(&self) -> bool {
        self.host.is_some()
            || self.ends.iter().any(End::holds_listener)
            || self.conns.values().any(Conn::brings_listener)
    }

    pub(crate) fn spawn(&mut self) {
        let number = self.ends.len();
        // Every third endpoint shares the process of the one before, if that is still there.
        let shared = self.ends.last().filter(|last| last.alive && number % 3 == 2);
        let (pid, fuse) =
            shared.map_or_else(|| (1000 + number as u32, Fuse::default()), |last| (last.pid, last.fuse.clone()));
        let elements: Vec<_> = (0..self.rng.below(3)).map(|_| ELEMENTS[self.rng.below(ELEMENTS.len() - 1)]).collect();
        let label = Label::new(elements).expect("a label");
        let (id, affinity) = (self.rng.next().max(1), self.rng.chance(70));
        let mut local = Local::new("bus".to_owned(), label.clone(), b"", affinity, vec![UID]);
        (local.id, local.nonce, local.key) = (id, nonce_of(id), self.key.clone());
        let receiving = self.rng.chance(80);
        self.network.borrow_mut().names.insert(id, Name { listens: true, reads: receiving });
        let post = Post::new(local, pid, fuse.clone(), self.clock.clone(), self.network.clone()).expect("memory");
        self.ends.push(End {
            id,
            pid,
            label,
            affinity,
            alive: true,
            stopped: false,
            wanted: true,
            leaving: false,
            lying: false,
            receiving,
            watching: self.rng.chance(50),
            conn: None,
            welcomed: false,
            fuse,
            area: post.area(),
            post,
            predecessor: None,
            last_term: 0,
            succession: Succession::default(),
            hello: [0; 32],
            challenge: [0; 32],
            told: Told::default(),
            board: None,
            read: 0,
            dropped: false,
            gone_at: 0,
        });
    }

    /// A new connection in the backlog, with something in it already.
    pub(crate) fn connect(&mut self, end: Option<usize>, uid: u32, pid: u32, first: Vec<ToServer>) -> ConnId {
        self.next_conn += 1;
        let (to_server, to_client) = (first.into(), VecDeque::new());
        let (accepted, dropped, late) = (false, false, false);
        let conn = Conn { end, uid, pid, to_server, to_client, parking: None, accepted, dropped, late };
        self.conns.insert(self.next_conn, conn);
        self.backlog.push_back(self.next_conn);
        self.next_conn
    }

    /// An endpoint drops its connection without a word.
    pub(crate) fn disconnect(&mut self, end: usize) {
        self.say(|| format!("{} drops its connection", self.ends[end].id));
        if self.ends[end].welcomed && self.ends[end].wanted {
            self.ends[end].gone_at = self.now();
        }
        (self.ends[end].welcomed, self.ends[end].dropped) = (false, true);
        lock(&self.ends[end].post.view).away();
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
        self.say(|| format!("process {pid} is killed"));
        for end in 0..self.ends.len() {
            if self.ends[end].pid == pid && self.ends[end].alive {
                self.disconnect(end);
                self.ends[end].alive = false;
                let mut network = self.network.borrow_mut();
                network.stop_reading(self.ends[end].id);
                network.stop_writing(self.ends[end].id);
                network.release(self.ends[end].id);
            }
        }
        self.retire();
        self.note_the_unremembered();
    }

    /// Somebody is gone. Whom does no directory of the living name any more, other than as one who had departed before? As
    /// long as a controller lives that is its business.
    fn note_the_unremembered(&mut self) {
        if self.host.is_some() {
            return;
        }
        let living = self.ends.iter().filter(|end| end.alive && end.wanted).filter_map(|end| end.board.as_ref());
        let boards: Vec<_> = living.map(|board| board.read()).collect();
        for end in self.ends.iter().filter(|end| !end.alive || !end.wanted) {
            let named = boards.iter().any(|known| {
                let departed = known.tombstones.iter().any(|dead| dead.id == end.id && dead.departed >= end.gone_at);
                departed || known.entries.iter().any(|entry| entry.id == end.id)
            });
            if !named {
                self.unremembered.insert(end.id);
            }
        }
    }

    /// Buries those whose fuse has burnt down. Whether there were any.
    pub(crate) fn bury_the_dead(&mut self) -> bool {
        let dead: BTreeSet<_> =
            self.ends.iter().filter(|end| end.alive && end.fuse.is_out()).map(|end| end.pid).collect();
        dead.iter().for_each(|&pid| self.kill(pid));
        !dead.is_empty()
    }

    /// An endpoint begins to leave the bus.
    pub(crate) fn begin_to_leave(&mut self, end: usize) {
        self.say(|| format!("{} begins to leave", self.ends[end].id));
        let id = self.ends[end].id;
        self.ends[end].leaving = true;
        self.ends[end].receiving = false;
        self.network.borrow_mut().stop_reading(id);
        self.ends[end].post.hand_on();
    }

    /// An endpoint leaves the bus.
    pub(crate) fn leave(&mut self, end: usize) {
        self.say(|| format!("{} leaves", self.ends[end].id));
        let id = self.ends[end].id;
        if self.ends[end].welcomed {
            self.ends[end].gone_at = self.now();
        }
        let hosts = self.host.as_ref().is_some_and(|host| host.end == end);
        if hosts {
            self.farewell();
        }
        // From here on nothing that waits goes out by itself: whoever finds that the name refuses delivers it.
        self.ends[end].post.shut_down();
        self.network.borrow_mut().stop_writing(id);
        self.ends[end].wanted = false;
        self.network.borrow_mut().release(id);
        if hosts || !self.ends[end].welcomed || !self.send(end, ClientFrame::Leave) {
            self.disconnect(end);
        }
        self.retire();
        self.note_the_unremembered();
    }

    /// A receiver has refused a channel: it is of one who has been gone for longer than the directory remembers, or whom
    /// nobody remembered at all.
    pub(crate) fn refused_channel(&mut self, place: usize) {
        let opener = self.network.borrow().channels[place].open.opener;
        let forgotten = limits::TOMBSTONE_SECONDS * 1000 * MILLI;
        let since = self.ends.iter().find(|end| end.id == opener).map_or(0, |end| end.gone_at);
        // A bus that is founded anew knows of the departed what its members remember, which may be nothing.
        let anew = self.founded_at >= since;
        let known = !self.unremembered.contains(&opener);
        assert!(!known || anew || self.now() - since > forgotten, "what {opener} has left is refused");
        self.audit.count(if known { "left by the forgotten" } else { "left by one whom nobody knew" });
    }

    /// Nobody plays controller any more if the endpoint that did has died or left; the rest of its process may live on.
    pub(crate) fn retire(&mut self) {
        let gone = |end: &End| !end.alive || !end.wanted && end.conn.is_none();
        if self.host.as_ref().is_some_and(|host| gone(&self.ends[host.end])) {
            self.host = None;
            self.probes.clear();
            for conn in self.conns.values_mut().filter(|conn| conn.accepted) {
                conn.accepted = false;
                conn.parking = None;
                conn.to_server.clear();
                conn.to_client.push_back(ToClient::End);
            }
        }
        if !self.somebody_listens() {
            // The last descriptor of the listening socket is gone, and with it whatever waited there.
            while let Some(conn) = self.backlog.pop_front() {
                if let Some(state) = self.conns.get_mut(&conn) {
                    state.to_server.clear();
                    state.to_client.push_back(ToClient::End);
                }
            }
        }
    }
}

/// What an endpoint publishes for channels; here it need not be random.
pub(crate) fn nonce_of(id: EndpointId) -> [u8; 16] {
    u128::from(id).to_le_bytes()
}
