//! Codes of errors, and the last one in each thread.
//!
//! A code says what a program may do about it; the text says what happened, to whom, and what to do next.

use std::cell::RefCell;

use ipmb_binding::failure::{Failure, Kind};

/// What a function came to: 0, or below it one of the codes that follow.
pub type ErrorCode = i32;

/// It worked.
pub const ERROR_CODE_SUCCESS: ErrorCode = 0;
/// A null handle or pointer, a handle of another kind, or anything else that has no code of its own.
pub const ERROR_CODE_UNKNOWN: ErrorCode = -1;
/// The time is over.
pub const ERROR_CODE_TIMEOUT: ErrorCode = -2;
/// A message came, and its bytes are not what its type says. The message is gone.
pub const ERROR_CODE_DECODE: ErrorCode = -3;
/// The bus speaks another version of the protocol.
pub const ERROR_CODE_VERSION_MISMATCH: ErrorCode = -4;
/// The token is not the bus's, or was given where the bus has none.
pub const ERROR_CODE_TOKEN_MISMATCH: ErrorCode = -5;
/// The bus belongs to another user.
pub const ERROR_CODE_PERMISSION_DENIED: ErrorCode = -6;
/// An argument cannot be used.
pub const ERROR_CODE_INVALID_ARGUMENT: ErrorCode = -7;
/// Nobody matches, where somebody is needed.
pub const ERROR_CODE_NO_ROUTE: ErrorCode = -8;
/// There is no room, and waiting was not asked for or cannot help; or the bus has none for another endpoint.
pub const ERROR_CODE_FULL: ErrorCode = -9;
/// The payload is over the maximum.
pub const ERROR_CODE_TOO_LARGE: ErrorCode = -10;
/// Who was asked died or left before it had replied.
pub const ERROR_CODE_PEER_LOST: ErrorCode = -11;
/// Who was asked failed.
pub const ERROR_CODE_REMOTE: ErrorCode = -12;
/// This side closed it.
pub const ERROR_CODE_CLOSED: ErrorCode = -13;
/// It belongs to the parent process: join again after fork.
pub const ERROR_CODE_FORKED: ErrorCode = -14;
/// This process has too many open files. A message that waits for that is not lost.
pub const ERROR_CODE_TOO_MANY_OPEN_FILES: ErrorCode = -15;
/// There is not so much memory.
pub const ERROR_CODE_OUT_OF_MEMORY: ErrorCode = -16;
/// Somebody else holds the region, or has it mapped.
pub const ERROR_CODE_BUSY: ErrorCode = -17;
/// The operating system refused something.
pub const ERROR_CODE_SYSTEM: ErrorCode = -18;

/// Why a call did nothing.
#[derive(Debug)]
pub(crate) enum Refused {
    /// What is said of a handle or pointer that cannot be followed.
    Pointer(String),
    Failure(Failure),
}

impl<E: Into<Failure>> From<E> for Refused {
    fn from(error: E) -> Refused {
        Refused::Failure(error.into())
    }
}

impl Refused {
    /// A pointer that the caller made itself, and what it is to be.
    pub(crate) fn null(what: &str, wanted: &str) -> Refused {
        Refused::Pointer(format!("{what} is null: give {wanted}"))
    }

    /// What a call of ours was to make. Why it did not is what helps, and is the last error of the thread, unless another call
    /// has failed since.
    pub(crate) fn not_made(what: &str) -> Refused {
        let (_, last) = last();
        let cause = last.rsplit(SAID).next().unwrap_or_default();
        // That it was null before is no reason why.
        Refused::Pointer(if cause.is_empty() || cause.starts_with(what) {
            format!("{what}: give what a call has made")
        } else {
            format!("{what}{SAID}{cause}")
        })
    }

    /// An error that a wrapper in another language has found.
    pub(crate) fn foreign(code: ErrorCode, text: String) -> Refused {
        let kind = Kind::ALL.into_iter().find(|kind| Refused::Failure(Failure::new(*kind, "")).code() == code);
        match kind {
            Some(Kind::Join) | None => Refused::Pointer(text),
            Some(kind) => Refused::Failure(Failure::new(kind, text)),
        }
    }

    pub(crate) fn invalid(text: impl Into<String>) -> Refused {
        Refused::Failure(Failure::new(Kind::Invalid, text))
    }

    pub(crate) fn code(&self) -> ErrorCode {
        let Refused::Failure(failure) = self else { return ERROR_CODE_UNKNOWN };
        match failure.kind {
            Kind::System | Kind::JoinSystem if failure.errno.is_some_and(ipmb_transport::sys::is_descriptor_limit) => {
                ERROR_CODE_TOO_MANY_OPEN_FILES
            }
            Kind::Join => ERROR_CODE_UNKNOWN,
            Kind::JoinTimeout | Kind::SendTimeout | Kind::RecvTimeout => ERROR_CODE_TIMEOUT,
            Kind::Decode => ERROR_CODE_DECODE,
            Kind::VersionMismatch => ERROR_CODE_VERSION_MISMATCH,
            Kind::TokenMismatch => ERROR_CODE_TOKEN_MISMATCH,
            Kind::PermissionDenied => ERROR_CODE_PERMISSION_DENIED,
            Kind::Invalid => ERROR_CODE_INVALID_ARGUMENT,
            Kind::NoRoute => ERROR_CODE_NO_ROUTE,
            Kind::Full | Kind::JoinFull => ERROR_CODE_FULL,
            Kind::TooLarge => ERROR_CODE_TOO_LARGE,
            Kind::PeerLost => ERROR_CODE_PEER_LOST,
            Kind::Remote => ERROR_CODE_REMOTE,
            Kind::Closed => ERROR_CODE_CLOSED,
            Kind::Forked => ERROR_CODE_FORKED,
            Kind::TooManyOpenFiles => ERROR_CODE_TOO_MANY_OPEN_FILES,
            Kind::OutOfMemory => ERROR_CODE_OUT_OF_MEMORY,
            Kind::Busy => ERROR_CODE_BUSY,
            Kind::System | Kind::JoinSystem => ERROR_CODE_SYSTEM,
        }
    }

    /// What it says.
    pub(crate) fn text(&self) -> &str {
        match self {
            Refused::Pointer(text) => text,
            Refused::Failure(failure) => &failure.text,
        }
    }

    /// Keeps it for whoever asks in this thread.
    pub(crate) fn note(self) {
        let code = self.code();
        let text = match self {
            Refused::Pointer(text) => text,
            Refused::Failure(failure) => failure.text,
        };
        // A thread that is being torn down has no place for it.
        let _ = LAST.try_with(|last| *last.borrow_mut() = (code, text));
    }
}

/// Between what is null and the error that made it so. What already quotes one is not quoted itself.
const SAID: &str = "; the last call that failed in this thread said: ";

thread_local! {
    static LAST: RefCell<(ErrorCode, String)> = const { RefCell::new((ERROR_CODE_SUCCESS, String::new())) };
}

/// The last error in this thread.
pub(crate) fn last() -> (ErrorCode, String) {
    LAST.try_with(|last| last.borrow().clone()).unwrap_or((ERROR_CODE_UNKNOWN, String::new()))
}

#[cfg(test)]
mod tests {
    use ipmb_bus::error::JoinError;

    use super::*;

    #[test]
    fn each_kind_has_a_code() {
        for kind in Kind::ALL {
            let code = Refused::Failure(Failure::new(kind, "")).code();
            assert!((ERROR_CODE_SYSTEM..ERROR_CODE_SUCCESS).contains(&code), "{kind:?}");
        }
    }

    #[test]
    fn a_join_that_fails_says_of_what() {
        let code = |error: JoinError| Refused::from(error).code();
        let refused = |number| code(JoinError::Io(std::io::Error::from_raw_os_error(number)));
        assert_eq!(code(JoinError::Full), ERROR_CODE_FULL);
        assert_eq!((refused(1), refused(12)), (ERROR_CODE_SYSTEM, ERROR_CODE_SYSTEM));
        assert_eq!((refused(23), refused(24)), (ERROR_CODE_TOO_MANY_OPEN_FILES, ERROR_CODE_TOO_MANY_OPEN_FILES));
        assert_eq!((code(JoinError::IdInUse), code(JoinError::Malformed)), (ERROR_CODE_UNKNOWN, ERROR_CODE_UNKNOWN));
    }

    #[test]
    fn a_wrapper_gives_any_code() {
        for code in ERROR_CODE_SYSTEM..ERROR_CODE_SUCCESS {
            assert_eq!(Refused::foreign(code, String::new()).code(), code);
        }
        for code in [0, 1, i32::MIN] {
            assert_eq!(Refused::foreign(code, String::new()).code(), ERROR_CODE_UNKNOWN);
        }
    }

    #[test]
    fn what_was_not_made_says_why() {
        let text = |refused: &Refused| refused.text().to_owned();
        let bare = "Label is null: give what a call has made";
        assert_eq!(text(&Refused::not_made("Label is null")), bare);
        Refused::not_made("Label is null").note();
        assert_eq!(text(&Refused::not_made("Label is null")), bare, "the same is no reason for it");
        let other = text(&Refused::not_made("LabelOp is null"));
        assert_eq!(other, format!("LabelOp is null; the last call that failed in this thread said: {bare}"));
        Refused::invalid("too long: cut it").note();
        let first = Refused::not_made("LabelOp is null");
        let said = "is null; the last call that failed in this thread said: too long: cut it";
        assert_eq!(text(&first), format!("LabelOp {said}"));
        first.note();
        assert_eq!(text(&Refused::not_made("Message is null")), format!("Message {said}"));
    }
}
