//! Proofs of knowing the token.
//!
//! The token never travels. Both sides derive a key from identifier and token and show a keyed hash over what is fresh on
//! either side, so that a recorded proof is worth nothing later and neither side can hand on what the other showed it. Each
//! proof has its own role byte for the same reason. A weak token can still be guessed by somebody of the same user who holds
//! the bus's name and records an answer; tokens are meant to be random.

use crate::identity::EndpointId;

/// What identifier and token together come to. Shows nothing of either.
#[derive(Clone)]
pub struct Key([u8; 32]);

/// A keyed hash that shows knowledge of a [`Key`].
pub type Proof = [u8; 32];

/// What a joiner and the controller each choose afresh for one connection.
pub type Challenge = [u8; 32];

/// What an endpoint publishes in the directory, for channels to be opened to it.
pub type Nonce = [u8; 16];

const KEY_CONTEXT: &str = "ipmb bus 2026 key of identifier and token";

/// What no role of a proof is.
const USERS: u8 = 0;

/// Which statement a proof makes.
#[derive(Clone, Copy)]
enum Role {
    Joiner = 1,
    Controller = 2,
    Opener = 3,
    Consumer = 4,
}

impl Key {
    /// Derives the key of a bus. An empty token is that of a bus without one.
    pub fn derive(identifier: &str, token: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(KEY_CONTEXT);
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hasher.update(&(identifier.len() as u64).to_le_bytes());
        hasher.update(identifier.as_bytes());
        hasher.update(token);
        Self(*hasher.finalize().as_bytes())
    }

    /// The key of the same bus among these users. Root is one of them everywhere, and makes no difference.
    ///
    /// So all endpoints of a bus have the same users: there is none that some of the members trust and others do not.
    #[must_use]
    pub fn among(self, users: &[u32]) -> Self {
        let mut users: Vec<_> = users.iter().filter(|&&user| user != 0).copied().collect();
        users.sort_unstable();
        users.dedup();
        if users.is_empty() {
            return self;
        }
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&[USERS]);
        users.iter().for_each(|user| {
            hasher.update(&user.to_le_bytes());
        });
        Self(*hasher.finalize().as_bytes())
    }

    fn prove(&self, role: Role, first: u64, second: u64, fresh: &[&[u8]]) -> Proof {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&[role as u8]);
        hasher.update(&first.to_le_bytes());
        hasher.update(&second.to_le_bytes());
        // All parts have a fixed length for a role, so nothing needs to separate them.
        fresh.iter().for_each(|part| {
            hasher.update(part);
        });
        *hasher.finalize().as_bytes()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Key(..)")
    }
}

/// What a joiner shows the controller.
pub fn joiner_proof(key: &Key, joiner: &Challenge, controller: &Challenge, id: EndpointId) -> Proof {
    key.prove(Role::Joiner, id, 0, &[joiner, controller])
}

/// What the controller shows a joiner.
pub fn controller_proof(key: &Key, joiner: &Challenge, controller: &Challenge, id: EndpointId) -> Proof {
    key.prove(Role::Controller, id, 0, &[joiner, controller])
}

/// What the one who opens a channel shows its receiver: that it knows the token and has read the directory.
pub fn opener_proof(key: &Key, opener: EndpointId, target: EndpointId, target_nonce: &Nonce) -> Proof {
    key.prove(Role::Opener, opener, target, &[target_nonce])
}

/// What the receiver of a channel shows the one who opened it.
pub fn consumer_proof(key: &Key, target: EndpointId, opener: EndpointId, opener_nonce: &Nonce) -> Proof {
    key.prove(Role::Consumer, target, opener, &[opener_nonce])
}

/// Compares a proof with what it should be, in a time that does not tell how far they agree.
pub fn verify(expected: &Proof, shown: &Proof) -> bool {
    // The comparison of blake3's own type is constant in time.
    blake3::Hash::from_bytes(*expected) == *shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_key_is_that_of_its_users() {
        let among = |users: &[u32]| Key::derive("bus", b"token").among(users).0;
        assert_eq!(among(&[0]), Key::derive("bus", b"token").0, "root makes no difference");
        assert_eq!(among(&[1000, 0, 1001, 1000]), among(&[1001, 1000]));
        let all = [among(&[]), among(&[1000]), among(&[1001]), among(&[1000, 1001])];
        assert!((0..all.len()).all(|a| (0..a).all(|b| all[a] != all[b])));
    }

    #[test]
    fn each_input_changes_the_key() {
        let keys =
            [("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc")].map(|(id, token)| Key::derive(id, token.as_bytes()).0);
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
        assert_eq!(Key::derive("a", b"b").0, Key::derive("a", b"b").0);
        assert_eq!(format!("{:?}", Key::derive("a", b"b")), "Key(..)");
    }

    #[test]
    fn each_input_and_each_role_changes_the_proof() {
        let key = Key::derive("bus", b"token");
        let other = Key::derive("bus", b"other");
        let (a, b) = ([1; 32], [2; 32]);
        let proofs = [
            joiner_proof(&key, &a, &b, 1),
            joiner_proof(&key, &b, &a, 1),
            joiner_proof(&key, &a, &b, 2),
            joiner_proof(&other, &a, &b, 1),
            controller_proof(&key, &a, &b, 1),
            opener_proof(&key, 1, 2, &[1; 16]),
            opener_proof(&key, 2, 1, &[1; 16]),
            opener_proof(&key, 1, 2, &[2; 16]),
            consumer_proof(&key, 1, 2, &[1; 16]),
        ];
        assert_eq!(proofs.iter().collect::<HashSet<_>>().len(), proofs.len());
        assert!(verify(&proofs[0], &joiner_proof(&key, &a, &b, 1)));
        assert!(!verify(&proofs[0], &proofs[1]));
    }

    #[test]
    fn one_wrong_bit_is_refused() {
        let proof = opener_proof(&Key::derive("bus", b""), 1, 2, &[0; 16]);
        for bit in 0..256 {
            let mut wrong = proof;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!verify(&proof, &wrong));
        }
    }
}
