//! The controller's body: sockets, timers and memory around the pure state machine, on the core thread of whoever
//! plays the role.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use ipmb_transport::MemoryError;
use ipmb_transport::error::is_want;
use ipmb_transport::memory::PeerMemory;
use ipmb_transport::sys::{self, Fd, Interest, Listener, LockFile, Received, Socket};

use super::bequest::Bequest;
use super::heritage::Heritage;
use super::probe::answers;
use super::{CONN_TAG, HOST_TIMER, LISTENER_TAG, Node};
use crate::admission;
use crate::controller::{Action, ConnId, Controller, Event, Policy, Refused};
use crate::directory::{DirectoryReader, DirectoryWriter, Snapshot};
use crate::identity::EndpointId;
use crate::incidents::{Incident, Who};
use crate::limits;
use crate::parking;
use crate::reactor::{Key, TimerKey};
use crate::roster::EndpointInfo;
use crate::stats::{RefuseReason, Shortage};
use crate::wire::{self, ClientFrame, JoinRequest, ServerFrame, WireError};

/// Packets of one member between two looks at the others.
const PACKETS: usize = 16;

struct Conn {
    socket: Socket,
    key: Key,
    /// What the member lets wait, mapped read-only from join on.
    parking: Option<PeerMemory>,
    /// It can follow us, and has what waits here.
    heir: bool,
}

/// Pause before a look at who could not be read for want of descriptors.
const STARVED_NANOS: u64 = 20_000_000;

/// One term of office.
pub(crate) struct Host {
    controller: Controller,
    writer: DirectoryWriter,
    directory: Fd,
    election: Arc<LockFile>,
    listener: Listener,
    listener_key: Option<Key>,
    /// The listener rests until there is room for one more stranger.
    crowded: bool,
    conns: HashMap<ConnId, Conn>,
    next_conn: ConnId,
    /// A connection to each member that has not registered again: it ends when the member's process does.
    probes: HashMap<EndpointId, Socket>,
    /// What the departed let wait.
    heritage: Heritage,
    /// Members that have departed, and are to be told that they are taken over from.
    parted: Vec<ConnId>,
    /// Members and strangers whose packets wait until this process has descriptors again.
    starved: Vec<ConnId>,
    timer: Option<(u64, TimerKey)>,
}

impl Host {
    /// Takes office. The directory is there before anybody is served.
    pub(crate) fn start(
        node: &Arc<Node>,
        listener: Listener,
        election: Arc<LockFile>,
        term: u32,
        seed: Option<Snapshot>,
    ) -> io::Result<Host> {
        let policy = Policy {
            key: node.me.key.clone(),
            allowed_uids: node.me.allowed_uids.clone(),
            strangers: admission::strangers(limits::PENDING_JOINS),
        };
        let controller = Controller::new(policy, term, node.me.id, seed, sys::now());
        let (writer, directory) = DirectoryWriter::create(&controller.snapshot())?;
        // Whoever connects from now on sees our credentials, not our predecessor's.
        listener.relisten(limits::LISTEN_BACKLOG)?;
        let listener_key = node.reactor.register(listener.fd(), Interest::READ, node.clone(), LISTENER_TAG)?;
        // The last step, which cannot fail: who leaves it and does not take office makes strangers of all who follow.
        election.leave(controller.term());
        Ok(Host {
            controller,
            writer,
            directory,
            election,
            listener,
            listener_key: Some(listener_key),
            crowded: false,
            conns: HashMap::new(),
            next_conn: 0,
            probes: HashMap::new(),
            heritage: Heritage::default(),
            parted: Vec::new(),
            starved: Vec::new(),
            timer: None,
        })
    }

    /// Takes over what waited in the memory of the controller before.
    pub(super) fn follow(&mut self, predecessor: Option<(EndpointId, PeerMemory)>) {
        self.heritage = Heritage::new(predecessor, &self.controller);
    }

    /// Leaves office: every member sees its connection end, and one of them follows, unless none of them can.
    pub(super) fn stop(mut self, node: &Node) -> Option<Bequest> {
        if let Some(key) = self.listener_key.take() {
            node.reactor.deregister(key, self.listener.fd());
        }
        if let Some((_, timer)) = self.timer.take() {
            node.reactor.cancel(timer);
        }
        let heir = |(&conn, known): (&ConnId, &Conn)| known.heir && self.controller.member(conn) != Some(node.me.id);
        let bequest = self.conns.iter().any(heir).then(|| Bequest::new(self.election.clone()));
        // The lock goes before the connections do, so that whoever hears of it can have it.
        self.election.unlock();
        for (_, conn) in self.conns.drain() {
            node.reactor.deregister(conn.key, conn.socket.fd());
        }
        bequest
    }

    /// Somebody connects.
    pub(crate) fn accept(&mut self, node: &Arc<Node>) {
        for _ in 0..limits::PENDING_JOINS {
            if let Some(until) = self.controller.full_until(sys::now()) {
                self.crowded = true;
                return self.rest(node, until);
            }
            let socket = match self.listener.accept() {
                Ok(Some(socket)) => socket,
                Ok(None) => return,
                Err(_) => {
                    // No descriptors left.
                    node.tally.count(Incident::Short(Shortage::OpenFiles), 1);
                    const LATER: u64 = 100_000_000;
                    return self.rest(node, sys::now() + LATER);
                }
            };
            let peer = match socket.peer() {
                Ok(peer) => peer,
                Err(error) => {
                    // Nobody is admitted whose user the kernel does not tell.
                    node.tally.count_saying(Incident::Refused(RefuseReason::JoinPermission), &error);
                    continue;
                }
            };
            let conn = self.next_conn;
            let Ok(key) = node.reactor.register(socket.fd(), Interest::READ, node.clone(), CONN_TAG | conn) else {
                // The kernel bounds how much may be watched. Whoever is sent away comes again.
                node.tally.refuse(RefuseReason::JoinFull, Who { pid: peer.pid, uid: peer.uid });
                continue;
            };
            self.next_conn += 1;
            self.conns.insert(conn, Conn { socket, key, parking: None, heir: false });
            let mut nonce = [0; 32];
            sys::fill_random(&mut nonce);
            self.handle(node, Event::Accepted { conn, uid: peer.uid, pid: peer.pid, nonce });
            // What it has said already is judged before the next one costs a descriptor.
            self.read(node, conn);
        }
    }

    /// Lets nobody in for a while: those who wait keep waiting in the queue.
    fn rest(&mut self, node: &Arc<Node>, until: u64) {
        if let Some(key) = self.listener_key.take() {
            node.reactor.deregister(key, self.listener.fd());
        }
        self.schedule(node, Some(until));
    }

    /// Lets them in again.
    fn open(&mut self, node: &Arc<Node>) {
        self.crowded = false;
        if self.listener_key.is_none() {
            self.listener_key =
                node.reactor.register(self.listener.fd(), Interest::READ, node.clone(), LISTENER_TAG).ok();
        }
    }

    /// A connection is readable.
    pub(crate) fn read(&mut self, node: &Arc<Node>, conn: ConnId) {
        let mut packet = vec![0; limits::PACKET_BYTES];
        for _ in 0..PACKETS {
            let Some(known) = self.conns.get_mut(&conn) else { return };
            let event = match known.socket.receive_few(&mut packet) {
                Ok(Received::Empty) => return,
                Ok(Received::Packet { len, truncated: false, fds }) => {
                    match (wire::decode(&packet[..len]), fds.as_slice()) {
                        (Ok(ClientFrame::Join(request)), [memory, rest @ ..]) if rest.len() < 2 => {
                            match parking::open(memory) {
                                Ok(memory) => {
                                    known.parking = Some(memory);
                                    self.recall(node, conn, &request, rest.first());
                                    Event::Frame { conn, frame: ClientFrame::Join(request) }
                                }
                                // Our own want, now that the packet is read: it is sent away without a word, and comes again.
                                Err(MemoryError::Io(error)) if is_want(&error) => Event::Closed { conn },
                                Err(_) => Event::Unreadable { conn, version: None },
                            }
                        }
                        (Ok(ClientFrame::Join(_)), _) => Event::Unreadable { conn, version: None },
                        (Ok(frame), []) => Event::Frame { conn, frame },
                        (Err(WireError::Version(theirs)), _) => Event::Unreadable { conn, version: Some(theirs) },
                        _ => Event::Unreadable { conn, version: None },
                    }
                }
                Ok(Received::NoRoomForFds) => {
                    // Our own want. It stays queued; a stranger's time to join runs on.
                    self.starved.push(conn);
                    node.tally.count(Incident::Short(Shortage::OpenFiles), 1);
                    node.reactor.modify(known.key, known.socket.fd(), Interest::NONE);
                    return self.schedule(node, Some(sys::now() + STARVED_NANOS));
                }
                Ok(Received::Packet { .. }) => Event::Unreadable { conn, version: None },
                Ok(Received::End) | Err(_) => Event::Closed { conn },
            };
            let over = matches!(event, Event::Closed { .. });
            self.handle(node, event);
            if over {
                return self.forget(node, conn);
            }
        }
    }

    /// Reads what a joiner remembers of the bus, where it is wanted.
    fn recall(&mut self, node: &Arc<Node>, conn: ConnId, request: &JoinRequest, directory: Option<&Fd>) {
        if self.controller.wants_recollection(conn, request)
            && let Some(directory) = directory
            && let Ok(snapshot) = DirectoryReader::open(directory).and_then(|reader| reader.read())
        {
            self.handle(node, Event::Recalled { conn, snapshot });
        }
    }

    /// The timer is due.
    pub(crate) fn tick(&mut self, node: &Arc<Node>) {
        self.timer = None;
        self.open(node);
        for conn in std::mem::take(&mut self.starved) {
            if let Some(known) = self.conns.get(&conn) {
                node.reactor.modify(known.key, known.socket.fd(), Interest::READ);
            }
        }
        self.handle(node, Event::Tick);
    }

    /// What has to be looked at as soon as we are in office.
    pub(crate) fn begin(&mut self, node: &Arc<Node>) {
        // The kernel gave us the lock, so the endpoint that had the role is gone.
        match self.heritage.predecessor() {
            Some(id) => self.handle(node, Event::Probed { id, alive: false }),
            None => self.handle(node, Event::Tick),
        }
    }

    /// Our own endpoint leaves: says so in the directory, unless messages wait in it for our successor to find.
    pub(crate) fn farewell(&mut self, node: &Arc<Node>) {
        // Who left just before us is not forgotten with us: what it let wait joins our own, where a successor finds it.
        for conn in self.conns.keys().copied().collect::<Vec<_>>() {
            self.read(node, conn);
        }
        let Host { heritage, controller, probes, .. } = self;
        let adopt = |info: &EndpointInfo, remains| node.outbox.adopt(info, remains);
        heritage.settle_all(controller, |id| answers(probes, node, id), adopt);
        let own = self.conns.keys().copied().find(|&conn| self.controller.member(conn) == Some(node.me.id));
        if let (Some(conn), 0) = (own, node.outbox.waiting()) {
            self.handle(node, Event::Frame { conn, frame: ClientFrame::Leave });
        }
    }

    fn handle(&mut self, node: &Arc<Node>, event: Event) {
        let mut events = vec![event];
        let mut ended = Vec::new();
        while let Some(event) = events.pop() {
            let mut actions = Vec::new();
            self.controller.handle(sys::now(), event, &mut actions);
            for action in actions {
                match action {
                    Action::Commit => {
                        // The controller admits no more than a directory holds.
                        let _ = self.writer.commit(&self.controller.snapshot());
                    }
                    Action::Send { conn, frame } => match (self.send(conn, &frame, &[]), frame) {
                        // Who joins waits for this, and comes again when it is sent away.
                        (Ok(false) | Err(_), ServerFrame::Challenge { .. }) => {
                            ended.push(conn);
                            events.push(Event::Closed { conn });
                        }
                        (Ok(false), ServerFrame::Nudge) => events.push(Event::Unsent { conn }),
                        // Behind a refusal the connection ends: what can be lost of it is the reason.
                        _ => {}
                    },
                    Action::Welcome { conn, frame, affinity } => {
                        self.found_again(conn);
                        if let Some(known) = self.conns.get_mut(&conn) {
                            known.heir = affinity;
                        }
                        let fds = [&self.directory, self.election.fd(), self.listener.fd(), &node.parking_memory];
                        let fds = if affinity { &fds[..] } else { &fds[..2] };
                        if !matches!(self.send(conn, &frame, fds), Ok(true)) {
                            ended.push(conn);
                            events.push(Event::Closed { conn });
                        }
                    }
                    Action::Close { conn } => ended.push(conn),
                    Action::Probe { id } => {
                        let alive = answers(&mut self.probes, node, id);
                        events.push(Event::Probed { id, alive });
                    }
                    Action::Adopt { id, conn } => self.adopt(node, id, conn),
                }
            }
        }
        for Refused { reason, pid, uid } in self.controller.take_refused() {
            node.tally.refuse(reason, Who { pid, uid });
        }
        self.adopt_the_gone(node);
        for conn in std::mem::take(&mut self.parted) {
            // Who does not get it sees the connection end, comes again, and says again that it leaves.
            let _ = self.send(conn, &ServerFrame::Farewell, &[]);
        }
        for conn in ended {
            self.forget(node, conn);
        }
        if self.crowded && self.controller.full_until(sys::now()).is_none() {
            self.open(node);
        }
        let again = self.heritage.next_look().map(|pause| sys::now() + pause);
        let hungry = (!self.starved.is_empty()).then(|| sys::now() + STARVED_NANOS);
        self.schedule(node, [self.controller.deadline(), again, hungry].into_iter().flatten().min());
    }

    /// `false`: there was no memory for it, or no room; to a member that reads what it answers at most a welcome and one
    /// nudge are under way. Where it fails the receiver is gone, of which the socket tells too.
    fn send(&self, conn: ConnId, frame: &ServerFrame, descriptors: &[&Fd]) -> io::Result<bool> {
        let Some(conn) = self.conns.get(&conn) else { return Ok(true) };
        let descriptors: Vec<_> = descriptors.iter().map(|fd| fd.as_fd()).collect();
        let sent = conn.socket.send(&wire::encode(frame), &descriptors);
        sent.or_else(|error| if is_want(&error) { Ok(false) } else { Err(error) })
    }

    /// Nobody need look for one that has registered.
    fn found_again(&mut self, conn: ConnId) {
        if let Some(id) = self.controller.member(conn) {
            self.probes.remove(&id);
        }
    }

    fn forget(&mut self, node: &Arc<Node>, conn: ConnId) {
        if let Some(conn) = self.conns.remove(&conn) {
            node.reactor.deregister(conn.key, conn.socket.fd());
        }
    }

    fn adopt(&mut self, node: &Arc<Node>, id: EndpointId, conn: Option<ConnId>) {
        self.probes.remove(&id);
        if id == node.me.id {
            // Our own messages wait where they are.
            return;
        }
        let memory = conn.and_then(|conn| self.conns.get_mut(&conn)).and_then(|conn| conn.parking.take());
        self.heritage.depart(&self.controller, id, memory);
        self.parted.extend(conn);
    }

    /// Takes over what the departed let wait, once the kernel says that nobody listens under their name any more.
    fn adopt_the_gone(&mut self, node: &Arc<Node>) {
        let Host { heritage, controller, probes, .. } = self;
        let adopt = |info: &EndpointInfo, remains| node.outbox.adopt(info, remains);
        for id in heritage.settle(controller, |id| answers(probes, node, id), adopt) {
            probes.remove(&id);
        }
    }

    fn schedule(&mut self, node: &Arc<Node>, at: Option<u64>) {
        // While the listener rests, a timer wakes it; only an earlier one takes its place.
        if self.listener_key.is_none() && self.timer.is_some_and(|(due, _)| at.is_none_or(|at| due <= at)) {
            return;
        }
        if self.timer.map(|(due, _)| due) == at {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            node.reactor.cancel(timer);
        }
        self.timer = at.map(|at| (at, node.reactor.timer(at, node.clone(), HOST_TIMER)));
    }
}
