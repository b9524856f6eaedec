//! Every error that a program can get, in one shape: which it is, and what it says.
//!
//! The core has an error for each moment at which it can fail; programs know one tree of errors, the same in every
//! language (`ipmb/errors.py` draws it). What of the one is what of the other is decided here, once: Python has a class for
//! each kind, C a code.

use std::io;

use ipmb_bus::error::{InvalidArgument, JoinError, PeerLost, RecvError, SendError};
use ipmb_transport::FreezeError;

/// Which error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Joining failed, in no way that a program could do anything about.
    Join,
    /// The bus has no room for one more.
    JoinFull,
    /// The operating system refused a step of joining.
    JoinSystem,
    /// The bus speaks another protocol version.
    VersionMismatch,
    /// The token is not the bus's.
    TokenMismatch,
    /// The bus belongs to another user.
    PermissionDenied,
    /// Nobody admitted us in time.
    JoinTimeout,
    /// Nobody matches.
    NoRoute,
    /// There is no room, and waiting was not asked for or cannot help.
    Full,
    /// The payload is over the maximum.
    TooLarge,
    /// There was no room in time.
    SendTimeout,
    /// The bytes of a message are not what its type says.
    Decode,
    /// Nothing came in time.
    RecvTimeout,
    /// A message waits whose descriptors do not fit in this process.
    TooManyOpenFiles,
    /// Who was asked is gone.
    PeerLost,
    /// Who was asked failed.
    Remote,
    /// This side closed it.
    Closed,
    /// It belongs to the parent process.
    Forked,
    /// An argument cannot be used.
    Invalid,
    /// There is not so much memory.
    OutOfMemory,
    /// Somebody else holds a region, or looks at it, that was to be for one alone.
    Busy,
    /// The operating system refused something.
    System,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 22] = [
        Kind::Join,
        Kind::JoinFull,
        Kind::JoinSystem,
        Kind::VersionMismatch,
        Kind::TokenMismatch,
        Kind::PermissionDenied,
        Kind::JoinTimeout,
        Kind::NoRoute,
        Kind::Full,
        Kind::TooLarge,
        Kind::SendTimeout,
        Kind::Decode,
        Kind::RecvTimeout,
        Kind::TooManyOpenFiles,
        Kind::PeerLost,
        Kind::Remote,
        Kind::Closed,
        Kind::Forked,
        Kind::Invalid,
        Kind::OutOfMemory,
        Kind::Busy,
        Kind::System,
    ];

    /// Its name, in Python that of its class.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Join | Kind::JoinFull | Kind::JoinSystem => "JoinError",
            Kind::VersionMismatch => "VersionMismatch",
            Kind::TokenMismatch => "TokenMismatch",
            Kind::PermissionDenied => "PermissionDenied",
            Kind::JoinTimeout => "JoinTimeout",
            Kind::NoRoute => "NoRoute",
            Kind::Full => "Full",
            Kind::TooLarge => "TooLarge",
            Kind::SendTimeout => "SendTimeout",
            Kind::Decode => "DecodeError",
            Kind::RecvTimeout => "RecvTimeout",
            Kind::TooManyOpenFiles => "TooManyOpenFiles",
            Kind::PeerLost => "PeerLost",
            Kind::Remote => "RemoteError",
            Kind::Closed => "Closed",
            Kind::Forked => "Forked",
            Kind::Invalid => "ValueError",
            Kind::OutOfMemory => "MemoryError",
            Kind::Busy => "BufferError",
            Kind::System => "OSError",
        }
    }
}

/// An error, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which it is.
    pub kind: Kind,
    /// What happened, to whom, and what to do next.
    pub text: String,
    /// How many endpoints have the message all the same.
    pub delivered: usize,
    /// The system's number for it, where the system refused something.
    pub errno: Option<i32>,
}

impl Failure {
    /// An error with its text.
    pub fn new(kind: Kind, text: impl Into<String>) -> Failure {
        Failure { kind, text: text.into(), delivered: 0, errno: None }
    }

    /// What the system refused while something was done with `what`.
    pub fn system(what: &str, error: &io::Error) -> Failure {
        let kind = match error.kind() {
            io::ErrorKind::OutOfMemory | io::ErrorKind::StorageFull => Kind::OutOfMemory,
            io::ErrorKind::InvalidInput if error.raw_os_error().is_none() => Kind::Invalid,
            _ => Kind::System,
        };
        Failure { errno: error.raw_os_error(), ..Failure::new(kind, format!("{what}: {error}")) }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl From<&InvalidArgument> for Failure {
    fn from(error: &InvalidArgument) -> Failure {
        Failure::new(Kind::Invalid, error.to_string())
    }
}

impl From<&JoinError> for Failure {
    fn from(error: &JoinError) -> Failure {
        let kind = match error {
            JoinError::Version { .. } => Kind::VersionMismatch,
            JoinError::Token => Kind::TokenMismatch,
            JoinError::Permission { .. } => Kind::PermissionDenied,
            JoinError::Timeout { .. } => Kind::JoinTimeout,
            JoinError::Invalid(_) => Kind::Invalid,
            JoinError::Forked => Kind::Forked,
            JoinError::Closed => Kind::Closed,
            JoinError::Full => Kind::JoinFull,
            JoinError::Io(_) => Kind::JoinSystem,
            JoinError::IdInUse | JoinError::Malformed => Kind::Join,
        };
        let errno = if let JoinError::Io(cause) = error { cause.raw_os_error() } else { None };
        Failure { errno, ..Failure::new(kind, error.to_string()) }
    }
}

impl From<&SendError> for Failure {
    fn from(error: &SendError) -> Failure {
        let kind = match error {
            SendError::NoRoute { .. } => Kind::NoRoute,
            SendError::Full { .. } => Kind::Full,
            SendError::TooLarge { .. } | SendError::TooLargeToWait { .. } => Kind::TooLarge,
            SendError::Timeout { .. } => Kind::SendTimeout,
            SendError::Closed => Kind::Closed,
            SendError::Forked => Kind::Forked,
            SendError::Invalid(_) => Kind::Invalid,
            SendError::StaleRoute => {
                return Failure::new(Kind::Full, "too many selectors are in use at the same moment: reuse selectors");
            }
            SendError::Io(_) => Kind::System,
        };
        let delivered = if let SendError::Timeout { delivered } = error { *delivered } else { 0 };
        let errno = if let SendError::Io(cause) = error { cause.raw_os_error() } else { None };
        Failure { delivered, errno, ..Failure::new(kind, error.to_string()) }
    }
}

impl From<&RecvError> for Failure {
    fn from(error: &RecvError) -> Failure {
        let kind = match error {
            RecvError::Closed => Kind::Closed,
            RecvError::Forked => Kind::Forked,
            RecvError::TooManyOpenFiles => Kind::TooManyOpenFiles,
            RecvError::Io(_) => Kind::System,
        };
        let errno = if let RecvError::Io(cause) = error { cause.raw_os_error() } else { None };
        Failure { errno, ..Failure::new(kind, error.to_string()) }
    }
}

impl From<&PeerLost> for Failure {
    fn from(error: &PeerLost) -> Failure {
        Failure::new(Kind::PeerLost, error.to_string())
    }
}

impl From<&FreezeError> for Failure {
    fn from(error: &FreezeError) -> Failure {
        match error {
            FreezeError::Io(cause) => Failure::system("the region cannot be frozen", cause),
            error => Failure::new(
                Kind::Busy,
                format!("{error}: freeze it before you send or map it elsewhere, or when all others have let go"),
            ),
        }
    }
}

macro_rules! owned {
    ($($error:ty)*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::from(&error)
            }
        }
    )*};
}

owned! { InvalidArgument JoinError SendError RecvError PeerLost FreezeError }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_name_of_its_own() {
        // Below `JoinError` there is no class for these.
        let shared = [Kind::JoinFull, Kind::JoinSystem];
        assert_eq!(shared.map(Kind::name), [Kind::Join.name(); 2]);
        let mut names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Kind::ALL.len() - shared.len());
    }

    #[test]
    fn a_failure_keeps_what_the_error_says() {
        let late = Failure::from(SendError::Timeout { delivered: 2 });
        assert_eq!((late.kind, late.delivered), (Kind::SendTimeout, 2));
        assert!(late.text.contains("2 endpoints have it"));
        let refused = Failure::from(SendError::Io(io::Error::from_raw_os_error(24)));
        assert_eq!((refused.kind, refused.errno), (Kind::System, Some(24)));
        let full = Failure::system("region", &io::Error::from(io::ErrorKind::OutOfMemory));
        assert_eq!((full.kind, full.errno), (Kind::OutOfMemory, None));
    }
}
