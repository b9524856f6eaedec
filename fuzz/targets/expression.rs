//! See `crates/bus/src/fuzzing/expression.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ipmb_bus::fuzzing::expression(data));
