//! The names of sockets.
//!
//! They are hashes of the identifier: abstract socket names are short and identifiers are not, and two identifiers must
//! never meet in one name. They are no secret and prove nothing; see [`proof`](crate::proof) for that.

use crate::identity::EndpointId;
use crate::proof::Nonce;

const REPLIES_CONTEXT: &str = "ipmb bus 2026 name of the door for replies";

/// Name of the socket at which endpoints meet the controller of a bus.
pub fn rendezvous(identifier: &str) -> Vec<u8> {
    format!("ipmb/{}", blake3::hash(identifier.as_bytes()).to_hex()).into_bytes()
}

/// Name of the socket at which others open channels to an endpoint.
pub fn endpoint(identifier: &str, id: EndpointId) -> Vec<u8> {
    let bus = blake3::hash(identifier.as_bytes()).to_hex();
    format!("ipmb/{}/{id:016x}", &bus[..32]).into_bytes()
}

/// Name of the socket at which those an endpoint has asked open channels for their replies. It is bound at the first
/// request, long after the endpoint's id could be seen, so its nonce is in it: a stranger cannot take the name before.
pub fn replies(identifier: &str, id: EndpointId, nonce: &Nonce) -> Vec<u8> {
    let secret = blake3::Hasher::new_derive_key(REPLIES_CONTEXT).update(nonce).finalize().to_hex();
    let mut name = endpoint(identifier, id);
    name.push(b'/');
    name.extend(&secret.as_bytes()[..32]);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of an abstract name that fit a socket address: 108, less the NUL that makes it abstract.
    const NAME_BYTES: usize = 107;

    #[test]
    fn names_have_their_form_and_fit_a_socket_address() {
        let name = rendezvous("com.solar");
        assert!(name.starts_with(b"ipmb/") && name.len() == 69 && name.len() <= NAME_BYTES);
        let name = endpoint("com.solar", 0xab);
        assert!(name.ends_with(b"/00000000000000ab") && name.len() == 54 && name.len() <= NAME_BYTES);
        let name = replies("com.solar", 0xab, &[1; 16]);
        assert!(name.len() == 87 && name.len() <= NAME_BYTES);
    }

    #[test]
    fn identifiers_and_ids_do_not_meet() {
        assert_ne!(rendezvous("a"), rendezvous("b"));
        assert_ne!(endpoint("a", 1), endpoint("b", 1));
        assert_ne!(endpoint("a", 1), endpoint("a", 2));
        assert_ne!(replies("a", 1, &[1; 16]), replies("a", 1, &[2; 16]));
        assert_ne!(replies("a", 1, &[1; 16]), replies("a", 2, &[1; 16]));
    }
}
