//! The C ABI, called as a program in C calls it. See `abi/program.rs`.
#![no_main]

#[path = "abi/program.rs"]
mod program;

libfuzzer_sys::fuzz_target!(|data: &[u8]| program::run(data));
