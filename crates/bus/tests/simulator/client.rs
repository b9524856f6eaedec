//! An endpoint's side of its connection to the controller: it registers, answers, and is told.

use std::rc::Rc;

use ipmb_transport::memory::PeerMemory;

use super::mortal::Board;
use super::world::{ToClient, ToServer, UID, World, nonce_of};
use crate::controller::ConnId;
use crate::identity::EndpointId;
use crate::node::told::Told;
use crate::proof;
use crate::reactor::lock;
use crate::wire::{ClientFrame, JoinRequest, Refusal, ServerFrame};

impl World {
    /// An endpoint connects, if it has no connection and somebody listens.
    pub(crate) fn register(&mut self, end: usize) {
        if self.ends[end].conn.is_some() || !self.somebody_listens() || !self.ends[end].fuse.burn() {
            return;
        }
        let hello = self.rng.bytes();
        let (id, pid) = (self.ends[end].id, self.ends[end].pid);
        let first = vec![ToServer::Frame(ClientFrame::Hello { id, nonce: hello })];
        let conn = self.connect(Some(end), UID, pid, first);
        self.ends[end].conn = Some(conn);
        self.ends[end].hello = hello;
    }

    /// Whether it is under way.
    pub(crate) fn send(&mut self, end: usize, frame: ClientFrame) -> bool {
        self.transmit(end, ToServer::Frame(frame))
    }

    fn transmit(&mut self, end: usize, packet: ToServer) -> bool {
        if !self.ends[end].fuse.burn() || self.no_room("words without room") {
            return false;
        }
        let Some(conn) = self.ends[end].conn.and_then(|conn| self.conns.get_mut(&conn)) else { return false };
        conn.to_server.push_back(packet);
        true
    }

    /// Whether a queue is full, or there is no memory for a packet.
    pub(crate) fn no_room(&mut self, what: &str) -> bool {
        let full = self.scarce > 0 && self.rng.chance(self.scarce);
        if full {
            self.audit.count(what);
        }
        full
    }

    /// An endpoint reads the next thing from its connection.
    pub(crate) fn deliver_to_client(&mut self, conn: ConnId) {
        let Some(end) = self.conns.get(&conn).filter(|conn| !conn.dropped).and_then(|conn| conn.end) else { return };
        match self.conns.get_mut(&conn).and_then(|conn| conn.to_client.pop_front()) {
            Some(ToClient::Frame(frame)) => self.client_frame(end, frame),
            Some(ToClient::Welcome(frame, board, memory)) => self.client_welcome(end, frame, board, memory),
            Some(ToClient::End) => {
                self.conns.remove(&conn);
                self.backlog.retain(|waiting| *waiting != conn);
                self.ends[end].conn = None;
                self.ends[end].welcomed = false;
                lock(&self.ends[end].post.view).away();
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
                let memory = self.ends[end].post.area();
                self.ends[end].told = Told::joining(request.receiving);
                if !self.transmit(end, ToServer::Join(request, memory)) && !self.ends[end].fuse.is_out() {
                    self.disconnect(end);
                }
            }
            ServerFrame::Nudge => {
                self.ends[end].post.refresh();
                let word = self.read(end);
                self.ends[end].told.nudged((word >> 32) as u32, word as u32);
                self.tell(end);
            }
            ServerFrame::Refused(refusal) => {
                let me = &mut self.ends[end];
                assert!(me.lying && refusal == Refusal::Malformed, "an honest endpoint is refused: {refusal:?}");
                me.welcomed = false;
            }
            ServerFrame::Farewell => unreachable!("nobody waits for one here"),
            ServerFrame::Welcome { .. } => unreachable!("welcomes come with a board"),
        }
    }

    fn client_welcome(
        &mut self,
        end: usize,
        frame: ServerFrame,
        board: Rc<Board>,
        memory: Option<(EndpointId, PeerMemory)>,
    ) {
        let ServerFrame::Welcome { term, epoch, proof, .. } = frame else { unreachable!() };
        let me = &mut self.ends[end];
        assert_eq!(proof, proof::controller_proof(&self.key, &me.hello, &me.challenge, me.id));
        let word = crate::directory::word(term, epoch);
        let same = me.board.as_ref().is_some_and(|old| Rc::ptr_eq(old, &board));
        assert!(word > me.read || same && word == me.read, "a later welcome has to be of a later directory");
        if me.affinity {
            me.predecessor = memory.filter(|(id, _)| *id != me.id);
        }
        me.last_term = term;
        me.succession.registered();
        me.post.welcomed(&board);
        // Had it gone from the directory again, the connection would have ended first; an old board stays as it was.
        me.board = Some(board);
        me.welcomed = true;
        self.read(end);
        // It may have changed its mind while it joined.
        self.tell(end);
    }

    /// Tells the controller what it does not know yet. What finds no room is told when the core thread looks again.
    pub(crate) fn tell(&mut self, end: usize) {
        let me = &self.ends[end];
        if me.welcomed && !me.leaving {
            let (mut told, wanted, receiving) = (me.told, me.watching || me.post.interested(), me.receiving);
            told.say(wanted, receiving, |frame| self.send(end, frame.clone()));
            self.ends[end].told = told;
        }
    }

    /// How far the endpoint has read its directory.
    fn read(&mut self, end: usize) -> u64 {
        let me = &mut self.ends[end];
        let word = me.post.roster.word;
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
            last_term: me.last_term.max(me.board.as_ref().map_or(0, |board| board.read().term)),
            proof: proof::joiner_proof(&self.key, &me.hello, &me.challenge, me.id),
        }
    }
}
