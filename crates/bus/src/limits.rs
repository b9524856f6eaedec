//! Every bound of the bus, written once, with the reason for its value.
//!
//! A bound that is written twice drifts, and one without a reason cannot be changed. So nothing else in the workspace
//! holds such a number: `tools/limits.py` makes `docs/limits.md` from this file, and a test compares the two.
//! One item has one line: `pub const NAME: type = value;`, with the reason above it as its doc comment, opening with the
//! unit in brackets.

/// [bytes] Longest identifier of a bus. A name people type; the socket's own name is a hash of it, so no system limit shows.
pub const IDENTIFIER_BYTES: usize = 255;

/// [bytes] Longest label element. Its length fits one byte in an encoded expression.
pub const LABEL_ELEMENT_BYTES: usize = 255;

/// [elements] Most elements of one label. Matching looks each leaf up, and the directory carries every label.
pub const LABEL_ELEMENTS: usize = 64;

/// [bytes] All elements of one label together. With 4096 members the directory stays within its memory.
pub const LABEL_BYTES: usize = 4096;

/// [levels] Deepest nesting of a label expression. Keeps every recursion over it within a few kilobytes of stack.
pub const LABEL_OP_DEPTH: usize = 64;

/// [nodes] Most operators and leaves of a label expression. Each match walks them all, for each endpoint.
pub const LABEL_OP_NODES: usize = 256;

/// [bytes] Longest encoded label expression. A selector travels in records, which must fit the smallest ring.
pub const LABEL_OP_BYTES: usize = 4096;

/// [bytes] Longest encoded selector: the expression, one byte of mode and eight of ttl.
pub const SELECTOR_BYTES: usize = LABEL_OP_BYTES + 9;

/// [bytes] Longest token. It is only ever hashed; the bound stops mistakes such as passing a file.
pub const TOKEN_BYTES: usize = 1024;

/// [users] Most users whose processes share one bus, beside root. They trust each other as one user's processes do, so they are few.
pub const USERS: usize = 64;

/// [endpoints] Most members of one bus. A full mesh at this size needs more descriptors than a process may have.
pub const MEMBERS: usize = 4096;

/// [entries] Most departed members the directory remembers. One for each member that can have gone at once.
pub const TOMBSTONES: usize = 4096;

/// [endpoints] Former controllers the directory names, latest last: messages that waited come from them, in others' names.
pub const PREDECESSORS: usize = 64;

/// [endpoints] Of these places, those that are left to controllers whom only a member has known: they ruled for moments.
pub const MISSED_CONTROLLERS: usize = 8;

/// [seconds] How long a departed member is remembered at the least, so that a stopped receiver still admits what it left.
pub const TOMBSTONE_SECONDS: u64 = 60;

/// [bytes] One copy of the directory. Half for the living, half for the departed: 2 KiB for each of 4096.
pub const DIRECTORY_BYTES: usize = 16 << 20;

/// [terms] How far ahead of the controller a joiner may claim to have seen. More takeovers than this nobody misses; a liar
/// cannot use the term up.
pub const TERM_LEAP: u32 = 1 << 16;

/// [connections] Most strangers that have connected and not joined yet. For each that is too many one goes, silent ones and those of
/// the process with the most first, so liars keep no friend out.
pub const PENDING_JOINS: usize = 128;

/// [milliseconds] How long a member that registers again keeps its place when there are too many. All members of a bus come at once
/// when it has a new controller, and each that is sent away costs everybody time.
pub const CROWDED_MILLIS: u64 = 100;

/// [fraction] A process's strangers, at each of the two kinds, are one in this many of its descriptor limit at most: it needs some itself.
pub const STRANGERS_SHARE: u64 = 8;

/// [milliseconds] How long a stranger has to join. Enough for a loaded machine, little enough for one who waits behind.
pub const HANDSHAKE_MILLIS: u64 = 1000;

/// [milliseconds] How long members have to register again after a takeover before somebody looks whether they live.
pub const TAKEOVER_GRACE_MILLIS: u64 = 100;

/// [milliseconds] How long one who missed the last controller lets those go first who knew it. They ask within a few.
pub const HEIR_MILLIS: u64 = 100;

/// [milliseconds] Time between two looks at a member that lives and has not registered again, e.g. a stopped process.
pub const PROBE_MILLIS: u64 = 1000;

/// [channels] Most channels somebody has opened and not proved yet, for each receiver. The oldest goes first.
pub const PENDING_CHANNELS: usize = 128;

/// [channels] Most channels of one member to one endpoint. It needs one, and while an old one is read to its end another.
pub const CHANNELS_PER_PEER: usize = 16;

/// [endpoints] Most departed members that may live on before the controller delivers what they let wait without further
/// looks whether they do. Each costs it a descriptor, and the dying are gone at once.
pub const DEPARTING: usize = 256;

/// [connections] Queue of a listening socket. The kernel cuts it to its own bound; a full queue is an ordinary wait.
pub const LISTEN_BACKLOG: i32 = 4096;

/// [bytes] Size of a new ring. Every page of a ring becomes resident in its first lap, so it starts small.
pub const RING_BYTES: usize = 64 << 10;

/// [bytes] Size of the ring of a pair that has proved busy. It holds a burst of a millisecond and still fits a level 2 cache.
pub const GROWN_RING_BYTES: usize = 1 << 20;

/// [bytes] Memory that a sender spends on grown rings. Those that come later stay small.
pub const GROWN_RINGS_BYTES: usize = 64 << 20;

/// [bytes] Longest payload of a unicast that travels in a grown ring and not in a region: a sixteenth, so that it holds several.
pub const LONG_INLINE_BYTES: usize = GROWN_RING_BYTES / 16;

/// [messages] How many payloads that a grown ring would take go through regions before a ring grows for them: more than can be
/// unread, so their receiver reads.
pub const REGION_PAYLOADS_BEFORE_GROWTH: u32 = 512;

/// [times] How often a ring is found full, each time after half a ring more was read, before it grows: several laps.
pub const FULL_RINGS_BEFORE_GROWTH: u32 = 8;

/// [bytes] Longest body of a record in the smallest ring: a quarter, so that several messages are always under way.
pub const RECORD_BYTES: usize = RING_BYTES / 4;

/// [bytes] Largest payload: a length is 32 bits wide in a record.
pub const PAYLOAD_BYTES: u64 = u32::MAX as u64;

/// [levels] Deepest nesting of lists and dicts in a payload. A reader's interpreter bounds its recursion at about 1000 frames,
/// the program's own included, so this always leaves it room.
pub const PAYLOAD_DEPTH: usize = 200;

/// [bytes] Memory in which messages of one sender wait for a match. The controller maps it for every member.
pub const PARKED_BYTES: usize = 4 << 20;

/// [messages] Most messages of one sender that wait for a match.
pub const PARKED_MESSAGES: usize = 4096;

/// [bytes] Longest head of a payload that travels in a region: with the longest extension it fits a record.
pub const HEAD_BYTES: usize = 11 << 10;

/// [objects] Most objects of one message: four packets full, as the kernel passes 253 descriptors in one (SCM_MAX_FD). A receiver
/// needs as many free descriptors at once.
pub const OBJECTS_PER_MESSAGE: usize = 1012;

/// [regions] Most memory regions of one message, one packet full.
pub const REGIONS_PER_MESSAGE: usize = 253;

/// [descriptors] Most descriptors of one message: its objects, its regions, and the region of a large payload.
pub const DESCRIPTORS_PER_MESSAGE: usize = OBJECTS_PER_MESSAGE + REGIONS_PER_MESSAGE + 1;

/// [descriptors] Most descriptors a sender keeps unreceived at one receiver. One message is always possible.
pub const DESCRIPTORS_IN_FLIGHT_PER_PEER: usize = 253;

/// [bytes] Most bytes in regions that a sender keeps unread at one receiver. One message is always possible.
pub const REGION_BYTES_IN_FLIGHT_PER_PEER: usize = 256 << 20;

/// [bytes] Beyond this many bytes in regions unread at one receiver, only few messages are: memory that is used again soon
/// is still in the processor's caches. Filling 8 MiB in turn costs as much as filling one place again, filling 16 three times that.
pub const REGION_BYTES_WARM: usize = 4 << 20;

/// [messages] How few these are: enough that neither side waits for the other where single messages are that large.
pub const LARGE_MESSAGES_IN_FLIGHT: usize = 4;

/// [regions] Most regions a receiver keeps of one sender, so that large payloads in them need only name them.
pub const KNOWN_REGIONS: usize = 32;

/// [bytes] Most bytes in these. Sending larger ones costs little beside filling them.
pub const KNOWN_REGION_BYTES: usize = 32 << 20;

/// [bytes] Most bytes in the regions that all receivers of a process keep; beyond it, payloads bring their region along.
pub const KNOWN_REGION_BYTES_IN_ALL: usize = 256 << 20;

/// [fraction] Most regions that all receivers of a process keep: one in this many of its descriptor limit, for each takes a descriptor.
pub const KNOWN_REGIONS_SHARE: u64 = 8;

/// [seconds] How long a receiver keeps a region that is not used.
pub const KNOWN_REGION_SECONDS: u64 = 2;

/// [fraction] A sender's share of its descriptor limit for descriptors in flight to all receivers is one in this many.
pub const DESCRIPTORS_IN_FLIGHT_SHARE: u64 = 4;

/// [routes] Most selectors a sender keeps resolved: one for each member of a full bus. At the bound those that nothing unread names are freed.
pub const ROUTES: usize = 4096;

/// [bytes] Largest control packet. The longest label with its frame fits twice; more is a stranger's.
pub const PACKET_BYTES: usize = 16 << 10;

/// [bytes] Largest packet between the two ends of a channel. Its frames have no label and fit several times.
pub const PEER_PACKET_BYTES: usize = 256;

/// [entries] Delivered parked messages a receiver remembers, so that it drops a second copy.
pub const DEDUP_ENTRIES: usize = 65536;

/// [notices] Most notices of incidents that a process keeps until they are logged. An endpoint makes one of each kind.
pub const NOTICES: usize = 1024;
