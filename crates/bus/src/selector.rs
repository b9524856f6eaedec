//! Where a message goes: a label expression, how many get it, and how long it waits for somebody.
//!
//! A selector is interned by its sender and travels encoded in records, so that a receiver can tell its user what the
//! message was sent to. The encoding is fixed here: one byte of mode, eight of ttl, the expression.

use std::fmt;
use std::time::Duration;

use crate::error::InvalidArgument;
use crate::label_op::LabelOp;
use crate::limits;

/// Who gets a message among those who match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Exactly one match consumes it.
    Unicast,
    /// Every match gets it.
    Multicast,
}

/// How long a message is kept while nobody matches, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ttl(u64);

impl Ttl {
    /// Not at all.
    pub const ZERO: Ttl = Ttl(0);
    /// As long as it takes.
    pub const FOREVER: Ttl = Ttl(u64::MAX);

    /// So many nanoseconds; `u64::MAX` is for ever.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// So many seconds; infinity, and what is past 584 years, is for ever.
    ///
    /// # Errors
    /// When the number is negative or not a number.
    pub fn from_secs_f64(seconds: f64) -> Result<Self, InvalidArgument> {
        if seconds.is_nan() || seconds < 0.0 {
            return Err(InvalidArgument::new("ttl", seconds.to_string(), "give 0 or more seconds, or none for ever"));
        }
        // The conversion saturates, which makes what is too long last for ever.
        Ok(Self((seconds * 1e9) as u64))
    }

    /// In nanoseconds.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// In seconds, infinity for ever.
    pub fn as_secs_f64(self) -> f64 {
        if self == Self::FOREVER { f64::INFINITY } else { self.0 as f64 / 1e9 }
    }

    /// Whether a message without a match is not kept at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether it never ends.
    pub const fn is_forever(self) -> bool {
        self.0 == u64::MAX
    }

    /// When a message that starts to wait now has expired, `u64::MAX` for never.
    pub const fn deadline(self, now: u64) -> u64 {
        now.saturating_add(self.0)
    }
}

impl From<Duration> for Ttl {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl fmt::Debug for Ttl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_forever() { out.write_str("Ttl(forever)") } else { write!(out, "Ttl({} s)", self.as_secs_f64()) }
    }
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Who is meant.
    pub op: LabelOp,
    /// One of them or all.
    pub mode: Mode,
    /// How long the message waits while nobody matches.
    pub ttl: Ttl,
}

impl Selector {
    /// To exactly one of the matches, without waiting for one.
    pub fn unicast(op: LabelOp) -> Self {
        Self { op, mode: Mode::Unicast, ttl: Ttl::ZERO }
    }

    /// To every match, without waiting for one.
    pub fn multicast(op: LabelOp) -> Self {
        Self { op, mode: Mode::Multicast, ttl: Ttl::ZERO }
    }

    /// The same with another ttl.
    pub fn with_ttl(self, ttl: Ttl) -> Self {
        Self { ttl, ..self }
    }

    /// The bytes that [`decode`](Self::decode) takes, at most [`limits::SELECTOR_BYTES`].
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.mode as u8];
        out.extend(self.ttl.0.to_le_bytes());
        self.op.encode_into(&mut out);
        out
    }

    /// Reads a selector that another process encoded. Nothing in the bytes is believed.
    ///
    /// # Errors
    /// When the bytes are not exactly one selector within the bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidArgument> {
        let malformed = |what: String| {
            let bound = format!("it has to be as Selector::encode writes it, at most {} bytes", limits::SELECTOR_BYTES);
            InvalidArgument::new("encoded selector", what, bound)
        };
        let (mode, rest) = bytes.split_first().ok_or_else(|| malformed("empty".to_owned()))?;
        let mode = match mode {
            0 => Mode::Unicast,
            1 => Mode::Multicast,
            other => return Err(malformed(format!("of the unknown mode {other}"))),
        };
        let (ttl, op) = rest.split_first_chunk().ok_or_else(|| malformed("cut short".to_owned()))?;
        Ok(Self { op: LabelOp::decode(op)?, mode, ttl: Ttl(u64::from_le_bytes(*ttl)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn selector() -> Selector {
        Selector::multicast(LabelOp::parse("a & !b").unwrap()).with_ttl(Ttl::from_nanos(7))
    }

    #[test]
    fn encoding_comes_back() {
        assert_eq!(Selector::decode(&selector().encode()).unwrap(), selector());
        let unicast = Selector { mode: Mode::Unicast, ttl: Ttl::FOREVER, ..selector() };
        assert_eq!(Selector::decode(&unicast.encode()).unwrap(), unicast);
    }

    #[test]
    fn cut_and_continued_bytes_are_refused() {
        let bytes = selector().encode();
        for len in 0..bytes.len() {
            assert!(Selector::decode(&bytes[..len]).is_err());
        }
        assert!(Selector::decode(&[&bytes[..], &[0]].concat()).is_err());
        assert!(Selector::decode(&[&[2], &bytes[1..]].concat()).is_err());
    }

    #[test]
    fn ttl_of_seconds() {
        assert_eq!(Ttl::from_secs_f64(0.5).unwrap(), Ttl::from(Duration::from_millis(500)));
        assert!(Ttl::from_secs_f64(f64::INFINITY).unwrap().is_forever());
        assert!(Ttl::from_secs_f64(1e300).unwrap().is_forever());
        assert!(Ttl::from_secs_f64(-0.0).unwrap().is_zero());
        for bad in [-1.0, f64::NAN, f64::NEG_INFINITY, -1e-9] {
            assert!(Ttl::from_secs_f64(bad).is_err(), "{bad}");
        }
        assert_eq!(Ttl::FOREVER.deadline(5), u64::MAX);
        assert_eq!(Ttl::FOREVER.as_secs_f64(), f64::INFINITY);
        assert_eq!(Ttl::from_nanos(10).deadline(5), 15);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_selector_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(selector) = Selector::decode(&bytes) {
                prop_assert_eq!(Selector::decode(&selector.encode()).unwrap(), selector);
            }
        }
    }
}
