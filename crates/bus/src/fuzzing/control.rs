//! Control packets: each as every frame there is, and a controller that gets them from many connections at once.
//!
//! The case plays everybody who can connect: strangers of several users, members that know the token, and what they
//! remember of an earlier controller. After each step the controller's own promises are checked (see its map).

use super::case::Case;
use crate::controller::{Action, ConnId, Controller, Event, Policy};
use crate::directory::{Departure, Entry, Snapshot, Tombstone};
use crate::identity::EndpointId;
use crate::label::Label;
use crate::limits;
use crate::proof::{self, Key};
use crate::wire::{self, ClientFrame, Frame, JoinRequest, PeerFrame, Refusal, ServerFrame, WireError};

/// A packet, or a program for a controller; the first byte says which.
pub fn control(data: &[u8]) {
    match data.split_first() {
        Some((0, packet)) => {
            one_packet(packet);
            one_packet(&[&HEAD[..], packet].concat());
        }
        Some((_, program)) => Bus::new().run(Case::new(program)),
        None => one_packet(data),
    }
}

/// What every packet of ours begins with.
const HEAD: [u8; 6] = [b'i', b'p', b'm', b'b', wire::PROTOCOL_VERSION as u8, 0];

fn one_packet(packet: &[u8]) {
    comes_back::<ClientFrame>(packet);
    comes_back::<ServerFrame>(packet);
    comes_back::<PeerFrame>(packet);
}

fn comes_back<F: Frame + PartialEq + std::fmt::Debug>(packet: &[u8]) {
    match wire::decode::<F>(packet) {
        Ok(frame) => assert_eq!(wire::decode::<F>(&wire::encode(&frame)).as_ref(), Ok(&frame)),
        Err(WireError::Version(theirs)) => assert_ne!(theirs, wire::PROTOCOL_VERSION),
        Err(WireError::Malformed) => {}
    }
}

/// Connections that a case can have open, and ids it can use, so that they meet.
const CONNECTIONS: u64 = 12;
const UID: u32 = 1000;
const STRANGERS: usize = 4;
const NONCE: [u8; 32] = [7; 32];

/// A controller and the kernel's part of the world around it.
struct Bus {
    controller: Controller,
    key: Key,
    now: u64,
    actions: Vec<Action>,
}

impl Bus {
    fn new() -> Bus {
        let key = Key::derive("bus", b"token");
        let policy = Policy { key: key.clone(), allowed_uids: vec![UID, 0], strangers: STRANGERS };
        Bus { controller: Controller::new(policy, 3, 1, None, 1), key, now: 1, actions: Vec::new() }
    }

    fn run(&mut self, mut case: Case<'_>) {
        while let Some(step) = case.step() {
            let conn = u64::from(case.byte()) % CONNECTIONS;
            match step % 10 {
                0 | 1 => {
                    let (uid, pid) = ([UID, 0, 4242][usize::from(case.byte() % 3)], u32::from(case.byte() % 4));
                    self.handle(Event::Accepted { conn, uid, pid, nonce: [conn as u8; 32] });
                }
                2 => self.frame(conn, ClientFrame::Hello { id: id(&mut case), nonce: NONCE }),
                3 | 4 => self.join(conn, &mut case),
                5 => {
                    let len = usize::from(case.byte());
                    let packet = [&HEAD[..], case.bytes(len)].concat();
                    // As the host does with what comes on a connection.
                    match wire::decode(&packet) {
                        Ok(frame) => self.frame(conn, frame),
                        Err(WireError::Version(version)) => {
                            self.handle(Event::Unreadable { conn, version: Some(version) });
                        }
                        Err(WireError::Malformed) => self.handle(Event::Unreadable { conn, version: None }),
                    }
                }
                6 => match case.byte() % 4 {
                    0 => self.frame(conn, ClientFrame::Leave),
                    1 => self.frame(conn, ClientFrame::Watch(case.byte().is_multiple_of(2))),
                    2 => self.frame(conn, ClientFrame::Receiving(case.byte().is_multiple_of(2))),
                    _ => {
                        let (term, epoch) = (case.word() as u32, case.word() as u32);
                        self.frame(conn, ClientFrame::Seen { term, epoch });
                    }
                },
                7 => self.handle(Event::Closed { conn }),
                8 => {
                    let snapshot = earlier(&mut case);
                    self.handle(Event::Recalled { conn, snapshot });
                }
                _ => {
                    self.now = self.now.wrapping_add(case.word() << (case.byte() % 40));
                    match case.byte() % 3 {
                        0 => self.handle(Event::Probed { id: id(&mut case), alive: false }),
                        1 => self.handle(Event::Probed { id: id(&mut case), alive: true }),
                        _ => self.handle(Event::Tick),
                    }
                }
            }
        }
    }

    /// A join with the right proof, if the case does not spoil it.
    fn join(&mut self, conn: ConnId, case: &mut Case<'_>) {
        let id = id(case);
        let mut proof = proof::joiner_proof(&self.key, &NONCE, &[conn as u8; 32], id);
        proof[0] ^= u8::from(case.byte() == 0xff);
        let request = JoinRequest {
            label: label(case),
            nonce: [id as u8; 16],
            affinity: true,
            receiving: case.byte().is_multiple_of(2),
            last_term: case.word() as u32,
            proof,
        };
        self.frame(conn, ClientFrame::Join(request));
    }

    fn frame(&mut self, conn: ConnId, frame: ClientFrame) {
        self.handle(Event::Frame { conn, frame });
    }

    fn handle(&mut self, event: Event) {
        let before = self.controller.word();
        self.actions.clear();
        self.controller.handle(self.now, event, &mut self.actions);
        let word = self.controller.word();
        assert!(word >= before && self.controller.pending() <= STRANGERS);
        let commits = self.actions.iter().filter(|action| matches!(action, Action::Commit)).count();
        assert_eq!(commits, usize::from(word > before), "{:?}", self.actions);
        let welcome = self.actions.iter().position(|action| matches!(action, Action::Welcome { .. }));
        assert!(welcome.is_none_or(|place| place == commits), "a commit comes before its welcome, and that before all");
        for (place, action) in self.actions.iter().enumerate() {
            if let Action::Send { conn, frame: ServerFrame::Refused(refusal) } = action {
                let closed = self.actions[place..].contains(&Action::Close { conn: *conn });
                assert!(closed && *refusal != Refusal::Version { ours: 0 }, "refused and not closed");
                assert_eq!(self.controller.member(*conn), None);
            }
        }
        if commits > 0 {
            let snapshot = self.controller.snapshot();
            let bytes = snapshot.encode();
            assert!(bytes.len() <= limits::DIRECTORY_BYTES);
            assert_eq!(Snapshot::decode(&bytes), Ok(snapshot));
        }
    }
}

fn id(case: &mut Case<'_>) -> EndpointId {
    u64::from(case.byte() % 8)
}

fn label(case: &mut Case<'_>) -> Label {
    let bytes = case.byte();
    Label::new([format!("{}", bytes % 4)]).unwrap_or_default()
}

/// What a member remembers of a controller that is gone: any directory that could be decoded.
fn earlier(case: &mut Case<'_>) -> Snapshot {
    let mut snapshot = Snapshot {
        term: case.word() as u32,
        epoch: case.word() as u32,
        controller: id(case),
        predecessors: (0..case.byte() % 4).map(u64::from).collect(),
        entries: Vec::new(),
        tombstones: Vec::new(),
    };
    let living = case.byte();
    for number in (1..8_u64).filter(|number| living >> number & 1 == 1) {
        let (pid, label) = (u32::from(case.byte() % 4), label(case));
        if living & 1 == 1 && number < 4 {
            let departed = case.word();
            let dead = Tombstone { id: number, pid, uid: UID, label, departed, reason: Departure::Died };
            snapshot.tombstones.push(dead);
        } else {
            snapshot.entries.push(Entry { id: number, pid, uid: UID, nonce: [0; 16], label, receiving: true });
        }
    }
    assert_eq!(Snapshot::decode(&snapshot.encode()).as_ref(), Ok(&snapshot));
    snapshot
}
