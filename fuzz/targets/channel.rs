//! See `crates/bus/src/fuzzing/channel.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ipmb_bus::fuzzing::channel(data));
