//! See `crates/transport/src/ring/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ipmb_transport::ring::fuzzing::ring(data));
