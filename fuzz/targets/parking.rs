//! See `crates/bus/src/fuzzing/parking.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ipmb_bus::fuzzing::parking(data));
