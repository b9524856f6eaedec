//! The id of an endpoint, and the checks on what a user names a bus by: its identifier and its token.
//!
//! Kept apart from proofs and control packets because all of them, and everything above, speak of endpoints.

use crate::error::InvalidArgument;
use crate::limits;

/// The id of an endpoint: random, never 0, and nobody else's as long as the bus lives.
pub type EndpointId = u64;

/// Checks the identifier of a bus.
///
/// # Errors
/// When it is empty, too long or holds a NUL, which would cut the name in tools and logs.
pub fn check_identifier(identifier: &str) -> Result<(), InvalidArgument> {
    let bound = || format!("give 1 to {} bytes without NUL", limits::IDENTIFIER_BYTES);
    if identifier.is_empty() {
        return Err(InvalidArgument::new("identifier", "empty", bound()));
    }
    if identifier.len() > limits::IDENTIFIER_BYTES {
        return Err(InvalidArgument::new("identifier", format!("{} bytes long", identifier.len()), bound()));
    }
    match identifier.find('\0') {
        Some(at) => Err(InvalidArgument::new("identifier", format!("text with a NUL at byte {at}"), bound())),
        None => Ok(()),
    }
}

/// Checks the token of a bus. An empty one means that the bus has none.
///
/// # Errors
/// When it is too long.
pub fn check_token(token: &[u8]) -> Result<(), InvalidArgument> {
    if token.len() > limits::TOKEN_BYTES {
        let bound = format!("give at most {} bytes", limits::TOKEN_BYTES);
        return Err(InvalidArgument::new("token", format!("{} bytes long", token.len()), bound));
    }
    Ok(())
}

/// The users of a bus, root among them: what an endpoint is given, and its own.
///
/// # Errors
/// When there are too many, or one is no user.
pub fn check_users(users: &[u32], own: u32) -> Result<Vec<u32>, InvalidArgument> {
    let bound = || format!("give at most {} users beside root, none of them {}", limits::USERS, u32::MAX);
    // The kernel's word for "no user".
    if users.contains(&u32::MAX) {
        return Err(InvalidArgument::new("users", u32::MAX.to_string(), bound()));
    }
    let mut all: Vec<_> = users.iter().copied().chain([own, 0]).collect();
    all.sort_unstable();
    all.dedup();
    match all.len() - 1 {
        beside_root if beside_root > limits::USERS => {
            Err(InvalidArgument::new("users", format!("{beside_root} users"), bound()))
        }
        _ => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifier_at_the_bound_and_past_it() {
        assert!(check_identifier("a").is_ok());
        assert!(check_identifier(&"a".repeat(limits::IDENTIFIER_BYTES)).is_ok());
        let error = check_identifier(&"a".repeat(limits::IDENTIFIER_BYTES + 1)).unwrap_err();
        assert_eq!(error.to_string(), "identifier is 256 bytes long: give 1 to 255 bytes without NUL");
        assert_eq!(
            check_identifier("").unwrap_err().to_string(),
            "identifier is empty: give 1 to 255 bytes without NUL"
        );
        assert!(check_identifier("a\0b").unwrap_err().to_string().contains("NUL at byte 1"));
    }

    #[test]
    fn users_at_the_bound_and_past_it() {
        assert_eq!(check_users(&[], 1000), Ok(vec![0, 1000]));
        assert_eq!(check_users(&[], 0), Ok(vec![0]));
        assert_eq!(check_users(&[0, 1001, 1000, 1001], 1000), Ok(vec![0, 1000, 1001]));
        let most: Vec<_> = (1..=limits::USERS as u32).collect();
        assert_eq!(check_users(&most, 1).map(|all| all.len()), Ok(limits::USERS + 1));
        assert!(check_users(&most, 0).is_ok(), "root is no further user");
        assert!(check_users(&most, 1000).unwrap_err().to_string().contains("users is 65 users: give at most 64"));
        assert!(check_users(&[u32::MAX], 1).is_err());
    }

    #[test]
    fn token_at_the_bound_and_past_it() {
        assert!(check_token(b"").is_ok());
        assert!(check_token(&vec![0; limits::TOKEN_BYTES]).is_ok());
        assert!(check_token(&vec![0; limits::TOKEN_BYTES + 1]).unwrap_err().to_string().contains("1024"));
    }
}
