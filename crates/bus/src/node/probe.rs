//! Whether a member lives, as the kernel says: it listens under its name until it is gone.

use std::collections::HashMap;

use ipmb_transport::ConnectError;
use ipmb_transport::sys::{Received, Socket};

use super::Node;
use crate::identity::EndpointId;
use crate::names;
use crate::wire::{self, PeerFrame};

/// Whether anybody listens under a member's name. A refusal is the only no.
pub(super) fn answers(probes: &mut HashMap<EndpointId, Socket>, node: &Node, id: EndpointId) -> bool {
    if let Some(socket) = probes.get(&id)
        && matches!(socket.receive(&mut [0; 8]), Ok(Received::Empty))
    {
        return true;
    }
    probes.remove(&id);
    match Socket::connect(&names::endpoint(&node.me.identifier, id)) {
        Ok(socket) => {
            // Without it we are a stranger there that says nothing, is sent away in time, and comes again.
            let _ = socket.send(&wire::encode(&PeerFrame::Probe), &[]);
            probes.insert(id, socket);
            true
        }
        Err(ConnectError::Refused) => false,
        Err(ConnectError::Busy | ConnectError::Io(_)) => true,
    }
}
