//! Strangers at the controller's door: they say nothing, too much or nonsense, come as other users, in crowds, with a wrong
//! token or with somebody's id.

use super::world::{ToServer, UID, World};
use crate::controller::{Action, Event};
use crate::label::Label;
use crate::limits;
use crate::proof::{self, Key};
use crate::wire::{ClientFrame, JoinRequest, Refusal, ServerFrame};

/// Somebody who has no business here tries something.
pub(crate) fn attack(world: &mut World) {
    let frame = ClientFrame::Seen { term: u32::MAX, epoch: 1 };
    let hello = || ToServer::Frame(ClientFrame::Hello { id: 5, nonce: [0; 32] });
    match world.rng.below(8) {
        0 => drop(world.connect(None, UID, 5, vec![])),
        1 => drop(world.connect(None, 4444, 5, vec![hello()])),
        2 => drop(world.connect(None, UID, 5, vec![hello(), hello()])),
        3 => drop(world.connect(None, UID, 5, vec![ToServer::Frame(frame), ToServer::Closed])),
        4 => drop(world.connect(None, UID, 5, vec![hello(), ToServer::Garbage(None), ToServer::Garbage(Some(9))])),
        5 if world.rng.chance(20) => {
            for _ in 0..limits::PENDING_JOINS + 20 {
                world.connect(None, UID, 5, vec![]);
            }
        }
        6 => handshake(world, Key::derive("bus", b"wrong"), None, Refusal::Token),
        7 => {
            // It knows the token and is another process than the one whose id it wants.
            let ids = world.audit.members();
            if let Some(id) = world.rng.pick(&ids) {
                handshake(world, world.key.clone(), Some(id), Refusal::IdInUse);
            }
        }
        _ => {}
    }
}

/// A whole handshake of a stranger at once, which has to end in a refusal.
fn handshake(world: &mut World, key: Key, id: Option<u64>, expected: Refusal) {
    if !world.host_running() {
        return;
    }
    let id = id.unwrap_or_else(|| world.ends[0].id);
    let conn = world.connect(None, UID, 5, vec![]);
    world.backlog.retain(|waiting| *waiting != conn);
    world.backlog.push_front(conn);
    world.accept();
    let nonce = [1; 32];
    let actions = world.handle(Event::Frame { conn, frame: ClientFrame::Hello { id, nonce } });
    let Some(Action::Send { frame: ServerFrame::Challenge { nonce: challenge }, .. }) = actions.first() else {
        panic!("no challenge: {actions:?}");
    };
    if !world.conns[&conn].accepted {
        // There was no room for the challenge.
        return;
    }
    let proof = proof::joiner_proof(&key, &nonce, challenge, id);
    let (label, last_term) = (Label::default(), u32::MAX);
    let request = JoinRequest { label, nonce: [0; 16], affinity: true, receiving: true, last_term, proof };
    let request = JoinRequest { last_term: if expected == Refusal::Token { last_term } else { 0 }, ..request };
    let actions = world.handle(Event::Frame { conn, frame: ClientFrame::Join(request) });
    assert!(actions.contains(&Action::Send { conn, frame: ServerFrame::Refused(expected) }), "{actions:?}");
}
