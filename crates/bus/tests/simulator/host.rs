//! The controller's body in the made-up world: carries the actions of the state machine out, in order, on memory and
//! connections, and takes over what the departed let wait. Any of it may be the last thing that its process does.

use std::rc::Rc;

use super::ledger::Ledger;
use super::mortal::{Board, Mortal};
use super::post::Post;
use super::world::{MILLI, ToClient, ToServer, UID, World};
use crate::controller::{Action, ConnId, Controller, Event, Policy};
use crate::directory::{DirectoryReader, DirectoryWriter};
use crate::identity::EndpointId;
use crate::limits::PENDING_JOINS;
use crate::node::heritage::Heritage;
use crate::node::succession::{self, Claim};
use crate::outbox::waiting::Waiting;
use crate::parking::Remains;
use crate::roster::EndpointInfo;
use crate::wire::{ClientFrame, ServerFrame};

/// Whoever plays controller.
pub(crate) struct Host {
    pub(crate) controller: Controller,
    pub(crate) end: usize,
    pub(crate) board: Rc<Board>,
    pub(crate) heritage: Heritage,
    /// When to look again whether the departed are gone.
    pub(crate) look_at: Option<u64>,
    /// It missed the controller before.
    pub(crate) stranger: bool,
    writer: DirectoryWriter<Mortal>,
}

impl World {
    pub(crate) fn host_running(&self) -> bool {
        self.host.as_ref().is_some_and(|host| self.ends[host.end].running())
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
        let seed = me.board.as_ref().map(|board| board.read());
        let (left, now) = (if me.holds_listener() { self.left } else { 0 }, self.now());
        let claim = self.ends[end].succession.claim(seed.as_ref(), left, now);
        if claim == Claim::Wait {
            return;
        }
        let me = &self.ends[end];
        let term = succession::later(me.last_term.max(seed.as_ref().map_or(0, |seed| seed.term)), left);
        let policy = Policy { key: self.key.clone(), allowed_uids: vec![UID, 0], strangers: PENDING_JOINS };
        let controller = Controller::new(policy, term, me.id, seed.clone(), self.now());
        let Ok((writer, board)) = Board::create(&controller.snapshot(), me.fuse.clone()) else { return };
        if me.fuse.is_out() {
            return;
        }
        self.audit.begin(&controller, seed.as_ref(), self.now());
        self.left = controller.term().into();
        if seed.is_none() {
            self.founded_at = now;
        }
        let predecessor = self.ends[end].predecessor.take().filter(|_| claim == Claim::Heir);
        let stranger = claim == Claim::Stranger;
        if stranger {
            self.audit.count("takeovers by one who missed a controller");
        }
        let before = predecessor.as_ref().map(|(id, _)| *id);
        let heritage = Heritage::new(predecessor, &controller);
        self.say(|| format!("{} takes office, {claim:?} of {before:?}", self.ends[end].id));
        self.host = Some(Host { controller, end, board, heritage, stranger, look_at: None, writer });
        // The kernel gave us the lock, so the endpoint that had the role is gone.
        self.handle(match before {
            Some(id) => Event::Probed { id, alive: false },
            None => Event::Tick,
        });
    }

    /// Accepts the first of the backlog.
    pub(crate) fn accept(&mut self) {
        if let Some(conn) = self.backlog.pop_front() {
            let nonce = self.rng.bytes();
            let Some(state) = self.conns.get_mut(&conn) else { return };
            state.accepted = true;
            let (uid, pid) = (state.uid, state.pid);
            self.handle(Event::Accepted { conn, uid, pid, nonce });
        }
    }

    /// Hands the controller the next thing that a connection has brought.
    pub(crate) fn deliver_to_server(&mut self, conn: ConnId) {
        let event = match self.conns.get_mut(&conn).and_then(|conn| conn.to_server.pop_front()) {
            Some(ToServer::Join(request, parking)) => {
                if let Some(state) = self.conns.get_mut(&conn) {
                    state.parking = Some(parking);
                }
                self.recall(conn, &request);
                Event::Frame { conn, frame: ClientFrame::Join(request) }
            }
            Some(ToServer::Frame(frame)) => Event::Frame { conn, frame },
            Some(ToServer::Garbage(version)) => Event::Unreadable { conn, version },
            Some(ToServer::Closed) => {
                if let Some(state) = self.conns.get_mut(&conn) {
                    state.accepted = false;
                }
                Event::Closed { conn }
            }
            None => return,
        };
        self.handle(event);
    }

    /// Reads what a joiner remembers of the bus, where it is wanted.
    fn recall(&mut self, conn: ConnId, request: &crate::wire::JoinRequest) {
        let wanted = self.host.as_ref().is_some_and(|host| host.controller.wants_recollection(conn, request));
        let end = self.conns.get(&conn).and_then(|conn| conn.end);
        let board = end.and_then(|end| self.ends[end].board.clone());
        if let (true, Some(board)) = (wanted, board) {
            let reader = DirectoryReader::open(&board.fd).expect("a directory");
            let snapshot = reader.read().expect("a directory");
            self.handle(Event::Recalled { conn, snapshot });
        }
    }

    pub(crate) fn handle(&mut self, event: Event) -> Vec<Action> {
        let now = self.now();
        let Some(host) = self.host.as_mut() else { return Vec::new() };
        let fuse = self.ends[host.end].fuse.clone();
        let mut actions = Vec::new();
        host.controller.handle(now, event.clone(), &mut actions);
        if self.talks {
            println!("{:>9} ms: {event:?}\n    {actions:?}", now / MILLI);
        }
        self.audit.check(&event, &actions, &host.controller, &self.conns, &self.ends, now);
        let mut unsent = Vec::new();
        for action in &actions {
            let full =
                matches!(action, Action::Send { .. } | Action::Welcome { .. }) && self.no_room("frames without room");
            let Some(host) = self.host.as_mut() else { break };
            match action.clone() {
                Action::Commit => {
                    let snapshot = host.controller.snapshot();
                    host.writer.commit(&snapshot).expect("the controller admits no more than a directory holds");
                    host.board.committed(snapshot, !fuse.is_out());
                }
                // It departs without a trace: nothing else is seen of it.
                _ if !fuse.burn() => break,
                Action::Send { conn, frame } | Action::Welcome { conn, frame, .. } if full => {
                    unsent.push((conn, frame))
                }
                Action::Send { conn, frame } => {
                    if let Some(conn) = self.conns.get_mut(&conn) {
                        conn.to_client.push_back(ToClient::Frame(frame));
                    }
                }
                Action::Welcome { conn, frame, affinity } => {
                    let (board, me) = (host.board.clone(), self.ends[host.end].id);
                    let memory = affinity.then(|| (me, self.ends[host.end].post.area()));
                    if let Some(conn) = self.conns.get_mut(&conn) {
                        conn.to_client.push_back(ToClient::Welcome(frame, board, memory));
                    }
                }
                Action::Close { conn } => self.close(conn),
                Action::Probe { id } => self.probes.push(id),
                Action::Adopt { id, conn } => {
                    if id != self.ends[host.end].id {
                        let memory = conn.and_then(|conn| self.conns.get_mut(&conn)?.parking.take());
                        host.heritage.depart(&host.controller, id, memory);
                    }
                }
            }
        }
        for (conn, frame) in unsent {
            match frame {
                _ if fuse.is_out() => break,
                ServerFrame::Nudge => drop(self.handle(Event::Unsent { conn })),
                ServerFrame::Challenge { .. } | ServerFrame::Welcome { .. } => {
                    self.handle(Event::Closed { conn });
                    self.close(conn);
                }
                ServerFrame::Refused(_) | ServerFrame::Farewell => {}
            }
        }
        if !fuse.is_out() {
            self.settle();
        }
        actions
    }

    /// The controller closes a connection.
    fn close(&mut self, conn: ConnId) {
        let again = self.rng.chance(20);
        let Some(state) = self.conns.get_mut(&conn) else { return };
        state.accepted = false;
        state.parking = None;
        // What else it has said is never read, but a reactor may have read its end already.
        state.to_server.clear();
        if again {
            state.to_server.push_back(ToServer::Closed);
        }
        state.to_client.push_back(ToClient::End);
    }

    /// Takes over what is nobody's any more.
    fn settle(&mut self) {
        let now = self.clock.get();
        let Some(Host { controller, end, heritage, look_at, .. }) = self.host.as_mut() else { return };
        let network = self.network.clone();
        let (post, ledger) = (&mut self.ends[*end].post, &mut self.ledger);
        heritage.settle(controller, |id| network.borrow().listens(id), adopts(post, ledger));
        *look_at = heritage.next_look().map(|pause| now + pause);
        // What it has taken over is for those who may come.
        let end = *end;
        self.tell(end);
    }

    /// The endpoint that plays controller leaves: says so in the directory, unless messages wait for its successor.
    pub(crate) fn farewell(&mut self) {
        let Some(host) = &self.host else { return };
        let end = host.end;
        for conn in self.conns.keys().copied().collect::<Vec<_>>() {
            while self.conns.get(&conn).is_some_and(|conn| conn.accepted && !conn.to_server.is_empty() && !conn.late) {
                self.deliver_to_server(conn);
            }
        }
        let Some(Host { controller, heritage, .. }) = self.host.as_mut() else { return };
        let network = self.network.clone();
        let (post, ledger) = (&mut self.ends[end].post, &mut self.ledger);
        heritage.settle_all(controller, |id| network.borrow().listens(id), adopts(post, ledger));
        let me: EndpointId = self.ends[end].id;
        let own = self.conns.keys().copied().find(|&conn| controller.member(conn) == Some(me));
        if let (Some(conn), true) = (own, self.ends[end].post.parking.is_empty()) {
            self.handle(Event::Frame { conn, frame: ClientFrame::Leave });
        }
    }

    /// Answers one look at an endpoint: somebody listens there as long as its process lives, stopped or not.
    pub(crate) fn answer_probe(&mut self, place: usize) {
        let id = self.probes.swap_remove(place);
        let alive = self.network.borrow().listens(id);
        self.handle(Event::Probed { id, alive });
    }
}

/// What the endpoint that plays controller does with what somebody who is gone let wait.
fn adopts<'a>(post: &'a mut Post, ledger: &'a mut Ledger) -> impl FnMut(&EndpointInfo, Remains) + 'a {
    |info, remains| {
        ledger.adopted(info.id);
        post.inherit(info, remains);
        post.refresh();
        post.deliver_waiting();
    }
}
