//! A fuzzer's bytes, read as a program: what the hostile side does next, and with which numbers.
//!
//! Only where a fuzzer or its corpus runs. The bus has fuzzed functions of its own and takes this same file in.
#![allow(dead_code)] // Each crate uses some of it.

/// Reads a case from its beginning. When it is over there is nothing but zeros.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a>(&'a [u8]);

impl<'a> Case<'a> {
    /// The whole case is still to be read.
    pub(crate) fn new(bytes: &'a [u8]) -> Case<'a> {
        Case(bytes)
    }

    /// The next step, `None` at the end.
    pub(crate) fn step(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A small number.
    pub(crate) fn byte(&mut self) -> u8 {
        self.step().unwrap_or(0)
    }

    /// A number of 16 bits.
    pub(crate) fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Any number, in as few bytes as it takes: small ones are what most of a protocol is about.
    pub(crate) fn word(&mut self) -> u64 {
        match self.byte() {
            0xff => u64::from_le_bytes(std::array::from_fn(|_| self.byte())),
            0xfe => u64::MAX - u64::from(self.byte()),
            high @ 0xf0.. => 1 << (4 * u64::from(high & 0xf) + 8) | u64::from(self.byte()),
            small => u64::from(small),
        }
    }

    /// Up to so many bytes.
    pub(crate) fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// What is left of it.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }
}

/// Runs every case that was kept for a target: what fuzzers have found, and the smallest set that reaches all they reached.
#[cfg(test)]
pub(crate) fn replay(target: &str, run: fn(&[u8])) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut cases = 0;
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for file in files.take(if cfg!(miri) { 10 } else { usize::MAX }) {
        let file = file.expect("a readable folder").path();
        // Shown only where it fails.
        println!("{}", file.display());
        run(&std::fs::read(file).expect("a readable case"));
        cases += 1;
    }
    assert!(cases > 5, "{} has {cases} cases", folder.display());
}
