//! Sending, receiving, asking, counting, and what is left at the end of a case: nothing.

use std::ptr::{null, null_mut};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use ipmb::endpoint::*;
use ipmb::error::{
    ERROR_CODE_DECODE, ERROR_CODE_SUCCESS, ERROR_CODE_SYSTEM, ERROR_CODE_TIMEOUT, ERROR_CODE_UNKNOWN, ErrorCode,
};
use ipmb::label::{ipmb_label_op_drop, ipmb_label_op_leaf};
use ipmb::last_error::*;
use ipmb::message::*;
use ipmb::origin::*;
use ipmb::request::*;
use ipmb::stats::*;
use ipmb::text::*;

use super::hands::{Handle, Kind, pointer, readable};
use super::{Looks, Program, c, read};

/// Messages that can be under way while one is sent without a limit of time: a ring has room for them.
const FEW: usize = 4;

/// Counters of both endpoints as they were last seen.
static SEEN: Mutex<[[u64; 13]; 2]> = Mutex::new([[0; 13]; 2]);

impl Program<'_> {
    pub(super) fn traffic(&mut self, step: u8) {
        let sender = self.hands.place(Kind::Sender);
        match step % 16 {
            0..=4 => {
                let message = self.outgoing();
                let on_full = u32::from(self.hands.case.byte() % 5);
                let mut delivered = 9;
                let code = c!(ipmb_send_within(sender, message, 0, on_full, &mut delivered));
                assert!(
                    delivered <= if code == 0 || code == ERROR_CODE_TIMEOUT { 2 } else { 0 },
                    "{code}, {delivered}"
                );
            }
            5 => {
                let message = self.outgoing();
                let large = self.sent.iter().any(|looks| looks.bytes.len() > 1024) || self.sent.len() > FEW;
                if large {
                    c!(ipmb_send_within(sender, message, 0, ON_FULL_DROP, null_mut()));
                } else {
                    c!(ipmb_send(sender, message));
                }
            }
            6..=9 => {
                let receiver = self.hands.place(Kind::Receiver);
                let mut message = null_mut();
                c!(ipmb_recv(receiver, &mut message, 0));
                self.came(message);
                self.hands.keep(Kind::Message, message);
            }
            10 => {
                let (request, mut reply) = (self.outgoing(), null_mut());
                let place: *mut Handle = if self.hands.case.byte() == 0xff { null_mut() } else { &mut reply };
                assert_ne!(c!(ipmb_request(sender, request, 0, place)), 0, "nobody has replied");
                assert!(reply.is_null());
            }
            11 => {
                let reply = self.outgoing();
                c!(ipmb_reply(sender, self.hands.place(Kind::Message), reply, 0));
                c!(ipmb_reply_failure(sender, self.hands.place(Kind::Message), c"E".as_ptr(), null(), 0));
            }
            12 => {
                let (receiver, count) = (self.hands.place(Kind::Receiver), self.hands.size());
                if count < 8 {
                    let ids: Vec<u8> = (0..count).flat_map(|_| self.hands.type_id()).collect();
                    c!(ipmb_receiver_take(receiver, ids.as_ptr(), count));
                } else {
                    assert_ne!(c!(ipmb_receiver_take(receiver, null(), count)), 0);
                }
            }
            13 => {
                let size = self.hands.size();
                let mut room = vec![0xaa_u8; size.min(5000)];
                let start = if size > room.len() { null_mut() } else { room.as_mut_ptr().cast() };
                c!(ipmb_stats(sender, start, size));
            }
            14 => {
                let (name, mut count) = (self.hands.text(), 1);
                let place: *mut u64 = if self.hands.case.byte() == 0xff { null_mut() } else { &mut count };
                c!(ipmb_stats_of(sender, pointer(&name), place));
            }
            _ => {
                c!(ipmb_receiver_fileno(self.hands.place(Kind::Receiver)));
                assert_eq!(c!(ipmb_recv(self.hands.place(Kind::Receiver), null_mut(), 0)), ERROR_CODE_UNKNOWN);
                c!(ipmb_sender_id(sender));
            }
        }
    }

    /// A message that is given away; what it looks like is remembered.
    fn outgoing(&mut self) -> Handle {
        let message = self.hands.given(Kind::Message);
        self.sent.extend(Looks::of(message));
        message
    }

    /// A message that was received, if any, looks as one that was sent.
    fn came(&mut self, message: Handle) {
        let Some(looks) = Looks::of(message) else { return assert!(message.is_null()) };
        assert!(self.sent.contains(&looks), "{looks:?} came, and these were sent: {:?}", self.sent);
        let ids = [0, 1].map(|end| c!(ipmb_sender_id(self.hands.end(Kind::Sender, end))));
        assert!(ids.contains(&c!(ipmb_message_sender_id(&message))));
        assert_eq!(c!(ipmb_message_sender_pid(&message)), std::process::id());
        assert!(!c!(ipmb_message_redelivered(&message)));
        let count = c!(ipmb_message_sender_label_count(&message));
        assert_eq!(count, 2);
        for (index, exists) in [(0, true), (count - 1, true), (count, false)] {
            let text = c!(ipmb_message_sender_label(&message, index));
            assert_eq!(!text.is_null(), exists);
            readable(text);
            c!(ipmb_rstring_drop(text));
        }
        c!(ipmb_message_is_request(&message));
    }

    /// What needs no place in the traffic, and what must not harm although it is nonsense.
    pub(super) fn rest(&mut self, step: u8) {
        let hands = &mut self.hands;
        match step % 4 {
            0 => self.fail_to_join(),
            1 => {
                let nowhere: *mut u8 = null_mut();
                let mut number = 0;
                c!(ipmb_version(&mut number, nowhere, nowhere));
                hands.keep(Kind::Text, ipmb_version_pre());
            }
            2 => {
                let name = ipmb_error_name(hands.size() as ErrorCode);
                assert!(!c!(std::ffi::CStr::from_ptr(name)).is_empty());
            }
            _ => {
                // What is of another kind cannot be dropped or closed; what is of this kind is not a case's to close.
                let which = hands.case.byte();
                let kind = if which.is_multiple_of(2) { Kind::Sender } else { Kind::Receiver };
                let place = hands.place(Kind::Region);
                let handle = if place.is_null() { null_mut() } else { c!(*place) };
                if (0..2).any(|end| handle == c!(*hands.end(kind, end))) {
                    return;
                }
                match which % 4 {
                    0 => c!(ipmb_sender_close(place)),
                    1 => c!(ipmb_receiver_close(place)),
                    2 => c!(ipmb_sender_drop(handle)),
                    _ => c!(ipmb_receiver_drop(handle)),
                }
            }
        }
    }

    /// Each of these lacks something.
    fn fail_to_join(&mut self) {
        let hands = &mut self.hands;
        let (identifier, token) = (hands.text(), hands.text());
        let (mut sender, mut receiver): (Handle, Handle) = (null_mut(), null_mut());
        let mut options = Options {
            identifier: pointer(&identifier),
            label: hands.place(Kind::Label),
            token: pointer(&token),
            controller_affinity: true,
        };
        let (mut p_sender, mut p_receiver): (*mut Handle, *mut Handle) = (&mut sender, &mut receiver);
        let long = std::ffi::CString::new([b'x'; 256]).expect("no NUL");
        match hands.case.byte() % 6 {
            0 => p_sender = null_mut(),
            1 => p_receiver = null_mut(),
            2 => options.identifier = null(),
            3 => options.identifier = c"\xff".as_ptr(),
            4 => options.label = null(),
            _ => options.identifier = long.as_ptr(),
        }
        assert_ne!(c!(ipmb_join(options, 0, p_sender, p_receiver)), 0);
        assert!(sender.is_null() && receiver.is_null());
    }

    /// What the last call that failed has left: text, as much as there is room for.
    pub(super) fn last_error(&mut self) {
        assert!((ERROR_CODE_SYSTEM..=0).contains(&ipmb_last_error_code()));
        let whole = c!(ipmb_last_error(null_mut(), 0));
        for room in [whole + 1, whole / 2] {
            let mut buffer = vec![b'#'; room];
            assert_eq!(c!(ipmb_last_error(buffer.as_mut_ptr().cast(), room)), whole);
            let Some(nul) = room.checked_sub(1) else { continue };
            assert_eq!(buffer.iter().position(|byte| *byte == 0), Some(nul));
            if nul == whole {
                let text = std::str::from_utf8(&buffer[..nul]).expect("UTF-8");
                assert!(!text.starts_with("a bug in ipmb"), "{text}");
            }
        }
    }

    /// Lets go of everything, and takes what is under way. The endpoints work as before.
    pub(super) fn end(mut self) {
        let over = Instant::now() + Duration::from_secs(5);
        for kind in [Kind::Label, Kind::Op, Kind::Text, Kind::Message, Kind::Region] {
            self.hands.drop_all(kind);
        }
        for end in 0..2 {
            let sender = self.hands.end(Kind::Sender, end);
            while self.counters(end)[6] > 0 {
                assert!(Instant::now() < over, "a message waits for ever");
                std::thread::sleep(Duration::from_micros(200));
            }
            self.drain(end);
            let op = c!(ipmb_label_op_leaf([c"a", c"b"][end].as_ptr()));
            let selector = Selector { label_op: &op, mode: c!(std::mem::transmute::<u32, SelectorMode>(0)), ttl: 0 };
            let message = c!(ipmb_message(selector, 7, b"still here".as_ptr(), 10));
            self.sent.extend(Looks::of(message));
            assert_eq!(c!(ipmb_send(sender, message)), 0);
            c!(ipmb_label_op_drop(op));
            assert_eq!(self.drain(end), 1);
        }
        self.hands.drop_all(Kind::Registry);
        assert!(self.hands.freed.iter().all(|called| called.get() <= 1), "a callback was called twice");
    }

    /// Takes all that there is at an endpoint; how many they were.
    fn drain(&mut self, end: usize) -> usize {
        let receiver = self.hands.end(Kind::Receiver, end);
        assert_eq!(c!(ipmb_receiver_take(receiver, null(), 0)), 0);
        let mut count = 0;
        loop {
            let mut message = null_mut();
            match c!(ipmb_recv(receiver, &mut message, 0)) {
                ERROR_CODE_TIMEOUT => return count,
                ERROR_CODE_SUCCESS => count += 1,
                code => assert_eq!(code, ERROR_CODE_DECODE),
            }
            self.came(message);
            c!(ipmb_message_drop(message));
        }
    }

    /// The counters of an endpoint. None but that of what waits goes down.
    fn counters(&mut self, end: usize) -> [u64; 13] {
        let mut now = EndpointStats::default();
        let size = size_of::<EndpointStats>();
        assert_eq!(c!(ipmb_stats(self.hands.end(Kind::Sender, end), &mut now, size)), 0);
        let bytes = read((&raw const now).cast(), size).expect("a place");
        let mut words = bytes.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().expect("8 bytes")));
        let now: [u64; 13] = std::array::from_fn(|_| words.next().unwrap_or(0));
        let mut seen = SEEN.lock().expect("one thread");
        for (place, (before, after)) in seen[end].iter().zip(now).enumerate() {
            assert!(place == 6 || *before <= after, "counter {place} went from {before} to {after}");
        }
        seen[end] = now;
        now
    }
}
