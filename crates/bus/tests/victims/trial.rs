//! How a trial is told what to do and tells how it goes, as `make torture` wants it: the environment says how many, with
//! which seed, and which case alone; lines on stdout say how far it is, what was counted, and what replays a failure.

use std::env;

/// What to do.
pub(crate) struct Order {
    pub(crate) count: Option<usize>,
    pub(crate) seed: u64,
    /// One case, as a failure has named it.
    pub(crate) case: Option<String>,
    progress: bool,
}

impl Order {
    pub(crate) fn read() -> Order {
        let number = |name: &str| env::var(name).ok().map(|text| text.parse().expect("a number"));
        Order {
            count: number("IPMB_COUNT").map(|count: u64| count as usize),
            seed: number("IPMB_SEED").unwrap_or(1),
            case: env::var("IPMB_CASE").ok(),
            progress: env::var_os("IPMB_PROGRESS").is_some(),
        }
    }

    pub(crate) fn progress(&self, done: usize, total: usize) {
        if self.progress {
            println!("progress {done} {total}");
        }
    }

    pub(crate) fn figure(&self, name: &str, value: impl std::fmt::Display) {
        println!("figure {name} = {value}");
    }

    pub(crate) fn violation(&self, case: &str, text: &str) {
        println!("case {case}\n  {}", text.replace('\n', " "));
    }
}

/// Numbers that follow from a seed (splitmix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % bound.max(1) as u64) as usize
    }
}
