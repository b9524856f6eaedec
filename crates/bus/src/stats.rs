//! What an endpoint counted, for its user to see.

/// Why a message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Nobody matched, and there was no ttl to wait.
    NoRoute,
    /// The receiver's ring was full and the caller chose `drop`.
    Full,
    /// The receiver died or closed with the message unread, and nobody else could have it.
    ReceiverGone,
    /// It waited past its ttl on account of a full receiver, or had to be given up when the endpoint closed.
    Closed,
    /// It waited for a match when its sender died, and its attachments died with the sender.
    SenderGone,
    /// A reply that nobody waited for any more, or that nobody had asked for.
    LateReply,
}

impl DropReason {
    /// Every reason, in the order of the counters.
    pub const ALL: [DropReason; 6] = [
        DropReason::NoRoute,
        DropReason::Full,
        DropReason::ReceiverGone,
        DropReason::Closed,
        DropReason::SenderGone,
        DropReason::LateReply,
    ];

    /// The reason's name as users see it.
    pub fn name(self) -> &'static str {
        match self {
            DropReason::NoRoute => "no_route",
            DropReason::Full => "full",
            DropReason::ReceiverGone => "receiver_gone",
            DropReason::Closed => "closed",
            DropReason::SenderGone => "sender_gone",
            DropReason::LateReply => "late_reply",
        }
    }
}

/// Counters of the sending half. They only rise.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SendCounters {
    pub(crate) sent: u64,
    pub(crate) bytes: u64,
    pub(crate) expired: u64,
    pub(crate) redelivered: u64,
    pub(crate) dropped: [u64; DropReason::ALL.len()],
}

impl SendCounters {
    /// So many copies of a message of so many bytes were put into rings.
    pub(crate) fn sent(&mut self, copies: u64, bytes: usize) {
        self.sent += copies;
        self.bytes += copies * bytes as u64;
    }

    pub(crate) fn drop(&mut self, reason: DropReason, count: u64) {
        self.dropped[reason as usize] += count;
    }
}

/// Counters of the receiving half. They only rise.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RecvCounters {
    pub(crate) received: u64,
    pub(crate) bytes: u64,
    pub(crate) skipped: u64,
}

/// A snapshot of everything an endpoint counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Copies put into receivers' rings; a multicast to three counts three.
    pub sent: u64,
    /// Messages that `recv` returned, and replies.
    pub received: u64,
    /// Messages this receiver does not take, consumed and passed over.
    pub skipped: u64,
    /// Messages given up, by [`DropReason::ALL`].
    pub dropped: [u64; DropReason::ALL.len()],
    /// Messages whose ttl ended before anybody matched.
    pub expired: u64,
    /// Messages that another receiver got after the first one died with them unread.
    pub redelivered: u64,
    /// Messages that wait for a match now.
    pub waiting: u64,
    /// Payload bytes of `sent`.
    pub bytes_sent: u64,
    /// Payload bytes of `received`.
    pub bytes_received: u64,
}
