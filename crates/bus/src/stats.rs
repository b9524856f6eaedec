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
    /// It waited when the endpoint left, for room or for a match, and nobody had taken it over. A controller that only stood still
    /// may yet deliver it.
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

/// Why somebody was refused, or cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefuseReason {
    /// A joiner of a user who is not admitted.
    JoinPermission,
    /// A joiner with another token, or other users.
    JoinToken,
    /// A joiner that speaks another version.
    JoinVersion,
    /// A joiner that said what makes no sense.
    JoinMalformed,
    /// A joiner under the id of another process's endpoint.
    JoinIdInUse,
    /// A joiner for whom the bus has no room.
    JoinFull,
    /// A joiner that said too little in its time.
    JoinSilent,
    /// A joiner that had to make room for newer ones.
    JoinCrowded,
    /// A channel of a user who is not admitted.
    ChannelPermission,
    /// A channel of one who is not the member it says it is.
    ChannelProof,
    /// A channel that was opened with what makes no sense.
    ChannelMalformed,
    /// A connection that opened no channel in its time.
    ChannelSilent,
    /// A connection that had to make room for newer ones.
    ChannelCrowded,
    /// A ring, region or anything else that has to be memory, and is none or could change its size.
    Memory,
    /// A member that broke the protocol after it was let in.
    Lie,
    /// Somebody else holds the name of an endpoint that messages are for.
    Impostor,
    /// The other way round: a controller does not admit this endpoint, which was on the bus before.
    Rejoin,
}

impl RefuseReason {
    /// Every reason, in the order of the counters.
    pub const ALL: [RefuseReason; 17] = [
        RefuseReason::JoinPermission,
        RefuseReason::JoinToken,
        RefuseReason::JoinVersion,
        RefuseReason::JoinMalformed,
        RefuseReason::JoinIdInUse,
        RefuseReason::JoinFull,
        RefuseReason::JoinSilent,
        RefuseReason::JoinCrowded,
        RefuseReason::ChannelPermission,
        RefuseReason::ChannelProof,
        RefuseReason::ChannelMalformed,
        RefuseReason::ChannelSilent,
        RefuseReason::ChannelCrowded,
        RefuseReason::Memory,
        RefuseReason::Lie,
        RefuseReason::Impostor,
        RefuseReason::Rejoin,
    ];

    /// The reason's name as users see it.
    pub fn name(self) -> &'static str {
        match self {
            RefuseReason::JoinPermission => "join_permission",
            RefuseReason::JoinToken => "join_token",
            RefuseReason::JoinVersion => "join_version",
            RefuseReason::JoinMalformed => "join_malformed",
            RefuseReason::JoinIdInUse => "join_id_in_use",
            RefuseReason::JoinFull => "join_full",
            RefuseReason::JoinSilent => "join_silent",
            RefuseReason::JoinCrowded => "join_crowded",
            RefuseReason::ChannelPermission => "channel_permission",
            RefuseReason::ChannelProof => "channel_proof",
            RefuseReason::ChannelMalformed => "channel_malformed",
            RefuseReason::ChannelSilent => "channel_silent",
            RefuseReason::ChannelCrowded => "channel_crowded",
            RefuseReason::Memory => "memory",
            RefuseReason::Lie => "lie",
            RefuseReason::Impostor => "impostor",
            RefuseReason::Rejoin => "rejoin",
        }
    }
}

/// What this process had too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Descriptors: somebody had to wait for them.
    OpenFiles,
    /// Room for a message to wait for a match.
    Parking,
    /// Anything that a larger ring takes: the channel of a busy pair stays as it is.
    RingGrowth,
}

impl Shortage {
    /// Every one, in the order of the counters.
    pub const ALL: [Shortage; 3] = [Shortage::OpenFiles, Shortage::Parking, Shortage::RingGrowth];

    /// Its name as users see it.
    pub fn name(self) -> &'static str {
        match self {
            Shortage::OpenFiles => "open_files",
            Shortage::Parking => "parking",
            Shortage::RingGrowth => "ring_growth",
        }
    }
}

/// Counters of the sending half. They only rise.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SendCounters {
    pub(crate) sent: u64,
    pub(crate) bytes: u64,
}

impl SendCounters {
    /// So many copies of a message of so many bytes were put into rings.
    pub(crate) fn sent(&mut self, copies: u64, bytes: usize) {
        self.sent += copies;
        self.bytes += copies * bytes as u64;
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
    /// Messages whose ttl ended before they were delivered.
    pub expired: u64,
    /// Messages that another receiver got after the first one died with them unread.
    pub redelivered: u64,
    /// Second copies of messages that had waited, dropped.
    pub duplicates: u64,
    /// Who was refused or cut off, by [`RefuseReason::ALL`].
    pub refused: [u64; RefuseReason::ALL.len()],
    /// What there was too little of, by [`Shortage::ALL`].
    pub shortages: [u64; Shortage::ALL.len()],
    /// New controllers this endpoint has noticed.
    pub takeovers: u64,
    /// Messages that wait for a match now, or for room with whoever takes over from a receiver that is gone.
    pub waiting: u64,
    /// Payload bytes of `sent`.
    pub bytes_sent: u64,
    /// Payload bytes of `received`.
    pub bytes_received: u64,
}
