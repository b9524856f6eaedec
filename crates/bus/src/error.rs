//! Every error the bus gives to its user, in one place, so that a binding can map them one to one.
//!
//! There are three moments at which the bus can fail: joining, sending, receiving. Each has its own enum, because what a
//! caller may conclude differs: after a [`JoinError`] there is no endpoint, after a [`SendError`] the message is still the
//! caller's, after a [`RecvError`] no message was lost. A wrong argument is an [`InvalidArgument`] everywhere. The texts say
//! what happened, to whom, and what to do next, in words that are right in every language: what one calls `overflow="block"`
//! is `ON_FULL_WAIT` in another.

use std::io;

/// An argument that cannot be used, caught before anything happened.
///
/// Reads as "`argument` is `value`: `bound`", e.g. "label element is empty: give 1 to 255 bytes".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{argument} is {value}: {bound}")]
pub struct InvalidArgument {
    /// Which argument, in the user's words.
    pub argument: &'static str,
    /// What was given, shortened where it may be long.
    pub value: String,
    /// What would have been accepted.
    pub bound: String,
}

impl InvalidArgument {
    /// Puts the three parts together.
    pub fn new(argument: &'static str, value: impl Into<String>, bound: impl Into<String>) -> Self {
        Self { argument, value: value.into(), bound: bound.into() }
    }
}

/// A wait ended early because a signal arrived: the binding looks at its signals and waits again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the wait was interrupted by a signal: run the signal handlers, then wait again")]
pub struct Interrupted;

/// What a joiner saw until its time was up, which decides what its user should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// There was no time to look for anybody.
    NotYet,
    /// Nobody held the name of the bus, and this endpoint may not become controller.
    Nobody,
    /// Somebody holds the name of the bus and answers nothing: stopped, or not speaking this protocol.
    Silent {
        /// Process id of the holder as the kernel tells it, 0 when unknown.
        pid: u32,
    },
    /// The controller is alive but its queue of connections stayed full.
    Busy,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Seen::NotYet => out.write_str("the time was too short to look for anybody: give a longer timeout"),
            Seen::Nobody => out.write_str(
                "nobody is on this bus: start an endpoint that may be controller, or let this one be it (its controller affinity)",
            ),
            Seen::Silent { pid: 0 } => out.write_str(
                "somebody holds the name of this bus and answers nothing: look for a stopped process and continue or kill it",
            ),
            Seen::Silent { pid } => {
                write!(out, "process {pid} holds the name of this bus and answers nothing: continue it (kill -CONT {pid}) or kill it")
            }
            Seen::Busy => {
                out.write_str("the queue of the controller stayed full: join again later, or give a longer timeout")
            }
        }
    }
}

/// Why an endpoint did not come to be.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The bus speaks another version of the protocol.
    #[error(
        "this bus speaks protocol version {theirs} and we speak {ours}: use the same release of ipmb in all its processes"
    )]
    Version {
        /// The version the other side speaks.
        theirs: u16,
        /// The version we speak.
        ours: u16,
    },
    /// One of the two sides does not know the other's token, or has other users.
    #[error(
        "the token given, or the users admitted, are not those of this bus: give the same token and users to all its endpoints, or none to any"
    )]
    Token,
    /// The user we run as may not join, or the holder of the name is a user we do not trust.
    #[error(
        "user {uid} is not admitted on this bus, or runs it and is not admitted by you: run both as the same user, or have every endpoint of the bus admit user {uid}"
    )]
    Permission {
        /// The user id that was not accepted.
        uid: u32,
    },
    /// The time for joining is over.
    #[error("could not join in time: {seen}")]
    Timeout {
        /// What was found at the name of the bus.
        seen: Seen,
    },
    /// The id of this endpoint is held by another process.
    #[error("another process is on this bus under the same endpoint id: join again to get a new id")]
    IdInUse,
    /// The bus has as many members, or as many bytes of labels, as it can hold.
    #[error("this bus is full (at most {members} endpoints, and a bound on the bytes of their labels): close some endpoints first", members = crate::limits::MEMBERS)]
    Full,
    /// The controller could not make sense of what we said.
    #[error(
        "the controller dropped us for a malformed packet: this is a bug in ipmb or a process that plays controller wrongly"
    )]
    Malformed,
    /// An argument cannot be used.
    #[error(transparent)]
    Invalid(#[from] InvalidArgument),
    /// The operating system refused something.
    #[error("the operating system refused a step of joining: {0}")]
    Io(#[from] io::Error),
    /// The process forked while joining.
    #[error("this process forked while it was joining: join again in the child")]
    Forked,
    /// The joining was given up.
    #[error("joining was cancelled because the endpoint was closed: join again")]
    Closed,
}

/// What is full when a message finds no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullReason {
    /// The ring to a receiver: it reads slower than we send.
    Ring,
    /// The ring to oneself, where waiting would wait for ever.
    Own,
    /// The parking area for messages that wait for a match.
    Parking,
    /// Descriptors that are sent and not yet received.
    Descriptors,
    /// The selectors an endpoint may use.
    Routes,
}

// Its text, and that of the notice, name the bounds.
const _: () = assert!(crate::limits::PARKED_MESSAGES == 4096 && crate::limits::PARKED_BYTES == 4 << 20);

impl std::fmt::Display for FullReason {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            FullReason::Ring => {
                "the ring to a receiver is full: it reads slower than this endpoint sends; wait for room, or send it again later"
            }
            FullReason::Own => "the ring of this endpoint to itself is full: receive first, then send again",
            FullReason::Parking => "as much waits for a match as one sender may let wait (4096 messages, 4 MiB): give shorter ttls, or start the receivers first",
            FullReason::Descriptors => "too many sent descriptors are not received yet: wait for the receiver",
            FullReason::Routes => "too many different selectors are in use: reuse selectors",
        })
    }
}

/// Why a message was not sent. The message is still the caller's.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Nobody matches, where somebody was required.
    #[error("no endpoint on the bus matches `{labels}`: check the labels, or give a ttl to wait for one")]
    NoRoute {
        /// The selector's expression.
        labels: String,
    },
    /// There is no room, and the caller did not want to wait.
    #[error("{reason}")]
    Full {
        /// What is full.
        reason: FullReason,
    },
    /// The payload is over the bound.
    #[error("the payload has {len} bytes, at most {max} can be sent: split it")]
    TooLarge {
        /// Bytes given.
        len: u64,
        /// Bytes accepted.
        max: u64,
    },
    /// Nobody matches, and the message is longer than one that waits may be.
    #[error(
        "the message has {len} bytes, and at most {max} can wait while nobody matches: send it when somebody does, or attach the bytes as a memory region, which waits in the sender's process"
    )]
    TooLargeToWait {
        /// Bytes in all.
        len: u64,
        /// Bytes accepted.
        max: u64,
    },
    /// The time for sending is over.
    #[error("no room for the message in time: {}; give a longer timeout", match *.delivered {
        0 => "whoever it is for reads too slowly".to_owned(),
        1 => "1 endpoint has it, the others read too slowly".to_owned(),
        some => format!("{some} endpoints have it, the others read too slowly"),
    })]
    Timeout {
        /// How many endpoints have the message.
        delivered: usize,
    },
    /// The route was collected: intern the selector again. Bindings handle it, users do not see it.
    #[error("the route of this selector was collected: intern the selector again")]
    StaleRoute,
    /// This half of the endpoint is closed.
    #[error("the sender is closed: join again to send")]
    Closed,
    /// The process forked; the endpoint stayed with the parent.
    #[error("this endpoint belongs to the parent process: join again after fork")]
    Forked,
    /// The operating system refused something.
    #[error("the operating system refused a step of sending: {0}")]
    Io(#[from] io::Error),
    /// An argument cannot be used.
    #[error(transparent)]
    Invalid(#[from] InvalidArgument),
}

/// Why a request gets no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{who} died or left before it had {}", if *.read {
    "replied: it may have done what it was asked for; ask again where that does no harm"
} else {
    "read the request: ask again, another match will have it"
})]
pub struct PeerLost {
    /// Who was asked, in the user's words.
    pub who: String,
    /// Whether it had read the request.
    pub read: bool,
}

/// Why nothing was received. No message is lost by it.
#[derive(Debug, thiserror::Error)]
pub enum RecvError {
    /// This half of the endpoint is closed.
    #[error("the receiver is closed: join again to receive")]
    Closed,
    /// The process forked; the endpoint stayed with the parent.
    #[error("this endpoint belongs to the parent process: join again after fork")]
    Forked,
    /// A message with descriptors waits, and the process has no room for them.
    #[error(
        "a message waits with more descriptors than this process may still open: close some files (or raise ulimit -n) and receive again"
    )]
    TooManyOpenFiles,
    /// The operating system refused something.
    #[error("the operating system refused a step of receiving: {0}")]
    Io(#[from] io::Error),
}

/// Names and values as one language writes them, and those of another do not know.
#[cfg(test)]
pub(crate) fn check_neutral(text: &str) {
    for foreign in ["=", "_", "\"", "()", "True", "False", "None", "NULL", "null"] {
        assert!(!text.contains(foreign), "{foreign:?} is of one language: {text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_right_in_every_language() {
        let seen = [Seen::NotYet, Seen::Nobody, Seen::Silent { pid: 0 }, Seen::Silent { pid: 7 }, Seen::Busy];
        let joins = [
            JoinError::Version { theirs: 1, ours: 2 },
            JoinError::Token,
            JoinError::Permission { uid: 7 },
            JoinError::IdInUse,
            JoinError::Full,
            JoinError::Malformed,
            JoinError::Forked,
            JoinError::Closed,
        ];
        let sends = [
            SendError::NoRoute { labels: "a".to_owned() },
            SendError::TooLarge { len: 2, max: 1 },
            SendError::TooLargeToWait { len: 2, max: 1 },
            SendError::Timeout { delivered: 0 },
            SendError::Timeout { delivered: 1 },
            SendError::Timeout { delivered: 2 },
            SendError::StaleRoute,
            SendError::Closed,
            SendError::Forked,
        ];
        let full =
            [FullReason::Ring, FullReason::Own, FullReason::Parking, FullReason::Descriptors, FullReason::Routes];
        let lost = [true, false].map(|read| PeerLost { who: "x".to_owned(), read }.to_string());
        let texts = (seen.iter().map(|seen| JoinError::Timeout { seen: *seen }.to_string()))
            .chain(joins.iter().map(JoinError::to_string))
            .chain(sends.iter().map(SendError::to_string))
            .chain(full.iter().map(|reason| SendError::Full { reason: *reason }.to_string()))
            .chain([RecvError::Closed, RecvError::Forked, RecvError::TooManyOpenFiles].map(|error| error.to_string()))
            .chain(lost);
        for text in texts {
            check_neutral(&text);
        }
    }
}
