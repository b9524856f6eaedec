//! A point in time as it travels: ISO 8601, as Python's `isoformat` writes it.
//!
//! It is taken apart and checked, so that what comes is a time that there is; nothing is computed with it.

use std::fmt;

/// A point in time, to the microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    /// 1 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31, as the month has them.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999,999.
    pub microsecond: u32,
    /// Seconds by which its clock is ahead of UTC, less than a day; `None`: it does not say where it is.
    pub offset: Option<i32>,
}

impl Moment {
    /// Reads a text. Fractions have three or six digits, and `Z` is an offset of 0.
    pub fn parse(text: &str) -> Option<Moment> {
        let mut rest = Rest(text.as_bytes());
        let year = rest.number(4)?;
        rest.expect(b'-')?;
        let month = rest.number(2)?;
        rest.expect(b'-')?;
        let day = rest.number(2)?;
        rest.expect(b'T')?;
        let (hour, minute, second) = rest.clock(true)?;
        let microsecond = if rest.expect(b'.').is_some() { rest.fraction()? } else { 0 };
        let offset = match rest.0 {
            [] => None,
            b"Z" => Some(0),
            [sign @ (b'+' | b'-'), behind @ ..] => {
                rest.0 = behind;
                let (hours, minutes, seconds) = rest.clock(false)?;
                let seconds = (hours * 3600 + minutes * 60 + seconds) as i32;
                rest.0.is_empty().then_some(Some(if *sign == b'-' { -seconds } else { seconds }))?
            }
            _ => return None,
        };
        let real = (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=days(year, month)).contains(&day);
        real.then_some(Moment {
            year: year as u16,
            month: month as u8,
            day: day as u8,
            hour: hour as u8,
            minute: minute as u8,
            second: second as u8,
            microsecond,
            offset,
        })
    }
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    fn number(&mut self, digits: usize) -> Option<u32> {
        let (taken, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        taken.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
    }

    /// Hours, minutes and seconds, which an offset may lack.
    fn clock(&mut self, seconds: bool) -> Option<(u32, u32, u32)> {
        let hour = self.number(2)?;
        self.expect(b':')?;
        let minute = self.number(2)?;
        let second = match self.expect(b':') {
            Some(()) => self.number(2)?,
            None if seconds => return None,
            None => 0,
        };
        (hour < 24 && minute < 60 && second < 60).then_some((hour, minute, second))
    }

    fn fraction(&mut self) -> Option<u32> {
        match self.0.iter().take_while(|byte| byte.is_ascii_digit()).count() {
            3 => Some(self.number(3)? * 1000),
            6 => self.number(6),
            _ => None,
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moment { year, month, day, hour, minute, second, microsecond, offset } = self;
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if *microsecond != 0 {
            write!(out, ".{microsecond:06}")?;
        }
        let Some(offset) = offset else { return Ok(()) };
        let (sign, ahead) = if *offset < 0 { ('-', offset.unsigned_abs()) } else { ('+', offset.unsigned_abs()) };
        write!(out, "{sign}{:02}:{:02}", ahead / 3600, ahead / 60 % 60)?;
        match ahead % 60 {
            0 => Ok(()),
            seconds => write!(out, ":{seconds:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in [
            "2026-02-28T12:00:00",
            "2000-02-29T23:59:59.000001+00:00",
            "0001-01-01T00:00:00-23:59:59",
            "9999-12-31T00:00:00.500000+05:30",
        ] {
            assert_eq!(Moment::parse(text).map(|moment| moment.to_string()).as_deref(), Some(text));
        }
        assert_eq!(Moment::parse("2026-01-01T00:00:00.250Z").unwrap().to_string(), "2026-01-01T00:00:00.250000+00:00");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-01-01",
            "2026-01-01T00:00",
            "2026-01-01 00:00:00",
            "2100-02-29T00:00:00",
            "2026-04-31T00:00:00",
            "2026-00-01T00:00:00",
            "2026-01-01T00:00:00.1",
            "2026-01-01T00:00:00.1234567",
            "2026-01-01T00:00:00+1:00",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+00:00 ",
            "2026-01-01T00:00:00z",
            "+026-01-01T00:00:00",
            "2026-01-01T00:00:00\u{e9}",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }
}
