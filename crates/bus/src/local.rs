//! What an endpoint knows of itself, fixed from before it joins until it is gone.

use ipmb_transport::fork;
use ipmb_transport::sys;

use crate::identity::EndpointId;
use crate::label::Label;
use crate::proof::{Key, Nonce};

/// One endpoint's own facts.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) identifier: String,
    pub(crate) id: EndpointId,
    pub(crate) label: Label,
    /// What a peer has to know of the directory to open a channel here.
    pub(crate) nonce: Nonce,
    pub(crate) key: Key,
    /// Users whose processes may be on the bus: one's own, root, and those that were named.
    pub(crate) allowed_uids: Vec<u32>,
    pub(crate) affinity: bool,
    /// The fork generation it was made in; in a child it is dead.
    born: u64,
}

impl Local {
    /// `users` are all of the bus, as [`check_users`](crate::identity::check_users) gives them.
    pub(crate) fn new(identifier: String, label: Label, token: &[u8], affinity: bool, users: Vec<u32>) -> Local {
        let mut id = [0; 8];
        let mut nonce = [0; 16];
        while id == [0; 8] {
            sys::fill_random(&mut id);
        }
        sys::fill_random(&mut nonce);
        Local {
            key: Key::derive(&identifier, token).among(&users),
            identifier,
            id: u64::from_le_bytes(id),
            label,
            nonce,
            allowed_uids: users,
            affinity,
            born: fork::generation(),
        }
    }

    /// Whether the process forked since: nothing of the endpoint may be touched then.
    #[inline]
    pub(crate) fn forked(&self) -> bool {
        fork::generation() != self.born
    }
}
