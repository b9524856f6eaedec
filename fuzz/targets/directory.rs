//! See `crates/bus/src/fuzzing/directory.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ipmb_bus::fuzzing::directory(data));
