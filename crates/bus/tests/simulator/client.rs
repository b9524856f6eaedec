//! An endpoint's side of its connection to the controller: it registers, answers, and is told.

use std::rc::Rc;

use ipmb_transport::memory::PeerMemory;

use super::mortal::Board;
use super::world::{ToClient, ToServer, UID, World, nonce_of};
use crate::controller::ConnId;
use crate::identity::EndpointId;
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

    pub(crate) fn send(&mut self, end: usize, frame: ClientFrame) {
        self.transmit(end, ToServer::Frame(frame));
    }

    fn transmit(&mut self, end: usize, packet: ToServer) {
        if !self.ends[end].fuse.burn() {
            return;
        }
        if let Some(conn) = self.ends[end].conn.and_then(|conn| self.conns.get_mut(&conn)) {
            conn.to_server.push_back(packet);
        }
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
                self.transmit(end, ToServer::Join(request, memory));
            }
            ServerFrame::Nudge => {
                self.ends[end].post.refresh();
                let word = self.read(end);
                self.send(end, ClientFrame::Seen { term: (word >> 32) as u32, epoch: word as u32 });
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
        me.told = false;
        let receiving = me.receiving;
        self.read(end);
        // It may have changed its mind while it joined.
        if !receiving {
            self.send(end, ClientFrame::Receiving(false));
        }
        self.tell_interest(end);
    }

    /// Asks the controller for nudges, or for none.
    pub(crate) fn tell_interest(&mut self, end: usize) {
        let me = &mut self.ends[end];
        let wanted = me.watching || me.post.interested();
        if me.welcomed && wanted != me.told {
            me.told = wanted;
            self.send(end, ClientFrame::Watch(wanted));
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
